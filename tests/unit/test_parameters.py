"""The request: ranges, strict types, normal forms and the round trip through a dict."""

import dataclasses
import itertools
import json
import math
import pickle
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding import parameters
from decoding.errors import ParameterError
from decoding.parameters import GenerationParameters, TokenBias
from decoding.requested_grammar import Grammar

TINY = math.ulp(0.0)
BELOW_ONE = math.nextafter(1.0, 0.0)
ABOVE_ONE = math.nextafter(1.0, 2.0)
INF, NAN = math.inf, math.nan
LARGEST = 1.7976931348623157e308

LEGAL: dict[str, list[Any]] = {
    "adapter_id": ["", "x"],
    "best_of": [1],
    "decoder_input_details": [True, False],
    "details": [True, False],
    "do_sample": [True, False],
    "frequency_penalty": [-LARGEST, -2.0, 0.0, 2.0, LARGEST],
    "grammar": [Grammar("regex", "a+")],
    "max_new_tokens": [1, 2**40],
    "repetition_penalty": [TINY, 1.0, LARGEST],
    "return_full_text": [True, False],
    "seed": [0, 2**64 - 1],
    "stop": [(), ("a",), ("a", "b")],
    "temperature": [0.0, TINY, 1.0, LARGEST],
    "top_k": [0, 1, 2**40],
    "top_n_tokens": [0, 1],
    "top_p": [TINY, BELOW_ONE, 1.0],
    "truncate": [1, 2**40],
    "typical_p": [TINY, BELOW_ONE, 1.0],
    "watermark": [True, False],
    "presence_penalty": [-LARGEST, 0.0, LARGEST],
    "min_p": [0.0, TINY, 1.0],
    "logit_bias": [{}, {0: 0.0}, {5: -100.0, 3: -INF}],
    "min_tokens": [0, 1],
    "no_repeat_ngram_size": [0, 3],
    "bad_words_ids": [(), ((1,), (2, 3))],
    "suppress_tokens": [(), (0, 2**31 - 1)],
    "allowed_token_ids": [(5,), (7, 1)],
    "dry_multiplier": [0.0, LARGEST],
    "dry_base": [1.0, LARGEST],
    "dry_allowed_length": [1, 2**40],
    "dynatemp_range": [0.0, LARGEST],
    "dynatemp_exponent": [0.0, LARGEST],
    "epsilon_cutoff": [0.0, BELOW_ONE],
    "eta_cutoff": [0.0, BELOW_ONE],
    "top_n_sigma": [0.0, LARGEST],
    "top_h": [TINY, 1.0],
    "xtc_probability": [0.0, 1.0],
    "xtc_threshold": [0.0, 1.0],
    "mirostat": [0, 1, 2],
    "mirostat_tau": [0.0, LARGEST],
    "mirostat_eta": [0.0, LARGEST],
    "jump_forward": [True, False],
}

NOT_INTEGERS = [True, 1.0, "1", [1], NAN, np.float64(1.0), np.True_]
NOT_REALS = [True, "1", [1.0], NAN, 1j, np.True_, 10**400, np.float32("nan")]
NOT_BOOLEANS = [0, 1, "true", np.int64(1)]
NOT_TEXTS = [1, b"x", ["x"]]

