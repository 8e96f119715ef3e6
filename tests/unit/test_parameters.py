"""`GenerationParameters`: ranges, strict types, normal forms, and the round trip through a dict."""

import dataclasses
import itertools
import json
import math
import pickle
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding import processors
from decoding.errors import ParameterError, shown
from decoding.facts import Kind
from decoding.parameters import REQUEST_FIELDS, GenerationParameters, TokenBias, is_sampling
from decoding.parameters import SAMPLING as SAMPLING_FIELDS
from decoding.presets.mlx_lm import TopPWithTies
from decoding.presets.sglang import JointTopKTopP
from decoding.processor_fields import ProcessorFields
from decoding.processors import (
    AdaptiveP,
    AtLeast,
    Bitmask,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    GumbelWatermark,
    LogitBias,
    MinP,
    Mirostat1,
    Mirostat2,
    RepetitionPenalty,
    Scoped,
    SynthIdWatermark,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
)
from decoding.request_fields import BOOLEAN, RequestField
from decoding.request_grammar import Grammar
from decoding.typing import Processor
from decoding.watermark.gumbel import GumbelScheme
from decoding.watermark.presets import tgi
from decoding.watermark.synthid import SynthId

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
    "repeat_last_n": [-1, 0, 2**40],
    "min_tokens": [0, 1],
    "no_repeat_ngram_size": [0, 3],
    "bad_words_ids": [(), ((1,), (2, 3))],
    "bad_words": [(), ("a", " b")],
    "suppress_tokens": [(), (0, 2**31 - 1)],
    "allowed_token_ids": [(5,), (7, 1)],
    "dry_multiplier": [0.0, LARGEST],
    "dry_base": [1.0, LARGEST],
    "dry_allowed_length": [1, 2**40],
    "dry_penalty_last_n": [-1, 0, 2**40],
    "dry_sequence_breakers": [(), ("\n", ":")],
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
    "best_of": [0, -1, 2**14 + 1, 10**400, *NOT_INTEGERS],
    "decoder_input_details": [None, *NOT_BOOLEANS],
    "details": [None, *NOT_BOOLEANS],
    "do_sample": NOT_BOOLEANS,
    "frequency_penalty": [INF, -INF, *NOT_REALS],
    "grammar": ["a+", {"type": "regex", "value": "a+"}],
    "max_new_tokens": [0, -1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "repetition_penalty": [0, 0.0, -1.0, INF, *NOT_REALS],
    "return_full_text": NOT_BOOLEANS,
    "seed": [-1, 2**64, *NOT_INTEGERS],
    "stop": [None, "stop", b"stop", [""], ["a", ""], [1], {"a"}, 5],
    "temperature": [-TINY, INF, *NOT_REALS],
    "top_k": [-1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "top_n_tokens": [-1, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "top_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "truncate": [0, 2**53 + 1, 10**400, *NOT_INTEGERS],
    "typical_p": [0, 0.0, ABOVE_ONE, INF, *NOT_REALS],
    "watermark": [None, *NOT_BOOLEANS],
    "presence_penalty": [INF, -INF, *NOT_REALS],
    "min_p": [-TINY, ABOVE_ONE, *NOT_REALS],
    "logit_bias": [
        None,
        [(1, 2.0)],
        {-1: 0.0},
        {2**31: 0.0},
        {10**400: 0.0},
        {0: INF},
        {0: NAN},
        {True: 0.0},
        {0: True},
        {"0": 0.0},
        {0.0: 0.0},
        {0: None},
        {2**31: 0.0},
        {10**400: 0.0},
    ],
    "repeat_last_n": [-2, *NOT_INTEGERS],
    "min_tokens": [-1, *NOT_INTEGERS],
    "no_repeat_ngram_size": [-1, *NOT_INTEGERS],
    "bad_words_ids": [None, 5, [1], [[]], [[-1]], ["ab"], "ab"],
    "bad_words": [None, "word", [""], [1], [b"a"], 5],
    "suppress_tokens": [None, 5, np.array(5), [-1], [2**31], [1.0], "ab"],
    "allowed_token_ids": [(), 5, [-1], [2**31], [True]],
    "dry_multiplier": [-TINY, INF, *NOT_REALS],
    "dry_base": [BELOW_ONE, INF, *NOT_REALS],
    "dry_allowed_length": [0, *NOT_INTEGERS],
    "dry_penalty_last_n": [-2, *NOT_INTEGERS],
    "dry_sequence_breakers": ["a", [""], [1], [b"a"], 5],
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
NAMES = list(REQUEST_FIELDS)


def ends(field: RequestField) -> tuple[list[Any], list[Any]]:
    """Numbers in the range of a field, and others: just outside, and of other types."""
    if field.type is BOOLEAN:
        return [True, False], [0, "true", None]
    low, high = field.type.low, field.type.high
    kind = int if field.type.annotation == "int" else float
    inside = [kind(end) for end in (low, high) if field.type.accepts(end)]
    outside = [kind(end) for end in (low, high) if math.isfinite(end) and kind(end) not in inside]
    return inside, [*outside, kind(low) - 1, NAN, True, "1"]


# Fields that no one has written examples for are numbers or bools.
for NAME in NAMES:
    if NAME not in LEGAL:
        LEGAL[NAME], ILLEGAL[NAME] = ends(REQUEST_FIELDS[NAME])


def table(rows: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, values in rows.items() for value in values]


def test_the_tables_name_every_field() -> None:
    assert set(LEGAL) == set(ILLEGAL) == set(NAMES)
    assert set(NAMES) == {entry.name for entry in dataclasses.fields(GenerationParameters)}
    # What type checkers see is what there is.
    written = ProcessorFields.__dataclass_fields__
    made = GenerationParameters.__mro__[1].__dataclass_fields__
    assert [(name, entry.type) for name, entry in written.items()] == [
        (name, entry.type) for name, entry in made.items()
    ]


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
    assert str(caught.value) == f"{name} must be {caught.value.expected}, got {shown(value)}"


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


SAMPLING = {
    "temperature": [TINY, 1.0, 2.0],
    "seed": [0],
    "top_k": [0, 1],
    "top_p": [0.5, 1.0],
    "typical_p": [0.5, 1.0],
    "min_p": [0.0, 0.1],
    "dynatemp_range": [0.0, 0.5],
    "epsilon_cutoff": [0.0, 0.5],
    "eta_cutoff": [0.0, 0.5],
    "top_n_sigma": [0.0, 1.0],
    "top_h": [0.5, 1.0],
    "xtc_probability": [0.0, 0.5],
    "mirostat": [0, 2],
}
assert set(SAMPLING) - {"seed"} <= set(SAMPLING_FIELDS)
SAMPLING |= {
    name: [value for value in LEGAL[name] if value != REQUEST_FIELDS[name].initial]
    for name in SAMPLING_FIELDS
    if name not in SAMPLING
}
EDITS: dict[str, Any] = {
    "repetition_penalty": 2.0,
    "frequency_penalty": 1.0,
    "presence_penalty": 1.0,
    "logit_bias": {1: 1.0},
    "watermark": True,
    "dry_multiplier": 1.0,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[1]],
    "suppress_tokens": [1],
    "allowed_token_ids": [1],
    "xtc_threshold": 0.2,
    "dynatemp_exponent": 2.0,
    "mirostat_tau": 3.0,
}


@pytest.mark.parametrize(("name", "value"), table(SAMPLING))
def test_what_is_given_means_sampling_whatever_its_value(name: str, value: Any) -> None:
    given = {name: value}
    assert is_sampling(GenerationParameters(**given))
    assert is_sampling(GenerationParameters(**given, do_sample=True))
    assert GenerationParameters(**given, best_of=2).best_of == 2
    if name != "temperature":
        assert not is_sampling(GenerationParameters(**given, temperature=0.0))
    with pytest.raises(ParameterError, match=f"^do_sample must be True or None beside {name}="):
        GenerationParameters(**given, do_sample=False)


def test_edits_alone_do_not_mean_sampling() -> None:
    assert not is_sampling(GenerationParameters())
    assert not is_sampling(GenerationParameters(**EDITS))
    assert not is_sampling(GenerationParameters(**EDITS, temperature=0.0, do_sample=False))
    assert is_sampling(GenerationParameters(**EDITS, do_sample=True))
    assert not is_sampling(GenerationParameters(temperature=0.0, do_sample=True, top_k=5, seed=1))
    assert GenerationParameters().is_greedy
    assert not GenerationParameters(seed=1).is_greedy


@pytest.mark.parametrize("greedy", [{"temperature": 0.0}, {"do_sample": False}])
def test_several_sequences_need_sampling(greedy: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="best_of must be 1 where decoding is greedy, got 2"):
        GenerationParameters(**greedy, best_of=2)


SAMPLERS: list[Processor] = [
    Temperature(1.0),
    DynamicTemperature(1.0, 0.0),
    TopK(0),
    TopP(1.0),
    TypicalP(1.0),
    MinP(0.0),
    EpsilonCutoff(0.0),
    EtaCutoff(0.0),
    TopNSigma(0.0),
    TopH(1.0),
    Xtc(0.0, 0.1, 0),
    Mirostat1(5.0, 0.1),
    Mirostat2(5.0, 0.1),
    AdaptiveP(0.5, 0.9),
    AtLeast(TopP(1.0), 2),
    GumbelWatermark(GumbelScheme(key=1)),
    SynthIdWatermark(SynthId(keys=(1, 2, 3))),
    JointTopKTopP(None, 1.0),
    TopPWithTies(0.5),
]


def test_which_processors_imply_sampling() -> None:
    """All that heat, truncate or are laid into the draw; of the library's, no others."""
    for processor in SAMPLERS:
        assert is_sampling(GenerationParameters(), [processor]), processor
        assert not is_sampling(GenerationParameters(temperature=0.0), [processor])
    kinds = (Kind.SCALE, Kind.TRUNCATION, Kind.DRAW)
    for item in processors.PROCESSORS:
        assert item.facts.implies_sampling == (item.facts.kind in kinds), item
    edits = [
        AtLeast(Bitmask.of([1]), 1),
        Scoped(RepetitionPenalty(2.0), "all"),
        Watermark(tgi()),
        LogitBias({1: 1.0}),
        lambda logits, _: logits,
    ]
    assert not is_sampling(GenerationParameters(), edits)


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
    assert pickle.loads(pickle.dumps(request)) == request  # our own bytes
    assert list(request.logit_bias) == [3, 7]
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.top_k = 1
    with pytest.raises(TypeError):
        request.logit_bias[3] = 0.0
    assert dataclasses.replace(request, top_k=5).top_k == 5
    with pytest.raises(ParameterError):
        dataclasses.replace(request, top_k=-5)


def test_repr_is_the_constructor_call() -> None:
    request = GenerationParameters(top_k=5, logit_bias={1: 2.0}, grammar=Grammar("json", {"a": 1}))
    assert eval(repr(request)) == request  # our own text


def test_every_field_is_in_a_docstring() -> None:
    own, of_processors = GenerationParameters.__doc__ or "", ProcessorFields.__doc__ or ""
    assert all(f"| `{name}` |" in own or f"    {name}: " in of_processors for name in NAMES)


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
    assert str(caught.value) == f"parameter name must be known{hint}, got {shown(name)}"


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
    assert list(map(type, request.to_dict().values())) == [list, dict, dict, float, int]
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
positive = st.integers(1, 2**53)
natural = st.integers(0, 2**53)
texts = st.text(st.characters() | st.just("\ud800"), min_size=1)
share = st.floats(min_value=0.0, max_value=1.0, exclude_min=True)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
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
    "stop": st.lists(texts, max_size=3),
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
    "logit_bias": st.dictionaries(st.integers(0, 2**31 - 1), finite | st.just(-INF), max_size=4),
    "repeat_last_n": st.integers(-1, 2**53),
    "min_tokens": st.just(1),
    "no_repeat_ngram_size": natural,
    "bad_words": st.lists(texts, max_size=3),
    "dry_base": st.floats(1.0, 9.0),
    "dry_allowed_length": positive,
    "dry_penalty_last_n": st.integers(-1, 2**53),
    "dry_sequence_breakers": st.lists(texts, max_size=3),
    "dynatemp_range": st.floats(0.0, 9.0),
    "dynatemp_exponent": st.floats(0.0, 9.0),
    "epsilon_cutoff": st.floats(0.0, 0.9),
    "eta_cutoff": st.floats(0.0, 0.9),
    "top_n_sigma": st.floats(0.0, 9.0),
    "xtc_threshold": st.floats(0.0, 1.0),
    "mirostat_tau": st.floats(0.0, 9.0),
    "mirostat_eta": st.floats(0.0, 9.0),
    "bad_words_ids": st.lists(st.lists(st.integers(0, 9), min_size=1), max_size=3),
    "suppress_tokens": st.lists(st.integers(0, 9), max_size=3),
    "allowed_token_ids": st.lists(st.integers(0, 9), min_size=1, max_size=3),
    "dry_multiplier": st.floats(0.0, 9.0),
    "top_h": share,
    "xtc_probability": st.floats(0.0, 1.0),
    "mirostat": st.integers(0, 2),
}
assert set(OPTIONAL) <= set(NAMES)
OPTIONAL |= {name: st.sampled_from(LEGAL[name]) for name in NAMES if name not in OPTIONAL}


def consistent(asked: dict[str, Any]) -> dict[str, Any]:
    """Without what `do_sample=False` cannot stand beside."""
    if asked.get("do_sample") is False:
        return {name: value for name, value in asked.items() if name not in SAMPLING}
    return asked


requests = st.fixed_dictionaries({}, optional=OPTIONAL).map(consistent)


@given(requests)
def test_round_trip(asked: dict[str, Any]) -> None:
    request = GenerationParameters(**asked)
    again = GenerationParameters.from_dict(request.to_dict())
    assert again == request
    assert hash(again) == hash(request)
    assert again.to_dict() == request.to_dict()
    assert set(request.to_dict()) <= set(asked)


@given(requests)
def test_round_trip_through_json(asked: dict[str, Any]) -> None:
    request = GenerationParameters(**asked)
    text = json.dumps(request.to_dict())
    again = GenerationParameters.from_dict(json.loads(text))
    assert again == request
    assert hash(again) == hash(request)
    assert json.dumps(again.to_dict()) == text


@pytest.mark.parametrize(
    ("given_bias", "kept"),
    [
        ({"5": 1.5}, {5: 1.5}),
        ({"0": -INF, "12": 2}, {0: -INF, 12: 2.0}),
        ({"5": "-Infinity"}, {5: -INF}),
        ({5: 1.5, "6": 1}, {5: 1.5, 6: 1.0}),
        ({}, {}),
    ],
)
def test_the_ids_of_a_bias_may_be_text_in_a_dict(given_bias: Any, kept: Any) -> None:
    assert GenerationParameters.from_dict({"logit_bias": given_bias}).logit_bias == kept


@pytest.mark.parametrize(
    "bias",
    [
        {"05": 1.0},
        {"+5": 1.0},
        {"-5": 1.0},
        {" 5": 1.0},
        {"5.0": 1.0},
        {"٥": 1.0},
        {"": 1.0},
        {"a": 1.0},
        {str(2**31): 1.0},
        {"9" * 10_000: 1.0},
        {"5": "1.5"},
        {"5": "Infinity"},
        {"5": 1.0, 5: 1.0},
        [["5", 1.0]],
    ],
)
def test_other_text_is_no_bias(bias: Any) -> None:
    with pytest.raises(ParameterError, match=r"^logit_bias must be") as caught:
        GenerationParameters.from_dict({"logit_bias": bias})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("mapping", [None, "top_k=1", [("top_k", 1)], 5])
def test_a_dict_is_a_mapping(mapping: Any) -> None:
    with pytest.raises(ParameterError, match=r"^parameters must be a mapping"):
        GenerationParameters.from_dict(mapping)


class Endless(Sequence[Any]):
    """A sequence that has no end and does not know its length."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __len__(self) -> int:
        raise TypeError

    def __getitem__(self, index: Any) -> Any:
        return self.item


TOO_MANY = {
    "strings": ["a"] * 10**6,
    "characters": ["a" * 10**6],
    "endless strings": Endless("a"),
    "token ids": range(10**15),
    "endless token ids": Endless(1),
    "a large list": [1] * 10**7,
    "an array": np.ones(3 * 10**6, np.int64),
    "sequences": [[1] * 10**6] * 100,
    "biases": dict.fromkeys(range(2 * 10**6), 1.0),
}


@pytest.mark.parametrize(
    ("name", "what", "limit"),
    [
        *itertools.product(
            ["stop", "bad_words", "dry_sequence_breakers"],
            ["strings", "characters", "endless strings"],
            ["at most 16384 of 262144 characters in all"],
        ),
        *itertools.product(
            ["suppress_tokens", "allowed_token_ids"],
            ["token ids", "endless token ids", "a large list", "an array"],
            ["at most 1048576 token ids in all"],
        ),
        ("bad_words_ids", "sequences", "at most 1048576 token ids in all"),
        ("bad_words_ids", "token ids", "a sequence of non-empty sequences"),
        ("logit_bias", "biases", "at most 1048576 token ids in all"),
    ],
)
def test_a_request_is_bounded(name: str, what: str, limit: str) -> None:
    value = TOO_MANY[what]
    with pytest.raises(ParameterError, match=f"^{name} must be .*{limit}") as caught:
        GenerationParameters(**{name: value})
    assert caught.value.value is value
    assert len(str(caught.value)) < 1000


def test_token_ids_may_be_arrays_and_tensors() -> None:
    torch = pytest.importorskip("torch")
    ids = np.array([[1, 2], [3, 4]])
    for form in (ids, torch.from_numpy(ids), ids.astype(np.uint8), list(ids), ids.tolist()):
        asked = GenerationParameters(bad_words_ids=form, suppress_tokens=form[0])
        assert asked.bad_words_ids == ((1, 2), (3, 4))
        assert asked.suppress_tokens == (1, 2)


@given(requests)
def test_an_unset_field_is_the_same_as_its_default(asked: dict[str, Any]) -> None:
    default = {
        field.name: getattr(GenerationParameters(), field.name)
        for field in dataclasses.fields(GenerationParameters)
    }
    assert GenerationParameters(**{**default, **asked}) == GenerationParameters(**asked)


@pytest.mark.parametrize("name", ["top_k", "best_of", "max_new_tokens", "temperature", "seed"])
def test_an_integer_of_many_digits_is_refused_in_a_bounded_message(name: str) -> None:
    huge: dict[str, Any] = {name: 10**5000}
    with pytest.raises(ParameterError, match=rf"^{name} must be ") as caught:
        GenerationParameters(**huge)
    assert len(str(caught.value)) < 200
