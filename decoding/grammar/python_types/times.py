"""Derives JSON Schemas of Pydantic's dates, times and time spans."""

from __future__ import annotations

import datetime as dt
from typing import Any

from decoding.grammar.python_types import value_patterns
from decoding.grammar.python_types.core import Core, Describer, Json, TypePath
from decoding.grammar.python_types.numbers import integer
from decoding.grammar.python_types.strings import string_of
from decoding.grammar.regular.formats import DATE

_ANY_ZONE = f"{value_patterns.ZONE}?"
_SECOND = dt.timedelta(seconds=1)
_MARGIN = dt.timedelta(days=2)
"""Distance from now of moments that are past, or future, in every time zone."""


def date(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of dates, YYYY-MM-DD."""
    low, high = dt.date.min, dt.date.max
    day = dt.timedelta(days=1)
    for name, value in _limits(core, place):
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            place.refuse(name, "the bound is not a date")
        if name in ("ge", "gt"):
            low = max(low, value + day if name == "gt" else value)
        else:
            high = min(high, value - day if name == "lt" else value)
    today = dt.datetime.now(dt.UTC).date()
    if core.get("now_op") == "past":
        high = min(high, today - _MARGIN)
    elif core.get("now_op") == "future":
        low = max(low, today + _MARGIN)
    if low > high:
        place.refuse("date", "no date is between its bounds")
    if (low, high) == (dt.date.min, dt.date.max):
        return string_of(DATE)
    within = value_patterns.bounded(low.isoformat(), high.isoformat())
    return string_of(DATE) | {"allOf": [{"pattern": value_patterns.whole(within)}]}


def _limits(core: Core, place: TypePath) -> list[tuple[str, Any]]:
    """The bounds of a date, a time or a time span."""
    if core.get("multiple_of") is not None:
        place.refuse("multiple_of", "masks can enforce steps only of numbers")
    return [(name, core[name]) for name in ("ge", "gt", "le", "lt") if core.get(name) is not None]


def date_time(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of dates with times, with or without a zone."""
    # Without a zone here; it is written behind them.
    low, high = dt.datetime.min, dt.datetime.max.replace(microsecond=0)  # noqa: DTZ901
    zone = _zone(core, place)
    limits = _limits(core, place)
    for name, value in limits:
        if not isinstance(value, dt.datetime):
            place.refuse(name, "the bound is not a date with a time")
        is_aware = value.utcoffset() is not None
        if zone not in (_ANY_ZONE, value_patterns.ZONE) and is_aware != bool(zone):
            place.refuse(name, "of the bound and the value, only one has a zone")
        zone = "Z" if is_aware else ""
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if is_aware else value
        if name in ("ge", "gt"):
            least = value_patterns.seconds_of(naive, up=True)
            low = max(low, least + _SECOND if name == "gt" and least == naive else least)
        else:
            most = value_patterns.seconds_of(naive, up=False)
            high = min(high, most - _SECOND if name == "lt" and most == naive else most)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    if core.get("now_op") == "past":
        high = min(high, now - _MARGIN)
    elif core.get("now_op") == "future":
        low = max(low, now + _MARGIN)
    if low > high:
        place.refuse("datetime", "no moment is between its bounds")
    if not limits and "now_op" not in core:
        return string_of(rf"{DATE}T{value_patterns.CLOCK}{zone}")
    ends = (moment.isoformat(timespec="seconds") for moment in (low, high))
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
    low, high = dt.time.min, dt.time.max.replace(microsecond=0)
    limits = _limits(core, place)
    for name, value in limits:
        if not isinstance(value, dt.time) or value.tzinfo or value.microsecond or zone:
            place.refuse(name, "a bound must be a time of whole seconds without a zone")
        moment = dt.datetime.combine(dt.date(2000, 1, 2), value)
        if name in ("gt", "lt"):
            moment += dt.timedelta(seconds=1 if name == "gt" else -1)
        if moment.day != 2:
            place.refuse(name, "no time is beyond its bound")
        if name in ("ge", "gt"):
            low = max(low, moment.time())
        else:
            high = min(high, moment.time())
    if low > high:
        place.refuse("time", "no time is between its bounds")
    if not limits:
        return string_of(f"{value_patterns.CLOCK}{zone}")
    within = value_patterns.bounded(*(one.isoformat(timespec="seconds") for one in (low, high)))
    return string_of(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d") | {
        "allOf": [{"pattern": value_patterns.whole(within)}]
    }


def time_span(_: Describer, core: Core, place: TypePath) -> Json:
    """The schema of time spans: ISO 8601 texts or, with bounds, JSON integers of seconds."""
    limits = _limits(core, place)
    if not limits:
        return string_of(value_patterns.DURATION)
    low, high = -(10**13), 10**13
    for name, value in limits:
        if name in ("ge", "gt"):
            least = value_patterns.whole_seconds(value, up=True)
            low = max(low, least + (name == "gt" and least * _SECOND == value))
        else:
            most = value_patterns.whole_seconds(value, up=False)
            high = min(high, most - (name == "lt" and most * _SECOND == value))
    if low > high:
        place.refuse("timedelta", "no number of seconds is between its bounds")
    return integer({"ge": low, "le": high})
