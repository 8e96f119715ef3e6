"""The noise of tokens: the logarithm, the ends of its range, and every backend's bits.

`tests/golden/test_noise.py` holds the law to its page, `tests/statistical` to its distribution.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.kernels.randomness import BLOCK_SIZE, MARGIN
from decoding.kernels.reference import noise as reference
from decoding.kernels.vector import noise as vector
from decoding.kernels.vector.noise import Place
from decoding.sampling.rng import gumbel_noise

WORDS = [0, 1, 2**12 - 1, 2**12, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2**12, 2**64 - 1]
SEEDS = st.integers(0, 2**64 - 1)
POSITIONS = st.integers(0, 2**32 - 1)


def numbers() -> np.ndarray:
    """What the law takes logarithms of: uniforms, shares and exponentials, and the ends of each."""
    generator = np.random.default_rng(3)
    ends = [2.0**-61, 2.0**-53, 0.5, 1.0, 1.5, 37.0, math.sqrt(0.5), math.sqrt(2.0)]
    ends += [math.nextafter(end, side) for end in ends for side in (0.0, 50.0)]
    return np.concatenate(
        [
            ends,
            2.0 ** generator.uniform(-61.0, 5.2, 20_000),
            1.0 - 2.0 ** generator.uniform(-53.0, -1.0, 20_000),
            1.0 + 2.0 ** generator.uniform(-52.0, -1.0, 20_000),
        ]
    )


def test_the_logarithm_is_within_one_unit_in_the_last_place() -> None:
    values = numbers()[::20].tolist()
    with localcontext(prec=40):
        for value in values:
            exact = Decimal(value).ln()
            error = abs(Decimal(reference.natural_log(value)) - exact)
            assert error < Decimal(math.ulp(float(exact))), value


def test_logarithms_of_numpy_have_the_bits_of_the_reference() -> None:
    values = numbers()
    assert vector.natural_log(values).tolist() == [
        reference.natural_log(value) for value in values.tolist()
    ]


def test_logarithms_of_torch_have_the_bits_of_the_reference() -> None:
    torch = pytest.importorskip("torch")
    from decoding.kernels.tensor.noise import natural_log

    values = numbers()
    assert natural_log(torch.from_numpy(values)).tolist() == vector.natural_log(values).tolist()


def test_logarithms_of_compiled_code_have_the_bits_of_the_reference() -> None:
    # LLVM fuses what it is allowed to: here that is nothing.
    numba = pytest.importorskip("numba")
    from decoding.kernels.compiled.noise import natural_log

    @numba.njit
    def fill(values: np.ndarray, logs: np.ndarray) -> None:
        for index in range(len(values)):
            logs[index] = natural_log(values[index])

    values = numbers()
    logs = np.zeros(len(values))
    fill(values, logs)
    assert logs.tolist() == vector.natural_log(values).tolist()


@pytest.mark.parametrize("word", WORDS)
def test_exponentials_and_gumbel_noise_are_finite_at_every_end(word: int) -> None:
    value, noise = reference.exponential(word), reference.gumbel(word)
    assert 2.0**-54 < value < 37.0
    assert -3.7 < noise < 37.5
    assert vector.exponential(np.array([word], np.uint64)).tolist() == [value]
    assert vector.gumbel(np.array([word], np.uint64)).tolist() == [noise]


def test_noise_reaches_far_enough_for_rare_tokens() -> None:
    least = reference.exponential(2**64 - 1) / BLOCK_SIZE
    assert -reference.natural_log(least) > 41.0, "a token of probability 2⁻⁵⁹ must be able to win"


@given(
    SEEDS,
    POSITIONS,
    st.lists(st.integers(0, 300_000), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(0, 3),
)
def test_noise_of_numpy_has_the_bits_of_the_reference(
    seed: int, position: int, token_ids: list[int], draw: int
) -> None:
    leads = {reference.block_share(seed, position, i // BLOCK_SIZE, draw)[1] for i in token_ids}
    token_ids = sorted(leads.union(token_ids))
    noise = vector.token_noise(np.array(token_ids), Place(seed, position, draw))
    assert noise.tolist() == [
        reference.token_noise(seed, position, token_id, draw) for token_id in token_ids
    ]


@given(SEEDS, POSITIONS, st.integers(0, 2**20))
def test_no_noise_of_a_block_is_above_that_of_its_lead(
    seed: int, position: int, block: int
) -> None:
    token_ids = np.arange(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE)
    [most], [lead] = vector.blocks_of(token_ids, Place(seed, position))[1:3]
    noise = vector.token_noise(token_ids, Place(seed, position))
    assert noise[lead - token_ids[0]] == most
    assert (noise <= most + MARGIN).all()


@given(
    SEEDS,
    st.lists(st.integers(0, 2000), min_size=1, max_size=400, unique=True).map(sorted),
    st.sampled_from([0.0, 1e-9, 1.0, 30.0, 1e15]),
)
def test_the_choice_is_the_largest_of_all_scores(
    seed: int, token_ids: list[int], spread: float
) -> None:
    ids = np.array(token_ids)
    logits = np.random.default_rng(seed).standard_normal(len(ids)) * spread
    scores = logits + vector.token_noise(ids, Place(seed, 3))
    assert vector.choose(ids, logits, Place(seed, 3)) == scores.argmax()


def test_noise_does_not_depend_on_which_tokens_are_asked_for() -> None:
    every = gumbel_noise(np.arange(1000), 7, 3)
    some = np.array([0, 5, 6, 7, 255, 256, 999])
    assert np.array_equal(gumbel_noise(some, 7, 3), every[some])


def test_different_addresses_give_different_noise() -> None:
    ids = np.arange(2 * BLOCK_SIZE)
    variants = [
        gumbel_noise(ids, 7, 3),
        gumbel_noise(ids, 8, 3),
        gumbel_noise(ids, 7 + 2**32, 3),
        gumbel_noise(ids, 7, 4),
        gumbel_noise(ids, 7, 3, draw=1),
        gumbel_noise(ids + 2 * BLOCK_SIZE, 7, 3),
    ]
    assert len(np.unique(np.concatenate(variants))) == len(variants) * len(ids)
