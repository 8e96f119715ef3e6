"""Protocols of grammar acceptors: numbered states, advanced by tokens, that give token masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.tokens.table import TokenTable

REJECTED = -1
"""The state of a text that the grammar does not allow."""


class Acceptor(Protocol):
    """Protocol: tokens move one grammar's numbered text states, each with a token mask.

    A number keeps its meaning: keeping it is a rollback, copying it a fork. From every state some
    text leads to an end. The acceptor of a matcher raises no `GrammarLimitError`: a grammar that
    was compiled is followed to the end of every text (`decoding.grammar.masking.rebuilding`).
    """

    @property
    def tokens(self) -> TokenTable:
        """The vocabulary."""

    @property
    def needs_replacement(self) -> bool:
        """Whether its states take so much memory that new texts should begin with a new one."""

    @property
    def start(self) -> int:
        """The state before any text."""

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit, as no end token does."""

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit.

        There are at most as many as `trie.MAX_DEPTH`.
        """

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each, end tokens included; not to be changed."""

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next; none where a token may come that the grammar names."""


class BoundedAcceptor(Acceptor, Protocol):
    """An acceptor whose memory is bounded: each method raises `RoomError` at the bound.

    Its answers do not depend on earlier questions, nor on an earlier `RoomError`.
    """

    def replay(self, tokens: Iterable[int | bytes]) -> int:
        """The state after some tokens and bytes that fit; few states in between are stored."""

    def allow(self, state: int, nodes: NDArray[np.uint64], mask: NDArray[np.uint32]) -> None:
        """Set the bits of the tokens of some trie nodes whose bytes may follow."""

    def named(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next because the grammar names them, whatever their bytes."""
