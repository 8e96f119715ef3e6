"""Checks that timed implementations compute the right result.

Three steps: every backend against the NumPy kernels on the very rows that are timed; the NumPy
kernels against the pipeline by definition in float64 on the first of these rows; and the same
kernels against `decoding.kernels.reference` on a row of that kind, `ORACLE_WIDTH` wide, since that
oracle works on Python lists.

Equal means: the same error; or the same rank and top tokens, logprobs and entropy within
`LOGPROB_TOLERANCE`, absolute or relative, the same number of tokens kept, or as many as masses up
to `MASS_BAND` smaller or larger keep, and the same token, or one whose score (its logprob plus its
noise, the largest of which is drawn) is within `SCORE_BAND` of the drawn one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np

from benchmarks.outcomes import (
    by_definition,
    by_reference,
    log_softmax,
    processed,
    rank_of,
    score,
)
from benchmarks.workloads import TOP_N, Problem, make_problem
from decoding import Backend, BatchSampler, DecodingError, Sample
from decoding.sampling.batch import Alternative

LOGPROB_TOLERANCE = 1e-5
SCORE_BAND = 1e-5
MASS_BAND = 1e-5
ORACLE_WIDTH = 4096

Output: TypeAlias = Sample | int | DecodingError


@dataclass(eq=False)
class Expected:
    """What the NumPy kernels say of a problem."""

    problem: Problem

    @cached_property
    def output(self) -> Sequence[Output]:
        """One a row, at the first position."""
        sampler = BatchSampler(self.problem.samplers, backend=Backend.NUMPY)
        draw = sampler.draw if self.problem.alone else sampler
        return draw(self.problem.given, self.problem.histories[0])

    def difference(self, output: Sequence[Output]) -> str | None:
        """The first row that an implementation has wrong, and how; None where all is right."""
        if len(output) != len(self.output):
            return f"{len(output)} rows, expected {len(self.output)}"
        for row, (ours, expected) in enumerate(zip(output, self.output, strict=True)):
            for difference in _differences(self.problem, row, ours, expected):
                return f"row {row}: {difference}"
        return None

    def own_error(self, kind: str, dtype: str) -> str | None:
        """What is wrong with the NumPy kernels themselves."""
        expected = by_definition(self.problem, 0)
        for difference in _differences(self.problem, 0, self.output[0], expected):
            return f"NumPy against the pipeline by definition: {difference}"
        width = min(ORACLE_WIDTH, self.problem.rows.shape[1])
        return _oracle_error(self.problem.workloads[0].name, kind, width, dtype)


@lru_cache(maxsize=1024)
def _oracle_error(name: str, kind: str, width: int, dtype: str) -> str | None:
    problem = make_problem(name, kind=kind, batch=1, width=width, dtype=dtype)
    [ours] = Expected(problem).output
    for difference in _differences(problem, 0, ours, by_reference(problem, 0)):
        return f"NumPy against the oracle, {width} tokens: {difference}"
    return None


def _differences(problem: Problem, row: int, ours: Output, expected: Output) -> Iterator[str]:
    if isinstance(ours, Sample) and isinstance(expected, Sample):
        yield from _sample_differences(problem, row, ours, expected)
    elif isinstance(ours, DecodingError) and isinstance(expected, DecodingError):
        if str(ours) != str(expected):
            yield f"error {ours}, expected {expected}"
    elif ours != expected:
        yield f"{ours!r}, expected {expected!r}"


def _sample_differences(
    problem: Problem, row: int, ours: Sample, expected: Sample
) -> Iterator[str]:
    if ours.token_id != expected.token_id:
        if not _tied(problem, row, ours.token_id, expected.token_id):
            yield f"token {ours.token_id}, expected {expected.token_id}"
        expected = _had_it_drawn(problem, row, ours.token_id, expected)
    if ours.rank != expected.rank:
        yield f"rank {ours.rank}, expected {expected.rank}"
    tolerance = LOGPROB_TOLERANCE
    if ours.support_size != expected.support_size:
        low, high = _sizes(problem, row)
        if not low <= ours.support_size <= high:
            yield f"{ours.support_size} tokens kept, expected {expected.support_size}"
        tolerance += 2 * MASS_BAND
    for name in ("raw_logprob", "processed_logprob"):
        value, wanted = getattr(ours, name), getattr(expected, name)
        if not _close(value, wanted, tolerance):
            yield f"{name} {value!r}, expected {wanted!r}"
    change = abs(ours.support_size - expected.support_size) * _entropy_of_the_last(problem, row)
    if not _close(ours.entropy, expected.entropy, tolerance + change):
        yield f"entropy {ours.entropy!r}, expected {expected.entropy!r}"
    yield from _top_differences(problem, row, ours, expected, tolerance)


def _top_differences(
    problem: Problem, row: int, ours: Sample, expected: Sample, tolerance: float
) -> Iterator[str]:
    """Tokens whose logprobs tie within the tolerance may stand in either order, or both at the end.

    The list ends with the ties of the n-th, which rounding makes and breaks.
    """
    fewer, more = sorted((ours.top, expected.top), key=len)
    if len(fewer) < min(TOP_N, expected.support_size) or any(
        not _close(item.processed_logprob, fewer[-1].processed_logprob, tolerance)
        for item in more[len(fewer) :]
    ):
        yield f"{len(ours.top)} top tokens, expected {len(expected.top)}"
    known = {item.token_id: item for item in expected.top}
    for place, (item, wanted) in enumerate(zip(ours.top, expected.top, strict=False)):
        true = known.get(item.token_id) or _alternative(problem, row, item.token_id)
        if not (
            _close(item.processed_logprob, wanted.processed_logprob, tolerance)
            and _close(item.processed_logprob, true.processed_logprob, tolerance)
            and _close(item.raw_logprob, true.raw_logprob, tolerance)
        ):
            yield f"top token {place} is {item}, expected {wanted}"


def _close(value: float, wanted: float, tolerance: float) -> bool:
    return math.isclose(value, wanted, rel_tol=tolerance, abs_tol=tolerance)


def _sizes(problem: Problem, row: int) -> tuple[int, int]:
    """The fewest and the most tokens that masses within the band keep."""
    fewest, most = (processed(problem, row, more=more) for more in (-MASS_BAND, MASS_BAND))
    return int(np.count_nonzero(fewest > -np.inf)), int(np.count_nonzero(most > -np.inf))


def _entropy_of_the_last(problem: Problem, row: int) -> float:
    """By how much at most the entropy changes with the least likely token: p (1 − ln p)."""
    kept = processed(problem, row)
    kept = np.exp(kept[kept > -np.inf] - kept.max())
    least = float(kept.min() / kept.sum())
    return 2.0 * least * (1.0 - math.log(least)) if least > 0.0 else 0.0


def _tied(problem: Problem, row: int, one: int, other: int) -> bool:
    logprobs = log_softmax(processed(problem, row, more=MASS_BAND))
    scores = [score(problem, row, logprobs, token_id) for token_id in (one, other)]
    return abs(scores[0] - scores[1]) <= SCORE_BAND


def _had_it_drawn(problem: Problem, row: int, token_id: int, sample: Sample) -> Sample:
    """The sample of another token."""
    instead = _alternative(problem, row, token_id)
    return replace(
        sample,
        token_id=token_id,
        raw_logprob=instead.raw_logprob,
        processed_logprob=instead.processed_logprob,
        rank=rank_of(problem.rows[row].astype(np.float64), token_id),
    )


def _alternative(problem: Problem, row: int, token_id: int) -> Alternative:
    """A token's logprobs by definition."""
    raw, kept = problem.rows[row].astype(np.float64), processed(problem, row)
    return Alternative(
        token_id, float(log_softmax(raw)[token_id]), float(log_softmax(kept)[token_id])
    )
