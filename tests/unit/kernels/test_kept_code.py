"""Machine code of grammars is kept for the text it was compiled from, and for no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from decoding.kernels.grammar import jit, subsets, walk


def test_every_file_of_the_package_counts(tmp_path: Path) -> None:
    package = tmp_path / "grammar"
    shutil.copytree(
        Path(jit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    before = jit.digest_of(package)
    for path in sorted(package.glob("*.py")):
        path.write_text(path.read_text("utf-8") + "\n", "utf-8")
        assert jit.digest_of(package) != before
        before = jit.digest_of(package)


def test_entries_are_kept_in_the_folder_of_that_text() -> None:
    pytest.importorskip("numba")
    for kernel in (walk.walk, subsets.begin):
        assert Path(kernel.stats.cache_path).parent.name == jit.digest_of(Path(jit.__file__).parent)


def test_where_the_package_is_read_only_the_user_s_folder_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jit.kept_below(tmp_path, "") == tmp_path / "__pycache__"
    assert jit.kept_below(tmp_path, "wanted") == Path("wanted")
    monkeypatch.setattr(jit.os, "access", lambda *_: False)
    assert jit.kept_below(tmp_path, "") == Path.home() / ".cache" / "decoding" / "kernels"
