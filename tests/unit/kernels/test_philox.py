"""Philox: the published test vectors, and the ends of the range."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.kernels.reference import philox as reference
from decoding.kernels.vector import noise as vector
from decoding.sampling.rng import gumbel_noise, random_seed, sequence_seed

# Random123's known-answer file, philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert reference.philox4x32(counter, key) == words
    block, position, draw, domain = counter
    blocks = np.array([block], np.uint64)
    seed = key[1] << 32 | key[0]
    assert vector.philox4x32(blocks, position, draw, domain, seed)[0].tolist() == list(words)


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 300_000), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(0, 3),
)
def test_words_equal_the_reference(
    seed: int, position: int, token_ids: list[int], draw: int
) -> None:
    words = vector.token_words(np.array(token_ids), seed, position, draw)
    assert words.tolist() == [
        reference.token_word(seed, position, token_id, draw) for token_id in token_ids
    ]


@pytest.mark.parametrize("word", [0, 1, 2**32 - 2, 2**32 - 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_noise_is_finite_at_every_end(word: int) -> None:
    noise = vector.gumbel(np.array([word], np.uint64))[0]
    assert math.isfinite(noise)
    assert noise == pytest.approx(reference.gumbel(word), rel=1e-12)


def test_noise_reaches_far_enough_for_rare_tokens() -> None:
    top = vector.gumbel(np.array([2**64 - 1], np.uint64))[0]
    assert top > 36.0, "a token of probability 2**-52 must be able to win"


def test_noise_does_not_depend_on_which_tokens_are_asked_for() -> None:
    every = gumbel_noise(np.arange(1000), 7, 3)
    some = np.array([0, 5, 6, 7, 999])
    assert np.array_equal(gumbel_noise(some, 7, 3), every[some])


def test_different_addresses_give_different_noise() -> None:
    ids = np.arange(64)
    variants = [
        gumbel_noise(ids, 7, 3),
        gumbel_noise(ids, 8, 3),
        gumbel_noise(ids, 7 + 2**32, 3),
        gumbel_noise(ids, 7, 4),
        gumbel_noise(ids, 7, 3, draw=1),
    ]
    assert len({variant.tobytes() for variant in variants}) == len(variants)


def test_sequence_seeds() -> None:
    assert sequence_seed(5, 0) == 5
    assert len({sequence_seed(5, index) for index in range(100)}) == 100
    assert all(0 <= sequence_seed(5, index) < 2**64 for index in range(100))
    assert 0 <= random_seed() < 2**64
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\), got -1"):
        sequence_seed(-1, 0)
