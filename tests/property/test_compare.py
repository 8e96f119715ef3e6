"""`compare` agrees with running both pipelines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from decoding import Bitmask, History, MinP, Temperature, TopK, TopP, chain, compare, explain
from decoding.errors import EmptySupportError
from decoding.pipeline import Pipeline
from decoding.processors.bitmask import pack

rows = st.lists(st.floats(-8, 8), min_size=1, max_size=12).map(lambda row: np.array([row]))
stages = st.one_of(
    st.floats(0.2, 3).map(Temperature),
    st.integers(1, 6).map(TopK),
    st.floats(0.1, 1).map(TopP),
    st.floats(0, 1).map(MinP),
)
pipelines = st.lists(stages, max_size=4).map(lambda parts: chain(*parts))


def by_hand(pipeline: Pipeline, row: Any) -> tuple[set[int], list[float]]:
    logits = pipeline(row, History.empty(1))[0].tolist()
    weights = [math.exp(value - max(logits)) for value in logits]
    kept = {index for index, value in enumerate(logits) if value > -math.inf}
    return kept, [weight / sum(weights) for weight in weights]


def ids(removals: Any) -> set[int]:
    return {token_id for removal in removals for token_id in removal.token_ids}


@given(first=pipelines, second=pipelines, row=rows)
def test_it_equals_brute_force(first: Pipeline, second: Pipeline, row: Any) -> None:
    got = compare(first, second, row)
    (kept, ps), (other_kept, qs) = by_hand(first, row), by_hand(second, row)
    assert ids(got.only_first) == kept - other_kept
    assert ids(got.only_second) == other_kept - kept
    differences = [abs(p - q) for p, q in zip(ps, qs, strict=True)]
    assert got.total_variation == pytest.approx(sum(differences) / 2, abs=1e-12)
    assert 0.0 <= got.total_variation <= 1.0
    assert got.largest_difference == pytest.approx(max(differences), abs=1e-12)
    assert abs(got.first_probability - got.second_probability) == got.largest_difference


@given(first=pipelines, second=pipelines, row=rows)
def test_it_is_symmetric(first: Pipeline, second: Pipeline, row: Any) -> None:
    got, turned = compare(first, second, row), compare(second, first, row)
    assert (got.only_first, got.only_second) == (turned.only_second, turned.only_first)
    assert got.total_variation == turned.total_variation
    assert got.largest_difference_token_id == turned.largest_difference_token_id
    assert (got.first, got.second) == (turned.second, turned.first)
    assert (got.divergence is None) == (turned.divergence is None)
    if got.divergence is not None and turned.divergence is not None:
        assert got.divergence.stage == turned.divergence.stage
        assert got.divergence.first == turned.divergence.second


@given(pipeline=pipelines, row=rows)
def test_equal_pipelines_do_not_differ(pipeline: Pipeline, row: Any) -> None:
    got = compare(pipeline, pipeline, row)
    assert (got.only_first, got.only_second, got.divergence) == ((), (), None)
    assert (got.total_variation, got.largest_difference) == (0.0, 0.0)
    assert got.first == got.second == explain(pipeline, row)


@given(first=pipelines, second=pipelines, row=rows)
def test_supports_part_at_the_first_stage_that_says_so(
    first: Pipeline, second: Pipeline, row: Any
) -> None:
    got = compare(first, second, row)
    stages = max(len(first.processors), len(second.processors))
    parted = [
        by_hand(chain(*first.processors[:stage]), row)[0]
        != by_hand(chain(*second.processors[:stage]), row)[0]
        for stage in range(stages + 1)
    ]
    assert (got.divergence.stage if got.divergence else None) == (
        parted.index(True) if True in parted else None
    )


@given(first=pipelines, second=pipelines, row=rows)
def test_a_removal_names_who_did_it(first: Pipeline, second: Pipeline, row: Any) -> None:
    for removal in compare(first, second, row).only_first:
        assert removal.processor == repr(second.processors[removal.stage - 1])
        before, _ = by_hand(chain(*second.processors[: removal.stage - 1]), row)
        after, _ = by_hand(chain(*second.processors[: removal.stage]), row)
        assert set(removal.token_ids) <= before - after


@given(row=rows)
def test_disjoint_supports_are_as_far_as_can_be(row: Any) -> None:
    assume(row.shape[1] >= 2)
    got = compare(Bitmask(pack([0])), Bitmask(pack([1])), row)
    assert got.total_variation == 1.0


def test_the_account() -> None:
    row = np.log([[0.4, 0.3, 0.2, 0.1]])
    text = str(compare(chain(TopK(3), Temperature(1.0)), TopP(0.6), row))
    assert text.splitlines()[:4] == [
        "total variation 0.222222",
        "largest difference 0.222222 at token 2: 0.222222 in the first, 0.000000 in the second",
        f"the supports part at stage 1: {TopK(3)!r} in the first, {TopP(0.6)!r} in the second",
        "only the first keeps 2: TopP(top_p=0.6) of the second removed it",
    ]
    assert "first:\n" in text
    assert "\nsecond:\n" in text


def test_many_tokens_are_counted() -> None:
    text = str(compare(chain(), TopK(1), np.arange(20.0)[None]))
    assert (
        "only the first keeps 0, 1, 2, 3, 4, 5, 6, 7 and 11 more:"
        " TopK(top_k=1, keep_ties=True) of the second removed them"
    ) in text


def test_equal_pipelines_in_words() -> None:
    assert str(compare(TopK(1), TopK(1), np.arange(3.0)[None])).splitlines()[:2] == [
        "total variation 0.000000",
        "the supports are equal at every stage",
    ]


def test_a_pipeline_that_leaves_nothing_has_no_distribution() -> None:
    with pytest.raises(EmptySupportError, match="Bitmask"):
        compare(chain(), Bitmask(pack([9])), np.zeros((1, 3)))
