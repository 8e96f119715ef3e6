"""Arguments of the checks that are of no use are refused where they enter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.processors import Temperature
from decoding.testing import (
    check_grammar,
    check_processor,
    check_sampler,
    check_stream,
    sample_size,
)


def halved(logits: Any) -> Any:
    return logits / 0.5


def first(logits: Any, u: Any) -> Any:
    return np.zeros(len(logits), int) + 0 * u


def joined(tokens: list[bytes]) -> str:
    return b"".join(tokens).decode()


CHECKS: list[Any] = [
    lambda **options: check_processor(halved, Temperature(0.5), **options),
    lambda **options: check_sampler(first, Temperature(1.0), **options),
    lambda **options: check_stream(joined, **options),
    lambda **options: check_grammar(
        dict, [b"a"], accepted=["a"], refused=[], end_ids=[], **options
    ),
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", [-1, 1.5, True, None, "1", 2**64])
def test_a_seed_is_an_integer(check: Any, seed: Any) -> None:
    with pytest.raises(ParameterError, match=r"^seed must be (an integer, )?in \[0"):
        check(seed=seed)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("expected", [["claim"], "claim", 5])
def test_expected_failures_are_a_mapping(check: Any, expected: Any) -> None:
    with pytest.raises(ParameterError, match=r"^expected_failures must be"):
        check(expected_failures=expected)


@pytest.mark.parametrize("widths", ["ab", (2,), (2, 3, 4), (0, 5), (5, 2), (1.5, 2), (True, 2), 5])
def test_widths_are_two_integers(widths: Any) -> None:
    with pytest.raises(ParameterError, match=r"^widths must be two integers"):
        check_processor(halved, Temperature(0.5), widths=widths, examples=1)


@pytest.mark.parametrize("cells", [1, True, 2.0, None, 10**9, 10**400])
def test_the_number_of_cells_is_bounded(cells: Any) -> None:
    with pytest.raises(ParameterError, match=r"^cells must be (an integer, )?from 2 to 65536"):
        sample_size(0.1, cells=cells)
