r"""The sets of characters of Unicode properties, as in `\p{...}` of ECMA-262."""

from __future__ import annotations

from functools import lru_cache

from decoding.grammar.regular import unicode_tables as tables
from decoding.grammar.regular.codepoints import Ranges, unicode_property, union, without_surrogates


@lru_cache(maxsize=256)
def property_of(name: str) -> Ranges | None:
    r"""Return the characters of `\p{name}`, or None for a name that is not known.

    Known are general categories, scripts (`Script=Greek`, `sc=Grek`), their extensions (`scx=`) and
    the binary properties of ECMA-262 (`Alphabetic`, `Emoji`), by long and short names.
    """
    key, _, value = name.rpartition("=")
    if key in {"Script", "sc"}:
        return _of(tables.SCRIPTS, tables.SCRIPT_NAMES.get(value, value))
    if key in {"Script_Extensions", "scx"}:
        long = tables.SCRIPT_NAMES.get(value, value)
        return _of(tables.SCRIPT_EXTENSIONS, long) or _of(tables.SCRIPTS, long)
    if not key:
        found = _of(tables.BINARY, tables.BINARY_NAMES.get(value, value))
        if found is not None:
            return found
    return unicode_property(name)


def _of(table: dict[str, str], name: str) -> Ranges | None:
    if name not in table:
        return None
    found = []
    last = 0
    for written in table[name].split():
        distance, _, length = written.partition(".")
        first = last + int(distance, 36)
        last = first + int(length or "0", 36)
        found.append((first, last))
    return without_surrogates(union(found))
