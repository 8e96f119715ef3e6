"""Text that the command reads."""

from __future__ import annotations

import sys
from pathlib import Path

from decoding.errors import ParameterError


def read_utf8(name: str, source: str) -> str:
    """A file's text, or that of stdin for '-'.

    name: of the argument, for the message.

    Raises:
        ParameterError: it is no UTF-8.
        OSError: it cannot be read.
    """
    written = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParameterError(name, error.object[error.start :][:1], "UTF-8") from error
