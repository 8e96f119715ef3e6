"""The noise's law: every exponential is Exp(1), and independent of all others.

A token's exponential is e = exp(−noise). What a block's tokens have in common is its smallest, so
the tests look at a block's order statistics: with e₍₁₎ ≤ e₍₂₎ ≤ … ≤ e₍ₙ₎ of n independent Exp(1),

    n · e₍₁₎,  (n − 1) · (e₍₂₎ − e₍₁₎),  (n − 2) · (e₍₃₎ − e₍₂₎)  …

are independent Exp(1) (Rényi 1953), and each token is as likely as any to be the smallest, or the
second. Pairs of exponentials, in one block and across blocks, positions and seeds, are compared
with independent ones in 8 × 8 cells.

The bits are functions of fixed seeds, so the false-alarm rate of a run is 0; over the choice of
seeds it is 1e-9 a test. With 8,192 blocks a spacing whose scale is off by 15 %, and with 65,536
pairs a rank correlation of 0.06, is seen with probability above 0.999. `WRONG` are laws that a slip
of the pen makes; each is seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from decoding.kernels.randomness import BLOCK_SIZE
from decoding.kernels.vector.noise import Place, blocks_of, exponential, token_noise, token_words
from decoding.sampling.rng import gumbel_noise

PLACES = 128
BLOCKS = 64
"""Of each place."""
TOKENS = np.arange(BLOCKS * BLOCK_SIZE)


def threshold(degrees: int) -> float:
    """What χ² exceeds with probability 1e-9: Wilson and Hilferty 1931."""
    step = 2.0 / (9.0 * degrees)
    return float(degrees * (1.0 - step + 5.998 * step**0.5) ** 3)


def chi_square(counts: np.ndarray) -> float:
    """Of counts that should all be the same."""
    mean = counts.sum() / counts.size
    return float(((counts - mean) ** 2).sum() / mean)


def is_exponential(values: np.ndarray) -> bool:
    cells = np.floor(-np.expm1(-values) * 32).astype(np.int64).clip(0, 31)
    return chi_square(np.bincount(cells, minlength=32)) < threshold(31)


def are_independent(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether pairs of Exp(1) fill 8 × 8 cells evenly."""
    rows, columns = (
        np.floor(-np.expm1(-values.ravel()) * 8).astype(np.int64).clip(0, 7)
        for values in (first, second)
    )
    return chi_square(np.bincount(rows * 8 + columns, minlength=64)) < threshold(63)


def law(place: Place) -> np.ndarray:
    return np.exp(-token_noise(TOKENS, place))


def places() -> list[Place]:
    return [Place(11 + number // 16, 5 + number % 16) for number in range(PLACES)]


def in_blocks(law: Callable[[Place], np.ndarray]) -> np.ndarray:
    """Exponentials `(blocks, n)`."""
    return np.concatenate([law(place).reshape(BLOCKS, BLOCK_SIZE) for place in places()])


def spacings_hold(values: np.ndarray) -> bool:
    first = np.sort(values, axis=1)[:, :4]
    spacings = np.diff(first, axis=1, prepend=0.0) * (BLOCK_SIZE - np.arange(4))
    pairs = [(spacings[:, i], spacings[:, i + 1]) for i in range(3)]
    return all(is_exponential(column) for column in spacings.T) and all(
        are_independent(*pair) for pair in pairs
    )


def places_hold(values: np.ndarray) -> bool:
    order = np.argpartition(values, 2, axis=1)[:, :2]
    order = np.take_along_axis(order, np.take_along_axis(values, order, 1).argsort(1), 1)
    return all(
        chi_square(np.bincount(column, minlength=BLOCK_SIZE)) < threshold(BLOCK_SIZE - 1)
        for column in order.T
    )


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return in_blocks(law)


def test_every_token_of_a_block_has_its_own_exponential(values: np.ndarray) -> None:
    assert is_exponential(values[::32].ravel())
    assert spacings_hold(values)
    assert places_hold(values)
    # Disjoint pairs: of neighbours, of tokens with the same Philox counter, and far apart.
    for distance in (1, 2, 4, 128):
        lanes = np.arange(BLOCK_SIZE).reshape(-1, 2, distance)
        sample = values[::16]
        assert are_independent(sample[:, lanes[:, 0].ravel()], sample[:, lanes[:, 1].ravel()])


def test_blocks_positions_and_seeds_are_independent() -> None:
    ids = np.arange(2**16)
    here = np.exp(-gumbel_noise(ids, 7, 3))
    blocks = here.reshape(-1, 2, BLOCK_SIZE)
    assert are_independent(blocks[:, 0], blocks[:, 1])
    smallest = here.reshape(-1, BLOCK_SIZE).min(1)
    for other in (
        gumbel_noise(ids, 7, 4),
        gumbel_noise(ids, 8, 3),
        gumbel_noise(ids, 7 + 2**32, 3),
        gumbel_noise(ids, 7, 3, draw=1),
    ):
        there = np.exp(-other)
        assert are_independent(here, there)
        assert abs(np.corrcoef(smallest, there.reshape(-1, BLOCK_SIZE).min(1))[0, 1]) < 0.4


def shares_and_leads(place: Place) -> tuple[np.ndarray, np.ndarray]:
    blocks = blocks_of(TOKENS, place)
    return blocks.shares[blocks.found], blocks.leads[blocks.found]


def lead_as_all_others(place: Place) -> np.ndarray:
    shares, _ = shares_and_leads(place)
    return shares + exponential(token_words(TOKENS, place))


def others_without_share(place: Place) -> np.ndarray:
    shares, leads = shares_and_leads(place)
    return np.where(leads == TOKENS, shares, exponential(token_words(TOKENS, place)))


def first_token_leads(place: Place) -> np.ndarray:
    shares, _ = shares_and_leads(place)
    others = shares + exponential(token_words(TOKENS, place))
    return np.where(TOKENS % BLOCK_SIZE == 0, shares, others)


def share_too_large(place: Place) -> np.ndarray:
    shares, leads = shares_and_leads(place)
    others = exponential(token_words(TOKENS, place))
    return np.where(leads == TOKENS, shares * 1.25, shares * 1.25 + others)


def one_word_for_two(place: Place) -> np.ndarray:
    shares, leads = shares_and_leads(place)
    others = exponential(token_words(TOKENS // 2, place))
    return np.where(leads == TOKENS, shares, shares + others)


WRONG = [
    lead_as_all_others,
    others_without_share,
    first_token_leads,
    share_too_large,
    one_word_for_two,
]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_law_is_seen(wrong: Callable[[Place], np.ndarray]) -> None:
    values = in_blocks(wrong)
    neighbours = values[::16].reshape(-1, 2)
    assert not (
        spacings_hold(values)
        and places_hold(values)
        and are_independent(neighbours[:, 0], neighbours[:, 1])
    )
