"""The NumPy filters and masks by hand: exact boundaries, which random rows seldom meet."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from decoding import BatchSampler, History, Sample, Sampler
from decoding.errors import InvalidLogitsError
from decoding.kernels.vector.edits import in_bitmask
from decoding.kernels.vector.filters import top_k, top_p
from decoding.kernels.vector.rescaling import guided
from decoding.kernels.vector.sequences import completed


def test_top_k_keeps_the_k_largest_in_any_order() -> None:
    for order in permutations([1.0, 2.0, 3.0, 4.0, 5.0]):
        row = np.array(order)
        for k in range(1, 5):
            for keep_ties in (False, True):
                assert (top_k(row, k, keep_ties=keep_ties) == (row > 5 - k)).all()


def test_top_p_ends_where_the_mass_is_reached_exactly() -> None:
    assert top_p(np.zeros(4), 0.5).tolist() == [True, True, False, False]
    assert top_p(np.zeros(4), 0.75).tolist() == [True, True, True, False]


def test_tokens_beyond_the_words_of_a_mask_have_no_bit() -> None:
    mask = np.array([1 << 8], np.int32)
    assert in_bitmask(np.array([8, 9, 40]), mask).tolist() == [True, False, False]
    assert in_bitmask(np.array([0]), np.array([], np.int32)).tolist() == [False]


def test_guidance_starts_from_the_unconditional_logprobs() -> None:
    conditional, unconditional = np.log([0.75, 0.25]), np.log([0.5, 0.5])
    assert guided(conditional, unconditional, 0.0) == pytest.approx(unconditional)
    assert guided(conditional, unconditional, 1.0) == pytest.approx(conditional)
    expected = unconditional + 2.0 * (conditional - unconditional)
    assert guided(conditional, unconditional, 2.0) == pytest.approx(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_invalid(value: float) -> None:
    logits = np.array([[0.0, value, 1.0, value]])
    (error,) = BatchSampler([Sampler()], backend="numpy")(logits, History.of([[0]], [[]]))
    assert isinstance(error, InvalidLogitsError)
    assert (error.position, error.count) == (1, 2)


def test_as_many_top_tokens_are_listed_as_are_asked_for() -> None:
    for top_n in range(4):
        sampler = BatchSampler([Sampler(top_n=top_n)], backend="numpy")
        (drawn,) = sampler(np.array([[1.0, 3.0, 2.0]]), History.of([[0]], [[]]))
        assert isinstance(drawn, Sample)
        assert [item.token_id for item in drawn.top] == [1, 2, 0][:top_n]


def test_values_of_sequences_with_the_same_end_add_up() -> None:
    sequences = [((1, 2), 0.5), ((2,), 1.0), ((3, 2), 4.0), ((1, 5), -1.0)]
    assert completed(np.array([7, 1], np.int32), sequences) == {2: 1.5, 5: -1.0}
