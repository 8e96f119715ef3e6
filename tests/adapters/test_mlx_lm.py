"""The adapter of mlx-lm, with NumPy in the place of `mlx.core` and a stand-in for its loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, LanguageModel, Sampler, chain, generate, presets
from decoding.adapters.mlx_lm import forward, processor, sampler
from decoding.errors import (
    EmptySupportError,
    MissingDependencyError,
    ParameterError,
    UnsupportedFeatureError,
)
from decoding.processors import SuppressTokens, Temperature

VOCAB = 30


class Cache:
    """A prompt cache that holds the token ids."""

    def __init__(self, *, trims: bool = True) -> None:
        self.token_ids: list[int] = []
        self.trims = trims


class Model:
    """A model whose logits depend on the tokens that its cache holds."""

    trims = True

    def __call__(self, tokens: np.ndarray, cache: list[Cache]) -> np.ndarray:
        rows = []
        for token in tokens[0].tolist():
            cache[0].token_ids.append(token)
            rows.append(logits_after(cache[0].token_ids))
        return np.stack(rows)[None]


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    core = ModuleType("mlx.core")
    core.__dict__.update(array=np.array, float32=np.float32, concatenate=np.concatenate)

    def trim(caches: list[Cache], count: int) -> None:
        for cache in caches:
            del cache.token_ids[len(cache.token_ids) - count :]

    caches = SimpleNamespace(
        make_prompt_cache=lambda model: [Cache(trims=model.trims)],
        can_trim_prompt_cache=lambda held: all(cache.trims for cache in held),
        trim_prompt_cache=trim,
    )
    mlx = ModuleType("mlx")
    mlx.core = core
    for name, module in (
        ("mlx", mlx),
        ("mlx.core", core),
        ("mlx_lm", ModuleType("mlx_lm")),
        ("mlx_lm.models", ModuleType("mlx_lm.models")),
        ("mlx_lm.models.cache", caches),
    ):
        monkeypatch.setitem(sys.modules, name, module)


def logits_after(token_ids: Any) -> np.ndarray:
    generator = np.random.default_rng([int(item) for item in token_ids])
    return (3 * generator.standard_normal(VOCAB)).astype(np.float32)


def plain(rows: list[list[int]]) -> np.ndarray:
    return np.stack([logits_after(row) for row in rows])


def steps(prompt: list[int], logits_processor: Any) -> Iterator[int]:
    """Its `generate_step`: one step more is computed than is yielded; the sampler is greedy."""
    known = list(prompt)

    def step() -> int:
        row = logits_processor(np.array(known), logits_after(known)[None])
        known.append(int(row.argmax()))
        return known[-1]

    token = step()
    while True:
        following = step()
        yield token
        token = following


def first(tokens: Iterator[int], count: int) -> list[int]:
    return [token for _, token in zip(range(count), tokens, strict=False)]


def test_its_loop_draws_what_our_loop_draws() -> None:
    pipeline = presets.mlx_lm(temp=0.8, top_k=20, xtc_probability=0.5, repetition_penalty=1.2)
    draws = sampler(Sampler(pipeline, 5))
    for prompt in ([1, 2, 3], [4]):  # one text after another
        asked = GenerationParameters(seed=5, max_new_tokens=12)
        ours = generate(plain, prompt, asked, pipeline=pipeline)
        assert first(steps(prompt, draws), 12) == [token.id for token in ours.tokens]


def test_a_processor_edits_and_it_draws() -> None:
    banned = tuple(range(10, VOCAB))
    asked = GenerationParameters(suppress_tokens=banned, max_new_tokens=10)
    ours = generate(plain, [1, 2], asked)
    edits = processor(SuppressTokens(banned))
    assert first(steps([1, 2], edits), 10) == [token.id for token in ours.tokens]


def test_an_error_comes_before_the_failed_token_and_not_before_those_that_are_fine() -> None:
    def nothing(logits: Any, history: Any) -> Any:
        return np.full_like(logits, -np.inf) if history.lengths[0] == 5 else logits

    found: list[int] = []
    with pytest.raises(EmptySupportError):
        found.extend(islice(steps([1, 2], sampler(Sampler(chain(nothing), 1))), 10))
    assert len(found) == 3
    # A text that is left off there, and another one, never see it.
    draws = sampler(Sampler(chain(nothing), 1))
    assert len(first(steps([1, 2], draws), 3)) == 3
    assert len(first(steps([9], draws), 2)) == 2


def test_its_model_is_a_cached_model() -> None:
    model = forward(Model())
    [one, two], logits = model.prefill([[1, 2], [3]], all_positions=True)
    assert np.array_equal(logits, plain([[1], [1, 2], [3]]))
    twin = model.fork(one)
    assert np.array_equal(model.extend([one, two], [[5, 6], [7]]), plain([[1, 2, 5, 6], [3, 7]]))
    model.rollback(one, 3)
    after = model.extend([one, twin], [[8], [8]])
    assert np.array_equal(after, plain([[1, 8], [1, 2, 8]]))
    model.release(twin)
    model.release(twin)
    for broken, message in (
        (lambda: model.extend([twin], [[1]]), "released"),
        (lambda: model.extend([one, one], [[1], [1]]), "different states"),
        (lambda: model.extend([one], [[]]), "at least one token"),
        (lambda: model.rollback(one, 3), "the sequence's length"),
    ):
        with pytest.raises(ParameterError, match=message):
            broken()


def test_a_cache_that_cannot_be_trimmed_is_not_rolled_back() -> None:
    inner = Model()
    inner.trims = False
    model = forward(inner)
    [state], _ = model.prefill([[1, 2]])
    model.rollback(state, 0)
    with pytest.raises(UnsupportedFeatureError, match="cannot be trimmed"):
        model.rollback(state, 1)


def test_our_loop_runs_on_it() -> None:
    asked = GenerationParameters(seed=4, top_p=0.9, best_of=2, max_new_tokens=10)
    mine = generate(LanguageModel(forward=forward(Model())), [1, 2], asked)
    assert mine == generate(plain, [1, 2], asked)


def test_without_mlx_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlx.core", None)
    monkeypatch.delattr(sys.modules["mlx"], "core")
    with pytest.raises(MissingDependencyError, match="mlx"):
        sampler(Sampler(Temperature(0.8), 1))(np.array([1]), logits_after([1])[None])
