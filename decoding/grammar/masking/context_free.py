"""Follows texts of a context-free grammar on an `EarleyMachine`, and gives token masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.masking.machine import Machine
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.grammar.tokens.table import allow, allows
from decoding.kernels.grammar.earley import EarleyMachine
from decoding.kernels.grammar.earley_arrays import Network
from decoding.kernels.grammar.loading import NESTED

_BYTES = 256
_NO_TWINS = np.zeros((0, 2), np.int32)


class ContextFreeAcceptor:
    """A memory-bounded acceptor of a context-free grammar over bytes and named tokens.

    Each method but `accepts` raises `RoomError` where the states would take more than `memory`.

    network: the grammar; its symbol 256 + i is any token of `marks[i]`, taken as such.
    marks: masks of tokens.
    machine: has the vocabulary and the mask cache.
    memory: bytes that the states may take.
    """

    def __init__(
        self,
        network: Network,
        marks: Sequence[NDArray[np.uint32]],
        machine: Machine,
        memory: int,
    ) -> None:
        self.tokens = machine.tokens
        self._memory = memory
        self._marks = list(enumerate(marks, _BYTES))
        self._masks = machine.masks
        self._first = self._masks.numbers()
        columns, firsts = np.unique(network.column_of[:_BYTES], return_index=True)
        # The bytes of each column: no state distinguishes them.
        self._columns = [
            (int(first), np.flatnonzero(network.column_of[:_BYTES] == column).astype(np.uint8))
            for column, first in zip(columns, firsts, strict=True)
        ]
        machine.route.begin(NESTED)
        self._machine = EarleyMachine(network, memory, partial(RoomError, ""))

    @property
    def needs_replacement(self) -> bool:
        """Whether more than half of the memory is taken."""
        return self._machine.memory_used > self._memory // 2

    @property
    def start(self) -> int:
        """The state before any text."""
        return self._machine.start

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit.

        A token may fit by its bytes, by its name, or by both; then both continuations may follow.
        """
        spelled = self.tokens.spelled
        if not 0 <= token < len(spelled):
            return REJECTED
        machine = self._machine
        following = machine.steps(state, spelled[token]) if spelled[token] else REJECTED
        for symbol, mask in self._marks:
            if allows(mask, token):
                following = machine.join(following, machine.step(state, symbol))
        return following

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit."""
        return self._machine.steps(state, text)

    def replay(self, tokens: Iterable[int | bytes]) -> int:
        """The state after some tokens and bytes that fit."""
        state = self.start
        for token in tokens:
            if isinstance(token, bytes):
                state = self.follow(state, token)
            else:
                state = self.advance(state, token)
        return state

    def allow(self, state: int, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]) -> None:
        """Set the bits of the tokens of some nodes whose bytes may follow."""
        self._machine.mask(state, nodes, _NO_TWINS, mask)

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        return self._machine.accepting(state)

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each; not to be changed."""
        known = self._masks.get(self._first + state)
        if known is None:
            known = self._mask(state)
            self._masks.put(self._first + state, known)
        return known

    def _mask(self, state: int) -> NDArray[np.uint32]:
        tokens, mask = self.tokens, self.tokens.empty_mask()
        for trie in (tokens.bare, tokens.quoted):
            self._machine.mask(state, trie.nodes, trie.twins, mask)
        mask |= self.named(state)
        allow(mask, tokens.end_token_ids if self.accepts(state) else ())
        return mask

    def named(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next because the grammar names them."""
        mask = self.tokens.empty_mask()
        for symbol, named in self._marks:
            if self._machine.step(state, symbol) != REJECTED:
                mask |= named
        return mask

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next; none where a token may come that the grammar names."""
        step = self._machine.step
        if any(step(state, symbol) != REJECTED for symbol, _ in self._marks):
            return b""
        alive = [
            column_bytes for first, column_bytes in self._columns if step(state, first) != REJECTED
        ]
        return b"".join(column_bytes.tobytes() for column_bytes in alive)
