"""Presets: orders, neutral values, ranges, and rules of a single engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decoding import (
    AtLeast,
    BadWords,
    DynamicTemperature,
    FrequencyPenalty,
    History,
    LogitBias,
    MinP,
    MinTokens,
    Pipeline,
    PresencePenalty,
    RepetitionPenalty,
    Sample,
    Sampler,
    Scoped,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
    chain,
    presets,
    sample,
)
from decoding.errors import ParameterError
from decoding.presets.arguments import biases, number, sequences, token_ids, whole
from decoding.presets.mlx_lm import TopPWithTies
from decoding.presets.sglang import JointTopKTopP
from decoding.presets.tgi import RelativeFrequencyPenalty

PRESETS: dict[str, Callable[..., Pipeline]] = {
    name: getattr(presets, name) for name in presets.__all__
}


@pytest.mark.parametrize(
    ("name", "processors"),
    [
        ("tgi", ()),
        ("transformers", ()),
        ("vllm", (Temperature(1.0),)),
        ("sglang", (Temperature(1.0),)),
        ("llama_cpp", (TopK(40, keep_ties=False), TopP(0.95), MinP(0.05), Temperature(0.8))),
        ("mlx_lm", ()),
    ],
)
def test_defaults(name: str, processors: tuple[Any, ...]) -> None:
    assert PRESETS[name]() == chain(*processors)


def test_the_defaults_of_transformers_where_it_samples() -> None:
    assert presets.transformers(do_sample=True) == chain(Temperature(1.0), TopK(50))


def test_tgi_in_its_order() -> None:
    pipeline = presets.tgi(
        watermark=True,
        repetition_penalty=1.2,
        frequency_penalty=0.5,
        temperature=0.7,
        top_k=10,
        top_p=0.9,
        typical_p=0.8,
    )
    assert isinstance(pipeline.processors[0], Watermark)
    assert pipeline.processors[1:] == (
        RepetitionPenalty(1.2),
        RelativeFrequencyPenalty(0.5),
        Temperature(0.7),
        TopK(10),
        TopP(0.9),
        TypicalP(0.8),
    )


def test_vllm_in_its_order() -> None:
    assert presets.vllm(
        bad_words=[[1, 2]],
        min_tokens=3,
        stop_token_ids=[0],
        logit_bias={4: 500.0, 5: -math.inf},
        repetition_penalty=1.2,
        frequency_penalty=0.5,
        presence_penalty=0.25,
        temperature=0.001,
        min_p=0.1,
        top_k=10,
        top_p=0.9,
    ) == chain(
        Scoped(BadWords([(1, 2)]), "generated"),
        MinTokens(3, (0,)),
        LogitBias({4: 100.0, 5: -100.0}),
        RepetitionPenalty(1.2),
        FrequencyPenalty(0.5),
        PresencePenalty(0.25),
        Temperature(0.01),
        MinP(0.1),
        TopK(10),
        TopP(0.9),
    )


def test_sglang_in_its_order() -> None:
    assert presets.sglang(
        frequency_penalty=0.5,
        repetition_penalty=1.2,
        logit_bias={4: 1.0},
        temperature=0.7,
        top_k=10,
        top_p=0.9,
        min_p=0.1,
    ) == chain(
        FrequencyPenalty(0.5),
        Scoped(RepetitionPenalty(1.2), "generated"),
        LogitBias({4: 1.0}),
        Temperature(0.7),
        JointTopKTopP(10, 0.9),
        MinP(0.1),
    )
    assert presets.sglang(top_k=10) == chain(Temperature(1.0), TopK(10, keep_ties=False))


def test_llama_cpp_in_an_order_of_the_callers() -> None:
    assert presets.llama_cpp(
        samplers=("temperature", "min_p", "penalties"),
        min_keep=3,
        repeat_penalty=1.2,
        dynatemp_range=0.5,
        logit_bias={1: 1.0},
    ) == chain(
        LogitBias({1: 1.0}),
        DynamicTemperature(0.8, 0.5, 1.0),
        AtLeast(MinP(0.05), 3),
        Scoped(RepetitionPenalty(1.2), "all", 64),
    )


def test_mlx_lm_in_its_order() -> None:
    pipeline = presets.mlx_lm(
        repetition_penalty=1.2,
        temp=0.7,
        top_p=0.9,
        min_p=0.1,
        min_tokens_to_keep=2,
        xtc_probability=0.5,
        xtc_special_tokens=[7],
        top_k=10,
        seed=3,
    )
    assert pipeline == chain(
        Scoped(RepetitionPenalty(1.2), "all", 20),
        TopPWithTies(0.9),
        AtLeast(MinP(0.1), 2),
        Xtc(0.5, math.nextafter(0.1, 1.0), 3, (7,)),
        TopK(10, keep_ties=False),
        Temperature(0.7),
    )


@pytest.mark.parametrize(
    ("name", "given", "processors"),
    [
        ("vllm", {"temperature": 0.0, "top_p": 0.5}, (RepetitionPenalty(2.0),)),
        (
            "sglang",
            {"temperature": 1e-7, "top_k": 5},
            (Scoped(RepetitionPenalty(2.0), "generated"),),
        ),
        ("mlx_lm", {"temp": 0.0, "min_p": 0.5}, (Scoped(RepetitionPenalty(2.0), "all", 20),)),
        (
            "transformers",
            {"renormalize_logits": False},
            (RepetitionPenalty(2.0),),
        ),
    ],
)
def test_greedy_leaves_the_edits(name: str, given: Any, processors: tuple[Any, ...]) -> None:
    assert PRESETS[name](repetition_penalty=2.0, **given) == chain(*processors)


def test_greedy_of_llama_cpp_is_the_likeliest_of_what_precedes_the_temperature() -> None:
    samplers = ("top_k", "temperature", "min_p")
    expected = chain(TopK(40, keep_ties=False), TopK(1, keep_ties=False))
    assert presets.llama_cpp(temp=0.0, samplers=samplers) == expected


def test_llama_cpp_without_a_temperature_samples_at_one() -> None:
    assert presets.llama_cpp(samplers=(), temp=0.0) == chain(Temperature(1.0))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tgi", {"repetition_penalty": 1.0, "frequency_penalty": 0.0, "temperature": 1.0}),
        ("vllm", {"top_k": -1, "top_p": 1.0, "repetition_penalty": 1, "logit_bias": {}}),
        ("sglang", {"top_k": -1, "top_p": 1, "min_new_tokens": 3}),
        ("transformers", {"do_sample": True, "top_k": 0, "top_p": 1.0, "typical_p": 1, "min_p": 0}),
        ("mlx_lm", {"temp": 1.0, "top_p": 1.0, "repetition_penalty": 0.0}),
        (
            "llama_cpp",
            {"temp": 1.0, "top_k": 0, "top_p": 1.5, "min_p": -1.0, "dry_multiplier": 0.0},
        ),
    ],
)
def test_neutral_parameters_leave_the_temperature_which_means_sampling(
    name: str, given: Any
) -> None:
    assert PRESETS[name](**given) == chain(Temperature(1.0))


@pytest.mark.parametrize(
    ("name", "parameter", "values"),
    [
        ("tgi", "temperature", (0.0, -1.0, math.nan, math.inf, True, "1")),
        ("tgi", "top_p", (0.0, 1.0, math.nan)),
        ("tgi", "typical_p", (0.0, 1.0)),
        ("tgi", "top_k", (0, -1, 1.0, True)),
        ("tgi", "repetition_penalty", (0.0, -1.0)),
        ("tgi", "frequency_penalty", (-2.1, 2.1)),
        ("tgi", "watermark", (1, None)),
        ("transformers", "temperature", (0.0, -1.0)),
        ("transformers", "top_p", (-0.1, 1.1)),
        ("transformers", "top_k", (-1, 2.0)),
        ("transformers", "top_h", (0.0, 1.1)),
        ("transformers", "typical_p", (0.0, 1.1)),
        ("transformers", "epsilon_cutoff", (-0.1, 1.0)),
        ("transformers", "eta_cutoff", (-0.1, 1.0)),
        ("transformers", "min_p", (-0.1, 1.1)),
        ("transformers", "bad_words_ids", ([[]], [1], "a", [[-1]])),
        ("transformers", "exponential_decay_length_penalty", ((1,), 3)),
        ("transformers", "max_length", (0,)),
        ("transformers", "do_sample", (1, None)),
        ("vllm", "temperature", (-0.1, 2.1)),
        ("vllm", "top_k", (-2, 1.5)),
        ("vllm", "top_p", (0.0, 1.1)),
        ("vllm", "min_p", (-0.1, 1.1)),
        ("vllm", "presence_penalty", (-2.1, 2.1)),
        ("vllm", "allowed_token_ids", ((), (-1,))),
        ("vllm", "min_tokens", (-1,)),
        ("vllm", "logit_bias", ({1: math.nan}, {1: math.inf}, {-1: 0.0}, 3)),
        ("sglang", "top_k", (0, -2)),
        ("sglang", "top_p", (0.0, 1.1)),
        ("sglang", "repetition_penalty", (0.0, 2.1)),
        ("sglang", "temperature", (-0.1, math.inf)),
        ("mlx_lm", "temp", (-0.1,)),
        ("mlx_lm", "top_p", (-0.1, 1.1)),
        ("mlx_lm", "xtc_threshold", (-0.1, 0.6)),
        ("mlx_lm", "min_tokens_to_keep", (0,)),
        ("mlx_lm", "repetition_context_size", (0,)),
        ("mlx_lm", "seed", (-1, 2**64)),
        ("llama_cpp", "repeat_penalty", (0.0, math.inf)),
        ("llama_cpp", "repeat_last_n", (-1,)),
        ("llama_cpp", "min_p", (1.1,)),
        ("llama_cpp", "dry_base", (0.9,)),
        ("llama_cpp", "samplers", (("top_q",), ("top_k", "top_k"), "top_k")),
    ],
)
def test_values_outside_the_range_are_errors(
    name: str, parameter: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        with pytest.raises(ParameterError, match=f"^{parameter}") as caught:
            PRESETS[name](**{parameter: value})
        assert caught.value.name.startswith(parameter)


def test_a_sampling_parameter_of_transformers_needs_sampling() -> None:
    with pytest.raises(ParameterError, match="do_sample must be True beside Temperature"):
        presets.transformers(temperature=0.7)


def test_guidance_needs_the_other_logits() -> None:
    with pytest.raises(ParameterError, match=r"^unconditional"):
        presets.transformers(guidance_scale=2.0)


def test_dynamic_temperature_needs_a_temperature() -> None:
    with pytest.raises(ParameterError, match=r"^dynatemp_range"):
        presets.llama_cpp(temp=0.0, dynatemp_range=0.5)


def test_processors_of_the_callers_stand_before_the_temperature() -> None:
    pipeline = presets.transformers(
        repetition_penalty=2.0,
        logits_processor=[LogitBias({0: 1.0})],
        do_sample=True,
        temperature=0.5,
        top_k=None,
    )
    assert pipeline == chain(RepetitionPenalty(2.0), LogitBias({0: 1.0}), Temperature(0.5))


def test_the_frequency_penalty_of_tgi_divides_by_the_length() -> None:
    history = History.of([[1, 1, 2]], [[3]])
    got = RelativeFrequencyPenalty(1.0)(np.zeros((1, 4)), history)
    assert got.tolist() == [[0.0, -0.5, -0.25, -0.25]]


def test_the_frequency_penalty_of_tgi_without_a_text() -> None:
    row = np.ones((1, 4))
    assert RelativeFrequencyPenalty(1.0)(row, History.empty(1)).tolist() == row.tolist()
    assert RelativeFrequencyPenalty(0.0)(row, History.empty(1)) is row


@pytest.mark.parametrize(
    ("probs", "top_k", "top_p", "kept"),
    [
        ([0.5, 0.25, 0.25], None, 0.5, [True, True, False]),
        ([0.25] * 4, None, 0.5, [True, True, True, False]),
        # Top-p would be of 0.5 / 0.75 after top-k; here it is of 0.5.
        ([0.5, 0.25, 0.25], 2, 0.6, [True, True, False]),
        ([0.4, 0.3, 0.3], 2, 0.55, [True, True, False]),
        ([0.4, 0.3, 0.3], 1, 0.9, [True, False, False]),
        ([1.0, 0.0], None, 0.9, [True, False]),
    ],
)
def test_top_k_and_top_p_of_sglang(
    probs: list[float], top_k: int | None, top_p: float, kept: list[bool]
) -> None:
    with np.errstate(divide="ignore"):
        row = np.log([probs])
    got = JointTopKTopP(top_k, top_p)(row, History.empty(1))
    assert (got > -np.inf)[0].tolist() == kept


@pytest.mark.parametrize(
    ("probs", "top_p", "kept"),
    [
        ([0.5, 0.25, 0.25], 0.5, [True, False, False]),
        ([0.5, 0.25, 0.25], 0.6, [True, True, True]),
        ([0.25] * 4, 0.1, [True] * 4),
        ([1.0, 0.0], 0.9, [True, False]),
    ],
)
def test_top_p_of_mlx_lm(probs: list[float], top_p: float, kept: list[bool]) -> None:
    with np.errstate(divide="ignore"):
        row = np.log([probs])
    assert (TopPWithTies(top_p)(row, History.empty(1)) > -np.inf)[0].tolist() == kept


@pytest.mark.parametrize("processor", [JointTopKTopP(2, 0.5), TopPWithTies(0.5)])
def test_an_impossible_row_stays_impossible(processor: Any) -> None:
    assert np.isneginf(processor(np.full((1, 3), -np.inf), History.empty(1))).all()


@pytest.mark.parametrize("processor", [JointTopKTopP(None, 1.0), TopPWithTies(1.0)])
def test_neutral_is_the_same_object(processor: Any) -> None:
    row = np.zeros((1, 3))
    assert processor(row, History.empty(1)) is row


def test_checks() -> None:
    assert (number("x", np.float32(0.5)), whole("x", np.int64(3), at_least=0)) == (0.5, 3)
    assert (token_ids("x", None), token_ids("x", 3), token_ids("x", {3})) == ((), (3,), (3,))
    assert (sequences("x", None), sequences("x", [[1, 2]])) == ((), ((1, 2),))
    assert (biases("x", None), biases("x", {1: -math.inf})) == ({}, {1: -math.inf})
    with pytest.raises(ParameterError, match="x must be an integer >= 0 and <= 5, got 6"):
        whole("x", 6, at_least=0, at_most=5)
    for check in (token_ids, sequences):
        with pytest.raises(ParameterError):
            check("x", "ab")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tgi", {"frequency_penalty": 1.0, "temperature": 0.7, "top_p": 0.8}),
        ("transformers", {"do_sample": True, "temperature": 0.7, "top_k": 5, "top_h": 0.7}),
        ("vllm", {"presence_penalty": 1.0, "min_p": 0.1, "top_p": 0.8}),
        ("sglang", {"repetition_penalty": 1.5, "top_k": 5, "top_p": 0.8, "min_p": 0.1}),
        ("llama_cpp", {"repeat_penalty": 1.5, "top_n_sigma": 1.0}),
        ("mlx_lm", {"presence_penalty": 1.0, "temp": 0.7, "top_p": 0.8, "top_k": 5}),
    ],
)
def test_a_sampler_draws_from_what_the_pipeline_leaves(name: str, given: Any) -> None:
    pipeline = PRESETS[name](**given)
    row = np.linspace(-3.0, 3.0, 20)[None] ** 3 / 9
    history = History.of([[1, 17]], [[18, 18]])
    left = pipeline(row, history)[0]
    logprobs = left - np.log(np.exp(left).sum())
    for seed in range(20):
        [drawn] = sample(row, history, [Sampler(pipeline, seed=seed)])
        assert isinstance(drawn, Sample)
        assert drawn.support_size == (left > -np.inf).sum()
        assert drawn.processed_logprob == pytest.approx(logprobs[drawn.token_id])
