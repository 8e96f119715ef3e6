"""`GrammarMask`: keeps the tokens that a grammar allows next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.facts import MASK, SERVERS, Facts
from decoding.history import History
from decoding.kernels.forks import free_after_fork
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import edits
from decoding.processors.call import checked_call
from decoding.request_fields import BOOLEAN, GRAMMAR, RequestField
from decoding.typing import Logits

if TYPE_CHECKING:  # importing it would load the compilers of grammars, and Numba
    from decoding.grammar.protocol import TokenGrammar, TokenMatcher

MAX_PREPARED = 256
"""Masks that a processor keeps which were computed before they were asked for."""

MAX_PLACES = 1024
"""Texts that a processor remembers its place in; others are read from their beginning."""


@dataclass(frozen=True, slots=True)
class GrammarMask:
    """Keep only the tokens with which the generated text still fits a grammar.

        keep i  <=>  matcher(generated tokens).mask() has bit i

    The prompt is no part of the text. End tokens stay exactly where the text may end. A history
    that does not fit, or has an end token in it, leaves no token.

    grammar: as `decoding.grammar` compiles it, for the vocabulary of the logits. No value is
    neutral; tokens beyond the masks do not stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. A row may end
    empty, and the sampler then raises `EmptySupportError`. The mask is a function of the history:
    sequences may share a processor, fork and roll back; the last places are remembered, and a token
    more costs one step. Source: Willard & Louf 2023, "Efficient Guided Generation for Large
    Language Models", arXiv:2307.09702.
    """

    grammar: TokenGrammar
    _places: _Places = field(init=False, repr=False, compare=False)

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="the tokens with which the text still fits a grammar",
        range="a compiled grammar",
        source="Willard & Louf 2023, arXiv:2307.09702",
        peers=("TGI", *SERVERS, "llama.cpp"),
        fields=(
            RequestField(
                "grammar", GRAMMAR, 'what the text must match: {"type": ..., "value": ...}', "JSON"
            ),
            RequestField(
                "jump_forward",
                BOOLEAN,
                "write tokens that the grammar forces without drawing them",
                initial=False,
            ),
        ),
        place=60,
    )

    def __post_init__(self) -> None:
        # A `Grammar` is only the source of one.
        legal = callable(getattr(self.grammar, "matcher", None))
        expected = "a compiled grammar, as `compile_json_schema` of `decoding.grammar` returns it"
        require("grammar", self.grammar, legal, expected)
        object.__setattr__(self, "_places", _Places(self.grammar))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        columns = np.arange(logits.shape[1])
        kept = [
            edits.in_bitmask(columns, self.bitmask(history.select(row)))
            for row in range(len(logits))
        ]
        return np.where(np.stack(kept), logits, -np.inf).astype(logits.dtype, copy=False)

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction whose words change with every step."""
        return (Instruction(Opcode.BITMASK, bitmask=np.zeros(0, np.int32)),)

    def bitmask(self, history: History) -> NDArray[np.int32]:
        """The mask after the generated tokens of the one row that `history` is of."""
        generated = history.generated(0)
        prepared = self._places.prepared(generated)
        return self._words(generated) if prepared is None else prepared

    def prepare(self, generated: NDArray[np.int32]) -> None:
        """Compute the mask after these tokens, which `bitmask` then returns without waiting.

        Another thread may call this. What it raises, `bitmask` raises.
        """
        if self._places.prepared(generated) is None:
            with suppress(Exception):
                self._places.keep(generated, self._words(generated))

    def _words(self, generated: NDArray[np.int32]) -> NDArray[np.int32]:
        matcher = self.matcher(generated)
        return np.zeros(0, np.int32) if matcher is None else matcher.mask().view(np.int32)

    def matcher(self, generated: NDArray[np.int32]) -> TokenMatcher | None:
        """The matcher after these tokens, read-only; None if they do not fit."""
        return self._places.after(np.ascontiguousarray(generated))


class _Places:
    """A cache of matchers by the tokens that they have read."""

    def __init__(self, grammar: TokenGrammar) -> None:
        self._grammar = grammar
        self._known: OrderedDict[bytes, TokenMatcher | None] = OrderedDict()
        self._lock = free_after_fork(threading.Lock())
        # Masks that were prepared, by the tokens before them. No lock is held while one is made.
        self._prepared: dict[bytes, NDArray[np.int32]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        """A copy has read nothing yet."""
        return _Places, (self._grammar,)

    def prepared(self, generated: NDArray[np.int32]) -> NDArray[np.int32] | None:
        """The mask after these tokens, if it was prepared."""
        return self._prepared.get(generated.tobytes()) if self._prepared else None

    def keep(self, generated: NDArray[np.int32], words: NDArray[np.int32]) -> None:
        """Keep a mask, and forget the oldest where there are many; that of the start is kept."""
        prepared = self._prepared
        prepared[generated.tobytes()] = words
        while len(prepared) > MAX_PREPARED:
            oldest = next((key for key in list(prepared) if key), b"")
            prepared.pop(oldest, None)

    def after(self, generated: NDArray[np.int32]) -> TokenMatcher | None:
        """The matcher that has read these tokens; None if it refused one."""
        read = generated.tobytes()
        with self._lock:
            if read in self._known:
                self._known.move_to_end(read)
                return self._known[read]
            before = self._known.get(read[:-4]) if read else None
            if before is not None:
                matcher: TokenMatcher | None = _advanced(before.fork(), generated[-1:])
            elif read[:-4] in self._known:
                matcher = None
            else:
                matcher = _advanced(self._grammar.matcher(), generated)
            self._known[read] = matcher
            if len(self._known) > MAX_PLACES:
                self._known.popitem(last=False)
            return matcher


def _advanced(matcher: TokenMatcher, token_ids: NDArray[np.int32]) -> TokenMatcher | None:
    taken = all(matcher.advance(token_id) for token_id in token_ids.tolist())
    return matcher if taken else None
