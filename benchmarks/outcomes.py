"""Expected results of a row, computed without any backend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import TOP_N, Problem, seed_of
from decoding import Sample, chain
from decoding.kernels.program import Instruction
from decoding.kernels.reference import step as reference
from decoding.kernels.reference.noise import token_noise
from decoding.kernels.result import TIES_BEYOND_TOP_N
from decoding.kernels.vector import noise
from decoding.pipeline import Fused
from decoding.sampling.batch import Alternative

Row = NDArray[np.float64]


def by_definition(problem: Problem, row: int) -> Sample | int:
    """Whole arrays in float64: each processor in turn, then the draw, then its description."""
    logits = processed(problem, row)
    if problem.greedy:
        return int(logits.argmax())
    raw = problem.rows[row].astype(np.float64)
    support = np.flatnonzero(logits > -np.inf)
    place = noise.Place(seed_of(row), position_of(problem, row))
    chosen = int(support[(logits[support] + noise.token_noise(support, place)).argmax()])
    if problem.alone:
        return chosen
    raw_logprobs, logprobs = log_softmax(raw), log_softmax(logits)
    order = support[np.lexsort((support, -logits[support]))]
    nth = logits[order[min(TOP_N, len(order)) - 1]]
    top = order[logits[order] >= nth][: TOP_N + TIES_BEYOND_TOP_N].tolist()
    kept = logprobs[support]
    return Sample(
        chosen,
        float(raw_logprobs[chosen]),
        float(logprobs[chosen]),
        rank_of(raw, chosen),
        -float((np.exp(kept) * kept).sum()),
        len(support),
        tuple(Alternative(i, float(raw_logprobs[i]), float(logprobs[i])) for i in top),
    )


def by_reference(problem: Problem, row: int) -> Sample | int:
    """The oracle on Python lists: seconds for a row of 100,000 tokens."""
    workload, history = problem.workloads[row], problem.histories[0]
    instructions: list[Instruction] = []
    for segment in workload.pipeline(problem.lists).segments:
        if not isinstance(segment, Fused):
            raise TypeError(f"{segment} is not lowered")
        instructions += segment.instructions
    raw = problem.rows[row].astype(np.float64).tolist()
    prompt, generated = history.prompt(row).tolist(), history.generated(row).tolist()
    result = reference.step(
        raw,
        reference.run(raw, instructions, prompt, generated),
        seed=None if workload.greedy else seed_of(row),
        position=position_of(problem, row),
        top_n=TOP_N,
    )
    if workload.alone:
        return result.token_id
    return Sample(*result[:6], tuple(Alternative(*entry) for entry in result.top))


def processed(problem: Problem, row: int, *, more: float = 0.0) -> Row:
    """One row after its pipeline by definition; `more` as for `Workload.truncations`."""
    workload = problem.workloads[row]
    pipeline = chain(*workload.edits(problem.lists), *workload.truncations(more=more))
    logits = problem.rows[row : row + 1].astype(np.float64)
    result: Row = pipeline(logits, problem.histories[0].select(row))[0]
    return result


def score(problem: Problem, row: int, logprobs: Row, token_id: int) -> float:
    """The logprob of a token plus its noise; the largest is drawn."""
    return float(logprobs[token_id]) + token_noise(
        seed_of(row), position_of(problem, row), token_id
    )


def position_of(problem: Problem, row: int) -> int:
    """Where the noise of the first step is taken from."""
    return int(problem.histories[0].lengths[row])


def rank_of(raw: Row, token_id: int) -> int:
    """1 + the number of larger logits."""
    return 1 + int(np.count_nonzero(raw > raw[token_id]))


def log_softmax(logits: Row) -> Row:
    """(z − max) − ln Σ exp(z − max)."""
    largest = logits.max()
    shifted: Row = (logits - largest) - np.log(np.exp(logits - largest).sum())
    return shifted
