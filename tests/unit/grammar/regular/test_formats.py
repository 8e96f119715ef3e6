"""Formats: real examples, near misses, and no text that jsonschema's own checkers refuse."""

from __future__ import annotations

import datetime as dt
import ipaddress
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from profiles import spread

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.build import build
from decoding.grammar.regular.formats import format_expression, possible_expression
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.regular.questions import accepts
from decoding.grammar.schema import compile_graph
from decoding.testing.schema_members import is_member

CHECKER = Draft202012Validator.FORMAT_CHECKER

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
    ("hostname", "ec2-198-51-100-1.compute-1.amazonaws.com", True),
    ("hostname", "kubernetes.default.svc.cluster.local", True),
    ("hostname", "localhost", True),
    ("hostname", "-a", False),
    ("hostname", "a" * 64, False),
    ("hostname", "ab--c", False),
    ("hostname", "a." * 130 + "a", False),
    ("hostname", ".".join(["a" * 62] * 4), True),
    ("idn-hostname", "example.com", True),
    ("ipv4", "255.0.10.1", True),
    ("ipv4", "256.0.0.1", False),
    ("ipv6", "2001:db8::1", True),
    ("ipv6", "::ffff:1.2.3.4", True),
    ("ipv6", "1::2::3", False),
    ("uri", "https://user@example.com:8080/a/b?x=y#z", True),
    ("uri", "mailto:a@b.c", True),
    ("uri", "urn:isbn:123", True),
    ("uri", "http://[::1]:8080/", True),
    ("uri", "file:///etc/hosts", True),
    ("uri", "https://example.com", True),
    ("uri", "/a", False),
    ("uri", "http://a b", False),
    ("uri-reference", "", True),
    ("uri-reference", "a/b?c#d", True),
    ("uri-reference", "a^b", False),
    ("uri-reference", "//example.com/a", True),
    ("uri-reference", "mailto:a@b.c", True),
    ("uri-reference", "../a:b", True),
    ("uri-reference", "#", True),
    ("uri-reference", "1:b", False),
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


# Valid by some reading, and never produced.
DOUBTFUL = [
    ("date-time", "2016-12-31T23:59:60Z"), ("date", "0000-01-01"), ("time", "23:59:60Z"),
    ("duration", "P0.5D"), ("email", '"a b"@example.org'), ("idn-email", "é@example.org"),
    ("hostname", ".".join(["a" * 20] * 5 + ["a" * 50])), ("idn-hostname", "exämple.org"),
    ("ipv6", "fe80::1%eth0"), ("uri", "http://[v1.x]/"), ("uri-reference", "//[v1.x]/"),
    ("iri", "http://😀/"), ("iri-reference", "😀"), ("uri-template", "😀"),
    ("relative-json-pointer", "0+1#"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), spread(DOUBTFUL, 5))
def test_what_may_have_a_format_is_in_neither_it_nor_its_complement(name: str, text: str) -> None:
    produced, possible = format_expression(name), possible_expression(name)
    assert produced is not None
    assert possible is not None
    assert not accepts(produced, text)
    assert accepts(possible, text)
    assert string_sets.is_empty(string_sets.both(produced, string_sets.complement(possible)))
    one = {"format": name}
    inside = {"type": "object", "properties": {"a": one}, "required": ["a"]}
    string = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    cases: list[tuple[dict[str, Any], Any]] = [
        (one, text),
        ({"not": one}, text),
        ({"oneOf": [one, {"type": "string"}]}, text),
        ({"if": one, "then": {"type": "number"}}, text),
        ({"items": {"not": one}}, [text]),
        ({"contains": {"not": one}}, [text]),
        ({"contains": one, "minContains": 0, "maxContains": 0}, [text]),
        ({"propertyNames": {"not": one}}, {text: 1}),
        ({"oneOf": [inside, string]}, {"a": text}),
        ({"not": inside}, {"a": text}),
    ]
    for schema, value in cases:
        try:
            graph = compile_graph(schema)
        except GrammarUnsupportedError:  # nothing at all is left
            continue
        assert not is_member(graph, graph.root, value), schema
        assert graph.restrictions, schema


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        ("date", "date-time", ["2024-01-31", "2024-01-31T00:00:00Z"]),
        ("date", "time", ["2024-01-31", "10:00:00Z"]),
        ("date-time", "time", ["2024-01-31T00:00:00Z", "10:00:00Z"]),
        ("ipv4", "ipv6", ["1.2.3.4", "::1.2.3.4"]),
    ],
)
def test_formats_that_no_reader_takes_for_each_other(
    one: str, other: str, texts: list[str]
) -> None:
    schema = {"type": "string", "oneOf": [{"format": one}, {"format": other}]}
    graph = compile_graph(schema)
    for text in texts:
        assert is_member(graph, graph.root, text)
    if {one, other} <= CHECKER.checkers.keys():  # jsonschema has not all of them at hand
        judge = Draft202012Validator(schema, format_checker=CHECKER)
        assert all(map(judge.is_valid, texts))


def test_formats_that_readers_may_take_for_each_other_are_refused_by_their_place() -> None:
    schema = {
        "properties": {
            "a": {"type": "string", "oneOf": [{"format": "email"}, {"format": "idn-email"}]}
        },
        "required": ["a"],
        "type": "object",
    }
    with pytest.raises(GrammarUnsupportedError, match="ask for one format") as caught:
        compile_graph(schema)
    assert caught.value.where == "/properties/a/oneOf"


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


# Its check of relative pointers takes the zero of 10 for a leading one.
@pytest.mark.parametrize("name", sorted(set(CHECKER.checkers) - {"relative-json-pointer"}))
def test_no_text_is_refused_by_jsonschema(name: str) -> None:
    expression = format_expression(name)
    if expression is None:
        return
    nfa = build(expression, Spelling.TEXT)
    moves: dict[int, list[tuple[int, int, int]]] = {}
    for source, low, high, target in nfa.edges.tolist():
        moves.setdefault(source, []).append((low, high, target))
    accepting = set(nfa.accepts.tolist())
    rng = random.Random(name)
    found = 0
    for _ in range(150):
        state, data = int(nfa.starts[0]), bytearray()
        while (
            len(data) < 300 and state in moves and not (state in accepting and rng.random() < 0.1)
        ):
            low, high, state = rng.choice(moves[state])
            data.append(rng.randint(low, high))
        if state in accepting:
            found += 1
            assert CHECKER.conforms(data.decode(), name), data
    assert found
