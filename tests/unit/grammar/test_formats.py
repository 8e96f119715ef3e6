"""Formats: real examples, near misses, and no text that jsonschema's own checkers refuse."""

from __future__ import annotations

import datetime as dt
import ipaddress
import random

import pytest

from decoding.grammar.dfa import accepts
from decoding.grammar.formats import format_expression

CASES = [
    ("date-time", "2024-01-02T03:04:05.678Z", True),
    ("date-time", "2024-02-29t03:04:05+02:00", True),
    ("date-time", "2024-01-02T03:04:05", False),
    ("date", "1900-02-29", False),
    ("date", "2024-04-31", False),
    ("time", "25:00:00Z", False),
    ("time", "23:59:60Z", False),
    ("duration", "P3Y6M4DT12H30M5S", True),
    ("duration", "PT", False),
    ("email", "a.b+c@example.org", True),
    ("email", "nope", False),
    ("hostname", "a-b.example.com", True),
    ("hostname", "-a", False),
    ("ipv4", "255.0.10.1", True),
    ("ipv4", "256.0.0.1", False),
    ("ipv6", "2001:db8::1", True),
    ("ipv6", "::ffff:1.2.3.4", True),
    ("ipv6", "1::2::3", False),
    ("uri", "https://user@example.com:8080/a/b?x=y#z", True),
    ("uri", "mailto:a@b.c", True),
    ("uri", "urn:isbn:123", True),
    ("uri", "/a", False),
    ("uri", "http://a b", False),
    ("uri-reference", "", True),
    ("uri-reference", "a/b?c#d", True),
    ("uri-reference", "a^b", False),
    ("iri", "https://exämple.org/ü", True),
    ("json-pointer", "/a/b~0", True),
    ("json-pointer", "/a~2", False),
    ("relative-json-pointer", "1/a", True),
    ("uuid", "123e4567-e89b-12d3-a456-426614174000", True),
    ("uuid", "x", False),
]


@pytest.mark.parametrize(("name", "text", "fits"), CASES)
def test_cases(name: str, text: str, fits: bool) -> None:
    expression = format_expression(name)
    assert expression is not None
    assert accepts(expression, text) == fits


def test_dates_are_those_of_the_calendar() -> None:
    expression = format_expression("date")
    assert expression is not None
    rng = random.Random(0)
    years = [1, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 9999, *rng.choices(range(1, 9999), k=5)]
    for year in years:
        for month in range(14):
            for day in (0, 1, 28, 29, 30, 31, 32):
                text = f"{year:04}-{month:02}-{day:02}"
                try:
                    dt.date(year, month, day)
                    real = True
                except ValueError:
                    real = False
                assert accepts(expression, text) == real, text


def test_addresses_are_those_of_the_library() -> None:
    expression = format_expression("ipv6")
    assert expression is not None
    rng = random.Random(1)
    for _ in range(300):
        parts = [rng.choice(["", "0", "1f", "abcd", "12345", "1.2.3.4"]) for _ in range(8)]
        text = ":".join(parts[: rng.randint(2, 8)])
        try:
            ipaddress.IPv6Address(text)
            real = True
        except ValueError:
            real = False
        assert accepts(expression, text) == real, text
