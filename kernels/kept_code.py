"""Keeps Numba machine code on disk under a digest of all the Python code it comes from.

Numba itself looks at the file of one function, not at those of what it calls, and at lines and
times. Here a function's code is kept under what its module and all that this imports of
`decoding.kernels` *do*: formats, comments and docstrings change nothing, and neither does the date
of a file or where the package lies.
"""

from __future__ import annotations

import dis
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType
from typing import Any

_ROOT = "decoding.kernels"
_FOLDER = Path(__file__).parent
_NEVER_COMPILED = {
    f"{_ROOT}.{name}"
    for name in ("builder", "folders", "forks", "grammar.entries", "kept_code", "loader", "units")
}
"""They say where code is kept and who waits for it, and never what it does."""

_HAS_DOCSTRING = 0x4000000
"""The flag of a function's code by which Python 3.13 and later tell."""


def closure_of(module: str, folder: Path = _FOLDER) -> dict[str, CodeType]:
    """The code of a module of `decoding.kernels`, and of all that it imports from there, by name.

    folder: of the package `decoding.kernels`.
    """
    found: dict[str, CodeType] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        code = None if name in found or name in _NEVER_COMPILED else _code_of(name, folder)
        if code is not None:
            found[name] = code
            waiting += _imports_of(code)
    return found


def digest_of(module: str, folder: Path = _FOLDER) -> str:
    """24 hex digits that change with what the code of `closure_of(module)` does."""
    digest = hashlib.sha256()
    for name, code in sorted(closure_of(module, folder).items()):
        digest.update(repr((name, _essence(code))).encode())
    return digest.hexdigest()[:24]


def cache_key(module: str) -> str:
    """The name of the folder of a module's machine code: 24 hex digits.

    The key changes with all that machine code depends on: Python, NumPy, Numba, the processor, and
    what the code of `closure_of(module)` does. So every environment of a machine with the same of
    these shares one folder.

    Raises:
        ImportError: Numba is not installed.
    """
    digest = "\n".join([*_environment(), digest_of(module)])
    return hashlib.sha256(digest.encode()).hexdigest()[:24]


@cache
def _environment() -> list[str]:
    import platform

    import llvmlite
    import llvmlite.binding
    import numba
    import numpy as np

    parts = [platform.python_version(), platform.machine(), np.__version__]
    parts += [numba.__version__, llvmlite.__version__, llvmlite.binding.get_host_cpu_name()]
    features = llvmlite.binding.get_host_cpu_features()
    return parts + sorted(name for name, there in features.items() if there)


def kept_in(folder: Path) -> Callable[[Any], Any]:
    """Make the class of a Numba cache that stores a function's machine code in a folder.

    Nothing asks whether the source is still the same: that is the folder's business.
    """
    from numba.core.caching import CompileResultCacheImpl, FunctionCache

    class Locator:
        def __init__(self, path: str) -> None:
            self._py_file = path  # where Numba says that a function cannot be kept

        def get_cache_path(self) -> str:
            return str(folder)

        def get_source_stamp(self) -> str:
            return ""

        def get_disambiguator(self) -> str:
            return ""

        def ensure_cache_path(self) -> None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    class Results(CompileResultCacheImpl):
        def __init__(self, function: Any) -> None:  # without Numba's choice of a locator
            self._lineno = function.__code__.co_firstlineno
            self._locator = Locator(function.__code__.co_filename)
            module = function.__module__.rpartition(".")[2]
            python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
            self._filename_base = f"{module}.{function.__qualname__}.{python}"

    class Kept(FunctionCache):
        _impl_class = Results

        def save_overload(self, signature: Any, data: Any) -> None:
            """Keep machine code; where that is impossible it serves all the same."""
            try:
                super().save_overload(signature, data)
            except OSError as error:
                warnings.warn(
                    f"compiled kernels are not kept: {error}", RuntimeWarning, stacklevel=2
                )

    return Kept


def _code_of(name: str, folder: Path) -> CodeType | None:
    """What Python runs when it imports a module of `decoding.kernels`; None for any other name."""
    if name != _ROOT and not name.startswith(f"{_ROOT}."):
        return None
    place = folder.joinpath(*name.split(".")[2:])
    spec = PathFinder.find_spec(name, [str(place.parent)])
    loader = spec and spec.loader
    return loader.get_code(name) if isinstance(loader, InspectLoader) else None


def _imports_of(code: CodeType) -> Iterator[str]:
    """What code imports anywhere in it; a name that is imported from a module may be a module."""
    module = ""
    if any(name.startswith(_ROOT) for name in code.co_names):
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME":
                module = instruction.argval
                yield module
            elif instruction.opname == "IMPORT_FROM":
                yield f"{module}.{instruction.argval}"
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _imports_of(const)


def _essence(value: object) -> object:
    """Code without its lines, its file and its docstrings, or a constant of code; `repr` tells."""
    if isinstance(value, CodeType):
        docstring = _docstring_of(value)
        return (
            value.co_name,
            value.co_argcount,
            value.co_posonlyargcount,
            value.co_kwonlyargcount,
            value.co_flags,
            value.co_code,
            value.co_exceptiontable,
            value.co_names,
            value.co_varnames,
            value.co_freevars,
            value.co_cellvars,
            [_essence(None if const is docstring else const) for const in value.co_consts],
        )
    if isinstance(value, tuple):
        return tuple(map(_essence, value))
    if isinstance(value, frozenset):  # which has no order of its own
        return "frozenset", sorted(map(repr, value))
    return value


def _docstring_of(code: CodeType) -> str | None:
    """The docstring of a function, a class or a module."""
    if not code.co_flags & CO_OPTIMIZED:  # a class or a module, which stores it
        last = None
        for instruction in dis.get_instructions(code):
            if instruction.opname == "STORE_NAME" and instruction.argval == "__doc__":
                return last if isinstance(last, str) else None
            last = instruction.argval
        return None
    has_one = sys.version_info < (3, 13) or bool(code.co_flags & _HAS_DOCSTRING)
    first = code.co_consts[0] if code.co_consts and has_one else None
    return first if isinstance(first, str) else None
