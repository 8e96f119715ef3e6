"""Derives JSON Schemas of Pydantic's dates, times and time spans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from decoding.grammar.python_types import value_patterns
from decoding.grammar.python_types.core import Core, Describer, Json, TypePath
from decoding.grammar.python_types.numbers import integer
from decoding.grammar.python_types.strings import string_of
from decoding.grammar.regular.formats import DATE

_ANY_ZONE = f"{value_patterns.ZONE}?"
_SECOND, _DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
# Without a zone here; it is written behind them.
_FIRST, _LAST = dt.datetime.min, dt.datetime.max  # noqa: DTZ901
_MARGIN = dt.timedelta(days=2)
"""Distance from now of moments that are past, or future, in every time zone."""


def date(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of dates, YYYY-MM-DD."""
    limits = _limits(core, place)
    for name, value in limits.items():
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            place.refuse(name, "the bound is not a date")
    bounds = {name: value - dt.date.min for name, value in limits.items()}
    low, high = _range(core, place, bounds, _DAY, 0, (_LAST - _FIRST) // _DAY)
    first, last = (dt.date.min + count * _DAY for count in (low, high))
    if (first, last) == (dt.date.min, dt.date.max):
        return string_of(DATE)
    within = value_patterns.bounded(first.isoformat(), last.isoformat())
    return string_of(DATE) | {"allOf": [{"pattern": value_patterns.whole(within)}]}


def _limits(core: Core, place: TypePath) -> dict[str, Any]:
    """The bounds of a date, a time or a time span."""
    if core.get("multiple_of") is not None:
        place.refuse("multiple_of", "masks can enforce steps only of numbers")
    return {name: core[name] for name in ("ge", "gt", "le", "lt") if core.get(name) is not None}


def _range(
    core: Core,
    place: TypePath,
    bounds: Mapping[str, dt.timedelta],
    unit: dt.timedelta,
    low: int,
    high: int,
) -> tuple[int, int]:
    """The least and the greatest number of units, of `low` to `high`, that is within the bounds.

    bounds: as distances from 0 units; from `_FIRST` if the value has to be past, or future.
    """
    for name, distance in bounds.items():
        floor, ceiling = distance // unit, -(-distance // unit)
        if name in ("ge", "gt"):
            low = max(low, floor + 1 if name == "gt" else ceiling)
        else:
            high = min(high, ceiling - 1 if name == "lt" else floor)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None) - _FIRST
    if core.get("now_op") == "past":
        high = min(high, (now - _MARGIN) // unit)
    elif core.get("now_op") == "future":
        low = max(low, (now + _MARGIN) // unit)
    if low > high:
        place.refuse(core["type"], "nothing is between its bounds")
    return low, high


def date_time(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of dates with times, with or without a zone."""
    zone = _zone(core, place)
    bounds = {}
    for name, value in _limits(core, place).items():
        if not isinstance(value, dt.datetime):
            place.refuse(name, "the bound is not a date with a time")
        is_aware = value.utcoffset() is not None
        if zone not in (_ANY_ZONE, value_patterns.ZONE) and is_aware != bool(zone):
            place.refuse(name, "of the bound and the value, only one has a zone")
        zone = "Z" if is_aware else ""
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if is_aware else value
        bounds[name] = naive - _FIRST
    low, high = _range(core, place, bounds, _SECOND, 0, (_LAST - _FIRST) // _SECOND)
    if not bounds and "now_op" not in core:
        return string_of(rf"{DATE}T{value_patterns.CLOCK}{zone}")
    ends = ((_FIRST + count * _SECOND).isoformat() for count in (low, high))
    within = value_patterns.whole(value_patterns.bounded(*ends) + zone)
    form = string_of(rf"{DATE}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d{zone}")
    return form | {"allOf": [{"pattern": within}]}


def _zone(core: Core, place: TypePath) -> str:
    """A pattern of the time zones that are accepted."""
    constraint = core.get("tz_constraint")
    if constraint is None:
        return _ANY_ZONE
    if constraint in ("naive", "aware"):
        return "" if constraint == "naive" else value_patterns.ZONE
    minutes, rest = divmod(abs(int(constraint)), 60)
    if rest:
        place.refuse("tz_constraint", "the offset has seconds")
    sign = r"\+" if int(constraint) >= 0 else "-"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def time_of_day(_: Describer, core: Core, place: TypePath) -> Json:
    """Derive the JSON Schema of `datetime.time`; texts have a zone only if one is required."""
    zone = "" if core.get("tz_constraint") is None else _zone(core, place)
    bounds = {}
    for name, value in _limits(core, place).items():
        if not isinstance(value, dt.time) or value.tzinfo or value.microsecond or zone:
            place.refuse(name, "a bound must be a time of whole seconds without a zone")
        bounds[name] = dt.datetime.combine(_FIRST, value) - _FIRST
    low, high = _range(core, place, bounds, _SECOND, 0, _DAY // _SECOND - 1)
    if not bounds:
        return string_of(f"{value_patterns.CLOCK}{zone}")
    ends = ((_FIRST + count * _SECOND).time().isoformat() for count in (low, high))
    within = value_patterns.whole(value_patterns.bounded(*ends))
    form = string_of(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d")
    return form | {"allOf": [{"pattern": within}]}


def time_span(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of time spans: ISO 8601 texts or, with bounds, JSON integers of seconds."""
    bounds = _limits(core, place)
    if not bounds:
        return string_of(value_patterns.DURATION)
    low, high = _range(core, place, bounds, _SECOND, -(10**13), 10**13)
    return integer({"ge": low, "le": high})
