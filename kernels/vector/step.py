"""Run a program over a batch, draw a token a row, and describe the draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Program
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, StepResult
from decoding.kernels.vector.execute import Candidates, Emptied, run_row
from decoding.kernels.vector.noise import perturb, token_words

Row = NDArray[np.float64]


def step(
    logits: NDArray[np.floating[Any]],
    raw_logits: NDArray[np.floating[Any]],
    program: Program,
    token_ids: NDArray[np.int32],
    lengths: NDArray[np.int64],
    prompt_lengths: NDArray[np.int64],
    seeds: NDArray[np.uint64],
    greedy: NDArray[np.bool_],
    top_n: NDArray[np.int64],
) -> StepResult:
    """Draw one token a row of `logits` `(batch, vocab)`.

    `raw_logits` are what raw logprobs and ranks are taken from; the same object unless a caller
    has edited the logits already. The history is `token_ids` `(batch, width)`, valid up to
    `lengths`, prompts up to `prompt_lengths`. A row's position, which addresses its noise, is its
    length; row r draws greedily where `greedy[r]`.
    """
    result = StepResult.blank(len(logits), 0)
    tops: list[tuple[NDArray[np.int64], Row, Row]] = []
    for row in range(len(logits)):
        raw = raw_logits[row].astype(np.float64)
        edited = raw if logits is raw_logits else logits[row].astype(np.float64)
        history = token_ids[row, : lengths[row]]
        candidates = _candidates(result, row, edited, program, history, int(prompt_lengths[row]))
        if candidates is None:
            tops.append(_top(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), 0))
            continue
        seed = None if greedy[row] else int(seeds[row])
        place = choose(candidates, seed, int(lengths[row]))
        tops.append(_describe(result, row, raw, candidates, place, int(top_n[row])))
    return result._replace(
        top_starts=np.cumsum([0, *(len(top[0]) for top in tops)], dtype=np.int64),
        top_token_ids=np.concatenate([top[0] for top in tops]),
        top_raw_logprobs=np.concatenate([top[1] for top in tops]),
        top_processed_logprobs=np.concatenate([top[2] for top in tops]),
    )


def choose(candidates: Candidates, seed: int | None, position: int) -> int:
    """Where the chosen token stands among the candidates; ties go to the lowest id.

    Gumbel-max: argmax of logit + noise over the candidates alone; greedy where `seed` is None.
    """
    if seed is None:
        return int(candidates.logits.argmax())
    words = token_words(candidates.token_ids, seed, position)
    return int(perturb(candidates.logits, words).argmax())


def _candidates(
    result: StepResult,
    row: int,
    logits: Row,
    program: Program,
    history: NDArray[np.int32],
    prompt_length: int,
) -> Candidates | None:
    invalid = np.flatnonzero(~(logits < np.inf))
    if len(invalid):
        _fault(result, row, INVALID_LOGITS, int(invalid[0]), len(invalid))
    elif logits.max() == -np.inf:
        _fault(result, row, EMPTY_SUPPORT, -1)
    else:
        try:
            return run_row(logits, program, row, history, prompt_length)
        except Emptied as emptied:
            _fault(result, row, EMPTY_SUPPORT, emptied.position)
    return None


def _fault(result: StepResult, row: int, status: int, position: int, count: int = 0) -> None:
    result.statuses[row] = status
    result.fault_positions[row] = position
    result.fault_counts[row] = count


def _describe(
    result: StepResult, row: int, raw: Row, candidates: Candidates, place: int, top_n: int
) -> tuple[NDArray[np.int64], Row, Row]:
    token_ids = candidates.token_ids
    raw_logprobs = _logprobs(raw, raw[token_ids])
    processed = _logprobs(candidates.logits, candidates.logits)
    token_id = token_ids[place]
    result.token_ids[row] = token_id
    result.raw_logprobs[row] = raw_logprobs[place]
    result.processed_logprobs[row] = processed[place]
    result.ranks[row] = 1 + np.count_nonzero(raw > raw[token_id])
    result.entropies[row] = max(0.0, -float(np.dot(np.exp(processed), processed)))
    result.support_sizes[row] = len(token_ids)
    return _top(token_ids, raw_logprobs, processed, top_n)


def _top(
    token_ids: NDArray[np.int64], raw: Row, processed: Row, top_n: int
) -> tuple[NDArray[np.int64], Row, Row]:
    """Every candidate at least as likely as the n-th, most likely first."""
    if top_n == 0 or len(token_ids) == 0:
        return token_ids[:0], raw[:0], processed[:0]
    place = max(0, len(processed) - top_n)
    kept = np.flatnonzero(processed >= np.partition(processed, place)[place])
    kept = kept[np.argsort(-processed[kept], kind="stable")]
    return token_ids[kept], raw[kept], processed[kept]


def _logprobs(logits: Row, of: Row) -> Row:
    """The logprobs of some logits of a row: (z − max) − ln Σ exp(z_j − max).

    The two terms stay apart: added to a maximum of 1e38, the logarithm would vanish.
    """
    largest = logits.max()
    return (of - largest) - np.log(np.exp(logits - largest).sum())
