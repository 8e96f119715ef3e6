"""Compiled code of grammars is loaded only for the source that it was compiled from."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

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


def test_nothing_is_kept_beside_a_package_that_others_can_write_to(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir(mode=0o700)
    assert jit.kept_below(tmp_path, "") == tmp_path / "__pycache__"
    (tmp_path / "__pycache__").chmod(0o777)
    assert jit.kept_below(tmp_path, "") == Path.home() / ".cache" / "decoding" / "kernels"


def plus_one(number: int) -> int:
    return number + 1


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "short", "garbage", "pickle"])
def test_damaged_code_is_compiled_again_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, damage: str
) -> None:
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def fresh() -> Any:
        return jit.healing(numba.njit(cache=True)(plus_one))

    assert fresh()(1) == 2
    [path] = tmp_path.rglob(f"*.{suffix}")
    whole = path.read_bytes()
    version, rest = pickle.loads(whole), whole  # noqa: S301 -- it was just written
    if suffix == "nbi":
        rest = pickle.dumps(version) + pickle.dumps((1, 2, 3))
    path.write_bytes(
        {
            "empty": b"",
            "short": whole[: len(whole) // 2],
            "garbage": b"\x00garbage" * 99,
            "pickle": rest if suffix == "nbi" else pickle.dumps({"not": "code"}),
        }[damage]
    )
    with pytest.warns(RuntimeWarning, match="compiled grammar kernels are made again") as given:
        assert fresh()(1) == 2
    assert len(given) == 1
    healed = fresh()
    assert healed(1) == 2
    assert sum(healed.stats.cache_hits.values()) == 1
