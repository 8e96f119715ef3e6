"""Places that a byte leads to where several records stand for one kind of value.

Kernels keep the alternatives of a value as the bits of one number, so a record has at most
`layout.MAX_SET` of them. A value with more is written as several records, each with a part of the
alternatives. Which of them a text follows is not known when the value begins, so the text stands in
several places at once, and whatever one of these places allows is allowed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.configurations import Place, Places
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import Trie, below, chain, path
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.jit import shared
from decoding.kernels.grammar.trie_nodes import TOKEN, TOKEN_AT, copy_twins


class Choices:
    """What may follow a place when all variants of values are followed."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def follow(self, number: int, text: bytes) -> tuple[int, ...]:
        """The numbers of the places after some bytes, at least one; none if they do not fit."""
        places, found = self._places, dict[int, None]()
        pending = [(number, text)]
        while pending:
            number, rest = pending.pop()
            places.store.room_for(len(rest))
            reached = np.zeros(1, np.uint32)
            choices = places.walk(places[number], chain(rest), reached)
            depths = places.store.stack
            if choices:
                (position,) = choices
                row = (position + 1) * layout.CONFIG_SIZE
                variants = places.variants(depths[row : row + layout.CONFIG_SIZE].copy())
                pending += [(variant, rest[position:]) for variant in reversed(variants)]
            elif reached[0]:
                last = len(rest) * layout.CONFIG_SIZE
                found[places.number(depths[last : last + layout.CONFIG_SIZE].copy())] = None
        return tuple(found)

    def allow(self, place: Place, trie: Trie, mask: Mask) -> None:
        """Allow the tokens of a trie that fit behind a place."""
        number = self._places.number(place.copy())
        pending = [(number, trie.nodes)]
        while pending:
            number, nodes = pending.pop()
            for position in self._places.walk(self._places[number], nodes, mask):
                reached = self.follow(number, path(nodes, position))
                token = int(nodes[position]) >> TOKEN_AT & TOKEN
                if reached and token:
                    mask[token - 1 >> 5] |= np.uint32(1 << (token - 1 & 31))
                rest: NDArray[np.uint64] = below(nodes, position)
                pending += [(after, rest) for after in reached if len(rest)]
        copy_twins(shared(trie.twins), shared(mask))
