"""`Unit`: machine code compiled, kept, loaded as a whole; `Group`: units needed together."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

from decoding.kernels.folders import close_to_others, open_private


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
        return self._note(folder).exists()

    def note_built(self, folder: Path) -> None:
        """Claim that a folder holds the unit, and write the digest of its files down."""
        close_to_others(folder)
        made = self._note(folder).with_suffix(".new")
        with open_private(made, "w") as file:
            file.write(self._digest(folder))
        made.replace(self._note(folder))

    def check(self, folder: Path) -> None:
        """Compare the unit's files of machine code with the digest that was kept with them.

        Nothing else would notice: machine code with one wrong bit is machine code.

        Raises:
            ValueError: they are not.
            OSError: one cannot be read.
        """
        if self._note(folder).read_text(encoding="ascii") != self._digest(folder):
            raise ValueError(f"{self.name} in {folder} is not what was written")

    def _note(self, folder: Path) -> Path:
        return folder / f"{self.name}.sha256"

    def _digest(self, folder: Path) -> str:
        """The digest of the files that Numba keeps for the function: `MODULE.FUNCTION.*.nb?`."""
        function = self.name.rpartition(".")[2]
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.nb[ci]")):
            if path.name.split(".")[1] == function:
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Units that are needed together, in the order in which they are compiled.

    title: what they are, for messages.
    """

    title: str
    units: tuple[Unit, ...]
