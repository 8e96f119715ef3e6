"""How often text that knows nothing of the key is flagged: no more often than stated.

Each test is deterministic. Were its texts drawn afresh, it would fail by chance less than once in
10⁶ times: that is how far a count may exceed what is stated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from decoding.watermark import (
    Detector,
    GumbelScheme,
    Scheme,
    SynthId,
    detect,
    detect_gumbel,
    detect_synthid,
    false_positive_rate,
    lefthash,
    minhash,
    philox,
    transformers_selfhash,
)
from decoding.watermark.tails import binomial_tail

pytestmark = pytest.mark.slow

TEXTS, LENGTH, VOCABULARY = 2000, 200, 64
LEVELS = (0.1, 0.01, 0.001)


@cache
def texts(count: int = TEXTS) -> list[list[int]]:
    generator = np.random.default_rng(11)
    return generator.integers(0, VOCABULARY, (count, LENGTH)).tolist()


def not_too_many(flagged: int, count: int, rate: float) -> bool:
    return binomial_tail(flagged, count, rate) > 1e-6


@pytest.mark.parametrize("scheme", [lefthash(), lefthash(0.5)], ids=repr)
def test_one_key_and_many_texts(scheme: Scheme) -> None:
    # of uniform tokens every list of this scheme has its share, whatever the key
    detector = Detector(scheme, VOCABULARY)
    found = [detector(text, window_sizes=[50]) for text in texts()]
    for level in LEVELS:
        flagged = sum(item.p_value <= level for item in found)
        assert not_too_many(flagged, TEXTS, level)
        stretches = sum(item.window.p_value <= level for item in found if item.window)
        assert not_too_many(stretches, TEXTS, level)
    assert abs(np.mean([item.z for item in found])) < 5 / np.sqrt(TEXTS)


@pytest.mark.parametrize(
    "scheme",
    [
        philox(context_width=2),
        minhash(),
        transformers_selfhash(context_width=3),
    ],
    ids=repr,
)
def test_many_keys(scheme: Scheme) -> None:
    found = [
        detect(text, replace(scheme, key=15485863 + key), VOCABULARY)
        for key, text in enumerate(texts(300))
    ]
    for level in LEVELS:
        assert not_too_many(sum(item.p_value <= level for item in found), 300, level)
    assert abs(np.mean([item.z for item in found])) < 5 / np.sqrt(300)


@pytest.mark.parametrize("threshold", [1.0, 2.0, 3.0])
def test_the_rate_of_a_z_threshold(threshold: float) -> None:
    detector = Detector(lefthash(), VOCABULARY)
    found = [detector(text) for text in texts()]
    flagged = sum(item.z > threshold for item in found)
    stated = np.mean([false_positive_rate(threshold, item.scored, 0.25) for item in found])
    assert not_too_many(flagged, TEXTS, float(stated))
    assert binomial_tail(TEXTS - flagged, TEXTS, 1 - float(stated)) > 1e-6  # nor too few


def test_repetitive_text_is_flagged_only_where_repeats_count() -> None:
    generator = np.random.default_rng(5)
    loops = [[*generator.integers(0, VOCABULARY, 4)] * 50 for _ in range(500)]
    once, each = Detector(lefthash(), VOCABULARY), Detector(lefthash(), VOCABULARY, True)
    assert not_too_many(sum(once(text).p_value <= 0.01 for text in loops), 500, 0.01)
    assert sum(each(text).p_value <= 0.01 for text in loops) > 50


def test_synthid() -> None:
    found = [detect_synthid(text, SynthId((3, 14, 15, 92, 65))) for text in texts()]
    for level in LEVELS:
        assert not_too_many(sum(item.p_value <= level for item in found), TEXTS, level)
        assert not_too_many(sum(item.weighted_p_value <= level for item in found), TEXTS, level)


def test_gumbel() -> None:
    scheme = GumbelScheme(7, context_width=1)
    found = [detect_gumbel(text, scheme) for text in texts(400)]
    for level in LEVELS:
        assert not_too_many(sum(item.p_value <= level for item in found), 400, level)
    assert np.mean([item.total / item.scored for item in found]) == pytest.approx(1.0, abs=0.02)
