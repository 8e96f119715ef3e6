"""JSON objects from files that may be absent or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """The object in a file; an absent `optional` file is an empty object.

    Raises:
        ModelFormatError: the file is absent, is not JSON or holds something else than an object.
    """
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelFormatError(path, f"must hold a JSON object, got {type(value).__name__}")
    return value
