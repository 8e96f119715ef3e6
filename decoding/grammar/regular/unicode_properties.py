r"""The sets of characters of Unicode properties, as in `\p{...}` of ECMA-262."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

from decoding.grammar.regular.codepoints import Ranges, unicode_property, union, without_surrogates


@lru_cache(maxsize=256)
def property_of(name: str) -> Ranges | None:
    r"""Return the characters of `\p{name}`, or None for a name that is not known.

    Known are general categories, scripts (`Script=Greek`, `sc=Grek`), their extensions (`scx=`) and
    the binary properties of ECMA-262 (`Alphabetic`, `Emoji`), by long and short names.
    """
    key, _, value = name.rpartition("=")
    if key in {"Script", "sc"}:
        return _of("sc", value)
    if key in {"Script_Extensions", "scx"}:
        return _of("scx", value) or _of("sc", value)
    found = None if key else _of("binary", value)
    return unicode_property(name) if found is None else found


@cache
def _table() -> dict[tuple[str, str], str]:
    """The lines of `unicode_properties.txt`, which says how they are written, by kind and name."""
    text = files(__package__).joinpath("unicode_properties.txt").read_text("utf-8")
    table = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            kind, short, long, ranges = line.split(" ", 3)
            table[kind, short] = table[kind, long] = ranges
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
