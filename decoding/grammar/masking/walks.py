"""How texts of one grammar go on: by bytes, and by the tokens of a trie."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from decoding.grammar.json.configurations import Configuration, Configurations
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import Trie, chain
from decoding.kernels.grammar import step
from decoding.kernels.grammar.jit import shared
from decoding.kernels.grammar.nodes import copy_twins


class ChoiceNeededError(Exception):
    """A byte may lead to several places; `json.split_values` follows all of them."""


class Walks(Protocol):
    """What may follow the places of a grammar. Bits are only ever set.

    Both methods raise `ChoiceNeededError` where a byte may lead to several places.
    """

    def follow(self, number: int, text: bytes) -> int:
        """The number of the place after some bytes, at least one; REJECTED if they do not fit."""
        ...

    def allow(self, place: Configuration, trie: Trie, mask: Mask) -> None:
        """Allow the tokens of a trie that fit behind a place."""
        ...


class KernelWalks:
    """Walks by kernels."""

    def __init__(self, places: Configurations) -> None:
        self._places = places

    def follow(self, number: int, text: bytes) -> int:
        """See `Walks.follow`."""
        places, reached = self._places, np.zeros(1, np.uint32)
        depths = places.store.room_for(len(text))
        if places.walk(places[number], chain(text), reached):
            raise ChoiceNeededError
        if not reached[0]:
            return REJECTED
        last = len(text) * step.PLACE_SIZE
        return places.number(depths[last : last + step.PLACE_SIZE].copy())

    def allow(self, place: Configuration, trie: Trie, mask: Mask) -> None:
        """See `Walks.allow`."""
        if self._places.walk(place, trie.nodes, mask):
            raise ChoiceNeededError
        copy_twins(shared(trie.twins), shared(mask))
