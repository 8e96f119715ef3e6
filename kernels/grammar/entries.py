"""Kernels that Python calls: run as Python until `load` loads or compiles their machine code.

Numba is imported when the first kernel is compiled or loaded. Both forms of a kernel write the same
bits to the same arrays, so a caller may meet the machine code at any call.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from decoding.kernels.forks import free_after_fork
from decoding.kernels.kept_code import kept_in

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ROOT = "decoding.kernels.grammar"
_MARK = "__compiled_with__"


def compiled_with(
    options: Mapping[str, bool], function: _Function, source: Callable[..., Any] | None = None
) -> _Function:
    """Mark a function that kernels call, to be compiled into them with these options of Numba.

    source: a function that does the same and is compiled instead.
    """
    setattr(function, _MARK, (source or function, options))
    return function


class Entry:
    """A kernel that Python calls: plain Python until its Numba machine code is loaded."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, bool]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._options = options
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel; where it is not compiled, memory views stand for the arrays.

        They give Python's own numbers: those are read three times as fast as NumPy's, and never
        overflow.
        """
        compiled = self._compiled
        if compiled is not None:
            return compiled(*arguments)
        return self.function(*map(viewed, arguments))

    @property
    def is_compiled(self) -> bool:
        """Whether the machine code is loaded."""
        return self._compiled is not None

    @property
    def lets_others_run(self) -> bool:
        """Whether the kernel releases the GIL while it runs."""
        return self._options["nogil"]

    def load(self, folder: Path) -> None:
        """Load the machine code that a folder holds, or compile it into the folder.

        Raises:
            ImportError: Numba is not installed.
        """
        if self._compiled is None:
            cache = kept_in(folder)(self.function)
            signature = _signature(self.function)
            made = _numba().njit(**self._options)(self.function)
            kept = cache.load_overload(signature, made.targetctx)
            if kept is None:
                made = _dispatcher(self.function, self._options)
                made._cache = cache  # where Numba has it
                made.compile(signature)
            else:  # as Numba itself does, without a look at what the kernel calls
                made.targetctx.insert_user_function(kept.entry_point, kept.fndesc, [kept.library])
                made.add_overload(kept)
            made.disable_compile()  # other types are an error of the caller
            self._compiled = made


def load(folder: Path, name: str) -> None:
    """Load the kernel `name`, MODULE.FUNCTION, from a folder, or compile it into the folder."""
    module, _, function = name.partition(".")
    getattr(importlib.import_module(f"{_ROOT}.{module}"), function).load(folder)


def viewed(argument: Any) -> Any:
    """Memory views for the arrays of a kernel's argument."""
    if isinstance(argument, np.ndarray):
        return argument.data
    if isinstance(argument, tuple):  # a NamedTuple of arrays
        return type(argument)(*map(viewed, argument))
    return argument


def _dispatcher(function: Callable[..., Any], options: Mapping[str, bool]) -> Any:
    """Numba's form of a function, in which the marked functions that it calls are Numba's too."""
    numba = _numba()
    if not isinstance(function, FunctionType):
        raise TypeError(function)
    named = _names(function.__code__) & function.__globals__.keys()
    called = {name: _compilable(function.__globals__[name]) for name in named}
    twin = FunctionType(
        function.__code__,
        function.__globals__ | called,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    return numba.njit(**options)(twin)


def _compilable(value: Any) -> Any:
    """A global of a function as Numba can take it."""
    if isinstance(value, ModuleType) and value.__name__.startswith(f"{_ROOT}."):
        return _compilable_module(value)
    return _inner_dispatcher(value) if hasattr(value, _MARK) else value


@functools.cache
def _compilable_module(module: ModuleType) -> ModuleType:
    twin = ModuleType(module.__name__)
    twin.__dict__.update(
        {
            name: _inner_dispatcher(value) if hasattr(value, _MARK) else value
            for name, value in vars(module).items()
        }
    )
    return twin


@functools.cache
def _inner_dispatcher(function: Callable[..., Any]) -> Any:
    """Numba's form of a marked function, for the types of its annotations alone."""
    source, options = getattr(function, _MARK)
    made = _dispatcher(source, options)
    # One form serves all callers: an int32 that one of them hands over is converted.
    made.compile(_signature(source))
    made.disable_compile()
    return made


def _names(code: CodeType) -> set[str]:
    """The global names that code may use."""
    inside = (_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inside)


@functools.cache
def _numba() -> Any:
    """Numba, of whose lock a forked child never finds itself locked out."""
    import numba
    from numba.core.compiler_lock import global_compiler_lock

    free_after_fork(global_compiler_lock._lock)  # Numba itself forgets it
    return numba


def _signature(function: Callable[..., Any]) -> tuple[Any, ...]:
    """The types of the arguments that a kernel is compiled for, from its annotations."""
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    return tuple(map(_numba_type, hints.values()))


def _numba_type(hint: Any) -> Any:
    """The Numba type of `int`, of an array type of `arrays`, or of a NamedTuple of such."""
    from numba import from_dtype, types

    if hint is int:
        return types.int64
    if isinstance(hint, type) and issubclass(hint, tuple):
        fields = get_type_hints(hint, include_extras=True).values()
        return types.BaseTuple.from_types(list(map(_numba_type, fields)), hint)
    dimensions = 1
    if hasattr(hint, "__metadata__"):
        [dimensions], hint = hint.__metadata__, get_origin(hint) and hint.__origin__
    _, dtype = get_args(hint)
    [scalar] = get_args(dtype)
    return types.Array(from_dtype(np.dtype(scalar)), dimensions, "C")
