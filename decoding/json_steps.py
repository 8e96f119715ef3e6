"""Reads and writes JSON in plain calls during which other Python threads get their turn.

A call of `json` keeps all other threads of Python waiting until it is done, for 10 ms where a text
has a million characters. What is here calls a Python function for every object and array of a long
text, and a thread can be made to rest between two of these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from json import scanner

from decoding.errors import shown
from decoding.typing import Anything

LONG = 16_384
"""Characters of a text from which it is read in steps: `json` reads less in 0.2 ms."""

DEEPEST = 128
"""Levels that a text may nest, as in serde_json.

Python's own limit is of frames. A finalizer of any object may run in a frame at that limit, and
fails there.
"""

_quoted = json.encoder.encode_basestring
_scalar = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def loads(text: str, parse_constant: Callable[[str], object] | None = None) -> Anything:  # JSON
    """Parse a JSON text: returns and raises what `json.loads` does.

    Raises:
        RecursionError: it nests more than `DEEPEST` levels deep.
    """
    make_scanner = getattr(scanner, "py_make_scanner", None)
    may_be_deep = text.count("[") + text.count("{") > DEEPEST
    is_plain = len(text) < LONG and not may_be_deep
    if is_plain or make_scanner is None or text.startswith("\ufeff"):
        return json.loads(text, parse_constant=parse_constant)
    decoder: Anything = json.JSONDecoder(parse_constant=parse_constant)
    depth = 0

    def counted(parse: Callable[..., object]) -> Callable[..., object]:
        def parse_one_deeper(*arguments: object) -> object:
            nonlocal depth
            if depth == DEEPEST:
                raise RecursionError("recursion limit exceeded")
            depth += 1
            parsed = parse(*arguments)
            depth -= 1
            return parsed

        return parse_one_deeper

    decoder.parse_object = counted(decoder.parse_object)
    decoder.parse_array = counted(decoder.parse_array)
    # The decoder's own scanner, of which `json` otherwise takes a copy in C.
    decoder.scan_once = make_scanner(decoder)
    return decoder.decode(text)


def compact(value: object) -> str:
    """Write a JSON value as compact text; characters beyond ASCII stand as they are.

    value: of builtin types, and mappings and tuples in the place of dicts and lists.

    Raises:
        ValueError: there is a value or a key that JSON has not, as NaN or a key that is no text.
        RecursionError: it is nested too deep.
    """
    pieces: list[str] = []
    _write(value, pieces)
    return "".join(pieces)


def _write(value: object, pieces: list[str]) -> None:
    match value:
        case str():
            pieces.append(_quoted(value))
        case None | bool() | int() | float():
            pieces.append(_scalar(value))
        case list() | tuple():
            mark = "["
            for item in value:
                pieces.append(mark)
                _write(item, pieces)
                mark = ","
            pieces.append("[]" if mark == "[" else "]")
        case dict() | Mapping() if all(isinstance(key, str) for key in value):
            mark = "{"
            for key, item in value.items():
                pieces.append(f"{mark}{_quoted(key)}:")
                _write(item, pieces)
                mark = ","
            pieces.append("{}" if mark == "{" else "}")
        case _:
            raise ValueError(f"{shown(value)} has no JSON form")