ILLEGAL: dict[str, list[Any]] = {
    "adapter_id": NOT_TEXTS,
    "best_of": [0, -1, *NOT_INTEGERS],
    "decoder_input_details": [None, *NOT_BOOLEANS],
    "details": [None, *NOT_BOOLEANS],
    "do_sample": [None, *NOT_BOOLEANS],
    "frequency_penalty": [INF, -INF, *NOT_REALS],
    "grammar": ["a+", {"type": "regex", "value": "a+"}],
    "max_new_tokens": [0, -1, *NOT_INTEGERS],
    "repetition_penalty": [0, 0.0, -1.0, INF, *NOT_REALS],
    "return_full_text": NOT_BOOLEANS,
    "seed": [-1, 2**64, *NOT_INTEGERS],
    "stop": [None, "stop", b"stop", [""], ["a", ""], [1], {"a"}, 5],
    "temperature": [-TINY, INF, *NOT_REALS],
    "top_k": [-1, *NOT_INTEGERS],
    "top_n_tokens": [-1, *NOT_INTEGERS],
    "top_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "truncate": [0, *NOT_INTEGERS],
    "typical_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "watermark": [None, *NOT_BOOLEANS],
    "presence_penalty": [INF, -INF, *NOT_REALS],
    "min_p": [-TINY, ABOVE_ONE, *NOT_REALS],
    "logit_bias": [
        None,
        [(1, 2.0)],
        {-1: 0.0},
        {0: INF},
        {0: NAN},
        {True: 0.0},
        {0: True},
        {"0": 0.0},
        {0.0: 0.0},
        {0: None},
    ],
    "min_tokens": [-1, *NOT_INTEGERS],
    "no_repeat_ngram_size": [-1, *NOT_INTEGERS],
    "bad_words_ids": [None, 5, [1], [[]], [[-1]], ["ab"], "ab"],
    "suppress_tokens": [None, 5, [-1], [2**31], [1.0], "ab"],
    "allowed_token_ids": [(), 5, [-1], [2**31], [True]],
    "dry_multiplier": [-TINY, INF, *NOT_REALS],
    "dry_base": [BELOW_ONE, INF, *NOT_REALS],
    "dry_allowed_length": [0, *NOT_INTEGERS],
    "dynatemp_range": [-TINY, INF, *NOT_REALS],
    "dynatemp_exponent": [-TINY, INF, *NOT_REALS],
    "epsilon_cutoff": [-TINY, 1.0, *NOT_REALS],
    "eta_cutoff": [-TINY, 1.0, *NOT_REALS],
    "top_n_sigma": [-TINY, INF, *NOT_REALS],
    "top_h": [0.0, ABOVE_ONE, *NOT_REALS],
    "xtc_probability": [-TINY, ABOVE_ONE, *NOT_REALS],
    "xtc_threshold": [-TINY, ABOVE_ONE, *NOT_REALS],
    "mirostat": [-1, 3, *NOT_INTEGERS],
    "mirostat_tau": [-TINY, INF, *NOT_REALS],
    "mirostat_eta": [-TINY, INF, *NOT_REALS],
    "jump_forward": [None, *NOT_BOOLEANS],
}
NAMES = [field.name for field in dataclasses.fields(GenerationParameters)]


def table(rows: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, values in rows.items() for value in values]


def test_the_tables_and_the_checks_name_every_field_in_order() -> None:
    assert list(LEGAL) == list(ILLEGAL) == NAMES == [row[0] for row in parameters._CHECKS]


@pytest.mark.parametrize(("name", "value"), table(LEGAL))
def test_range_ends_are_accepted(name: str, value: Any) -> None:
    kept = getattr(GenerationParameters(**{name: value}), name)
    assert kept == value
    assert type(kept) is (TokenBias if name == "logit_bias" else type(value))


@pytest.mark.parametrize(("name", "value"), table(ILLEGAL))
def test_everything_else_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        GenerationParameters(**{name: value})
    assert caught.value.name == name
    assert caught.value.value is value
    assert str(caught.value) == f"{name} must be {caught.value.expected}, got {value!r}"


@pytest.mark.parametrize(
    "name",
    [field.name for field in dataclasses.fields(GenerationParameters) if field.default is None],
)
def test_none_means_unset(name: str) -> None:
    unset: dict[str, Any] = {name: None}
    assert GenerationParameters(**unset) == GenerationParameters()


def test_messages() -> None:
    with pytest.raises(
        ParameterError, match=r"^top_p must be a number in \(0, 1\], or None, got 2$"
    ):
        GenerationParameters(top_p=2)
    with pytest.raises(ParameterError, match=r"strings \(one string goes into a list\), got 'x'$"):
        GenerationParameters(stop="x")


