"""The recipe of a compiled grammar: the call that another process repeats to compile it again."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decoding.grammar.compiled import CompiledGrammar
    from decoding.grammar.masking.machine import Machine


@dataclass(frozen=True, slots=True)
class Recipe:
    """A grammar-compiling function with its arguments; calling the recipe compiles again.

    compile: the function. source: its first argument; machine: its second one.
    options: its keyword arguments.
    """

    compile: Callable[..., CompiledGrammar] = field(repr=False)
    source: object = field(repr=False)
    machine: Machine = field(repr=False)
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> CompiledGrammar:
        """Compile the grammar again."""
        return self.compile(self.source, self.machine, **dict(self.options))


def snapshot(schema: object) -> object:
    """A deep copy of parsed JSON."""
    # Pickling copies without recursion in Python, and no other process has written these bytes.
    return pickle.loads(pickle.dumps(schema))  # noqa: S301
