"""Reads UTF-8 text from a file, a pipe or stdin, up to a largest size."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from decoding.errors import ParameterError
from decoding.typing import Anything

MOST_BYTES = 64 << 20
"""Largest size of a file or of stdin, in bytes."""


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
        with _opened(Path(source)) as stream:
            written = stream.read(MOST_BYTES + 1)
            if not written and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                raise ParameterError(name, source, "a file, or a pipe that a process writes to")
    if len(written) > MOST_BYTES:
        raise ParameterError(name, source, f"a file of at most {MOST_BYTES} bytes")
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


def _opened(path: Path) -> BinaryIO:
    """Open a file without waiting for a pipe's writer; reads block as usual."""
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # `os.fdopen` would name the descriptor
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")
