"""`GenerationParameters`: ranges, strict types, normal forms, and the round trip through a dict."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
from typing import Any

import numpy as np
import pytest
from parameter_values import (
    ILLEGAL,
    INF,
    LEGAL,
    NAMES,
    SAMPLING,
)

from decoding import processors
from decoding.errors import ParameterError, shown
from decoding.facts import Kind
from decoding.parameters import GenerationParameters, TokenBias, is_sampling
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
from decoding.request_grammar import Grammar
from decoding.typing import Processor
from decoding.watermark.gumbel import GumbelScheme
from decoding.watermark.presets import tgi
from decoding.watermark.synthid import SynthId


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
