"""What the grammars of one vocabulary share, and how much memory that may take."""

from __future__ import annotations

from decoding.errors import require
from decoding.grammar.json.automata import Store
from decoding.grammar.masking.routes import PREFERRED, Route
from decoding.grammar.tokens.mask_cache import MaskCache
from decoding.grammar.tokens.table import TokenTable

MASKS_MEMORY = 1 << 27
"""Bytes of masks that are kept, unless the caller says otherwise."""


class Machine:
    """The vocabulary, and the automata and masks that are known of its grammars.

    tokens: the vocabulary.
    masks_memory: bytes of masks that are kept at most, ≥ 0; 8,000 masks of Llama 3's vocabulary
        take the 128 MiB of the default. What was dropped is made again when it is asked for.
    route: how masks are made, which changes nothing of them.
    Automata are kept as long as a grammar uses them. Grammars are compiled into one store until
        that holds `store.FULL` bytes; then another is begun.
    """

    def __init__(
        self,
        tokens: TokenTable,
        masks_memory: int = MASKS_MEMORY,
        *,
        route: Route = PREFERRED,
    ) -> None:
        require("masks_memory", masks_memory, masks_memory >= 0, ">= 0")
        self.tokens = tokens
        self.masks = MaskCache(masks_memory)
        self._route = route
        self._store = Store(tokens, self.masks, route)

    def __reduce__(self) -> tuple[object, ...]:
        """A copy begins with the same vocabulary and nothing else."""
        route = None if self._route is PREFERRED else self._route
        return _machine, (self.tokens, self.masks.memory, route)

    def store(self, scale: int = 1) -> Store:
        """Where the next grammar belongs.

        scale: for more than 1, a store of its own, which may take so many times the memory.
        """
        if scale > 1:
            return Store(self.tokens, self.masks, self._route, scale)
        if self._store.is_full:
            self._store = Store(self.tokens, self.masks, self._route)
        return self._store


def _machine(tokens: TokenTable, masks_memory: int, route: Route | None) -> Machine:
    """The machine that a pickle describes; `None` is the back end of the process that loads it."""
    return Machine(tokens, masks_memory, route=route or PREFERRED)
