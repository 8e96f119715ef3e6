"""Follows JSON values with more schema alternatives than one record holds, over several records.

A record holds the alternatives of a value as bits, `layout.MAX_SET` at most. A value with more
alternatives is split over several records. When such a value begins, any of its records may turn
out to match, so a text then has several configurations. A token is allowed if one of the
configurations allows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.configurations import Configuration, Configurations
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.table import allow
from decoding.grammar.tokens.trie import Trie, below, chain, path
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.trie_nodes import TOKEN, TOKEN_AT, copy_twins


class SplitValues:
    """Follows a text's bytes, and fills its mask, through all records of split values."""

    def __init__(self, places: Configurations) -> None:
        self._places = places

    def follow(self, number: int, text: bytes) -> tuple[int, ...]:
        """The numbers of the configurations after some bytes; none if the bytes are not allowed."""
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

    def allow(self, place: Configuration, trie: Trie, mask: Mask) -> None:
        """Set the mask bits of a trie's tokens that a configuration allows."""
        number = self._places.number(place.copy())
        pending = [(number, trie.nodes)]
        while pending:
            number, nodes = pending.pop()
            for position in self._places.walk(self._places[number], nodes, mask):
                reached = self.follow(number, path(nodes, position))
                token = int(nodes[position]) >> TOKEN_AT & TOKEN
                if reached and token:
                    allow(mask, (token - 1,))
                rest: NDArray[np.uint64] = below(nodes, position)
                pending += [(after, rest) for after in reached if len(rest)]
        copy_twins(trie.twins, mask)
