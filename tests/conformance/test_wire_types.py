"""The JSON types of a TGI request: accepted values, and messages for wrong types.

The texts are those of serde_json and axum, as TGI 3.3.6 sends them, without line and column.
"""

import itertools
import json
import math
from typing import Any

import pytest

from decoding.errors import WireTypeError, WireValidationError
from decoding.grammar import JsonStyle
from decoding.parameters import REQUEST_FIELDS, GenerationParameters
from decoding.request_grammar import Grammar
from decoding.wire.rules import WireLimits, validate
from decoding.wire.types import parse_parameters

DESERIALIZE = "Failed to deserialize the JSON body into the target type: "


def check(fields: Any, inputs: Any = "abc") -> GenerationParameters:
    return validate(inputs, fields, limits=WireLimits(), stream=False, count_tokens=len)


ONE_OF = "expected one of `json`, `json_object`, `regex`, `json_schema`"
OPTIONS = {
    "adapter_id": "a string",
    "best_of": "usize",
    "frequency_penalty": "f32",
    "grammar": "adjacently tagged enum GrammarType",
    "max_new_tokens": "u32",
    "repetition_penalty": "f32",
    "return_full_text": "a boolean",
    "seed": "u64",
    "temperature": "f32",
    "top_k": "i32",
    "top_n_tokens": "u32",
    "top_p": "f32",
    "truncate": "usize",
    "typical_p": "f32",
    "presence_penalty": "f32",
    "min_p": "f32",
    "logit_bias": "a map",
    "dry_multiplier": "f32",
    "dry_base": "f32",
    "dynatemp_range": "f32",
    "dynatemp_exponent": "f32",
    "epsilon_cutoff": "f32",
    "eta_cutoff": "f32",
    "top_n_sigma": "f32",
    "top_h": "f32",
    "xtc_probability": "f32",
    "xtc_threshold": "f32",
    "mirostat_tau": "f32",
    "mirostat_eta": "f32",
    "repeat_last_n": "i32",
    "min_tokens": "u32",
    "no_repeat_ngram_size": "u32",
    "dry_allowed_length": "u32",
    "dry_penalty_last_n": "i32",
    "dry_sequence_breakers": "a sequence",
    "mirostat": "u32",
    "bad_words_ids": "a sequence",
    "bad_words": "a sequence",
    "suppress_tokens": "a sequence",
    "allowed_token_ids": "a sequence",
}
REQUIRED = {
    "decoder_input_details": "a boolean",
    "details": "a boolean",
    "do_sample": "a boolean",
    "stop": "a sequence",
    "watermark": "a boolean",
    "jump_forward": "a boolean",
}
# The fields of processors that no other server's request has.
for _name, _field in REQUEST_FIELDS.items():
    if _name not in OPTIONS | REQUIRED:
        OPTIONS[_name] = {"f32": "f32", "bool": "a boolean"}[_field.type.name]


def test_the_wire_knows_every_field() -> None:
    assert set(OPTIONS) | set(REQUIRED) == set(GenerationParameters.__dataclass_fields__)


@pytest.mark.parametrize("name", OPTIONS)
def test_null_is_absent_for_an_option(name: str) -> None:
    assert parse_parameters({name: None}) == {}
    assert check({name: None}) == check({})


@pytest.mark.parametrize(("name", "expected"), REQUIRED.items())
def test_null_is_refused_elsewhere(name: str, expected: str) -> None:
    with pytest.raises(WireTypeError) as caught:
        check({name: None})
    assert (
        str(caught.value)
        == f"{DESERIALIZE}parameters.{name}: invalid type: null, expected {expected}"
    )


JSON_VALUES = {
    "boolean `true`": True,
    "integer `5`": 5,
    "floating point `-1.5`": -1.5,
    r'string "a\""': 'a"',
    "sequence": [1],
    "map": {},
}
RIGHT = {
    "a string": {r'string "a\""'},
    "a boolean": {"boolean `true`"},
    "f32": {"integer `5`", "floating point `-1.5`"},
    "a sequence": {"sequence"},
    "a map": {"map"},
    "adjacently tagged enum GrammarType": {"map"},
    **dict.fromkeys(("usize", "u32", "u64", "i32"), frozenset({"integer `5`"})),
}


