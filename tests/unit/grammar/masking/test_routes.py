"""What NumPy and Python make of a grammar is, bit by bit, what kernels make of it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from counted_work import at_most_calls
from mask_cases import END, SCHEMAS, SPELLED, token_table_of_pieces
from profiles import spread

from decoding.grammar import CompiledGrammar, Machine, compile_json_schema, compile_regex
from decoding.grammar.masking.routes import INTERPRETED, KERNELS
from decoding.grammar.tokens import segments

MORE = [
    {
        "type": "object",
        "properties": {
            "long": {"type": "string", "maxLength": 9},
            "code": {"type": "string", "pattern": "^[a-f]{24}$", "minLength": 2},
            "many": {
                "type": "string",
                "allOf": [{"pattern": "^a"}, {"pattern": "b$"}],
                "not": {"pattern": "c"},
            },
            "on": {"type": "string", "format": "date"},
        },
        "patternProperties": {"^x-": {"type": "string"}},
    },
    {"items": {"type": ["string", "integer", "boolean", "null"]}, "uniqueItems": True},
    {"type": "object", "maxProperties": 2, "properties": {"name": {"maxLength": 7}}},
    {"type": "object", "minProperties": 3, "required": ["age"]},
    {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1},
               {"type": "object", "additionalProperties": {"type": "integer"}}]},
]  # fmt: skip
PATTERNS = [r"[a-c]{2,40}\d+(\.\d+)?", r"(?!ab)[ab]+é?", r".*\"name\".*"]


@pytest.fixture(scope="module")
def machines() -> tuple[Machine, Machine]:
    tokens = token_table_of_pieces()
    return Machine(tokens, route=KERNELS), Machine(tokens, route=INTERPRETED)


@pytest.mark.parametrize("number", spread(range(len(SCHEMAS + MORE)), 7))
def test_masks_of_schemas(machines: tuple[Machine, Machine], number: int) -> None:
    schema = (SCHEMAS + MORE)[number]
    _compare(machines, lambda machine: compile_json_schema(schema, machine), number)


@pytest.mark.parametrize("number", [1, 7, 10, 18])
def test_masks_when_all_tokens_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(segments, "_FEW", 0)
    tokens = token_table_of_pieces()
    machines = Machine(tokens, route=KERNELS), Machine(tokens, route=INTERPRETED)
    schema = SCHEMAS[number]
    _compare(machines, lambda machine: compile_json_schema(schema, machine), number)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_masks_of_patterns(machines: tuple[Machine, Machine], pattern: str) -> None:
    _compare(machines, lambda machine: compile_regex(pattern, machine), len(pattern))


def test_an_interpreted_mask_computes_only_what_is_new(machines: tuple[Machine, Machine]) -> None:
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in "abcd"},
              "required": [*"abcd"], "additionalProperties": False}  # fmt: skip
    matcher = compile_json_schema(schema, machines[1]).matcher()
    for byte in b'{"a":1,"b"':
        matcher.mask()
        assert matcher.advance(byte)
    # Tokens of whitespace and a colon have been read behind the first key.
    with at_most_calls(300):
        matcher.mask()
    assert matcher.advance(ord(":"))
    # The tokens of digits too, but what comes behind them is new.
    with at_most_calls(1_000):
        matcher.mask()


def _compare(
    machines: tuple[Machine, Machine], compile_: Callable[[Machine], CompiledGrammar], seed: int
) -> None:
    grammars = [compile_(machine) for machine in machines]
    rng = random.Random(seed)
    for _ in range(3):
        kernels, interpreted = (grammar.matcher() for grammar in grammars)
        for _ in range(40):
            mask = kernels.mask()
            assert np.array_equal(mask, interpreted.mask())
            assert kernels.is_accepting == interpreted.is_accepting
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
            choices = [int(token) for token in np.flatnonzero(bits) if token != END]
            for token in rng.sample(range(len(SPELLED)), 20):
                assert kernels.count_allowed([token]) == interpreted.count_allowed([token])
            # Long tokens lead farther.
            tried = rng.sample(choices, min(8, len(choices)))
            if not tried:
                break
            token = max(tried, key=lambda one: len(SPELLED[one]))
            assert kernels.advance(token)
            assert interpreted.advance(token)
        assert kernels.forced_bytes() == interpreted.forced_bytes()
