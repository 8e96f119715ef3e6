"""Processors that keep or bias a set of tokens, given as a bitmask of one bit a token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_token_ids
from decoding.errors import ParameterError
from decoding.facts import EDIT, MASK, SERVERS, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, words_of
from decoding.kernels.vector import dense, edits
from decoding.logits import is_tensor
from decoding.processors.call import checked_call
from decoding.request_fields import FINITE, check
from decoding.typing import Anything, Logits


def pack(token_ids: Iterable[int]) -> bytes:
    """The bitmask of some tokens: bit i % 32 of little-endian 32-bit word i // 32 is token i.

    >>> pack([0, 33]).hex()
    '0100000002000000'
    """
    chosen = sorted(set(checked_token_ids("token_ids", token_ids)))
    bits = np.zeros(32 * words_of(chosen[-1] + 1) if chosen else 0, np.bool_)
    bits[chosen] = True
    return np.packbits(bits, bitorder="little").tobytes()


@dataclass(frozen=True, slots=True)
class Bitmask:
    """Keep only the tokens whose bit is set.

        keep i  <=>  bit i % 32 of word i // 32 is set

    packed: 32-bit little-endian words, as `pack` makes them, or an array or tensor of such words,
    as the `mask()` of a matcher; kept as bytes. Tokens beyond them do not stay. No value is
    neutral.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. A row may end
    empty. Raises `ParameterError` at construction for anything but whole words. Source:
    the packing of xgrammar and llguidance.

    >>> Bitmask.of([1])(np.zeros((1, 3)), History.empty(1))
    array([[-inf,   0., -inf]])
    """

    packed: bytes

    facts: ClassVar[Facts] = replace(
        MASK,
        formula="the tokens of a packed set alone",
        range="int32 words",
        source="xgrammar, llguidance",
        peers=SERVERS,
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "packed", _packed(self.packed))

    @classmethod
    def of(cls, token_ids: Iterable[int]) -> Bitmask:
        """The mask that keeps these tokens."""
        return cls(pack(token_ids))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        kept = edits.in_bitmask(np.arange(logits.shape[1]), _words(self.packed))
        return dense.keep(logits, lambda _: kept)

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction."""
        return (Instruction(Opcode.BITMASK, bitmask=_words(self.packed)),)


@dataclass(frozen=True, slots=True)
class BitmaskBias:
    """Add a constant to the logits of the tokens whose bit is set.

        logits[i] + bias · [bit i % 32 of word i // 32 is set]

    packed: as for `Bitmask`; tokens beyond the words are left alone.
    bias: within float32; 0 is neutral.
    logits: `(batch, vocab)` float; −inf stays. Raises `ParameterError` at construction. Source: the
    green list of Kirchenbauer et al. 2023, "A Watermark for Large Language Models",
    arXiv:2301.10226.

    >>> BitmaskBias.of([1], 2.0)(np.zeros((1, 3)), History.empty(1))
    array([[0., 2., 0.]])
    """

    packed: bytes
    bias: float

    facts: ClassVar[Facts] = replace(
        EDIT,
        formula="L + b on a packed set",
        neutral="b = 0",
        range="finite",
        source="arXiv:2301.10226",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "packed", _packed(self.packed))
        check(self, "bias", FINITE)

    @classmethod
    def of(cls, token_ids: Iterable[int], bias: float) -> BitmaskBias:
        """The bias of these tokens."""
        return cls(pack(token_ids), bias)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.bias == 0.0:
            return logits
        biased = edits.in_bitmask(np.arange(logits.shape[1]), _words(self.packed))
        return dense.edit(logits, lambda _, row: row + np.where(biased, self.bias, 0.0))

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.bias == 0.0:
            return ()
        return (Instruction(Opcode.BITMASK_BIAS, self.bias, bitmask=_words(self.packed)),)


def _packed(words: Anything) -> bytes:
    """The little-endian bytes of packed words, however they are handed over."""
    expected = "whole 32-bit words: bytes, or an array of int32 or uint32"
    if isinstance(words, bytes | bytearray | memoryview):
        packed = bytes(words)
        if len(packed) % 4:
            raise ParameterError("packed", f"{len(packed)} bytes", expected)
        return packed
    array = words.numpy(force=True) if is_tensor(words) else words
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.itemsize != 4:
        raise ParameterError("packed", words, expected)
    if array.ndim != 1:
        raise ParameterError("packed", f"an array of shape {array.shape}", f"{expected}, one axis")
    return array.astype("<u4").tobytes()


def _words(packed: bytes) -> NDArray[np.int32]:
    return np.frombuffer(packed, "<i4").astype(np.int32, copy=False)
