"""The preset `llama_cpp` against llama.cpp's sampler chain in the same order."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from preset_oracle import GONE, WIDTH, assert_preset_equals, cut, maybe

from decoding import presets
from decoding.history import History
from decoding.presets.llama_cpp import DEFAULT_SAMPLERS

llama = pytest.importorskip("llama_cpp")


def theirs(given: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    """The row after the chain that `common_sampler_init` makes of the same parameters."""

    def of(name: str, default: Any) -> Any:
        return given.get(name, default)

    keep = of("min_keep", 0)
    makers = {
        "penalties": lambda: llama.llama_sampler_init_penalties(
            len(row),
            of("repeat_last_n", 64),
            of("repeat_penalty", 1.0),
            of("frequency_penalty", 0.0),
            of("presence_penalty", 0.0),
        ),
        "dry": lambda: llama.llama_sampler_init_dry(
            None,
            of("dry_multiplier", 0.0),
            of("dry_base", 1.75),
            of("dry_allowed_length", 2),
            of("dry_penalty_last_n", 64),
            None,
            0,
        ),
        "top_n_sigma": lambda: llama.llama_sampler_init_top_n_sigma(of("top_n_sigma", -1.0)),
        "top_k": lambda: llama.llama_sampler_init_top_k(of("top_k", 40)),
        "typ_p": lambda: llama.llama_sampler_init_typical(of("typ_p", 1.0), keep),
        "top_p": lambda: llama.llama_sampler_init_top_p(of("top_p", 0.95), keep),
        "min_p": lambda: llama.llama_sampler_init_min_p(of("min_p", 0.05), keep),
        "xtc": lambda: llama.llama_sampler_init_xtc(
            of("xtc_probability", 0.0), of("xtc_threshold", 0.1), keep, 0
        ),
        "temperature": lambda: llama.llama_sampler_init_temp_ext(
            of("temp", 0.8), of("dynatemp_range", 0.0), of("dynatemp_exponent", 1.0)
        ),
    }
    sampler = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    bias = given.get("logit_bias", {})
    entries = (llama.llama_logit_bias * len(bias))(
        *(llama.llama_logit_bias(token_id, value) for token_id, value in bias.items())
    )
    chosen = [llama.llama_sampler_init_logit_bias(len(row), len(bias), entries)]
    chosen += [makers[name]() for name in of("samplers", DEFAULT_SAMPLERS)]
    for part in chosen:
        llama.llama_sampler_chain_add(sampler, part)
    for token_id in prompt + generated:
        llama.llama_sampler_accept(sampler, token_id)
    data = (llama.llama_token_data * len(row))(
        *(llama.llama_token_data(index, value, 0.0) for index, value in enumerate(row.tolist()))
    )
    candidates = llama.llama_token_data_array(data, len(row), -1, False)
    llama.llama_sampler_apply(sampler, ctypes.byref(candidates))
    left = np.full(len(row), GONE)
    for index in range(candidates.size):
        left[candidates.data[index].id] = candidates.data[index].logit
    llama.llama_sampler_free(sampler)
    return left


def draw(generator: np.random.Generator) -> dict[str, Any]:
    ids = generator.permutation(WIDTH).tolist()
    given = maybe(
        generator,
        logit_bias={ids[0]: 2.0, ids[1]: -3.0},
        repeat_last_n=int(generator.integers(0, 80)),
        repeat_penalty=float(generator.uniform(0.5, 2)),
        frequency_penalty=float(generator.uniform(-0.5, 0.5)),
        presence_penalty=float(generator.uniform(-2, 2)),
        dry_multiplier=float(generator.uniform(0, 2)),
        dry_base=float(generator.uniform(1, 1.3)),
        dry_allowed_length=int(generator.integers(1, 4)),
        dry_penalty_last_n=int(generator.integers(0, 80)),
        top_k=int(generator.integers(-1, 45)),
        top_p=cut(generator),
        min_p=cut(generator) ** 3,
        temp=float(generator.uniform(0.3, 2.5)) if generator.random() < 0.9 else 0.0,
        xtc_probability=1.0,
        xtc_threshold=cut(generator) / 4,
        dynatemp_range=float(generator.uniform(0, 0.3)),
        dynatemp_exponent=float(generator.uniform(0.5, 2)),
    )
    if given.get("temp") == 0.0:
        given.pop("dynatemp_range", None)
    # Two that do not mix: what top-nσ removes stays in their row, as a later filter's NaN; and
    # their floor under typical-p is another.
    name = ("top_n_sigma", "typ_p", "min_keep")[int(generator.integers(3))]
    given[name] = {
        "top_n_sigma": float(generator.uniform(0.3, 3)),
        "typ_p": cut(generator),
        "min_keep": int(generator.integers(0, 6)),
    }[name]
    if name == "top_n_sigma":
        given.pop("dynatemp_range", None)
    return given


def is_greedy(given: Any) -> bool:
    return given.get("temp") == 0.0 and "temperature" in given.get("samplers", DEFAULT_SAMPLERS)


def shuffled(generator: np.random.Generator) -> dict[str, Any]:
    count = int(generator.integers(1, len(DEFAULT_SAMPLERS) + 1))
    names = [str(name) for name in generator.permutation(DEFAULT_SAMPLERS)][:count]
    return {**draw(generator), "samplers": tuple(names)}


def test_distributions_are_equal_in_the_default_order() -> None:
    assert_preset_equals(presets.llama_cpp, draw, theirs, is_greedy)


def test_distributions_are_equal_in_any_order() -> None:
    assert_preset_equals(presets.llama_cpp, shuffled, theirs, is_greedy)


def assert_same_support(row: list[float], **given: Any) -> None:
    logits = np.array(row, np.float32)
    got = presets.llama_cpp(**given)(logits[None], History.of([[0]]))[0]
    assert np.array_equal(got > GONE, theirs(given, logits, [0], []) > GONE)


@pytest.mark.xfail(strict=True, reason="of typical-p they floor the most typical, we the likeliest")
def test_the_floor_under_typical_p() -> None:
    row = np.log([0.4, 0.12, 0.13, 0.11, 0.14, 0.1]).tolist()
    assert_same_support(row, samplers=("typ_p",), typ_p=0.1, min_keep=2)


@pytest.mark.xfail(
    strict=True, reason="their typical-p keeps one of two tokens that tie at its cut"
)
def test_ties_at_the_cut_of_typical_p() -> None:
    assert_same_support([0.0, 0.0, 0.0, 0.0], samplers=("typ_p",), typ_p=0.3)


@pytest.mark.xfail(strict=True, reason="they keep one of XTC's least likely choices that tie")
def test_ties_of_the_least_likely_choice() -> None:
    row = np.log([0.4, 0.25, 0.25, 0.1]).tolist()
    assert_same_support(row, samplers=("xtc",), xtc_probability=1.0, xtc_threshold=0.2)


@pytest.mark.xfail(strict=True, reason="an impossible token makes their typical-p's entropy NaN")
def test_typical_p_after_an_impossible_token() -> None:
    row = np.log([0.5, 0.3, 0.2]).tolist()
    assert_same_support([*row, GONE], samplers=("typ_p",), typ_p=0.4)


@pytest.mark.xfail(
    strict=True, reason="around a temp of 0 a range of temperatures is an error here"
)
def test_dynamic_temperature_around_zero() -> None:
    assert_same_support([0.0, 1.0], temp=0.0, dynatemp_range=0.5)