@pytest.mark.parametrize(
    ("name", "expected", "unexpected"),
    [
        (name, expected, unexpected)
        for name, expected in {**OPTIONS, **REQUIRED}.items()
        for unexpected in JSON_VALUES
        if unexpected not in RIGHT[expected]
    ],
)
def test_wrong_types(name: str, expected: str, unexpected: str) -> None:
    value = JSON_VALUES[unexpected]
    with pytest.raises(WireTypeError) as caught:
        check({name: value})
    assert str(caught.value) == (
        f"{DESERIALIZE}parameters.{name}: invalid type: {unexpected}, expected {expected}"
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"best_of": -1}, "best_of: invalid value: integer `-1`, expected usize"),
        ({"max_new_tokens": -1}, "max_new_tokens: invalid value: integer `-1`, expected u32"),
        (
            {"top_n_tokens": 2**32},
            "top_n_tokens: invalid value: integer `4294967296`, expected u32",
        ),
        ({"top_n_tokens": 1.0}, "top_n_tokens: invalid type: floating point `1.0`, expected u32"),
        ({"max_new_tokens": "50"}, 'max_new_tokens: invalid type: string "50", expected u32'),
        ({"top_k": 2**31}, "top_k: invalid value: integer `2147483648`, expected i32"),
        ({"top_k": -(2**31) - 1}, "top_k: invalid value: integer `-2147483649`, expected i32"),
        ({"seed": -1}, "seed: invalid value: integer `-1`, expected u64"),
        (
            {"seed": 2**64},
            "seed: invalid type: floating point `1.8446744073709552e19`, expected u64",
        ),
        ({"seed": 1e16}, "seed: invalid type: floating point `1e16`, expected u64"),
        ({"seed": 1e15}, "seed: invalid type: floating point `1000000000000000.0`, expected u64"),
        ({"seed": 1.5e-5}, "seed: invalid type: floating point `0.000015`, expected u64"),
        ({"seed": -1e-5}, "seed: invalid type: floating point `-0.00001`, expected u64"),
        ({"seed": 1e-6}, "seed: invalid type: floating point `1e-6`, expected u64"),
        ({"seed": 0.0001}, "seed: invalid type: floating point `0.0001`, expected u64"),
        ({"seed": 10**400}, "seed: invalid type: floating point `inf`, expected u64"),
        ({"top_p": math.inf}, "top_p: number out of range"),
        ({"top_p": math.nan}, "top_p: number out of range"),
        ({"top_p": 10**400}, "top_p: number out of range"),
        ({"stop": "x"}, 'stop: invalid type: string "x", expected a sequence'),
        ({"stop": ["x", 5]}, "stop[1]: invalid type: integer `5`, expected a string"),
        ({"stop": [None]}, "stop[0]: invalid type: null, expected a string"),
        ({"top_p": b"x"}, "top_p: invalid type: sequence, expected f32"),
        ({"top_p": 1j}, "top_p: invalid type: complex, expected f32"),
        ({"logit_bias": {"x": 1}}, 'logit_bias: invalid value: string "x", expected a token id'),
        ({"logit_bias": {"-1": 1}}, 'logit_bias: invalid value: string "-1", expected a token id'),
        ({"logit_bias": {5: 1}}, "logit_bias: invalid value: integer `5`, expected a token id"),
        ({"logit_bias": {"5": None}}, "logit_bias.5: invalid type: null, expected f32"),
        ({"grammar": {}}, "grammar: missing field `type`"),
        ({"grammar": {"type": "json"}}, "grammar: missing field `value`"),
        (
            {"grammar": {"type": 5, "value": 5}},
            "grammar.type: invalid type: integer `5`, expected a string",
        ),
        (
            {"grammar": {"type": "ebnf", "value": ""}},
            f"grammar.type: unknown variant `ebnf`, {ONE_OF}",
        ),
        (
            {"grammar": {"type": "regex", "value": {}}},
            "grammar.value: invalid type: map, expected a string",
        ),
        (
            {"grammar": {"type": "json_schema", "value": "{}"}},
            'grammar.value: invalid type: string "{}", expected struct JsonSchemaConfig',
        ),
        (
            {"grammar": {"type": "json_schema", "value": {}}},
            "grammar.value: missing field `schema`",
        ),
        (
            {"grammar": {"type": "json_schema", "value": {"schema": {}, "name": 5}}},
            "grammar.value.name: invalid type: integer `5`, expected a string",
        ),
    ],
)
def test_texts_of_wrong_types(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(WireTypeError) as caught:
        check(fields)
    assert str(caught.value) == f"{DESERIALIZE}parameters.{text}"


@pytest.mark.parametrize(
    ("inputs", "fields", "text"),
    [
        (5, {"top_k": "x"}, "inputs: invalid type: integer `5`, expected a string"),
        (None, None, "inputs: invalid type: null, expected a string"),
        ("x", [], "parameters: invalid type: sequence, expected struct GenerateParameters"),
        ("x", "y", 'parameters: invalid type: string "y", expected struct GenerateParameters'),
    ],
)
def test_the_body_around_the_fields(inputs: Any, fields: Any, text: str) -> None:
    with pytest.raises(WireTypeError) as caught:
        check(fields, inputs=inputs)
    assert str(caught.value) == f"{DESERIALIZE}{text}"


def test_wrong_types_are_reported_in_the_order_of_the_body() -> None:
    for names in itertools.permutations(["top_k", "adapter_id", "details"]):
        with pytest.raises(WireTypeError, match=f"parameters.{names[0]}: "):
            check({name: [0] for name in names})


# Grammars

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"type": "regex", "value": "a+"}, Grammar("regex", "a+")),
        ({"type": "regex", "value": "("}, Grammar("regex", "(")),
        ({"type": "json", "value": SCHEMA}, Grammar("json", SCHEMA)),
        ({"type": "json", "value": json.dumps(SCHEMA)}, Grammar("json", SCHEMA)),
        ({"type": "json_object", "value": SCHEMA}, Grammar("json_object", SCHEMA)),
        (
            {"type": "json_schema", "value": {"name": "n", "schema": SCHEMA}},
            Grammar("json_schema", {"name": "n", "schema": SCHEMA}),
        ),
        (
            {"type": "json_schema", "value": {"name": None, "schema": {}}},
            Grammar("json_schema", {"name": None, "schema": {}}),
        ),
        ({"type": "json", "value": {}, "extra": 1}, Grammar("json", {})),
        # Options of this library beside TGI's form.
        (
            {"type": "json", "value": {}, "on_unsupported": "ignore", "formats": None},
            Grammar("json", {}, on_unsupported="ignore"),
        ),
        (
            {"type": "json", "value": {}, "style": {"indent": 2}, "resources": {"a": {}}},
            Grammar("json", {}, style=JsonStyle(indent=2), resources={"a": {}}),
        ),
    ],
)
def test_grammar_forms(asked: dict[str, Any], kept: Grammar) -> None:
    assert check({"grammar": asked}).grammar == kept


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_unsupported": "drop"}, "grammar.on_unsupported must be one of raise, ignore"),
        ({"style": {"indent": -1}}, "style.indent must be an integer between 0 and 100"),
        ({"style": 5}, "style must be a mapping"),
    ],
)
def test_wrong_options_of_a_grammar(options: dict[str, Any], text: str) -> None:
    with pytest.raises(WireValidationError, match=text):
        check({"grammar": {"type": "json", "value": {}, **options}})


