"""Makes the checks of a grammar engine: schemas with a text that one keyword decides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from decoding.errors import GrammarError
from decoding.grammar import token_table
from decoding.grammar.tokens.table import TokenTable
from decoding.testing.grammar_check import MaskedText
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.typing import Anything
from decoding.vocabulary import Vocabulary

Start = Callable[[Mapping[str, Anything]], MaskedText]
"""Compiles a schema and begins a text; raises `GrammarError` where a schema is refused."""

_END = 256


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A schema and a text that is valid under it, or not, because of what `name` says.

    text: a compact JSON text. trouble: what it means where an engine is of another opinion.
    """

    name: str
    schema: Mapping[str, Anything]
    text: str
    is_valid: bool
    trouble: Trouble = Trouble.DEFECT


def _objects(names: str, **keywords: Anything) -> dict[str, Anything]:
    """Objects with integers of the names, and no others."""
    properties = {name: {"type": "integer"} for name in names}
    return {"type": "object", "properties": properties, "additionalProperties": False, **keywords}


_INTEGERS = {"type": "array", "items": {"type": "integer"}}

SCHEMA_TEXTS: tuple[SchemaText, ...] = (
    SchemaText("uniqueItems", {**_INTEGERS, "uniqueItems": True}, "[1,1]", is_valid=False),
    SchemaText("contains", {**_INTEGERS, "contains": {"const": 3}}, "[1]", is_valid=False),
    SchemaText(
        "what stands beside anyOf",
        {"type": "integer", "anyOf": [{"type": "integer"}, {"type": "string"}]},
        '"x"',
        is_valid=False,
    ),
    SchemaText("not", {"type": "integer", "not": {"const": 3}}, "3", is_valid=False),
    SchemaText(
        "if and then",
        _objects("ab", **{"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        '{"a":1}',
        is_valid=False,
    ),
    SchemaText(
        "dependentRequired",
        _objects("ab", dependentRequired={"a": ["b"]}),
        '{"a":1}',
        is_valid=False,
    ),
    SchemaText(
        "what stands beside $ref",
        {"$ref": "#/$defs/n", "minimum": 3, "$defs": {"n": {"type": "integer"}}},
        "1",
        is_valid=False,
    ),
    SchemaText("type beside enum", {"type": "string", "enum": [1, "a"]}, "1", is_valid=False),
    SchemaText("type beside const", {"type": "string", "const": 1}, "1", is_valid=False),
    SchemaText("minProperties", _objects("ab", minProperties=1), "{}", is_valid=False),
    SchemaText(
        "a pattern without anchors, which may match anywhere",
        {"type": "string", "pattern": "b"},
        '"abc"',
        is_valid=True,
    ),
    SchemaText(
        "a pattern of names without an anchor at the end",
        {"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False},
        '{"ab":1}',
        is_valid=True,
    ),
    SchemaText(
        "a pattern of a character that JSON escapes",
        {"type": "string", "pattern": '^a"b$'},
        r'"a\"b"',
        is_valid=True,
    ),
    # An engine that passes these over says so on stderr.
    SchemaText(
        "allOf",
        {"allOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 5}]},
        "9",
        is_valid=False,
        trouble=Trouble.LIMIT,
    ),
    SchemaText(
        "oneOf of what overlaps",
        {"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 0}]},
        "5",
        is_valid=False,
        trouble=Trouble.LIMIT,
    ),
    SchemaText(
        "maxLength beside a pattern",
        {"type": "string", "pattern": "^a*$", "maxLength": 2},
        '"aaaa"',
        is_valid=False,
        trouble=Trouble.LIMIT,
    ),
    # One spelling or order of many.
    SchemaText(
        "a negative zero", {"type": "integer"}, "-0", is_valid=True, trouble=Trouble.CONVENTION
    ),
    SchemaText(
        "properties in another order than the schema's",
        _objects("ab", required=["a", "b"]),
        '{"b":1,"a":2}',
        is_valid=True,
        trouble=Trouble.CONVENTION,
    ),
    SchemaText(
        "an integer with a fraction of zero",
        {"type": "integer"},
        "1.0",
        is_valid=True,
        trouble=Trouble.CONVENTION,
    ),
)
"""Valid or not as JSON Schema 2020-12 says, with a keyword that an engine may pass over."""


def schema_trials(peer: str, start: Start) -> tuple[Trial, ...]:
    """Make the trials of an engine; a trial whose schema the engine refuses counts as passed."""
    return tuple(
        Trial(
            peer,
            "compile_json_schema",
            f"{item.name}: {'a valid text is accepted' if item.is_valid else _INVALID}",
            partial(_compare, item, start),
            item.trouble,
        )
        for item in SCHEMA_TEXTS
    )


def of_xgrammar() -> tuple[Trial, ...]:
    """The checks of xgrammar, told that a schema allows what it does not forbid."""
    from decoding.grammar.peers import xgrammar

    machine = xgrammar.Machine(bytes_table())
    return schema_trials(
        f"xgrammar {version('xgrammar')}",
        lambda schema: xgrammar.compile_json_schema(schema, machine, strict_mode=False).matcher(),
    )


def of_llguidance() -> tuple[Trial, ...]:
    """The checks of llguidance."""
    from decoding.grammar.peers import llguidance

    machine = llguidance.Machine(bytes_table())
    return schema_trials(
        f"llguidance {version('llguidance')}",
        lambda schema: llguidance.compile_json_schema(schema, machine).matcher(),
    )


_INVALID = "an invalid text is refused"


def bytes_table() -> TokenTable:
    """A vocabulary of the 256 bytes, and a token that ends a text."""
    tokens = [*(bytes([byte]) for byte in range(256)), b""]
    return token_table(Vocabulary(tokens, frozenset({_END})), [_END])


def _compare(item: SchemaText, start: Start) -> None:
    try:
        text = start(item.schema)
    except GrammarError:
        return
    accepted = all(text.advance(byte) for byte in item.text.encode()) and text.is_accepting
    verb = "accepts" if accepted else "refuses"
    demand(accepted == item.is_valid, f"{json.dumps(item.schema)} {verb} {item.text}")
