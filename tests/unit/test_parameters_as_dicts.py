"""Generation parameters as dicts and JSON text, and the most that a request may hold."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parameter_values import INF, LEGAL, NAMES, SAMPLING
from profiles import spread

from decoding.errors import ParameterError
from decoding.parameters import GenerationParameters
from decoding.request_grammar import Grammar

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
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
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
    spread(
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
        8,
    ),
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
