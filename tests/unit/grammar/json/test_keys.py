"""Keys: names as paths of bytes, and masks of the keys that may come."""

from __future__ import annotations

from typing import Any

import pytest
from random_texts import END, allowed, byte_machine

from decoding.grammar import compile_json_schema
from decoding.grammar.json.keys import _bytes_in_a_row, _spelled
from decoding.grammar.regular.nfa import Spelling


@pytest.mark.parametrize(
    "listed", [("name",), ("a", "ab", "b"), ("", "a"), ("a", ""), ("x" * 40, "", "\x7f ~")]
)
def test_paths_of_names_of_single_bytes(listed: tuple[str, ...]) -> None:
    short, long = _bytes_in_a_row(listed, "".join(listed)), _spelled(listed, Spelling.JSON)
    assert sorted(short[0].tolist()) == long[0].tolist()
    assert short[0][:, 0].tolist() == long[0][:, 0].tolist()
    assert short[1:] == long[1:]


ONE_OF_TWO = [
    {"properties": {"k": {"const": 1}, "x": {}}, "required": ["k"], "additionalProperties": False},
    {"properties": {"k": {"const": 2}}, "required": ["k"]},
]


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"maxProperties": 1, "required": ["t"]}, '{"t":1}'),
        ({"maxProperties": 2, "required": ["type"]}, '{"x": [1], "type": 2}'),
        ({"maxProperties": 3, "required": ["t", "u"]}, '{"x":1,"t":2,"u":3}'),
        ({"maxProperties": 3, "required": ["t"], "properties": {"q": False}}, '{"x":1,"y":2,"t":3}'),
        ({"maxProperties": 2, "dependentRequired": {"a": ["b"]}}, '{"a":1,"b":2}'),
        ({"anyOf": ONE_OF_TWO}, '{"k":1,"x":2}'),
        ({"anyOf": ONE_OF_TWO}, '{"k":2,"y":2}'),
        ({"anyOf": [{"maxProperties": 1}, {"required": ["a", "b"], "maxProperties": 3}]},
         '{"x":1,"a":2,"b":3}'),
    ],
)  # fmt: skip
def test_a_mask_has_the_keys_that_may_come(schema: dict[str, Any], text: str) -> None:
    """A key that no schema names may come only where an alternative that is left has room."""
    machine = byte_machine()
    matcher = compile_json_schema({"type": "object", **schema}, machine).matcher()
    for byte in text.encode():
        fitting = [one for one in range(256) if matcher.fork().advance(one)]
        assert [one for one in allowed(matcher) if one != END] == fitting
        assert matcher.advance(byte)
    assert matcher.is_accepting
