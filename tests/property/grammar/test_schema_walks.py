"""Random texts that the masks of random schemas allow: each is valid, and each can be ended.

`make nightly` takes many more schemas.
"""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from profiles import amount
from random_schemas import newer_schemas, verdict
from random_texts import byte_machine, walk

from decoding.errors import GrammarError, GrammarLimitError
from decoding.grammar import JsonStyle, Machine, compile_json_schema

WALKS = 3


STYLE = JsonStyle(whitespace="free", longest=1)


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


@settings(
    max_examples=amount(check=12, full=50, nightly=2500),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(newer_schemas, newer_schemas, st.integers(0, 2**32))
def test_random_texts_are_valid_and_come_to_an_end(
    machine: Machine, root: Any, one: Any, seed: int
) -> None:
    schema = root if isinstance(root, bool) else {**root, "$defs": {"a": one, "b": True}}
    if not isinstance(schema, bool):
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    try:
        grammar = compile_json_schema(schema, machine, style=STYLE)
    except GrammarError:
        return
    rng = random.Random(seed)
    validator = Draft202012Validator(schema)
    for _ in range(WALKS):
        try:
            text = walk(grammar.matcher(), rng, 80)
        except GrammarLimitError:
            return
        if text is not None:
            assert verdict(validator, json.loads(text)) is not False, text
