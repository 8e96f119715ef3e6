"""One opcode for cuts at a distance from the largest logit: it keeps what each formula keeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.program import Batch, Term, assemble, cut
from decoding.kernels.reference import cutoffs, processors, step
from decoding.kernels.vector.step import VectorKernel
from decoding.processors import EpsilonCutoff, EtaCutoff, MinP, TopNSigma

EDGES = (0.0, -0.0, 88.0, -104.0, 1e4, 1e-40, -1e-40, 3e38, -3e38)
CASES: dict[str, tuple[Callable[[float], Any], Callable[[list[float], float], list[float]]]] = {
    "min_p": (MinP, processors.min_p),
    "epsilon": (EpsilonCutoff, cutoffs.epsilon_cutoff),
    "eta": (EtaCutoff, cutoffs.eta_cutoff),
    "top_n_sigma": (lambda u: TopNSigma(4.0 * u), lambda row, u: cutoffs.top_n_sigma(row, 4.0 * u)),
}


def rows(count: int) -> Any:
    """Random rows, some of ties, of masked tokens, or of numbers at the ends of float32."""
    generator = np.random.default_rng(0)
    for index in range(count):
        width = int(generator.integers(1, 40))
        row = generator.standard_normal(width) * generator.choice([0.1, 1.0, 3.0, 10.0])
        row = np.round(row) if index % 3 == 0 else row
        row = generator.choice(EDGES, width) if index % 7 == 0 else row
        row[generator.random(width) < 0.2] = -np.inf
        yield row, float(generator.uniform(1e-3, 0.99))


@pytest.mark.parametrize("name", CASES)
def test_it_keeps_what_the_formula_keeps(name: str) -> None:
    make, formula = CASES[name]
    for row, parameter in rows(500):
        expected = [z > -math.inf for z in formula(row.tolist(), parameter)]
        processor = make(parameter)
        called = processor(row[np.newaxis], History.empty(1))[0] > -np.inf
        assert called.tolist() == expected
        lowered = step.run(row.tolist(), processor.lower(), [], [])
        assert [z > -math.inf for z in lowered] == expected


def test_terms() -> None:
    # Probabilities 1/2, 1/4, 1/8, 1/8: Σ p² = 11/32, max p² = 1/4, H = 7/4 ln 2.
    row = np.log([0.5, 0.25, 0.125, 0.125])
    kept = {
        "p >= sum of p squared": (Term(log_total=-1.0, log_squares=1.0), 1),
        "p >= 0.4 max p squared": (Term(math.log(0.4), log_total=-1.0), 4),
        "p >= 0.6 max p squared": (Term(math.log(0.6), log_total=-1.0), 2),
        "p >= exp(-H)": (Term(log_total=1.0, entropy=-1.0), 1),
        "p >= 0.8 exp(-H)": (Term(math.log(0.8), log_total=1.0, entropy=-1.0), 2),
    }
    for name, (term, count) in kept.items():
        lowered = step.run(row.tolist(), [cut(term)], [], [])
        assert sum(z > -math.inf for z in lowered) == count, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("many", [1e300, 1.7e308])
def test_more_deviations_than_there_are_numbers_keep_everything(many: float, dtype: Any) -> None:
    kernel = pytest.importorskip("decoding.kernels.compiled.kernel", reason="no Numba")
    # So many tokens that a truncation describes what it keeps by bounds.
    logits = np.random.default_rng(0).standard_normal((1, 20_000)).astype(dtype) * 100
    program = assemble([TopNSigma(many).lower()])
    nobody = np.zeros(1, np.int64)
    batch = Batch(program, nobody.astype(np.uint64), nobody > 0, nobody)
    for opened in (kernel.CompiledKernel, VectorKernel):
        result = opened(batch).step(
            logits,
            logits,
            np.zeros((0, 625), np.int32),
            np.zeros((1, 0), np.int32),
            nobody,
            nobody,
            describe=True,
        )
        assert result.rows["support_size"].tolist() == [20_000]
