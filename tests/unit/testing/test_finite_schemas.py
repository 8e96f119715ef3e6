"""The exact masks of finite schemas, by hand; and this library's masks are exact."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from benchmarks import mask_yardstick as yardstick
from benchmarks.published_parts import parts_of
from decoding.testing.finite_schemas import (
    FORBIDDEN,
    FREE,
    REQUIRED,
    ExactMasks,
    draw_finite_schema,
    texts_of,
)

WORDS = (b'"', b"a", b"b", b"\\", b" ", b"1", b"0", b".", b"e", b"-", b"{", b"10", b'":')


def verdicts(values: list[object], prefix: bytes) -> dict[bytes, int]:
    masks = ExactMasks(texts_of(values), WORDS)
    return dict(zip((*WORDS, b"END"), masks.verdicts(prefix).tolist(), strict=True))


def test_strings_go_on_as_some_text_does_or_with_an_escape() -> None:
    found = verdicts(["ab"], b'"a')
    assert found.pop(b"b") == REQUIRED
    assert found.pop(b"\\") == FREE
    assert set(found.values()) == {FORBIDDEN}


def test_the_end_is_where_a_text_ends() -> None:
    assert verdicts(["a", "ab"], b'"a"')[b"END"] == REQUIRED
    assert verdicts(["a", "ab"], b'"a')[b"END"] == FORBIDDEN


def test_other_spellings_of_a_number_are_not_judged() -> None:
    found = verdicts([1], b"1")
    # 1.0, 1e0, 10e-1 and white space behind it spell the value 1; 11 and 1" do not.
    assert {found[word] for word in (b".", b"e", b"0", b" ")} == {FREE}
    assert found[b"1"] == found[b'"'] == found[b"-"] == FORBIDDEN


def test_zero_is_no_beginning_of_another_number() -> None:
    found = verdicts([0, 10], b"")
    assert found[b"0"] == found[b"1"] == found[b"10"] == REQUIRED
    assert verdicts([0], b"0")[b"1"] == FORBIDDEN


def test_keys_come_in_every_order() -> None:
    assert texts_of([{"a": 1, "b": [2]}]) == {b'{"a":1,"b":[2]}', b'{"b":[2],"a":1}'}


@pytest.mark.parametrize("seed", range(40))
def test_every_valid_value_is_listed(seed: int) -> None:
    # Values of other drawn schemas that this one holds must be in its own list, too.
    drawn = [draw_finite_schema(random.Random(f"{seed} {number}")) for number in range(4)]
    validator = Draft202012Validator(drawn[0].schema)
    own = texts_of([item for item in drawn[0].values if validator.is_valid(item)])
    for other in drawn[1:]:
        assert texts_of([item for item in other.values[:40] if validator.is_valid(item)]) <= own


def test_masks_of_this_library_are_exact() -> None:
    schemas = yardstick.drawn_schemas(30, 7)
    [score] = yardstick.measure(schemas, 7, {"ours": yardstick.ours()}).values()
    assert score.tokens["required"] > 500
    assert score.tokens["over"] == score.tokens["under"] == 0, score.examples
    assert not score.schemas["refused"]


PUBLISHED = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["kind"],
    "properties": {
        "kind": {"$ref": "#/definitions/kind"},
        "port": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535, "default": 80},
        "names": {"type": "array", "items": {"type": "string", "pattern": "^a"}, "minItems": 1},
        "next": {"$ref": "#"},
    },
    "definitions": {"kind": {"description": "a word", "oneOf": [{"const": "x"}, {"const": "y"}]}},
}


def test_parts_of_published_schemas_are_finite_and_keep_their_keywords() -> None:
    parts = [part for seed in range(6) for part in parts_of(PUBLISHED, random.Random(seed))]
    texts = {json.dumps(part.schema) for part in parts}
    assert all("$ref" not in text and "draft-07" in text for text in texts)
    for word in ('"pattern": "^a"', '"minItems": 1', '"maximum": 65535', '"oneOf"', '"required"'):
        assert any(word in text for text in texts), word
    [score] = yardstick.measure(parts, 0, {"ours": yardstick.ours()}).values()
    assert score.schemas["exact"] == len(parts) > 10
    assert score.tokens["required"] > 500
    assert score.tokens["over"] == score.tokens["under"] == 0


class TooMuch:
    """Allows everything but what it is told to leave out."""

    def __init__(self, leaves_out: int | None) -> None:
        self._leaves_out = leaves_out

    def mask(self) -> np.ndarray:
        mask = np.ones(yardstick.END + 1, np.bool_)
        if self._leaves_out is not None:
            mask[self._leaves_out] = False
        return mask

    def advance(self, token_id: int) -> bool:
        return True


def test_both_directions_are_counted() -> None:
    scores = yardstick.measure(
        yardstick.drawn_schemas(10, 0),
        0,
        {
            "all": lambda _: lambda: TooMuch(None),
            "no end": lambda _: lambda: TooMuch(yardstick.END),
        },
    )
    assert scores["all"].tokens["over"] == 0
    assert scores["all"].tokens["under"] == scores["all"].tokens["forbidden"] > 0
    assert scores["no end"].tokens["over"] > 0
    assert scores["no end"].schemas["exact"] == 0
