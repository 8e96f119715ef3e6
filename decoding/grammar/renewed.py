"""Automata whose states take much memory give way to new ones."""

from __future__ import annotations

from collections.abc import Callable

from decoding.grammar.acceptor import Acceptor


class Renewed:
    """What follows the texts of one grammar; called when a text begins.

    The states that an acceptor has met stay, for matchers know their numbers. So texts that begin
    once they have become many are followed by a new acceptor, and the old one is gone with the last
    text that it follows.
    """

    __slots__ = ("_current", "_make")

    def __init__(self, make: Callable[[], Acceptor]) -> None:
        self._make = make
        self._current = make()

    def __call__(self) -> Acceptor:
        """What follows a text that begins now."""
        if self._current.is_worn:
            self._current = self._make()
        return self._current
