"""Writes JSON as TGI's router does: serde_json, with 32-bit floats."""

from __future__ import annotations

from json import JSONEncoder

import numpy as np

# From here up, rounding to float32 gives infinity: half a unit above its largest finite value.
_FLOAT32_OVERFLOW = 2.0**128 - 2.0**103

# serde_json and Python escape the same characters the same way once ASCII is not enforced.
quote = JSONEncoder(ensure_ascii=False).encode
"""A string as JSON, in quotation marks."""


def float32_text(value: float) -> str:
    """A float as serde_json writes an f32: the fewest digits that read back as the same float32.

    Plain notation with a fraction from 1e-6 up to, not including, 1e13; else scientific, without
    plus, padding or fraction-less point (`1e-7`, `1.5e16`). NaN, infinities and what float32 cannot
    hold are `null`. Source: Adams 2018, "Ryū: fast float-to-string conversion",
    doi:10.1145/3192366.3192369; layout of the Rust crate ryu 1.0.

    >>> float32_text(-1.53515624), float32_text(1e-7), float32_text(float("nan"))
    ('-1.5351562', '1e-7', 'null')
    """
    if not abs(value) < _FLOAT32_OVERFLOW:
        return "null"
    mantissa, _, exponent = np.format_float_scientific(np.float32(value), trim="-").partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.removeprefix("-").replace(".", "")
    return sign + _layout(digits, int(exponent) + 1)


def _layout(digits: str, point: int) -> str:
    """Write `0.digits × 10**point` as decimal text."""
    if digits == "0":
        return "0.0"
    if 0 < point <= 13:
        return f"{digits[:point]:0<{point}}.{digits[point:] or 0}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1}"


def dumps(value: object) -> str:
    """Write compact JSON: every float as float32, non-ASCII unescaped, keys in their order.

    value: None, bool, int, float, str, and lists, tuples and dicts of these; keys are strings.

    Raises TypeError for anything else.
    """
    match value:
        case None:
            text = "null"
        case bool():
            text = "true" if value else "false"
        case str():
            text = quote(value)
        case int():
            text = str(value)
        case float():
            text = float32_text(value)
        case dict():
            members = (f"{quote(key)}:{dumps(member)}" for key, member in value.items())
            text = "{" + ",".join(members) + "}"
        case list() | tuple():
            text = "[" + ",".join(map(dumps, value)) + "]"
        case _:
            raise TypeError(f"JSON has no form for {type(value).__name__}")
    return text
