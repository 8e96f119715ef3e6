"""Philox: the published test vectors; and the seeds that are made of it."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.kernels.reference import philox as reference
from decoding.kernels.vector import noise as vector
from decoding.sampling.rng import random_seed, sequence_seed

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


def test_sequence_seeds() -> None:
    assert sequence_seed(5, 0) == 5
    assert len({sequence_seed(5, index) for index in range(100)}) == 100
    assert all(0 <= sequence_seed(5, index) < 2**64 for index in range(100))
    assert 0 <= random_seed() < 2**64
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\), got -1"):
        sequence_seed(-1, 0)
