"""The adapter of onnxruntime-genai, with a stand-in for its `Generator`."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, LanguageModel, Sampler, chain, generate
from decoding.adapters.onnxruntime_genai import forward, processor, sampler
from decoding.errors import EmptySupportError, MissingDependencyError, ParameterError
from decoding.processors import Mirostat2, SuppressTokens, Temperature

VOCAB = 30


class Generator:
    """Rows of token ids whose next token is the likeliest of the logits, as they are set."""

    def __init__(self, model: Any, parameters: Any) -> None:
        self.rows: list[list[int]] = [[] for _ in range(parameters.options["batch_size"])]
        self.longest = parameters.options["max_length"]
        self.set: np.ndarray | None = None

    def append_tokens(self, token_ids: np.ndarray) -> None:
        assert token_ids.dtype == np.int32
        for row, new in zip(self.rows, np.atleast_2d(token_ids).tolist(), strict=True):
            row.extend(new)
            assert len(row) < self.longest
        self.set = None

    def get_logits(self) -> np.ndarray:
        rows = np.stack([logits_after(row) for row in self.rows])
        return rows[:, None] if self.set is None else self.set

    def set_logits(self, logits: np.ndarray) -> None:
        assert logits.shape == (len(self.rows), 1, VOCAB)
        assert logits.dtype == np.float32
        self.set = logits

    def generate_next_token(self) -> None:
        tokens = self.get_logits()[:, 0].argmax(1)
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        self.set = None

    def get_sequence(self, row: int) -> np.ndarray:
        return np.array(self.rows[row], np.int32)

    def rewind_to(self, length: int) -> None:
        del self.rows[0][length:]
        self.set = None


class Parameters:
    def __init__(self, model: Any) -> None:
        self.options: dict[str, int] = {"batch_size": 1, "max_length": 1000}

    def set_search_options(self, **options: int) -> None:
        self.options |= options


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(Generator=Generator, GeneratorParams=Parameters)
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", made)


def logits_after(token_ids: Any) -> np.ndarray:
    generator = np.random.default_rng([int(item) for item in token_ids])
    return (3 * generator.standard_normal(VOCAB)).astype(np.float32)


def plain(rows: list[list[int]]) -> np.ndarray:
    return np.stack([logits_after(row) for row in rows])


def tokens_of(step: Any, prompts: list[list[int]], count: int) -> list[list[int]]:
    parameters = Parameters(None)
    parameters.set_search_options(batch_size=len(prompts))
    generator = Generator(None, parameters)
    generator.append_tokens(np.array(prompts, np.int32))
    for _ in range(count):
        step(generator)
        generator.generate_next_token()
    return [row[len(prompts[0]) :] for row in generator.rows]


@pytest.mark.parametrize("pipeline", [chain(Temperature(0.8)), chain(Mirostat2(3.0, 0.2))])
def test_its_loop_draws_what_our_loop_draws(pipeline: Any) -> None:
    step, asked = sampler(Sampler(pipeline, 5)), GenerationParameters(seed=5, max_new_tokens=12)
    for prompts in ([[1, 2], [3, 4]], [[7, 8]]):
        ours = [generate(plain, prompt, asked, pipeline=pipeline) for prompt in prompts]
        expected = [[token.id for token in item.tokens] for item in ours]
        assert tokens_of(step, prompts, 12) == expected


def test_a_processor_edits_and_it_draws() -> None:
    banned = tuple(range(10, VOCAB))
    asked = GenerationParameters(suppress_tokens=banned, max_new_tokens=10)
    ours = generate(plain, [1, 2], asked)
    [drawn] = tokens_of(processor(SuppressTokens(banned)), [[1, 2]], 10)
    assert drawn == [token.id for token in ours.tokens]


def test_an_error_is_raised_by_the_step() -> None:
    with pytest.raises(EmptySupportError):
        tokens_of(processor(SuppressTokens(tuple(range(VOCAB)))), [[1]], 1)


def test_its_model_is_a_cached_model() -> None:
    model = forward(None, max_length=8)
    [one, two], logits = model.prefill([[1, 2], [3]], all_positions=True)
    assert np.array_equal(logits, plain([[1], [1, 2], [3]]))
    twin = model.fork(one)
    assert np.array_equal(model.extend([one, two], [[5, 6], [7]]), plain([[1, 2, 5, 6], [3, 7]]))
    model.rollback(one, 3)
    after = model.extend([one, twin], [[8], [8]])
    assert np.array_equal(after, plain([[1, 8], [1, 2, 8]]))
    assert np.array_equal(model.extend([twin], [[1] * 5]), plain([[1, 2, 8, *[1] * 5]]))
    model.release(two)
    model.release(two)
    for broken, message in (
        (lambda: model.extend([two], [[1]]), "released"),
        (lambda: model.extend([one, one], [[1], [1]]), "different states"),
        (lambda: model.extend([one], [[]]), "at least one token"),
        (lambda: model.extend([twin], [[1]]), "at most 8"),
        (lambda: model.rollback(one, 3), "the sequence's length"),
    ):
        with pytest.raises(ParameterError, match=message):
            broken()


def test_our_loop_runs_on_it() -> None:
    asked = GenerationParameters(seed=4, top_p=0.9, best_of=2, max_new_tokens=10)
    mine = generate(LanguageModel(forward=forward(None, max_length=20)), [1, 2], asked)
    assert mine == generate(plain, [1, 2], asked)


def test_without_the_package_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", None)
    with pytest.raises(MissingDependencyError, match="onnxruntime-genai"):
        forward(None, max_length=3).prefill([[1]])
