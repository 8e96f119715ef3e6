"""Ranks draw and describe what one process does, however the vocabulary is split."""

from __future__ import annotations

import sys
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from parts import Ranks, sampled, split
from pipelines import ALL, SIX

from decoding import BatchSampler, History, Sampler, chain
from decoding.processors import LogitBias, NaNPolicy, SuppressTokens, Temperature, TopK, TopP

WIDTH = 700
SPLITS = ((WIDTH,), (256, 256, 188), (0, 101, 1, 598), (350, 350))
HISTORY = History.of([[1, 2, 3, 1, 2]] * 4, [[1, 2], [], [4, 5, 6], [1]])
BAND = 1e-9


def rows(seed: int, dtype: Any = np.float32, *, ties: bool = False) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(4, WIDTH)) * 3
    drawn[1] /= 6
    drawn[2, 5] = -np.inf
    return (np.round(drawn) if ties else drawn).astype(dtype)


def samplers(pipeline: Any) -> list[Sampler]:
    return [Sampler(pipeline, None if row == 0 else row * 7, top_n=row) for row in range(4)]


def assert_same(found: Any, expected: Any) -> None:
    """Tokens, ranks, support and the order of alternatives are equal, logprobs within the band."""
    for one, other in zip(found, expected, strict=True):
        whole = [
            (*astuple(item)[:1], item.rank, item.support_size, *(a.token_id for a in item.top))
            for item in (one, other)
        ]
        assert whole[0] == whole[1]
        floats = [
            [item.raw_logprob, item.processed_logprob, item.entropy]
            + [number for a in item.top for number in (a.raw_logprob, a.processed_logprob)]
            for item in (one, other)
        ]
        np.testing.assert_allclose(floats[0], floats[1], rtol=0, atol=BAND)


@pytest.mark.parametrize("name", ALL)
def test_every_pipeline(name: str) -> None:
    own = samplers(ALL[name])
    for seed, ties in ((0, False), (1, True)):
        logits = rows(seed, ties=ties)
        expected = BatchSampler(own, backend="numpy")(logits, HISTORY)
        splits = SPLITS if seed == 0 else SPLITS[1:3]
        found = [sampled(own, logits, HISTORY, widths) for widths in splits]
        assert_same(found[0], expected)
        # The same bits, however the vocabulary is split.
        assert all(repr(other) == repr(found[0]) for other in found)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, "bfloat16"])
def test_every_format(dtype: Any) -> None:
    logits = rows(2)
    if dtype == "bfloat16":
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(logits).to(torch.bfloat16)
    else:
        given = logits.astype(dtype)
    own = samplers(chain(Temperature(0.9), TopK(40), TopP(0.8)))
    expected = BatchSampler(own, backend="numpy")(given, HISTORY)
    assert_same(sampled(own, given, HISTORY, (300, 0, 400)), expected)


def test_all_logits_are_equal() -> None:
    logits = np.zeros((4, WIDTH), np.float32)
    for pipeline in (TopK(9, keep_ties=False), TopK(9), TopP(0.3)):
        own = samplers(pipeline)
        expected = BatchSampler(own, backend="numpy")(logits, HISTORY)
        assert_same(sampled(own, logits, HISTORY, (200, 500)), expected)


def test_fewer_tokens_than_ranks() -> None:
    logits = np.array([[0.5, 2.0]], np.float32)
    own = [Sampler(chain(Temperature(0.5), TopP(0.9)), 1, top_n=5)]
    expected = BatchSampler(own, backend="numpy")(logits, History.of([[1]]))
    assert_same(sampled(own, logits, History.of([[1]]), (0, 1, 0, 1)), expected)


def test_more_ties_with_the_last_alternative_than_a_rank_tells_at_once() -> None:
    logits = np.zeros((1, 100), np.float32)
    logits[0, 70] = 3.0
    own = [Sampler(chain(), 1, top_n=3)]
    [expected] = BatchSampler(own, backend="numpy")(logits, History.of([[1]]))
    [found] = sampled(own, logits, History.of([[1]]), (10, 40, 50))
    assert [item.token_id for item in found.top] == [item.token_id for item in expected.top]
    assert len(found.top) == 35


def test_a_temperature_that_leaves_float64_on_one_rank_alone() -> None:
    logits = np.array([[1e300, 9e299, 0.0, -1.0, 5.0]])
    own = [Sampler(chain(Temperature(1e-10), LogitBias({2: 1.0})), 3)]
    expected = BatchSampler(own, backend="numpy")(logits, History.of([[1]]))
    assert_same(sampled(own, logits, History.of([[1]]), (2, 3)), expected)
    tiny = [Sampler(chain(Temperature(sys.float_info.min)), 3)]
    expected = BatchSampler(tiny, backend="numpy")(logits, History.of([[1]]))
    assert_same(sampled(tiny, logits, History.of([[1]]), (2, 3)), expected)


def test_draw_is_the_token_of_a_call() -> None:
    own, logits = samplers(ALL["top-p of flat rows"]), rows(3)
    ranks = Ranks([own] * 2)
    [found, _] = ranks.step(split(logits, (300, 400)), [HISTORY] * 2)
    [drawn, _] = ranks.step(split(logits, (300, 400)), [HISTORY] * 2, describe=False)
    assert [item.token_id for item in found] == [item.token_id for item in drawn]


def test_errors_of_rows_are_those_of_one_process() -> None:
    logits = rows(4)
    logits[0, 400], logits[0, 650] = np.nan, np.inf
    logits[1] = -np.inf
    everything = SuppressTokens(tuple(range(WIDTH)))
    own = [
        Sampler(),
        Sampler(),
        Sampler(chain(TopK(5), everything)),
        Sampler(chain(LogitBias({WIDTH: 1.0}))),
    ]
    expected = BatchSampler(own, backend="numpy")(logits, HISTORY)
    found = sampled(own, logits, HISTORY, (300, 200, 200))
    assert [(type(item), str(item)) for item in found] == [
        (type(item), str(item)) for item in expected
    ]
    assert "token id 400" in str(found[0])


def test_a_policy_for_nan_repairs_each_slice() -> None:
    logits = rows(5)
    logits[0, 400], logits[2, 3] = np.nan, np.inf
    own = samplers(chain(NaNPolicy(infinity=4.0), TopK(30)))
    expected = BatchSampler(own, backend="numpy")(logits, HISTORY)
    assert_same(sampled(own, logits, HISTORY, (300, 400)), expected)


@pytest.mark.parametrize("name", SIX)
def test_bytes_of_a_step(name: str) -> None:
    """At most 6,000 bytes a rank for 8 rows of 49,152 logits; half of the logits are 786,432."""
    logits = np.random.default_rng(6).normal(size=(8, 49_152)).astype(np.float32) * 2
    own = [Sampler(SIX[name], row) for row in range(8)]
    ranks = Ranks([own] * 2)
    ranks.step(split(logits, (24_576, 24_576)), [History.of([[1, 2, 1]] * 8)] * 2)
    assert sum(ranks.told) <= 6_000
