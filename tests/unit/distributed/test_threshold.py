"""The threshold that several processes find is that of the sorted whole, in exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from parts import together

from decoding.distributed.exact_sums import SCALE, Exact, exact_sum
from decoding.distributed.threshold import threshold_by_count, threshold_by_weight

KEYS = st.floats(-1e300, 1e300) | st.integers(-3, 3).map(float) | st.floats(-20, 0)


@st.composite
def parts(draw: Any) -> list[list[float]]:
    sizes = draw(st.lists(st.integers(0, 90), min_size=1, max_size=4).filter(any))
    clustered = draw(st.booleans())
    keys = st.integers(-4, 0).map(lambda n: n / 8) if clustered else KEYS
    return [draw(st.lists(keys, min_size=size, max_size=size)) for size in sizes]


@given(parts(), st.floats(0, 1))
def test_by_count(keys: list[list[float]], share: float) -> None:
    counts = [len(own) for own in keys]
    count = max(1, round(share * sum(counts)))
    found = together([threshold_by_count(np.array(own), count, counts) for own in keys])
    assert all(other == found[0] for other in found)
    whole = sorted((key for own in keys for key in own), reverse=True)
    assert found[0].key == whole[count - 1]
    key = whole[count - 1]
    assert found[0].above == sum(one > key for one in whole)
    # Of each process those among its own `count` largest.
    ties = [sorted(own, reverse=True)[:count].count(key) for own in keys]
    assert list(found[0].ties) == ties


@given(parts(), st.floats(0, 1), st.randoms(use_true_random=False))
def test_by_weight(keys: list[list[float]], share: float, random: Any) -> None:
    by_key = {key: 2.0 ** -random.randint(0, 80) for own in keys for key in own}
    weights = [Exact.of(np.array([by_key[key] for key in own])) for own in keys]
    total = sum(own.sum() for own in weights)
    if not total:
        return
    target = min(total, max(1, round(share * total)))  # the product is rounded to a float
    found = together(
        [
            threshold_by_weight(
                np.array(own),
                weight,
                target,
                total,
                counts=[len(one) for one in keys],
                pivots=[0.0, -1.0, -5.0],
            )
            for own, weight in zip(keys, weights, strict=True)
        ]
    )
    assert all(other == found[0] for other in found)
    units = {
        key: unit
        for own, weight in zip(keys, weights, strict=True)
        for key, unit in zip(own, weight.units(), strict=True)
    }
    above = 0
    for key in sorted(units, reverse=True):
        here = sum(key == other for own in keys for other in own)
        if above + here * units[key] >= target:
            break
        above += here * units[key]
    else:
        raise AssertionError
    assert (found[0].key, found[0].above, found[0].weight) == (key, above, units[key])


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(0, 50))
def test_sums_do_not_depend_on_the_parts(numbers: list[float], place: int) -> None:
    whole = np.array(numbers)
    parts = exact_sum(whole[:place]) + exact_sum(whole[place:])
    assert exact_sum(whole) == exact_sum(whole[::-1].copy()) == parts
    assert abs(parts / SCALE - sum(numbers)) < 1e-13
