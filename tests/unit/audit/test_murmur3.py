"""The noise of vLLM and SGLang: known answers of their own kernels, and of MurmurHash3."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from profiles import spread

from decoding import History
from decoding.audit import PHILOX, SGLANG, SGLANG_BY_RANK, VLLM, VLLM_FLOAT64, Claim, NoiseLaw
from decoding.audit.claims import Predictor
from decoding.audit.murmur3 import Murmur3, float32_noise, murmur3_words
from decoding.sampling.batch import BatchSampler, Sampler

VECTORS = json.loads((Path(__file__).parent / "murmur3_vectors.json").read_text(encoding="ascii"))
LAWS = (VLLM, VLLM_FLOAT64, SGLANG, SGLANG_BY_RANK)
WIDTH, ROWS = 40, 256


def murmur3(data: bytes, seed: int = 0) -> int:
    """MurmurHash3_x86_32 of whole words, from its published text."""
    state = seed
    for start in range(0, len(data), 4):
        word = int.from_bytes(data[start : start + 4], "little") * 0xCC9E2D51 % 2**32
        word = (word << 15 | word >> 17) % 2**32 * 0x1B873593 % 2**32
        state ^= word
        state = ((state << 13 | state >> 19) % 2**32 * 5 + 0xE6546B64) % 2**32
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B % 2**32
    state = (state ^ state >> 13) * 0xC2B2AE35 % 2**32
    return state ^ state >> 16


def test_the_hash_is_the_published_one() -> None:
    assert murmur3(b"") == 0
    assert murmur3(b"test") == 0xBA6BD213
    assert murmur3(b"test", 0x9747B28C) == 0x704B81DC
    seed, place = 0x0123456789ABCDEF, 77
    keys = np.array([0, 1, 5, 128_255])
    data = seed.to_bytes(8, "little") + place.to_bytes(4, "little")
    want = [murmur3(data + key.to_bytes(4, "little")) for key in keys.tolist()]
    assert murmur3_words(keys, seed, place).tolist() == want


def test_seeds_that_differ_above_32_bits_differ() -> None:
    keys = np.arange(8)
    assert (murmur3_words(keys, 42, 1) != murmur3_words(keys, 42 + 2**32, 1)).all()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_tokens_are_those_of_the_kernels(law: Murmur3) -> None:
    # The second batch of tests/differential/murmur3_peers.py, drawn by vLLM 0.33.0 and SGLang 0.5.23
    # under Triton's interpreter.
    generator = np.random.default_rng([16, 1])
    logits = generator.normal(0, 2, (ROWS, WIDTH)).astype(np.float32)
    seeds = generator.integers(0, 2**63, ROWS) % 2**32
    positions = generator.integers(1, 100_000, ROWS)
    if law is SGLANG_BY_RANK:  # with top-k 12
        kth = np.sort(logits, axis=1)[:, -12:-11]
        logits = np.where(logits >= kth, logits, -np.inf)
    tokens = []
    for row, seed, position in zip(logits, seeds.tolist(), positions.tolist(), strict=True):
        ids = np.flatnonzero(row > -np.inf)
        scores = law.scores(row[ids].astype(np.float64), ids, seed, position)
        tokens.append(int(ids[scores.argmax()]))
    assert tokens == VECTORS[law.name]
    assert len(tokens) == ROWS


@pytest.mark.parametrize("law", spread([PHILOX, *LAWS], 2), ids=lambda law: law.name)
def test_a_law_draws_from_the_softmax(law: NoiseLaw) -> None:
    probabilities = np.array([0.5, 0.25, 0.15, 0.1])
    logits, ids = np.log(probabilities), np.arange(4)
    counts = np.zeros(4)
    for position in range(1, 2001):
        counts[law.scores(logits, ids, 9, position).argmax()] += 1
    spread = np.sqrt(2000 * probabilities * (1 - probabilities))
    assert (abs(counts - 2000 * probabilities) < 4.5 * spread).all()


def test_our_law_is_that_of_the_sampler() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 2, (50, 90)).astype(np.float32)
    lengths = np.arange(50, dtype=np.int64)
    history = History(np.zeros((50, 60), np.int32), lengths, np.zeros(50, np.int64))
    drawn = BatchSampler([Sampler(seed=2**40 + row) for row in range(50)]).draw(logits, history)
    for row, token in enumerate(drawn):
        wide = logits[row].astype(np.float64)
        scores = PHILOX.scores(wide, np.arange(90), 2**40 + row, row)
        assert scores.argmax() == token


def test_a_claim_of_another_law_draws_by_it() -> None:
    logits = np.random.default_rng(4).normal(0, 2, (3, 50)).astype(np.float32)
    history = History.of([[1, 2]] * 3)
    drawn = Predictor(Claim(seed=5, law=VLLM)).draw(logits, history)
    want = [
        int(VLLM.scores(row.astype(np.float64), np.arange(50), 5, 2).argmax()) for row in logits
    ]
    assert list(drawn) == want


def test_the_noise_is_finite_at_every_word() -> None:
    words = np.array([0, 1, 2**30 - 1, 2**30, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    noise = float32_noise(words)
    assert np.isfinite(noise).all()
    assert (np.diff(noise) <= 0).all()
    exact = -np.log(-np.log1p(-(words.astype(np.float64)[:-2] + 0.5) / 2**32))
    assert abs(noise[:-2] - exact).max() < 1e-5
