"""Loads or compiles the sampler's Numba step: one unit of machine code for all formats.

This is the only module of the package that may be imported without Numba.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from decoding.kernels.units import Group, Unit

_PACKAGE = "decoding.kernels.compiled"
_SECONDS = 45.0

_UNIT = Unit("step_rows", f"{_PACKAGE}.loading", f"{_PACKAGE}.step", _SECONDS, ("step_rows",))
_GROUP = Group("kernels of the sampler", (_UNIT,))

GROUPS = dict.fromkeys(("float32", "float64", "int16", "uint16"), _GROUP)
"""By the stored formats of `decoding.kernels.rows`, which share all machine code."""


def load(folder: Path, _name: str) -> None:
    """Import the kernels with their cache in `folder` and run them once: loads, or compiles."""
    from decoding.kernels.kept_code import kept_in

    kernel = importlib.import_module(f"{_PACKAGE}.kernel")
    step_rows = kernel.step_rows
    step_rows._cache = kept_in(folder)(step_rows.py_func)  # where Numba has it
    kernel.run_once(np.dtype(np.float32))