def test_the_first_field_in_order_is_reported() -> None:
    broken = {name: values[0] for name, values in ILLEGAL.items()}
    for earlier, later in itertools.combinations(NAMES, 2):
        with pytest.raises(ParameterError) as caught:
            GenerationParameters(**{later: broken[later], earlier: broken[earlier]})
        assert caught.value.name == earlier


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("temperature", 2, 2.0),
        ("temperature", np.float32(0.5), 0.5),
        ("temperature", np.int8(2), 2.0),
        ("top_k", np.int64(7), 7),
        ("seed", np.uint64(2**64 - 1), 2**64 - 1),
        ("watermark", np.True_, True),
        ("adapter_id", np.str_("x"), "x"),
        ("stop", ["a", np.str_("b")], ("a", "b")),
        ("logit_bias", {np.int32(2): np.float16(1.5), 1: 2}, {1: 2.0, 2: 1.5}),
    ],
)
def test_values_become_builtin(name: str, value: Any, kept: Any) -> None:
    stored = getattr(GenerationParameters(**{name: value}), name)
    assert stored == kept
    if name == "logit_bias":
        assert list(map(type, itertools.chain(*stored.items()))) == [int, float, int, float]
    else:
        assert type(stored) is type(kept)


@pytest.mark.parametrize(
    ("asked", "greedy"),
    [
        ({}, True),
        ({"do_sample": True}, False),
        ({"temperature": 1.0}, True),
        ({"temperature": 0.5}, False),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.0, "do_sample": True, "top_k": 5, "top_p": 0.5, "min_p": 0.1}, True),
        ({"top_k": 0}, True),
        ({"top_k": 1}, False),
        ({"top_p": 1.0}, True),
        ({"top_p": 0.9}, False),
        ({"typical_p": 1.0}, True),
        ({"typical_p": 0.9}, False),
        ({"min_p": 0.0}, True),
        ({"min_p": 0.1}, False),
        ({"top_h": 1.0, "mirostat": 0, "xtc_threshold": 0.2, "dry_multiplier": 1.0}, True),
        ({"mirostat": 2}, False),
        ({"temperature": 0.0, "mirostat": 2}, True),
        ({"dynatemp_range": 0.5}, False),
        ({"xtc_probability": 0.5}, False),
        ({"repetition_penalty": 2.0, "watermark": True, "seed": 1, "frequency_penalty": 1}, True),
    ],
)
def test_is_greedy(asked: dict[str, Any], *, greedy: bool) -> None:
    assert GenerationParameters(**asked).is_greedy is greedy
    if greedy:
        with pytest.raises(
            ParameterError, match="best_of must be 1 where decoding is greedy, got 2"
        ):
            GenerationParameters(**asked, best_of=2)
    else:
        assert GenerationParameters(**asked, best_of=2).best_of == 2


def test_an_end_can_not_be_held_back_beyond_the_budget() -> None:
    assert GenerationParameters(min_tokens=3, max_new_tokens=3).min_tokens == 3
    with pytest.raises(ParameterError, match="min_tokens must be at most 3, which max_new_tokens"):
        GenerationParameters(min_tokens=4, max_new_tokens=3)


def test_a_request_is_a_value() -> None:
    bias = {7: 1.0, 3: -INF}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = GenerationParameters(logit_bias=bias, stop=["x"], grammar=Grammar("json", schema))
    twin = GenerationParameters(
        logit_bias={3: -INF, 7: 1.0}, stop=("x",), grammar=Grammar("json", json.dumps(schema))
    )
    bias.clear()
    schema.clear()
    assert request == twin
    assert hash(request) == hash(twin)
    assert pickle.loads(pickle.dumps(request)) == request  # noqa: S301  # our own bytes
    assert list(request.logit_bias) == [3, 7]
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.top_k = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        request.logit_bias[3] = 0.0  # type: ignore[index]
    assert dataclasses.replace(request, top_k=5).top_k == 5
    with pytest.raises(ParameterError):
        dataclasses.replace(request, top_k=-5)


def test_repr_is_the_constructor_call() -> None:
    request = GenerationParameters(top_k=5, logit_bias={1: 2.0}, grammar=Grammar("json", {"a": 1}))
    assert eval(repr(request)) == request  # noqa: S307  # our own text


def test_every_field_has_a_row_in_the_docstring() -> None:
    documentation = GenerationParameters.__doc__ or ""
    assert all(f"| `{name}` |" in documentation for name in NAMES)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", " (did you mean 'temperature'?)"),
        ("max_tokens", " (did you mean 'max_new_tokens'?)"),
        ("qqq", ""),
        (5, ""),
    ],
)
def test_unknown_names_are_refused_with_a_hint(name: Any, hint: str) -> None:
    with pytest.raises(ParameterError) as caught:
        GenerationParameters.from_dict({"top_k": 1, name: 1})
    assert str(caught.value) == f"parameter name must be known{hint}, got {name!r}"


