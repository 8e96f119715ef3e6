"""Cache folders: none that others can write to is read; damaged files are made again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from decoding.grammar.tokens import trie_files
from decoding.kernels import folders
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.folders import make_private, usable_folder, why_not_trusted
from decoding.kernels.grammar.entries import Entry
from decoding.kernels.grammar.loading import AUTOMATA
from decoding.kernels.grammar.trie_nodes import copy_twins
from decoding.kernels.kept_code import cache_key
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


def test_what_is_made_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_private(folder) is None
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "a"
    make_private(folder)
    folder.chmod(mode)
    assert why_not_trusted(folder) == f"others may write to {folder}"


@pytest.mark.parametrize("name", ["file", "folder"])
def test_nor_one_with_anything_in_it_that_others_may_write_to(tmp_path: Path, name: str) -> None:
    make_private(tmp_path / "a" / "folder")
    (tmp_path / "a" / "file").touch(0o600)
    (tmp_path / "a" / name).chmod(0o722)
    assert why_not_trusted(tmp_path / "a") == f"others may write to {tmp_path / 'a' / name}"


@pytest.mark.parametrize(("mode", "is_trusted"), [(0o777, False), (0o770, False), (0o1777, True)])
def test_nor_one_that_others_may_replace(tmp_path: Path, mode: int, is_trusted: bool) -> None:
    make_private(tmp_path / "a" / "b")
    (tmp_path / "a").chmod(mode)
    assert (why_not_trusted(tmp_path / "a" / "b") is None) == is_trusted


def test_nor_a_link_nor_what_holds_one(tmp_path: Path) -> None:
    make_private(tmp_path / "a")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    assert why_not_trusted(link) == f"{link} is a link"
    (tmp_path / "a" / "other").symlink_to(tmp_path)
    assert str(why_not_trusted(tmp_path / "a")).endswith("is neither a folder nor a file")


def test_a_link_on_the_way_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    make_private(tmp_path / "open" / "a" / "b")
    (tmp_path / "link").symlink_to(tmp_path / "open" / "a")
    assert why_not_trusted(tmp_path / "link" / "b") is None
    (tmp_path / "open").chmod(0o777)
    assert why_not_trusted(tmp_path / "link" / "b") == f"others may write to {tmp_path / 'open'}"


def test_nor_one_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_private(tmp_path / "a")
    other = os.geteuid() + 1
    os_stat = os.lstat(tmp_path / "a")
    if os_stat.st_uid == 0:
        os.chown(tmp_path / "a", other, -1)
        assert str(why_not_trusted(tmp_path / "a")).endswith("belongs to another user")
    else:
        monkeypatch.setattr(folders.os, "geteuid", lambda: other)
        assert str(why_not_trusted(tmp_path / "a")).endswith("belongs to another user")


def test_a_private_folder_serves_instead_with_one_warning(tmp_path: Path) -> None:
    make_private(tmp_path / "a")
    (tmp_path / "a").chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others may write to .*: things are not kept"):
        folder = usable_folder(tmp_path / "a", "things")
    assert folder.parent != tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_another_process_deletes_meanwhile_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_private(tmp_path / "a")
    monkeypatch.setattr(folders, "_inside", lambda folder: iter([folder / "probe-gone"]))
    assert usable_folder(tmp_path / "a", "things") == tmp_path / "a"
    with pytest.raises(FileNotFoundError):
        why_not_trusted(tmp_path / "b")


@pytest.mark.parametrize("mask", [0o002, 0o000])
def test_what_is_kept_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    pytest.importorskip("numba")
    program = f"""
import os, warnings
os.umask({mask})
warnings.simplefilter("error")
from pathlib import Path
from decoding.kernels.grammar.loading import AUTOMATA
from decoding.kernels.loader import Loader
from decoding.kernels.units import Group
[unit, *_] = AUTOMATA.units
for _ in range(2):
    Loader(Path({str(tmp_path / "kernels")!r})).wait(Group("", (unit,)))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
    kept = [path for path in tmp_path.rglob("*") if path != tmp_path / "kernels"]
    assert any(path.suffix == ".nbc" for path in kept)
    assert not [path for path in kept if path.stat().st_mode & 0o022]


def test_a_full_disk_is_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1 << 20))
    with pytest.warns(RuntimeWarning, match="has no room for 16 MiB: things are not kept"):
        assert usable_folder(tmp_path / "a", "things") != tmp_path / "a"
    assert usable_folder(tmp_path / "a", "things", is_complete=True) == tmp_path / "a"


def test_kernels_are_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    [unit, *_] = AUTOMATA.units
    wanted, cache = Group("", (unit,)), tmp_path / "kernels"
    Loader(cache).wait(wanted)
    monkeypatch.setattr(folders, "_why_not_writeable", lambda folder: "a system of files to read")
    loader = Loader(cache)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.wait(wanted)
    assert cache in loader._folder_of(unit, wanted).parents


def test_machine_code_that_cannot_be_kept_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caching = pytest.importorskip("numba.core.caching")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", fail)
    entry = Entry(copy_twins.function, {"nogil": True})
    with pytest.warns(RuntimeWarning, match="are not kept: .*No space left"):
        entry.load(tmp_path)
    assert entry.is_compiled


def test_the_loader_reads_nothing_from_a_folder_of_others(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    [unit] = GROUPS["float32"].units
    loader = Loader(tmp_path / "kernels")
    make_private(tmp_path / "kernels" / cache_key(unit.source))
    (tmp_path / "kernels").chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others may write to"):
        folder = loader._folder_of(unit, GROUPS["float32"])
    assert tmp_path not in folder.parents


WORDS = [f"{number:05}".encode() for number in range(10_001)]


def kept_trie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECODING_CACHE", str(tmp_path))
    trie_files._folder.cache_clear()
    trie_files.tries(WORDS)
    [path] = (tmp_path / "tries").iterdir()
    return path


@pytest.mark.parametrize("damage", ["empty", "short", "garbage", "pickle", "other"])
def test_a_damaged_trie_is_made_again_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = kept_trie(tmp_path, monkeypatch)
    whole = path.read_bytes()
    if damage in ("pickle", "other"):
        names = ("bare", "bare_twins", "quoted", "quoted_twins")
        hostile = np.array([object()]) if damage == "pickle" else np.zeros((2, 2))
        with path.open("wb") as file:
            np.savez(file, **dict.fromkeys(names, hostile))
    else:
        path.write_bytes({"empty": b"", "short": whole[:-100], "garbage": b"x" * 999}[damage])
    with pytest.warns(RuntimeWarning, match="is damaged"):
        bare, _ = trie_files.tries(WORDS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, _ = trie_files.tries(WORDS)
    assert np.array_equal(bare.nodes, again.nodes)


def test_no_trie_is_read_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept_trie(tmp_path, monkeypatch)
    monkeypatch.setattr(trie_files, "_read", lambda _: pytest.fail("read"))
    path.parent.chmod(0o777)
    trie_files._folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="token tries are not kept"):
        trie_files.tries(WORDS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trie_files.tries(WORDS)
    trie_files._folder.cache_clear()
