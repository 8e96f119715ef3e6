"""`Unit`: machine code compiled, kept, loaded as a whole; `Group`: units needed together."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Unit:
    """Machine code that is compiled, kept and loaded as a whole.

    name: the name of the unit among those of its loader; the stem of its files.
    loader: a module with the function `load(folder, name)`, which loads what the folder holds of
        the unit and compiles the rest into it.
    source: a module of `decoding.kernels`. What this module and its imports do decides whether
        machine code is still right.
    seconds: about how long compilation takes.
    entries: the functions whose machine code is kept, where what they call is linked into them and
        needs no machine code of its own; () where that of every function is made.
    """

    name: str
    loader: str
    source: str
    seconds: float
    entries: tuple[str, ...] = ()

    def load(self, folder: Path) -> None:
        """Load what a folder holds of the unit, and compile the rest into the folder."""
        importlib.import_module(self.loader).load(folder, self.name)

    def is_built(self, folder: Path) -> bool:
        """Whether a folder claims to hold the unit."""
        return (folder / f"{self.name}.done").exists()

    def note_built(self, folder: Path) -> None:
        """Claim that a folder holds the unit."""
        (folder / f"{self.name}.done").touch()


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Units that are needed together, in the order in which they are compiled.

    title: what they are, for messages.
    """

    title: str
    units: tuple[Unit, ...]
