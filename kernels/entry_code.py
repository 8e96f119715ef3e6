"""Has Numba write machine code of entry functions alone, for a process that fills a cache.

Numba optimises every function with all that it calls, and writes machine code for each, although
what is kept needs that of its entry alone: the others are linked into it. So in a deep tree of
calls the same code is compiled once a level. A process that compiles, keeps and ends can do
without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_PRIVATE = (
    ("CPUCodeLibrary", "_optimize_final_module"),
    ("CPUCodeLibrary", "_finalize_final_module"),
    ("JITCodeLibrary", "get_pointer_to_function"),
    ("JITCPUCodegen", "set_env"),
)
"""Methods of `numba.core.codegen` that are replaced for a while."""
_RUNTIME = "nrt"
"""Numba's own functions."""


@contextlib.contextmanager
def entries_alone(*entries: str) -> Iterator[None]:
    """Context manager: only functions with these names, calls linked in, become machine code.

    No other function that is compiled meanwhile can be called from Python. Where Numba is not built
    as expected, this changes nothing.
    """
    from numba.core import codegen

    found = [(getattr(codegen, owner, None), name) for owner, name in _PRIVATE]
    if not all(name in vars(owner or object) for owner, name in found):
        yield
        return
    optimize, finalize, pointer_to, set_env = (vars(owner)[name] for owner, name in found)
    wanted = {*entries, _RUNTIME}

    def optimize_entry(library: Any) -> None:
        if library.name in wanted:
            optimize(library)

    def finalize_entry(library: Any) -> None:
        if library.name in wanted:
            finalize(library)
        library._finalized = True

    def pointer_to_entry(library: Any, name: str) -> int:
        address: int = pointer_to(library, name) if library.name in wanted else 0
        return address

    def set_env_of_entry(machine: Any, name: str, env: Any) -> None:
        if machine._engine.get_global_value_address(name):
            set_env(machine, name, env)

    replacements = (optimize_entry, finalize_entry, pointer_to_entry, set_env_of_entry)
    for (owner, name), replacement in zip(found, replacements, strict=True):
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for (owner, name), method in zip(
            found, (optimize, finalize, pointer_to, set_env), strict=True
        ):
            setattr(owner, name, method)
