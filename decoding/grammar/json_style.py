"""`JsonStyle`: whitespace, indent, digits, nesting, key order of a grammar's JSON texts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from decoding.errors import ParameterError, require

Whitespace = Literal["readable", "free", "compact", "spaced"]
KeyOrder = Literal["any", "declared"]

MAX_DIGITS = 4_300
"""Python reads no integers of more digits, unless it is told to (`sys.set_int_max_str_digits`)."""
MAX_NESTING = 200
"""Pydantic reads no deeper texts; Python's `json` reads about a thousand levels."""
MOST_NESTING = 5_000
MOST_WHITESPACE = 100_000


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How the JSON texts of a grammar are written; every JSON reader accepts the default.

    whitespace: what stands between two JSON tokens. "readable": nothing, one blank, or one newline
        with at most `longest` blanks behind it, so that every text of `json.dumps` fits, indented
        or not. "free": any whitespace that JSON allows, at most `longest` characters. "compact":
        nothing, as `json.dumps(value, separators=(",", ":"))`. "spaced": one blank behind every
        comma and colon, as `json.dumps(value)`. No whitespace ever comes before or behind the
        whole value.
    longest: the longest run for "readable" (blanks behind the newline) and "free", 0 to 100,000.
    indent: `None`, or 0 to 100: every key and item stands on a line of its own, as
        `json.dumps(value, indent=indent)` writes them; then `whitespace` stays "readable".
    digits: the most digits of an integer, and the most characters of any number without its sign,
        20 to 1,000,000; `None` is no bound.
    nesting: the most objects and arrays inside one another, 1 to 5,000; `None` is no bound. A value
        that a schema requires more than 100 levels below another value is not counted.
    key_order: "declared": the keys that a schema declares come in the order in which they first
        stand in it, and before all others; "any": in any order.

    Raises ParameterError at construction.

    >>> JsonStyle(indent=2, key_order="declared").to_dict()
    {'indent': 2, 'key_order': 'declared'}
    """

    whitespace: Whitespace = "readable"
    longest: int = 20
    indent: int | None = None
    digits: int | None = MAX_DIGITS
    nesting: int | None = MAX_NESTING
    key_order: KeyOrder = "any"

    def __post_init__(self) -> None:
        for name, kinds in (("whitespace", Whitespace), ("key_order", KeyOrder)):
            value, allowed = getattr(self, name), get_args(kinds)
            known = isinstance(value, str) and value in allowed
            require(f"style.{name}", value, known, f"one of {', '.join(allowed)}")
        for name, low, high in (
            ("longest", 0, MOST_WHITESPACE),
            ("indent", 0, 100),
            ("digits", 20, 1_000_000),
            ("nesting", 1, MOST_NESTING),
        ):
            value = getattr(self, name)
            known = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
            open_ended = "" if name == "longest" else " or None"
            require(
                f"style.{name}",
                value,
                known or (value is None and name != "longest"),
                f"an integer between {low} and {high}{open_ended}",
            )
        require(
            "style.whitespace",
            self.whitespace,
            self.indent is None or self.whitespace == "readable",
            "'readable' where `indent` is given",
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, by name."""
        pairs = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in pairs if value != field.default}

    @classmethod
    def from_dict(cls, mapping: object) -> JsonStyle:
        """The inverse of `to_dict`. Raises ParameterError for a key that is no field."""
        names = [field.name for field in fields(cls)]
        if not isinstance(mapping, dict) or not set(mapping) <= set(names):
            raise ParameterError("style", mapping, f"a mapping with keys among {', '.join(names)}")
        return cls(**mapping)