def test_to_dict_has_what_is_not_default() -> None:
    grammar = {"type": "json_schema", "value": {"name": "n", "schema": {"type": "null"}}}
    asked = {
        "stop": ["x"],
        "temperature": 1.0,
        "top_k": 0,
        "grammar": grammar,
        "logit_bias": {2: 1.0},
    }
    request = GenerationParameters.from_dict(asked)
    assert request.to_dict() == asked
    assert list(map(type, request.to_dict().values())) == [dict, list, float, int, dict]
    assert GenerationParameters().to_dict() == {}


# Grammars


@pytest.mark.parametrize("kind", ["json", "json_object"])
@pytest.mark.parametrize(
    "value",
    [
        '{ "b": [1, 2.5, null], "a": "é" }',
        {"b": [1, 2.5, None], "a": "é"},
        MappingProxyType({"b": (1, 2.5, None), "a": "é"}),
    ],
)
def test_json_grammars_have_one_form(kind: Any, value: Any) -> None:
    grammar = Grammar(kind, value)
    assert grammar.value == '{"b":[1,2.5,null],"a":"é"}'
    assert grammar.schema == {"b": [1, 2.5, None], "a": "é"}
    assert grammar.to_dict() == {"type": kind, "value": {"b": [1, 2.5, None], "a": "é"}}


def test_the_order_of_keys_is_part_of_a_grammar() -> None:
    assert Grammar("json", {"a": 1, "b": 2}) != Grammar("json", {"b": 2, "a": 1})
    assert Grammar("json", {"a": 1}) != Grammar("json", {"a": True})