@pytest.mark.parametrize("schema", [{"type": "string"}, {"enum": [1]}, {}, {"type": "nonsense"}])
def test_a_schema_without_properties_is_accepted_unlike_in_tgi(schema: dict[str, Any]) -> None:
    assert check({"grammar": {"type": "json", "value": schema}}).grammar == Grammar("json", schema)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("json", None, "grammar is not supported"),
        ("json_object", [SCHEMA], "grammar is not supported"),
        ("json", True, "grammar is not supported"),
        ("json", "", "grammar is not valid: Expecting value: line 1 column 1 (char 0)"),
        ("json", "5", 'grammar is not valid: 5 is not of type "object"'),
        ("json_object", "true", 'grammar is not valid: true is not of type "object"'),
        ("json", '{"a":' * 100_000, "grammar is not valid: recursion limit exceeded"),
        ("json_schema", {"schema": 5}, 'grammar is not valid: 5 is not of type "object"'),
        ("json_schema", {"schema": "{}"}, 'grammar is not valid: "{}" is not of type "object"'),
    ],
)
def test_grammars_that_are_refused(kind: str, value: Any, text: str) -> None:
    with pytest.raises(WireValidationError) as caught:
        check({"grammar": {"type": kind, "value": value}})
    assert str(caught.value) == text


def test_the_body_of_a_type_error_has_no_prefix() -> None:
    with pytest.raises(WireTypeError) as caught:
        check({"top_k": "many"})
    assert caught.value.to_wire() == {"error": str(caught.value), "error_type": "validation"}
