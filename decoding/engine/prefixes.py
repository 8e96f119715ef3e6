"""The prefix cache: model states of finished sequences, for prompts with equal beginnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from decoding.models.protocol import State

LEAST_TOKENS = 16
"""A shorter common beginning is not worth a fork."""


class Prefix(NamedTuple):
    """Token ids, the model state that holds them, and the key of the adapter.

    adapter: the key of the adapter that they were computed with; None for none.
    """

    token_ids: Sequence[int]
    state: State
    adapter: object


class PrefixStore:
    """An LRU cache of finished sequences' model states, up to a limit of tokens.

    limit: most tokens in all, in whole pages; 0 keeps nothing.
    The store is replaced as a whole, so that no interrupt finds a half of it changed.
    """

    def __init__(self, limit: int, page_tokens: int) -> None:
        self.limit, self._page_tokens = limit, page_tokens
        self._kept: tuple[Prefix, ...] = ()  # the least recently used one first

    @property
    def states(self) -> list[State]:
        """The model states that are kept."""
        return [item.state for item in self._kept]

    @property
    def tokens(self) -> int:
        """How many tokens the kept states take, counted as if none were shared."""
        return sum(map(self._size, self._kept))

    def find(
        self, prompt: Sequence[int], adapter: object, running: Iterable[Prefix]
    ) -> tuple[Prefix, int] | None:
        """The state with the longest common beginning, and its length.

        At least one token of the prompt is left to compute, for its logits. A kept state that is
        found counts as used.
        """
        best: tuple[Prefix, int] | None = None
        head = list(prompt[:LEAST_TOKENS])
        for item in (*running, *self._kept):
            if item.adapter is not adapter or list(item.token_ids[:LEAST_TOKENS]) != head:
                continue
            common = _common(item.token_ids, prompt)
            if common >= LEAST_TOKENS and (best is None or common > best[1]):
                best = item, common
        if best is not None and any(item is best[0] for item in self._kept):
            self._kept = (*(item for item in self._kept if item is not best[0]), best[0])
        return best

    def add(self, prefixes: Iterable[Prefix], room: int) -> None:
        """Keep more states, and of all the latest that fit the limit and `room`."""
        known = {id(state) for state in self.states}
        fresh = [item for item in prefixes if id(item.state) not in known and self.limit]
        self._shrink((*self._kept, *fresh), min(room, self.limit))

    def make_room(self, room: int) -> bool:
        """Drop the least recently used states until the others fit; tell whether any was."""
        before = self._kept
        if before:
            self._shrink(before, room)
        return len(self._kept) < len(before)

    def _shrink(self, kept: tuple[Prefix, ...], room: int) -> None:
        left, first = room, len(kept)
        while first and self._size(kept[first - 1]) <= left:
            first -= 1
            left -= self._size(kept[first])
        self._kept = kept[first:]

    def _size(self, item: Prefix) -> int:
        return -(-len(item.token_ids) // self._page_tokens) * self._page_tokens


def _common(known: Sequence[int], prompt: Sequence[int]) -> int:
    """The length of the common beginning, less than the whole prompt."""
    most = min(len(known), len(prompt) - 1)
    if list(known[:most]) == list(prompt[:most]):
        return most
    return next(index for index in range(most) if known[index] != prompt[index])
