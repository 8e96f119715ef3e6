"""Philox: the published test vectors; and the seeds that are made of it."""

from __future__ import annotations

import numpy as np
import pytest
from philox_answers import KNOWN_ANSWERS

from decoding.kernels.reference import philox as reference
from decoding.kernels.vector import noise as vector
from decoding.sampling.rng import random_seed, sequence_seed


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert reference.philox4x32(counter, key) == words
    block, position, draw, domain = counter
    blocks = np.array([block], np.uint64)
    seed = key[1] << 32 | key[0]
    assert vector.philox4x32(blocks, position, draw, domain, seed)[0].tolist() == list(words)


def test_sequence_seeds() -> None:
    assert sequence_seed(5, 0) == 5
    assert len({sequence_seed(5, index) for index in range(100)}) == 100
    assert all(0 <= sequence_seed(5, index) < 2**64 for index in range(100))
    assert 0 <= random_seed() < 2**64
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\), got -1"):
        sequence_seed(-1, 0)
