"""Derives JSON Schemas of Pydantic's numbers, literals and enumerations from its core schemas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from decoding.grammar.python_types.core import Core, Describer, Json, TypePath

_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_LARGEST = 1e300
"""Numbers between its negative and itself are never read as infinite."""
_QUOTIENT = Decimal(10) ** 27
"""Python's `decimal` divides with 28 digits, so it has no remainder of larger quotients."""
_DIGITS = 15
"""Decimal digits that a binary64 number keeps."""


def integer(core: Core) -> Json:
    """The schema of integers, written as plain digits."""
    schema: Json = {"type": "integer", "x-spelling": "digits"}
    return schema | {_BOUNDS[name]: core[name] for name in _BOUNDS if core.get(name) is not None}


def number(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of floats; bounded where infinity is not accepted."""
    schema: Json = {"type": "number"}
    schema |= {_BOUNDS[name]: core[name] for name in _BOUNDS if core.get(name) is not None}
    if core.get("allow_inf_nan", place.config.get("allow_inf_nan", True)) is False:
        schema |= _bounded(schema)
    return schema


def _bounded(schema: Json) -> Json:
    found: Json = {}
    if not schema.keys() & {"minimum", "exclusiveMinimum"}:
        found["minimum"] = -_LARGEST
    if not schema.keys() & {"maximum", "exclusiveMaximum"}:
        found["maximum"] = _LARGEST
    return found


def decimal(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of decimals: numbers of so few digits that none is lost in reading."""
    schema: Json = {"type": "number"}
    for name, keyword in _BOUNDS.items():
        if core.get(name) is not None:
            schema[keyword] = _plain(core[name], place)
    if core.get("multiple_of") is not None:
        most = int(abs(Decimal(str(core["multiple_of"]))) * _QUOTIENT)
        schema = {"allOf": [schema, {"minimum": -most, "maximum": most}]}
    places, digits = core.get("decimal_places"), core.get("max_digits")
    if places is None and digits is None:
        return schema | _bounded(schema)
    most = min(_DIGITS, digits or _DIGITS)
    # `max_digits` reserves `decimal_places` digits after the point.
    whole = most if digits is None or places is None else min(most, max(digits - places, 0))
    options: list[Json] = []
    if not whole:
        # 0 counts as a digit before the point.
        schema = {"allOf": [schema, {"not": {"const": 0}}]}
    for count in range(0 if whole else 1, min(places if places is not None else most, most) + 1):
        bound = 10 ** min(most - count, whole)
        step: Json = {"multipleOf": 10.0**-count} if count else integer({})
        options.append({**step, "exclusiveMinimum": -bound, "exclusiveMaximum": bound})
    return {"allOf": [schema, {"anyOf": options}]}


def _plain(value: object, place: TypePath) -> int | float:
    """A bound as a number of JSON."""
    exact = Decimal(str(value))
    found = int(exact) if exact == exact.to_integral_value() else float(exact)
    if Decimal(str(found)) != exact:
        place.refuse("decimal", f"the bound {value} has more digits than a float keeps")
    return found


def constants(values: Sequence[object], place: TypePath) -> Json:
    """The schema of constants, each in the form that Pydantic reads as this constant.

    Integers of more than 64 bits are left out, because Pydantic matches none it reads with them.
    """
    options: list[Json] = []
    whole = [
        one
        for one in values
        if isinstance(one, int) and not isinstance(one, bool) and -(1 << 63) <= one < 1 << 63
    ]
    others = [
        one
        for one in values
        if one is None
        or isinstance(one, bool | str)
        or (isinstance(one, float) and math.isfinite(one))
    ]
    if whole:
        options.append({**integer({}), "enum": whole})
    if others:
        options.append({"enum": others})
    if not options:
        place.refuse("values", "none of them is a value that Pydantic reads from JSON")
    return options[0] if len(options) == 1 else {"anyOf": options}
