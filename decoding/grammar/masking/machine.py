"""`Machine`: the automata and cached masks that all grammars of one vocabulary share."""

from __future__ import annotations

import threading

from decoding.checks import checked_integer
from decoding.errors import require
from decoding.grammar.json.automaton_store import Store
from decoding.grammar.masking.routes import PREFERRED, Route
from decoding.grammar.tokens.finder import TokenFinder
from decoding.grammar.tokens.mask_cache import MaskCache
from decoding.grammar.tokens.table import TokenTable
from decoding.kernels.forks import free_after_fork
from decoding.kernels.grammar.loading import AUTOMATA

MASKS_MEMORY = 1 << 27
"""The default memory of the mask cache, in bytes."""


class Machine:
    """A vocabulary, with the automata and the cached masks of its grammars.

    tokens: the vocabulary.
    masks_memory: bytes of masks in the cache, ≥ 0; the default of 128 MiB holds 8,000 masks of
        Llama 3's vocabulary. A mask that was dropped is computed again when it is asked for.
    route: how masks are computed; every route gives the same masks.
    Automata live as long as a grammar uses them. Grammars are compiled into one store until it
    holds `automata.FULL` bytes, then into a new one. Threads may share a machine: some compile
    grammars while others follow texts.
    """

    def __init__(
        self,
        tokens: TokenTable,
        masks_memory: int = MASKS_MEMORY,
        *,
        route: Route = PREFERRED,
    ) -> None:
        require("tokens", tokens, isinstance(tokens, TokenTable), "a token table")
        masks_memory = checked_integer("masks_memory", masks_memory, 0)
        self.tokens = tokens
        self.finder = TokenFinder(tokens)
        self.masks = MaskCache(masks_memory)
        self.route = route
        # One for all stores: a grammar's texts may be in several of them, and share its schema.
        self._lock = free_after_fork(threading.RLock())
        self._store = self._new_store()

    def __reduce__(self) -> tuple[object, ...]:
        """A pickle holds the vocabulary and the parameters, and no automata or masks."""
        route = None if self.route is PREFERRED else self.route
        return _machine, (self.tokens, self.masks.memory, route)

    def store(self, scale: int = 1) -> Store:
        """The store of the next grammar.

        scale: more than 1 asks for a store of its own, of `scale` times the memory.
        """
        self.route.begin(AUTOMATA)
        if scale > 1:
            return self._new_store(scale)
        if self._store.is_full:
            self._store = self._new_store()
        return self._store

    def _new_store(self, scale: int = 1) -> Store:
        return Store(self.tokens, self.masks, self.route, self._lock, scale)


def _machine(tokens: TokenTable, masks_memory: int, route: Route | None) -> Machine:
    """The machine of a pickle; route `None` is the preferred one of the process that loads it."""
    return Machine(tokens, masks_memory, route=route or PREFERRED)
