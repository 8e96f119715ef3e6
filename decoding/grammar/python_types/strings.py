"""Derives JSON Schemas of Pydantic's strings, bytes and URLs from its core schemas."""

from __future__ import annotations

import re

from decoding.grammar.python_types import value_patterns
from decoding.grammar.python_types.core import BOUNDS, Core, Describer, Json, TypePath, counts
from decoding.grammar.python_types.ecma_patterns import PatternError, ecma_pattern

_PLAIN = frozenset(("type", "metadata", "ref", "strict", "serialization"))


def string_of(pattern: str) -> Json:
    """The schema of the strings that a pattern matches as a whole."""
    return {"type": "string", "pattern": value_patterns.whole(pattern)}


def string(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of text, with its length and pattern."""
    settings = {
        name: core.get(name, place.config.get(f"str_{name}"))
        for name in ("min_length", "max_length", "strip_whitespace")
    }
    schema: Json = {"type": "string", **counts(settings, "minLength", "maxLength")}
    patterns = [] if core.get("pattern") is None else [_pattern(core, place)]
    if settings["strip_whitespace"] and (patterns or len(schema) > 1):
        # What is stripped is no longer there when characters are counted and matched.
        patterns.append(ecma_pattern(r"^(\S((?:.|\n)*\S)?)?$", "rust-regex"))
    if core.get("ascii_only"):
        patterns.append(r"^[\x00-\x7f]*$")
    if len(patterns) == 1:
        return schema | {"pattern": patterns[0]}
    return schema | ({"allOf": [{"pattern": one} for one in patterns]} if patterns else {})


def _pattern(core: Core, place: TypePath) -> str:
    pattern = core["pattern"]
    engine = core.get("regex_engine", place.config.get("regex_engine", "rust-regex"))
    if isinstance(pattern, re.Pattern):
        engine = "python-re"
        if pattern.flags & ~re.UNICODE:
            place.refuse("pattern", f"flags of {pattern.pattern!r} are not known here")
        pattern = pattern.pattern
    try:
        return ecma_pattern(str(pattern), engine)
    except PatternError as error:
        return place.refuse("pattern", f"{pattern!r} has {error}, which is not known here")


def octets(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of bytes, in the encoding that the configuration names."""
    form = place.config.get("val_json_bytes", "utf8")
    least, most = core.get("min_length") or 0, core.get("max_length")
    upper = "" if most is None else most
    if form == "hex":
        return string_of(rf"([0-9a-f]{{2}}){{{least},{upper}}}")
    if form == "base64":
        if least or most is not None:
            place.refuse("bytes", "masks cannot enforce the length of bytes in Base64")
        return string_of(value_patterns.base64(of_text=False, url_safe=True))
    if least or most is not None:
        # Only ASCII, because other characters are several bytes.
        return string_of(rf"[\x00-\x7f]{{{least},{upper}}}")
    return {"type": "string"}


def url(_: Describer, core: Core, __: TypePath) -> Json:
    """The schema of URLs, also those of databases and message brokers."""
    of_kind = value_patterns.urls if core["type"] == "url" else value_patterns.connections
    longest = core.get("max_length")
    # Pydantic may add a slash to what it reads.
    bound = {} if longest is None else {"maxLength": longest - 1}
    return string_of(of_kind(core.get("allowed_schemes"))) | bound


def json_text(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a string that contains the JSON text of a value."""
    return string_of(_text(core.get("schema", {"type": "any"}), place.inside("json")))


def _text(core: Core, place: TypePath) -> str:
    """A pattern of JSON texts of a value."""
    kind = core["type"]
    if kind in ("any", "int") and not core.keys() & BOUNDS:
        number = r"(0|-?[1-9]\d{0,17})"
        return number if kind == "int" else f"(null|true|false|{number})"
    if kind in ("bool", "none"):
        return "(true|false)" if kind == "bool" else "null"
    if kind == "float" and not core.keys() & BOUNDS:
        return r"(0|-?[1-9]\d{0,9})(\.\d{1,9})?"
    if kind == "str" and core.keys() <= _PLAIN:
        return r'"[^"\\\x00-\x1f\x7f]*"'
    if kind == "list" and core.keys().isdisjoint(("min_length", "max_length")):
        item = _text(core.get("items_schema", {"type": "any"}), place)
        return rf"\[({item}(,{item})*)?\]"
    return place.refuse(
        f"Json of {kind}", "masks cannot enforce JSON texts of this type inside a string"
    )
