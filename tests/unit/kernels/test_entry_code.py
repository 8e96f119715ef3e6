"""Machine code for entries alone is the same code, and leaves Numba as it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from decoding.kernels.entry_code import entries_alone
from decoding.kernels.kept_code import kept_in

numba = pytest.importorskip("numba", reason="numba is not installed")
inner = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def test_only_entries_have_machine_code_and_what_is_kept_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core import codegen

    @inner
    def leaf(x: Any) -> Any:
        return math.sqrt(x) + 1.0

    @inner
    def middle(x: Any) -> Any:
        return 2.0 * leaf(x)

    def total(x: Any) -> Any:
        return middle(x) + leaf(x)

    made: list[str] = []
    add = codegen.JITCPUCodegen._add_module
    monkeypatch.setattr(
        codegen.JITCPUCodegen,
        "_add_module",
        lambda machine, module: (made.append(module.name), add(machine, module))[1],
    )
    first, again = numba.njit(total), numba.njit(total)
    name = total.__qualname__
    for function in (first, again):
        function._cache = kept_in(tmp_path)(function.py_func)
    before = dict(vars(codegen.CPUCodeLibrary))
    with entries_alone(name):
        assert first(9.0) == 12.0
    assert [part for part in ("leaf", "middle") if any(part in item for item in made)] == []
    assert dict(vars(codegen.CPUCodeLibrary)) == before
    assert again(9.0) == 12.0
    assert again.stats.cache_hits


def test_a_numba_that_is_built_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import codegen

    monkeypatch.delattr(codegen.JITCPUCodegen, "set_env")
    before = dict(vars(codegen.CPUCodeLibrary))
    with entries_alone("anything"):
        assert dict(vars(codegen.CPUCodeLibrary)) == before


def test_an_error_leaves_numba_as_it_was() -> None:
    from numba.core import codegen

    before = dict(vars(codegen.CPUCodeLibrary))
    with pytest.raises(OSError, match="no space left"), entries_alone("anything"):
        raise OSError("no space left")
    assert dict(vars(codegen.CPUCodeLibrary)) == before
