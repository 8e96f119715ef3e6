"""A vocabulary whose tokens lie across what JSON is made of, and schemas of all kinds."""

from __future__ import annotations

from typing import Any

from decoding.grammar import token_table
from decoding.grammar.tokens.table import TokenTable
from decoding.vocabulary import Vocabulary

# fmt: off
PIECES = [
    '{"', '":', '": ', '",', '", "', '"}', '"]', "}}", "}]", "],", ' "', "  ", " {", " [", "[]",
    "{}",
    "name", "na", "age", "ag", "x1", "true", "false", "null", "nul", "tr", "12", "10", "0.", ".5",
    "e1", "-1", '\\"', "\\n", "\\u00", "41", "\\ud83d", "\\ude00", "é", "😀", "ab", "abc", '"a',
    '"name":', 'a"', "aa", "\n  ", "2024-", "-0", "://", '{"name": "', '"x1"', "kind",
]
# fmt: on
SPELLED = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES]
SPELLED += [b"name", b"<end>", b"<special>"]
TWIN, END, SPECIAL = len(SPELLED) - 3, len(SPELLED) - 2, len(SPELLED) - 1
WIDTH = len(SPELLED) + 9


def token_table_of_pieces() -> TokenTable:
    """The table of the vocabulary."""
    return token_table(Vocabulary(SPELLED, frozenset({END, SPECIAL})), [END], WIDTH)


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["age"]},
    {"type": "object", "properties": {"name": {"maxLength": 3, "type": "string"}, "ag": INTEGER},
     "required": ["name"], "additionalProperties": False},
    {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 3},
    {"type": "array", "prefixItems": [INTEGER, {"type": "boolean"}], "items": False},
    {"type": "array", "items": {"type": ["integer", "string"]}, "contains": {"type": "string"},
     "maxItems": 2},
    {"anyOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "x1": INTEGER},
         "required": ["kind", "x1"], "additionalProperties": False},
        {"type": "object", "properties": {"kind": {"const": "b"}, "name": STRING},
         "required": ["kind"], "additionalProperties": False},
    ]},
    {"type": "object", "patternProperties": {"^x": INTEGER, "1$": {"minimum": 0}},
     "additionalProperties": {"type": "boolean"}},
    {"type": "object", "minProperties": 2, "maxProperties": 3},
    {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": False,
     "properties": {"a": INTEGER, "ab": INTEGER, "abc": INTEGER}, "required": ["ab"]},
    {"type": "object", "propertyNames": {"pattern": "^[a-c]+$"}},
    {"type": "object", "properties": {"a": INTEGER, "b": INTEGER, "c": INTEGER},
     "dependentRequired": {"a": ["b"]}, "additionalProperties": False},
    {"enum": ["ab", "abc", 12, None, {"a": [1]}, True]},
    {"type": "string", "pattern": "^a(b|é)+$"},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"type": "array", "items": {"type": "string", "pattern": "^(ab?|\\n)*$", "minLength": 5,
                                "maxLength": 40}},
    {"type": "number", "minimum": -1.5, "maximum": 12},
    {"$defs": {"n": {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}},
                     "additionalProperties": False}}, "$ref": "#/$defs/n"},
    {"type": "array", "items": STRING, "uniqueItems": True, "minItems": 2},
    {"type": "array", "items": {"type": "string", "pattern": "^a?b*$"}, "uniqueItems": True},
    {"type": "array", "items": {"type": "string", "pattern": "^(a|b*c)$"}, "uniqueItems": True},
    {"type": "object", "properties": {"name": INTEGER, "na": STRING}, "minProperties": 3},
    {"type": "object", "properties": {"name": INTEGER}, "required": ["name"], "minProperties": 2,
     "maxProperties": 2},
]  # fmt: skip
