"""Reads JSON objects from untrusted files with bounded memory."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from decoding.errors import ModelFormatError
from decoding.models.files import is_present, read_text

MOST_BYTES = 16 << 20
"""Largest size of a configuration or index, in bytes. The largest index known has 10 MB."""
MOST_VALUES = 1_000_000
"""Arrays, objects and their members, in a configuration or an index."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Read the JSON object in a file; an absent `optional` file is an empty object.

    Raises:
        ModelFormatError: the file is absent or too large, is not JSON or holds something else than
            an object.
    """
    if optional and not is_present(path):
        return {}
    return parse_json(read_text(path, MOST_BYTES), path)


def parse_json(text: str, path: object, most_values: int = MOST_VALUES) -> dict[str, Any]:
    """Parse a JSON object of at most `most_values` values.

    Raises:
        ModelFormatError: the text is not JSON, nests too deeply, may have more than `most_values`
            values (commas and opening brackets are counted, those in strings too), has a number
            that is not finite or a lone surrogate, or spells something else than an object.
    """
    # Counted before anything is built: each value but the first follows one of these characters.
    if sum(map(text.count, ",[{")) > most_values:
        raise ModelFormatError(path, f"cannot be read: it has more than {most_values} values")
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if _SURROGATE.search(text):  # `json` takes halves of a character, which no file can spell
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelFormatError(path, f"must hold a JSON object, got {type(value).__name__}")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:40]} is beyond all finite numbers")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
