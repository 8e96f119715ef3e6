"""Opens the files that the command reads and writes; reads UTF-8 up to a largest size."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO, cast

from decoding.errors import ParameterError, require
from decoding.kernels.folders import lock_file
from decoding.typing import Anything

MOST_BYTES = 64 << 20
"""Largest size of a file or of stdin, in bytes."""

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_utf8(name: str, source: str) -> str:
    """Read the text of a file, or of stdin for '-'; at most `MOST_BYTES`.

    A pipe is read until its writers close it, as `<(command)` in a shell gives one; a pipe that no
    process writes to is refused, as it would never end.

    name: of the argument, for the message.

    Raises:
        ParameterError: it is no UTF-8, too long, or such a pipe, or its name has a null character.
        OSError: it cannot be read.
    """
    if "\0" in source:
        raise ParameterError(name, source, "a file name without null characters")
    if source == "-":
        written = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with open_to_read(source) as stream:
            written = stream.read(MOST_BYTES + 1)
            check_written(stream, name, source, is_empty=not written)
    require(name, source, len(written) <= MOST_BYTES, f"a file of at most {MOST_BYTES} bytes")
    return _decoded(name, written)


def next_line() -> str:
    """Read the next line of UTF-8 from stdin; "" where there is none.

    Raises:
        ParameterError: it is no UTF-8, or has more than `MOST_BYTES` bytes.
    """
    line = sys.stdin.buffer.readline(MOST_BYTES + 1)
    require("stdin", line[:80], len(line) <= MOST_BYTES, f"lines of at most {MOST_BYTES} bytes")
    return _decoded("stdin", line)


def _decoded(name: str, written: bytes) -> str:
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParameterError(name, error.object[error.start :][:1], "UTF-8") from error


def read_line(name: str, source: str) -> str:
    """Read the text of a file or of stdin, without one final line end; raises as `read_utf8`."""
    return read_utf8(name, source).removesuffix("\n").removesuffix("\r")


def read_json(name: str, source: str) -> Anything:
    """Read the JSON in a file or stdin; raises as `read_utf8`, and where it is no JSON."""
    try:
        return json.loads(read_utf8(name, source))
    except (ValueError, RecursionError) as error:
        raise ParameterError(name, source, f"a file of JSON ({error})") from error


def open_to_read(source: str) -> BinaryIO:
    """Open a file without waiting for a pipe's writer; reads block as usual.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = os.open(source, os.O_RDONLY | _FLAGS)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # `os.fdopen` would name the descriptor
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), source)
    return _blocking(descriptor, "rb")


def check_written(stream: BinaryIO, name: str, source: str, *, is_empty: bool) -> None:
    """Refuse a pipe that nothing came out of: no process writes to it, so it would never end.

    name: of the argument, for the message. is_empty: whether the first read found its end.
    """
    if is_empty and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
        raise ParameterError(name, source, "a file, or a pipe that a process writes to")


def open_results(name: str, target: str) -> BinaryIO:
    """Open a file that is written to by one process at a time; make it if it is missing.

    What is in it is kept, and the first write is at its beginning. A pipe or a device is opened
    without waiting for who reads it.

    name: of the argument, for the message.

    Raises:
        ParameterError: another process has opened it so.
        OSError: it cannot be written to.
    """
    path = Path(target)
    is_file = not path.exists() or path.is_file()
    flags = os.O_RDWR | os.O_CREAT if is_file else os.O_WRONLY
    stream = _blocking(os.open(target, flags | _FLAGS, 0o666), "r+b" if is_file else "wb")
    if is_file and not lock_file(stream, waits=False):
        stream.close()
        raise ParameterError(name, target, "a file that no other process writes to")
    return stream


def is_regular(stream: BinaryIO) -> bool:
    """Whether a stream is of a regular file, and of no pipe, terminal or device."""
    return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)


def _blocking(descriptor: int, mode: str) -> BinaryIO:
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
    return cast("BinaryIO", os.fdopen(descriptor, mode))
