"""Logprobs and entropies of compiled steps on rows whose sums of weights are hard.

The sums are float32, relative to a logit that is found before the row has been read. Each row is one
of those that a sum can go wrong at: a peak far above the first tokens, flat rows, logits of a size
at which float32 has no fractions, the least float32, several temperatures on huge float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.pipeline import chain
from decoding.processors import Temperature, TopK, TopP
from decoding.sampling.batch import BatchSampler, Sampler
from decoding.sampling.samples import Sample
from decoding.typing import Processor

pytestmark = pytest.mark.kernels
LOWEST = float(np.finfo(np.float32).min)


def row_of(width: int, value: float, *changes: tuple[Any, float]) -> np.ndarray:
    """A flat row, but for some places."""
    row = np.full(width, value)
    for place, other in changes:
        row[place] = other
    return row


PEAKS = {
    f"{peak} above {floor}, {width} tokens": row_of(width, floor, (0, 0.0), (place, peak))
    for width, place in ((512, 300), (1_000, 700), (5_000, 4_500))
    for floor in (0.0, -20.0)
    for peak in (12.0, 26.0, 26.5, 32.0, 34.5, 39.75, 44.0)
}
LOW_STARTS = {
    f"{above} above the first {start} of {width}": row_of(width, above, (slice(start), 0.0))
    for width, start in ((600, 256), (4_096, 256), (8_192, 2_048))
    for above in (9.0, 20.0, 38.0, 39.9, 41.0)
}
FLAT = {
    f"{width} times {value}": row_of(width, value)
    for width in (1, 255, 256, 1_000, 2_300)
    for value in (1.5, -60_000.0, 39_999.3, 1e9, LOWEST)
}
LARGE = {
    f"{largest} and less": row_of(40, largest - 1.3, (0, largest))
    for largest in (30_010.3, 50_010.3, 59_999.0, 60_001.0, -75_000.0, 119_000.0)
}
ROWS = PEAKS | LOW_STARTS | FLAT | LARGE
CHAINS: dict[str, tuple[Processor, ...]] = {
    "nothing": (),
    **{f"T = {value}": (Temperature(value),) for value in (0.5, 0.8, 2.0, 2.00001)},
    "top-k": (TopK(5),),
    "top-p": (TopP(0.953),),
    "T = 0.7, top-p": (Temperature(0.7), TopP(0.503)),
}


def described(row: np.ndarray, processors: tuple[Processor, ...], backend: str) -> Sample:
    sampler = BatchSampler([Sampler(chain(*processors), 1)], backend=backend)
    [drawn] = sampler(row[None], History.of([[1]]))
    assert isinstance(drawn, Sample), drawn
    return drawn


def check(row: np.ndarray, processors: tuple[Processor, ...]) -> None:
    drawn, wanted = (described(row, processors, backend) for backend in ("numba", "numpy"))
    assert (drawn.token_id, drawn.support_size) == (wanted.token_id, wanted.support_size)
    assert drawn.raw_logprob <= 0.0
    for name in ("raw_logprob", "processed_logprob", "entropy"):
        assert getattr(drawn, name) == pytest.approx(getattr(wanted, name), 2e-6, 2e-6), name


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_rows_are_described_as_by_numpy(dtype: type[Any], name: str) -> None:
    for row in ROWS.values():
        check(row.astype(dtype), CHAINS[name])


@pytest.mark.parametrize("width", [1_000, 1_024, 2_300])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_top_p_of_a_flat_row_keeps_what_reaches_the_share(width: int, share: float) -> None:
    row = np.full(width, 1.5, np.float32)
    assert described(row, (TopP(share),), "numba").support_size == round(share * width)


@pytest.mark.parametrize(
    ("largest", "temperatures"),
    [(1e30, (0.7, 2.00001, 0.7, 0.8)), (2.5e11, (1e-6, 0.7)), (1.7e10, (1e-6, 0.8))],
)
def test_several_temperatures_on_a_huge_logit(
    largest: float, temperatures: tuple[float, ...]
) -> None:
    row = row_of(512, 0.0, (0, largest))
    check(row, tuple(map(Temperature, temperatures)))
    check(row.astype(np.float32), tuple(map(Temperature, temperatures)))
