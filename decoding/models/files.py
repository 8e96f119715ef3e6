"""Safe reads of model files: regular, inside the model's folder, of bounded size.

A model folder is not trusted: a name in it can be an endless pipe, a device, or a link to any other
file of the machine.
"""

from __future__ import annotations

import os
import reprlib
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from decoding.errors import ModelFormatError

_MOST_NAME = 1024
_SHOWN = reprlib.Repr()
_SHOWN.maxstring, _SHOWN.maxlevel = 80, 3


def shown(value: object) -> str:
    """A bounded `repr` of what a file holds, for error messages."""
    return _SHOWN.repr(value)


def is_present(path: Path) -> bool:
    """Whether a path exists, as a file, a pipe or a broken link."""
    return os.path.lexists(path)


def require_regular(path: Path) -> int:
    """Check that a path, links followed, is a regular file, and return its size in bytes.

    Raises:
        ModelFormatError: the file is absent, or is a folder, a pipe, a socket or a device; opening
            one of these could wait for ever or never end.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelFormatError(path, "cannot be read: it is not a regular file")
    return status.st_size


def member(folder: Path, name: str) -> Path:
    """Resolve the name of a file in a model folder; refuse paths that lead out of it.

    A link is followed within the folder. Links that leave the folder are refused, with one
    exception: the cache of Hugging Face stores `snapshots/<revision>/<name>` as a link into
    `blobs` beside `snapshots`, and these links are followed.

    Raises:
        ModelFormatError: the name is absolute or has `..` in it, or the file lies elsewhere.
    """
    plain = PurePosixPath(name.replace("\\", "/"))
    anchored = plain.is_absolute() or PureWindowsPath(name).anchor
    if len(name) > _MOST_NAME:
        raise ModelFormatError(
            folder, f"the file name {shown(name)} has more than {_MOST_NAME} characters"
        )
    if anchored or ".." in plain.parts or "\0" in name or not plain.parts:
        raise ModelFormatError(folder, f"the file name {shown(name)} leaves the model's folder")
    path = folder / name
    try:
        root, real = folder.resolve(), path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise ModelFormatError(folder / "?", f"{shown(name)} cannot be read: {error}") from error
    if not any(real.is_relative_to(place) for place in (root, *_blobs(root))):
        raise ModelFormatError(path, f"is a link to {shown(str(real))}, outside the model's folder")
    return path


def _blobs(root: Path) -> list[Path]:
    """The folder of contents that a snapshot in Hugging Face's cache links to."""
    for place in (root, *root.parents):
        if place.parent.name == "snapshots":
            return [place.parent.parent / "blobs"]
    return []


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes.

    limit: the most bytes it may have.

    Raises:
        ModelFormatError: the file cannot be read, is not a regular file, or is longer.
    """
    size = require_regular(path)
    if size > limit:
        raise ModelFormatError(path, f"has {size} bytes; at most {limit} are read")
    try:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
    if len(data) > limit:  # it has grown since
        raise ModelFormatError(path, f"has more than {limit} bytes")
    return data


def read_text(path: Path, limit: int) -> str:
    """The contents of a regular file of UTF-8; raises as `read_bytes`."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
