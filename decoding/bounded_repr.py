"""Bounded text of values and exceptions for error messages; formatting never raises."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

from decoding.typing import Anything

LONGEST_VALUE = 400
"""Characters of one value in a message."""

LONGEST_MESSAGE = 2_000
"""The most characters that the message of an error has."""

_BITS = 256
_MEMBERS = 16
_LEVELS = 6


def shown(value: object, limit: int = LONGEST_VALUE) -> str:
    """The `repr` of a value, cut to `limit` characters that UTF-8 can encode.

    Short values of builtin types have exactly their `repr`. Long strings and containers are cut,
    and so are their members; an integer of many digits is described by its bits; a `repr` that
    raises is named.

    >>> shown("a" * 1000, 20), shown(10**5000)
    ("'aaaaaaa ... aaaaaa'", '<an integer of 16610 bits>')
    """
    try:
        text = _REPR.repr(value)
    except Exception as error:  # `repr` of a foreign value may raise anything
        text = f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return bounded(text, limit)


def shown_error(error: object, limit: int = LONGEST_VALUE) -> str:
    """Format an exception as its type and message, bounded; other values as `shown` does.

    >>> shown_error(KeyError("x"))
    "KeyError: 'x'"
    """
    if not isinstance(error, BaseException):
        return shown(error, limit)
    try:
        text = str(error)
    except Exception as raised:  # `str` of a foreign error may raise anything
        text = f"<its str raises {type(raised).__name__}>"
    name = type(error).__name__
    return bounded(f"{name}: {text}" if text else name, limit)


def bounded(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Cut a text in the middle to `limit` characters; escape lone surrogates."""
    text = _cut(text, limit)
    return _cut(text.encode("utf-8", "backslashreplace").decode("utf-8"), limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = max(0, limit - 5)
    return f"{text[: kept - kept // 2]} ... {text[len(text) - kept // 2 :]}"


class _Repr(reprlib.Repr):
    """`repr` in time and length that do not depend on how large a value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = _LEVELS
        self.maxtuple = self.maxlist = self.maxarray = _MEMBERS
        self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = _MEMBERS
        self.maxstring = self.maxother = LONGEST_VALUE

    def repr_int(self, x: int, _level: int) -> str:
        # Python refuses to write more than 4,300 digits, and takes quadratic time for them.
        return repr(x) if x.bit_length() <= _BITS else f"<an integer of {x.bit_length()} bits>"

    def repr_bytes(self, x: bytes, _level: int) -> str:
        return _cut(repr(x[: self.maxstring]), self.maxstring) + " ..." * (len(x) > self.maxstring)

    def repr_bytearray(self, x: bytearray, level: int) -> str:
        return f"bytearray({self.repr_bytes(bytes(x[: self.maxstring + 1]), level)})"

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        """In the order of the mapping; reprlib sorts all keys first."""
        members = (f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in x)
        return f"{{{self._joined(members, len(x), level)}}}"

    def repr_set(self, x: set[Any], level: int) -> str:
        """In the order of the set; reprlib sorts all members first."""
        members = (self.repr1(item, level - 1) for item in x)
        return f"{{{self._joined(members, len(x), level)}}}" if x else "set()"

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        members = (self.repr1(item, level - 1) for item in x)
        inner = f"{{{self._joined(members, len(x), level)}}}" if x else ""
        return f"frozenset({inner})"

    def repr_instance(self, x: Anything, level: int) -> str:
        """Dataclasses and mappings member by member: their own `repr` may write megabytes."""
        if isinstance(x, Mapping):
            return self.repr_dict(x, level)
        if _has_generated_repr(x):
            names = [entry.name for entry in fields(x) if entry.repr]
            members = (f"{name}={self.repr1(getattr(x, name), level - 1)}" for name in names)
            listed = ", ".join(members) if level > 0 else "..."
            return f"{type(x).__qualname__}({listed})"
        return _cut(repr(x), self.maxother)

    def _joined(self, members: Iterable[str], count: int, level: int) -> str:
        if level <= 0 and count:
            return "..."
        listed = list(islice(members, _MEMBERS))
        return ", ".join([*listed, "..."] if count > _MEMBERS else listed)


def _has_generated_repr(value: Anything) -> bool:
    """Whether it is a dataclass without a `repr` of its own: the generated one is a wrapper."""
    return is_dataclass(value) and hasattr(type(value).__repr__, "__wrapped__")


_REPR = _Repr()
