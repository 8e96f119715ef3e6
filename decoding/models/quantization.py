"""Blocks of quantised weights to float32, one function a format.

A tensor is a run of equal blocks; a block holds a few weights as small integers with their scale.
Every function takes `(blocks, bytes of a block) uint8` and returns `(blocks, weights) float32`,
with the operations of ggml in ggml's order, so that the bits are the same.

Source: ggml, `ggml-common.h` (layouts) and `ggml-quants.c` (`dequantize_row_*`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Blocks: TypeAlias = NDArray[np.uint8]
Weights: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QuantizationType:
    """One format of weights.

    name: as ggml spells it.
    block_weights: weights in a block.
    block_bytes: bytes of a block.
    dequantize: `(blocks, block_bytes) uint8` to `(blocks, block_weights) float32`.
    """

    name: str
    block_weights: int
    block_bytes: int
    dequantize: Callable[[Blocks], Weights]


def _half(blocks: Blocks, start: int) -> Weights:
    """The float16 at byte `start` of each block, `(blocks, 1)`."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view("<f2").astype(np.float32)


def _nibbles(packed: Blocks, width: int) -> Blocks:
    """Low halves of `width` bytes, then their high halves, then the next `width` bytes."""
    groups = packed.reshape(len(packed), -1, 1, width)
    return (groups >> np.array([[0], [4]], np.uint8)) & np.uint8(0x0F)


def _float32(blocks: Blocks) -> Weights:
    return blocks.view("<f4").astype(np.float32, copy=False)


def _float16(blocks: Blocks) -> Weights:
    return blocks.view("<f2").astype(np.float32)


def _bfloat16(blocks: Blocks) -> Weights:
    return (blocks.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


def _q4_0(blocks: Blocks) -> Weights:
    weights = _nibbles(blocks[:, 2:], 16).reshape(len(blocks), 32).astype(np.float32)
    weights -= np.float32(8)
    weights *= _half(blocks, 0)
    return weights


def _q4_1(blocks: Blocks) -> Weights:
    weights = _nibbles(blocks[:, 4:], 16).reshape(len(blocks), 32).astype(np.float32)
    weights *= _half(blocks, 0)
    weights += _half(blocks, 2)
    return weights


def _fives(high: Blocks, low: Blocks) -> Weights:
    """32 five-bit integers: 4 bytes of high bits, 16 bytes of low nibbles."""
    bits = np.unpackbits(high, axis=1, bitorder="little") << np.uint8(4)
    return (_nibbles(low, 16).reshape(len(low), 32) | bits).astype(np.float32)


def _q5_0(blocks: Blocks) -> Weights:
    weights = _fives(blocks[:, 2:6], blocks[:, 6:])
    weights -= np.float32(16)
    weights *= _half(blocks, 0)
    return weights


def _q5_1(blocks: Blocks) -> Weights:
    weights = _fives(blocks[:, 4:8], blocks[:, 8:])
    weights *= _half(blocks, 0)
    weights += _half(blocks, 2)
    return weights


def _q8_0(blocks: Blocks) -> Weights:
    weights = blocks[:, 2:].view(np.int8).astype(np.float32)
    weights *= _half(blocks, 0)
    return weights


def _k_scales(packed: Blocks) -> tuple[Weights, Weights]:
    """Eight six-bit scales and eight six-bit minima from 12 bytes, each `(blocks, 8)`.

    The first four of each lie in the low six bits of bytes 0-3 and 4-7. The last four have their
    low nibbles in bytes 8-11 (scales low, minima high) and their top two bits above the first four.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = [first & 0x3F, (third & 0x0F) | ((first >> 2) & 0x30)]
    minima = [second & 0x3F, (third >> 4) | ((second >> 2) & 0x30)]
    return (
        np.concatenate(scales, axis=1).astype(np.float32),
        np.concatenate(minima, axis=1).astype(np.float32),
    )


def _scaled_k(blocks: Blocks, quants: Weights) -> Weights:
    """`d·scale·q − dmin·minimum` for the K formats with minima; quants are `(blocks, 8, 32)`."""
    scales, minima = _k_scales(blocks[:, 4:16])
    quants *= (_half(blocks, 0) * scales)[:, :, None]
    quants -= (_half(blocks, 2) * minima)[:, :, None]
    return quants.reshape(len(blocks), 256)


def _q4_k(blocks: Blocks) -> Weights:
    quants = _nibbles(blocks[:, 16:], 32).reshape(len(blocks), 8, 32)
    return _scaled_k(blocks, quants.astype(np.float32))


def _q5_k(blocks: Blocks) -> Weights:
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    high = ((blocks[:, None, 16:48] >> shifts) & np.uint8(1)) << np.uint8(4)
    quants = _nibbles(blocks[:, 48:], 32).reshape(len(blocks), 8, 32) | high
    return _scaled_k(blocks, quants.astype(np.float32))


def _q6_k(blocks: Blocks) -> Weights:
    low = _nibbles(blocks[:, :128], 64).reshape(len(blocks), 8, 32)
    shifts = np.array([[0], [2], [4], [6]], np.uint8)
    high = (blocks[:, 128:192].reshape(len(blocks), 2, 1, 32) >> shifts) & np.uint8(3)
    quants = (low | (high.reshape(len(blocks), 8, 32) << np.uint8(4))).astype(np.float32)
    quants -= np.float32(32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    weights = quants.reshape(len(blocks), 16, 16)
    weights *= (_half(blocks, 208) * scales)[:, :, None]
    return weights.reshape(len(blocks), 256)


QUANTIZATION_TYPES = MappingProxyType(
    {
        0: QuantizationType("F32", 1, 4, _float32),
        1: QuantizationType("F16", 1, 2, _float16),
        2: QuantizationType("Q4_0", 32, 18, _q4_0),
        3: QuantizationType("Q4_1", 32, 20, _q4_1),
        6: QuantizationType("Q5_0", 32, 22, _q5_0),
        7: QuantizationType("Q5_1", 32, 24, _q5_1),
        8: QuantizationType("Q8_0", 32, 34, _q8_0),
        12: QuantizationType("Q4_K", 256, 144, _q4_k),
        13: QuantizationType("Q5_K", 256, 176, _q5_k),
        14: QuantizationType("Q6_K", 256, 210, _q6_k),
        30: QuantizationType("BF16", 1, 2, _bfloat16),
    }
)
"""The readable formats by their number in a GGUF file."""

UNREADABLE_TYPES = MappingProxyType(
    {
        9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
        19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16",
        26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    }
)  # fmt: skip
"""Names of the formats that are only recognised, for error messages."""
