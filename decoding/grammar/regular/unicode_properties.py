r"""Looks up the set of characters of a Unicode property, as in `\p{...}` of ECMA-262."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

from decoding.grammar.regular.codepoints import (
    EVERY,
    Ranges,
    complement,
    union,
    without_surrogates,
)


@lru_cache(maxsize=256)
def property_of(name: str) -> Ranges | None:
    r"""Return the characters of `\p{name}`, or None for a name that is not known.

    Known are general categories (`L`, `gc=Nd`, `Uppercase_Letter`), `Any`, `ASCII`, `Assigned`,
    scripts (`Script=Greek`, `sc=Grek`), their extensions (`scx=`) and the binary properties of
    ECMA-262 (`Alphabetic`, `Emoji`), by long and short names.
    """
    key, _, value = name.rpartition("=")
    if key in {"Script", "sc"}:
        return _of("sc", value)
    if key in {"Script_Extensions", "scx"}:
        return _of("scx", value) or _of("sc", value)
    found = None if key else _of("binary", value)
    return _of_category(key, value) if found is None else found


@cache
def _table() -> dict[tuple[str, str], str]:
    """Read `unicode_properties.txt` to a table: kind and name of a property to its ranges."""
    text = files(__package__).joinpath("unicode_properties.txt").read_text("utf-8")
    table = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            kind, short, long, *ranges = line.split(" ", 3)
            if kind == "gc":
                table[kind, long] = short
            else:
                table[kind, short] = table[kind, long] = ranges[0]
    return table


def _of(kind: str, name: str) -> Ranges | None:
    if (kind, name) not in _table():
        return None
    found = []
    last = 0
    for written in _table()[kind, name].split():
        distance, _, length = written.partition(".")
        first = last + int(distance, 36)
        last = first + int(length or "0", 36)
        found.append((first, last))
    return without_surrogates(union(found))


def _of_category(key: str, value: str) -> Ranges | None:
    """The characters of a general category, as of the Unicode version of `unicodedata`."""
    if key not in {"", "gc", "General_Category"}:
        return None
    special = {"Any": EVERY, "ASCII": ((0, 0x7F),)}
    if not key and value in special:
        return special[value]
    if not key and value == "Assigned":
        return complement(_of_category("", "Cn") or ())
    short = _table().get(("gc", value.lower()), value)
    wanted = {"Lu", "Ll", "Lt"} if short == "LC" else {short}
    pairs = [
        pair
        for category, ranges in _categories().items()
        if category in wanted or category[0] in wanted
        for pair in ranges
    ]
    known = pairs or short == "Cs"
    return without_surrogates(union(pairs)) if known else None


@cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    category = unicodedata.category
    start, current = 0, category("\0")
    for code_point in range(1, sys.maxunicode + 2):
        this = category(chr(code_point)) if code_point <= sys.maxunicode else ""
        if this != current:
            found.setdefault(current, []).append((start, code_point - 1))
            start, current = code_point, this
    return found