def test_the_schema_of_a_grammar() -> None:
    assert Grammar("regex", "{").schema is None
    named = Grammar("json_schema", {"name": "n", "schema": {"type": "null"}})
    assert named.schema == {"type": "null"}
    fresh = named.schema
    fresh.clear()
    assert named.schema == {"type": "null"}


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("ebnf", "x", "grammar.type"),
        (None, "x", "grammar.type"),
        (["json"], "x", "grammar.type"),
        ("regex", {"a": 1}, "grammar.value"),
        ("regex", None, "grammar.value"),
        ("json", None, "grammar.value"),
        ("json", [], "grammar.value"),
        ("json", "", "grammar.value"),
        ("json", "{", "grammar.value"),
        ("json", "[1]", "grammar.value"),
        ("json", "true", "grammar.value"),
        ("json", '{"a": NaN}', "grammar.value"),
        ("json", '{"a": 1e999}', "grammar.value"),
        ("json", '{"a": "\\ud800"}', "grammar.value"),
        ("json", '{"a":' * 100_000, "grammar.value"),
        ("json", {"a": NAN}, "grammar.value"),
        ("json", {1: "a"}, "grammar.value"),
        ("json", {"a": {1, 2}}, "grammar.value"),
        ("json_schema", {"type": "null"}, "grammar.value"),
        ("json_schema", {"schema": "{}"}, "grammar.value"),
        ("json_schema", "[]", "grammar.value"),
    ],
)
def test_malformed_grammars_are_refused(kind: Any, value: Any, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Grammar(kind, value)
    assert caught.value.name == name


def test_a_schema_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(ParameterError, match="recursion limit exceeded"):
        Grammar("json", endless)


@pytest.mark.parametrize("mapping", [{"type": "regex"}, {"type": "regex", "value": "", "x": 1}, {}])
def test_a_grammar_in_a_dict_has_two_keys(mapping: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="grammar must be a mapping of `type` and `value`"):
        GenerationParameters.from_dict({"grammar": mapping})


OPTIONS: dict[str, Any] = {
    "on_unsupported": "ignore",
    "formats": "strict",
    "style": {"indent": 2, "key_order": "declared"},
    "resources": {"https://a.org/b": {"type": "integer"}},
}


def test_options_of_a_schema_survive_a_dict() -> None:
    bare = {"type": "json", "value": {"type": "integer"}}
    assert Grammar.from_dict(bare).to_dict() == bare
    for name, value in OPTIONS.items():
        whole = {**bare, name: value}
        grammar = Grammar.from_dict(whole)
        assert grammar.to_dict() == whole
        assert Grammar.from_dict(grammar.to_dict()) == grammar != Grammar.from_dict(bare)
        assert hash(grammar) == hash(Grammar.from_dict(whole))
        parameters = GenerationParameters.from_dict({"grammar": whole})
        assert parameters.grammar == grammar
        assert parameters.to_dict()["grammar"] == whole


def test_resources_are_kept_as_text() -> None:
    documents = {"b": {"type": "integer"}}
    grammar = Grammar("json", {}, resources=documents)
    documents["b"]["type"] = "string"
    assert grammar.documents == {"b": {"type": "integer"}}
    assert Grammar("json", {}).documents is None


@pytest.mark.parametrize(
    "options",
    [
        {"on_unsupported": "drop"},
        {"on_unsupported": ["raise"]},
        {"formats": None},
        {"style": "compact"},
        {"style": {"indent": 2}},
        {"resources": [1]},
        {"resources": "{"},
    ],
)
def test_wrong_options_of_a_schema(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=rf"grammar\.{next(iter(options))} must be"):
        Grammar("json", {}, **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_belong_to_schemas(name: str) -> None:
    with pytest.raises(ParameterError, match=f"grammar.{name} must be left out for a regex"):
        Grammar.from_dict({"type": "regex", "value": "a", name: OPTIONS[name]})


# The round trip

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(names, json_values, max_size=3)
grammars = st.one_of(
    st.builds(Grammar, st.just("regex"), st.text()),
    st.builds(Grammar, st.sampled_from(["json", "json_object"]), objects | objects.map(json.dumps)),
    st.builds(
        Grammar,
        st.just("json_schema"),
        st.fixed_dictionaries({"schema": objects}, optional={"name": names}),
    ),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.integers(min_value=1)
natural = st.integers(min_value=0)
share = st.floats(min_value=0.0, max_value=1.0, exclude_min=True)
requests = st.fixed_dictionaries(
    {},
    optional={
        "adapter_id": st.text(),
        "best_of": st.just(1),
        "decoder_input_details": st.booleans(),
        "details": st.booleans(),
        "do_sample": st.booleans(),
        "frequency_penalty": finite,
        "grammar": grammars,
        "max_new_tokens": positive,
        "repetition_penalty": finite.filter(lambda x: x > 0.0),
        "return_full_text": st.booleans(),
        "seed": st.integers(0, 2**64 - 1),
        "stop": st.lists(st.text(min_size=1), max_size=3),
        "temperature": finite.filter(lambda x: x >= 0.0),
        "top_k": natural,
        "top_n_tokens": natural,
        "top_p": share,
        "truncate": positive,
        "typical_p": share,
        "watermark": st.booleans(),
        "jump_forward": st.booleans(),
        "presence_penalty": finite,
        "min_p": st.floats(0.0, 1.0),
        "logit_bias": st.dictionaries(natural, finite | st.just(-INF), max_size=4),
        "no_repeat_ngram_size": natural,
        "bad_words_ids": st.lists(st.lists(st.integers(0, 9), min_size=1), max_size=3),
        "suppress_tokens": st.lists(st.integers(0, 9), max_size=3),
        "allowed_token_ids": st.lists(st.integers(0, 9), min_size=1, max_size=3),
        "dry_multiplier": st.floats(0.0, 9.0),
        "top_h": share,
        "xtc_probability": st.floats(0.0, 1.0),
        "mirostat": st.integers(0, 2),
    },
)


@given(requests)
def test_round_trip(asked: dict[str, Any]) -> None:
    request = GenerationParameters(**asked)
    again = GenerationParameters.from_dict(request.to_dict())
    assert again == request
    assert hash(again) == hash(request)
    assert again.to_dict() == request.to_dict()
    assert set(request.to_dict()) <= set(asked)


@given(requests)
def test_an_unset_field_is_the_same_as_its_default(asked: dict[str, Any]) -> None:
    default = {
        field.name: getattr(GenerationParameters(), field.name)
        for field in dataclasses.fields(GenerationParameters)
    }
    assert GenerationParameters(**{**default, **asked}) == GenerationParameters(**asked)
