"""Pydantic reads whatever a grammar of a Python type lets through; other types are refused.

`make nightly` walks each type 200 times.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pydantic
import pytest
from profiles import amount, spread
from type_cases import NOT_READ, READ, REFUSED, TAKEN

from decoding import Grammar
from decoding.errors import ParameterError
from decoding.grammar import JsonStyle, Machine, compile_json_schema, token_table
from decoding.grammar.compiled import CompiledGrammar
from decoding.grammar.python_types.ecma_patterns import PatternError, ecma_pattern
from decoding.vocabulary import Vocabulary

pytestmark = pytest.mark.kernels

WALKS = amount(check=4, full=20, nightly=200)
MANY = 600

# fmt: off
PIECES = [
    '","', '": ', '":', '{"', '"}', '"]', "[]", "{}", '},{"', ', "', "\n", "  ", "true", "false",
    "null", "000", "12", "3.5", "e1", "-0", "\\u00", "\\n", '\\"', "ab", "the", "2024-", "-01",
    "T1", ":00", "Z", "http", "://", ".com", "é", "€", "😀", "٠", "/", "==", "PT", "::", '"x":',
    '"kind":"cat"', '"value":', '"theX":',
]
# fmt: on
SPELLED = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES]
END = len(SPELLED)
CLOSING = np.array([set(token) <= set(b'"}],') for token in SPELLED] + [False])
READABLE = np.array([all(32 <= byte < 127 for byte in token) for token in SPELLED] + [False])


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(token_table(Vocabulary([*SPELLED, b""], frozenset({END})), [END]))


def walk(grammar: CompiledGrammar, rng: random.Random, soft: int = 40) -> bytes | None:
    """A random text; `None` if it comes to no end. After `soft` tokens it hurries."""
    matcher, text = grammar.matcher(), b""
    for count in range(MANY):
        bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
        allowed = bits[: END + 1].astype(bool)
        assert allowed.any(), text
        if allowed[END] and (count >= soft or rng.random() < 0.4):
            return text
        allowed[END] = False
        if not allowed.any():
            return text
        preferred = READABLE if rng.random() < (0.85 if count < soft else 0.3) else CLOSING
        choices = np.flatnonzero(allowed & preferred)
        if not len(choices) or rng.random() < 0.1:
            choices = np.flatnonzero(allowed)
        token = int(rng.choice(choices))
        assert matcher.advance(token)
        text += SPELLED[token]
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKEN)
def test_pydantic_reads_every_text(machine: Machine, name: str) -> None:
    python_type = TAKEN[name]
    grammar = compile_json_schema(Grammar.of_type(python_type).schema, machine)
    adapter = pydantic.TypeAdapter(python_type)
    rng, finished, begun = random.Random(name), 0, 0
    while finished < WALKS:
        begun += 1
        assert begun < 10 * WALKS + 20, "walks come to no end"
        text = walk(grammar, rng)
        if text is not None:
            finished += 1
            adapter.validate_json(text)


@pytest.mark.parametrize("name", REFUSED)
def test_other_types_are_refused_with_the_reason(name: str) -> None:
    python_type, reason = REFUSED[name]
    with pytest.raises(ParameterError, match=reason) as caught:
        Grammar.of_type(python_type)
    assert caught.value.name == "python_type"


def test_there_are_many_types() -> None:
    assert len(TAKEN) >= 120
    assert not TAKEN.keys() & {name for name in REFUSED if name in TAKEN and REFUSED[name] is None}


def accepts(machine: Machine, python_type: Any, text: str) -> bool:
    matcher = compile_json_schema(Grammar.of_type(python_type).schema, machine).matcher()
    taken = matcher.count_allowed(text.encode())
    for byte in text.encode()[:taken]:
        assert matcher.advance(byte)
    return taken == len(text.encode()) and matcher.is_accepting


@pytest.mark.parametrize(("python_type", "text"), spread(NOT_READ, 10))
def test_what_pydantic_does_not_read_does_not_fit(
    machine: Machine, python_type: Any, text: str
) -> None:
    assert not accepts(machine, python_type, text)


@pytest.mark.parametrize(("python_type", "text"), READ)
def test_usual_texts_fit(machine: Machine, python_type: Any, text: str) -> None:
    pydantic.TypeAdapter(python_type).validate_json(text)
    assert accepts(machine, python_type, text)


def test_a_type_and_a_style() -> None:
    style = JsonStyle(indent=2, key_order="declared")
    grammar = Grammar.of_type(TAKEN["Plain"], style=style)
    assert grammar.style == style
    assert list(grammar.schema["properties"]) == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^a+$", "^a+$"),
        (r"\d\.", r"[0-9]\."),
        (r"[\d_-]", r"[\x2d0-9_]"),
        (r"[]a]", r"[\]a]"),
        (r"(?P<n>x)|(?<m>y)", "(?:x)|(?:y)"),
        (r"\Aa\z", "^a$"),
        (r"a{2, 3}?", "a{2,3}?"),
        (r"\x{1F600}\u0041\x41", "\\u{1f600}AA"),
    ],
)
def test_patterns_are_translated(pattern: str, expected: str) -> None:
    assert ecma_pattern(pattern, "rust-regex") == expected
    assert ecma_pattern(pattern, "python-re") == f"^(?:{expected})"


@pytest.mark.parametrize(
    "pattern",
    [
        "a\\",
        "[a",
        "[b-a]",
        "a{b}",
        "(?=a)",
        "(?i:a)",
        r"(a)\1",
        "[[:alpha:]]",
        "[a--b]",
        "a++",
        r"\b",
    ],
)
def test_patterns_with_other_meanings_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        ecma_pattern(pattern, "rust-regex")
