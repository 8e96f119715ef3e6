"""An acceptor that drops all states at its memory bound, and remakes them from the tokens.

A bounded acceptor stores the states, open objects and item sets that texts have reached. Where they
would take too much memory it raises `RoomError`. Then an empty acceptor takes its place, and a
state is found again from the tokens that led to it. If even an empty one has no room, the step is
taken in parts, each with an empty acceptor; a single byte that needs more than all of the memory
gets twice of it. So no text ends because of other texts, or of its own length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.masking.acceptor import REJECTED, BoundedAcceptor
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.grammar.tokens.table import TokenTable, allow
from decoding.grammar.tokens.trie import below, children, path
from decoding.kernels.forks import free_after_fork
from decoding.kernels.grammar.trie_nodes import SIZE_AT, TOKEN, TOKEN_AT, copy_twins

_MANY_STATES = 1 << 20
"""An acceptor of so many states, about 150 MiB of tokens, is replaced for new texts."""

T = TypeVar("T")
Make = Callable[[int], BoundedAcceptor]
"""Makes an empty acceptor of `scale` times the usual memory."""


class _Generation:
    """One acceptor and the numbers of its states.

    inner: the acceptor. known: its state by the number that matchers use. numbers: the inverse.
    """

    __slots__ = ("inner", "known", "numbers")

    def __init__(self, inner: BoundedAcceptor) -> None:
        self.inner = inner
        self.known = {0: inner.start}
        self.numbers = {inner.start: 0}


class RebuildingAcceptor:
    """An `Acceptor` that drops and remakes states at a memory bound; threads may share it.

    It permanently stores one token for each state. State 0 is the start.
    """

    def __init__(self, make: Make) -> None:
        """Begin with no text.

        make: makes an acceptor of a grammar that can follow each single text. Raises `RoomError` if
            the grammar itself takes more than twice the memory that all of its texts may take.
        """
        self._make = make
        self._scale = 1
        try:
            self._generation = _Generation(make(1))
        except RoomError:
            self._scale = 2
            self._generation = _Generation(make(2))
        self._origins: list[tuple[int, int | bytes]] = [(REJECTED, b"")]
        self._lock = free_after_fork(threading.RLock())

    @property
    def tokens(self) -> TokenTable:
        """The vocabulary."""
        return self._generation.inner.tokens

    @property
    def needs_replacement(self) -> bool:
        """Whether its states take so much memory that new texts should begin with a new one."""
        return self._generation.inner.needs_replacement or len(self._origins) > _MANY_STATES

    @property
    def start(self) -> int:
        """The state before any text."""
        return 0

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit, as no end token does."""
        return self._moved(state, token, lambda inner, here: inner.advance(here, token))

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit."""
        return self._moved(state, text, lambda inner, here: inner.follow(here, text))

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        return self._ask(state, lambda inner, here: inner.accepts(here))

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next; none where a token may come that the grammar names."""
        return self._ask(state, lambda inner, here: inner.next_bytes(here))

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each, end tokens included; not to be changed."""
        generation = self._generation
        for _ in range(2):
            try:
                return generation.inner.mask(self._found(generation, state))
            except RoomError:
                generation = self._rebuilt(generation)
        return self._mask_in_parts(state)

    def _moved(
        self, state: int, move: int | bytes, following: Callable[[BoundedAcceptor, int], int]
    ) -> int:
        """The number of the state after a move."""
        generation, reached = self._answer(state, following)
        return REJECTED if reached == REJECTED else self._number(generation, reached, (state, move))

    def _number(
        self, generation: _Generation, reached: int, origin: tuple[int, int | bytes]
    ) -> int:
        number = generation.numbers.get(reached)
        if number is None:
            with self._lock:
                number = generation.numbers.get(reached)
                if number is None:
                    number = len(self._origins)
                    self._origins.append(origin)
                    generation.known[number] = reached
                    generation.numbers[reached] = number
        return number

    def _ask(self, state: int, question: Callable[[BoundedAcceptor, int], T]) -> T:
        """The acceptor's answer about a state, from a larger acceptor if that is needed."""
        return self._answer(state, question)[1]

    def _answer(
        self, state: int, question: Callable[[BoundedAcceptor, int], T]
    ) -> tuple[_Generation, T]:
        """An answer that cannot be split into parts, and the generation that gave it."""
        generation, larger = self._generation, False
        while True:
            try:
                return generation, question(generation.inner, self._found(generation, state))
            except RoomError:
                generation, larger = self._rebuilt(generation, larger=larger), True

    def _found(self, generation: _Generation, state: int) -> int:
        """The acceptor's own number of a state; the state may be older than the acceptor."""
        known = generation.known.get(state)
        if known is None:
            moves: list[int | bytes] = []
            number = state
            while number:
                number, move = self._origins[number]
                moves.append(move)
            known = generation.inner.replay(reversed(moves))
            with self._lock:
                generation.known[state] = known
                generation.numbers.setdefault(known, state)
        return known

    def _rebuilt(self, full: _Generation, *, larger: bool = False) -> _Generation:
        """An empty generation in place of a full one, with twice its room if asked for."""
        with self._lock:
            if self._generation is full:
                if larger:
                    self._scale *= 2
                self._generation = _Generation(self._make(self._scale))
            return self._generation

    def _mask_in_parts(self, state: int) -> NDArray[np.uint32]:
        """The mask by parts of the vocabulary, so that only the states of one part are stored."""
        tokens = self.tokens
        mask = self._ask(state, lambda inner, here: inner.named(here))
        for trie in (tokens.bare, tokens.quoted):
            pending = [(b"", trie.nodes)]
            while pending:
                prefix, nodes = pending.pop()
                if not self._allow(state, prefix, nodes, mask):
                    pending += self._parts(state, prefix, nodes, mask)
            copy_twins(trie.twins, mask)
        allow(mask, tokens.end_token_ids if self.accepts(state) else ())
        return mask

    def _allow(
        self, state: int, prefix: bytes, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]
    ) -> bool:
        """Set the bits of tokens that fit after some bytes; False if there is no room for that."""
        generation = self._generation
        for _ in range(2):
            try:
                inner = generation.inner
                here = self._found(generation, state)
                if prefix:
                    here = inner.follow(here, prefix)
                if here != REJECTED:
                    inner.allow(here, nodes, mask)
            except RoomError:
                generation = self._rebuilt(generation)
            else:
                return True
        return False

    def _parts(
        self, state: int, prefix: bytes, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]
    ) -> list[tuple[bytes, NDArray[np.uint64]]]:
        """The parts of a trie: two halves, or the nodes below the only one of depth 1."""
        begins = children(nodes)
        if len(begins) > 1:
            middle = begins[len(begins) // 2]
            return [(prefix, nodes[middle:]), (prefix, nodes[:middle])]
        token = int(nodes[0]) >> TOKEN_AT & TOKEN
        text = prefix + path(nodes, 0)
        if self._ask(state, lambda inner, here: inner.follow(here, text)) == REJECTED:
            return []
        if token:
            allow(mask, (token - 1,))
        return [(text, below(nodes, 0))] if int(nodes[0]) >> SIZE_AT > 1 else []
