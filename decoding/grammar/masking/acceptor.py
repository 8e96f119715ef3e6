"""What a matcher follows a text with, whatever kind of grammar stands behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.tokens.table import TokenTable

REJECTED = -1
"""The state of a text that fits no longer."""


class Acceptor(Protocol):
    """The texts of one grammar, as states that are numbered when they are first met.

    A state stays what it is: keeping its number is a rollback, copying it a fork. From every state
    some text leads to an end. What a matcher is given raises no `GrammarLimitError`: a grammar that
    is compiled is followed to the end of every text (`decoding.grammar.masking.rebuilding`).
    """

    @property
    def tokens(self) -> TokenTable:
        """The vocabulary."""
        ...

    @property
    def needs_replacement(self) -> bool:
        """Whether its states take so much memory that a new text better begins with a new one."""
        ...

    @property
    def start(self) -> int:
        """The state before any text."""
        ...

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit, as no end token does."""
        ...

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit.

        There are at most as many as `trie.MAX_DEPTH`.
        """
        ...

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        ...

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each, end tokens included; not to be changed."""
        ...

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next; none at all where a token that is no text may."""
        ...


class BoundedAcceptor(Acceptor, Protocol):
    """An acceptor whose memory is bounded: each method raises `RoomError` at the bound.

    Whatever it was asked before, what it answers is right; after a `RoomError` as well.
    """

    def replay(self, tokens: Iterable[int | bytes]) -> int:
        """The state after some tokens and bytes that fit; of those in between, few are stored."""
        ...

    def allow(self, state: int, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]) -> None:
        """Allow the tokens of some nodes of a trie that fit by their bytes."""
        ...

    def named(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next because a grammar names them, whatever they spell."""
        ...
