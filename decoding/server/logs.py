"""Formats the server's log as JSON lines or plain lines, and chooses each request's id."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from typing import Any

from decoding.typing import Anything

LOGGER = logging.getLogger("decoding.server")

_ID = re.compile(r"[\w.:\-]{1,128}", re.ASCII)


def request_id(given: str | None) -> str:
    """The id that a client gives in `x-request-id`, where it is a short word; else a new one."""
    return given if given is not None and _ID.fullmatch(given) else uuid.uuid4().hex


def log(level: int, text: str, **facts: Anything) -> None:  # JSON
    """Write one line to the server's log, with further facts as fields."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, text, extra={"facts": facts})


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, Any] = {
            "timestamp": _stamp(record),
            "level": record.levelname,
            "message": record.getMessage(),
            "target": record.name,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """Formats a record for people: time, level, text, facts."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback after it where there is one."""
        facts = "".join(f" {k}={v}" for k, v in getattr(record, "facts", {}).items())
        line = f"{_stamp(record)} {record.levelname} {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def log_to_stderr(level: str, *, as_json: bool) -> None:
    """Let the server's log appear on stderr, for a program that is the server."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False


def _stamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03}Z"
