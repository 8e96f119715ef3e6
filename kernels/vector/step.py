"""NumPy backend: runs a batch's program, draws a token a row, reports logprobs, rank, entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Batch
from decoding.kernels.result import (
    EMPTY_SUPPORT,
    INVALID_LOGITS,
    OK,
    ROW,
    TIES_BEYOND_TOP_N,
    TOP,
    StepResult,
)
from decoding.kernels.rows import widen
from decoding.kernels.vector import noise
from decoding.kernels.vector.execute import Candidates, Emptied, apply_program, run_row

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VectorKernel:
    """`decoding.kernels.backends.Kernel` in NumPy.

    Whatever `numpy.seterr` says, what overflows or underflows is as in the other backends.
    """

    batch: Batch

    def step(
        self,
        logits: NDArray[Any],
        raw_logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
        *,
        describe: bool,
    ) -> StepResult:
        """Draw one token a row."""
        rows, tops, start = np.zeros(len(logits), ROW), [np.zeros(0, TOP)], 0
        for row in range(len(logits)):
            history, prompt_length = token_ids[row, : lengths[row]], int(prompt_lengths[row])
            edited = None if logits is raw_logits else logits[row]
            tops.append(
                self.step_row(
                    rows[row],
                    row,
                    raw_logits[row],
                    edited,
                    bitmasks,
                    history,
                    prompt_length,
                    describe=describe,
                )
            )
            rows[row]["top_start"], rows[row]["top_count"] = start, len(tops[-1])
            start += len(tops[-1])
        return StepResult.of(rows, np.concatenate(tops))

    def regrouped(self, batch: Batch, threads: int = 1) -> VectorKernel:
        """Make this backend's kernel for another batch; see `Kernel.regrouped`."""
        del threads
        return VectorKernel(batch)

    @np.errstate(all="ignore")
    def step_row(
        self,
        outcome: Any,  # a structured scalar
        row: int,
        raw_logits: NDArray[Any],
        edited: NDArray[Any] | None,
        bitmasks: NDArray[np.int32],
        history: NDArray[np.int32],
        prompt_length: int,
        *,
        describe: bool,
    ) -> NDArray[Any]:
        """Run one row: write its results, return its likeliest tokens.

        `edited` is None where the row is to be taken as it came.
        """
        raw = widen(raw_logits).astype(np.float64)
        logits = raw if edited is None else widen(edited).astype(np.float64)
        candidates = self._candidates(outcome, row, logits, bitmasks, history, prompt_length)
        if candidates is None:
            return np.zeros(0, TOP)
        outcome["status"] = OK
        seed = None if self.batch.greedy[row] else int(self.batch.seeds[row])
        place = choose(candidates, seed, len(history))
        outcome["token_id"] = candidates.token_ids[place]
        if not describe:
            return np.zeros(0, TOP)
        return _describe(outcome, raw, candidates, place, int(self.batch.top_n[row]))

    @np.errstate(all="ignore")
    def edit(
        self,
        logits: NDArray[Any],
        bitmasks: NDArray[np.int32],
        token_ids: NDArray[np.int32],
        lengths: NDArray[np.int64],
        prompt_lengths: NDArray[np.int64],
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Run the program without a draw: the edited rows, in float64."""
        rows = widen(logits).astype(np.float64)
        emptied = np.full(len(logits), -1, np.int64)
        for row in range(len(logits)):
            history, prompt_length = token_ids[row, : lengths[row]], int(prompt_lengths[row])
            try:
                rows[row] = apply_program(
                    rows[row], self.batch.program, row, bitmasks, history, prompt_length
                )
            except Emptied as error:
                emptied[row] = error.position
        return rows, emptied

    def _candidates(
        self,
        outcome: Any,  # a structured scalar
        row: int,
        logits: Row,
        bitmasks: NDArray[np.int32],
        history: NDArray[np.int32],
        prompt_length: int,
    ) -> Candidates | None:
        invalid = np.flatnonzero(~(logits < np.inf))
        if len(invalid):
            _fault(outcome, INVALID_LOGITS, int(invalid[0]), len(invalid))
        elif logits.max() == -np.inf:
            _fault(outcome, EMPTY_SUPPORT, -1)
        else:
            try:
                return run_row(logits, self.batch.program, row, bitmasks, history, prompt_length)
            except Emptied as error:
                _fault(outcome, EMPTY_SUPPORT, error.position)
        return None


def choose(candidates: Candidates, seed: int | None, position: int) -> int:
    """Choose a token: its position among the candidates, ties to the lowest id.

    Gumbel-max: argmax of logit + noise over the candidates alone; greedy where `seed` is None.
    """
    if seed is None:
        return int(candidates.logits.argmax())
    return noise.choose(candidates.token_ids, candidates.logits, noise.Place(seed, position))


def _fault(outcome: Any, status: int, position: int, count: int = 0) -> None:
    outcome["status"], outcome["fault_position"], outcome["fault_count"] = status, position, count


def _describe(
    outcome: Any,  # a structured scalar
    raw: Row,
    candidates: Candidates,
    place: int,
    top_n: int,
) -> NDArray[Any]:
    token_ids = candidates.token_ids
    raw_logprobs = _logprobs(raw, raw[token_ids])
    processed = _logprobs(candidates.logits, candidates.logits)
    outcome["raw_logprob"] = raw_logprobs[place]
    outcome["processed_logprob"] = processed[place]
    outcome["rank"] = 1 + np.count_nonzero(raw > raw[token_ids[place]])
    outcome["entropy"] = max(0.0, -float(np.dot(np.exp(processed), processed)))
    outcome["support_size"] = len(token_ids)
    return _top(candidates, raw_logprobs, processed, top_n)


def _top(candidates: Candidates, raw: Row, processed: Row, top_n: int) -> NDArray[Any]:
    """The n likeliest candidates and their ties, most likely first."""
    if top_n == 0:
        return np.zeros(0, TOP)
    token_ids, logits = candidates
    place = max(0, len(logits) - top_n)
    kept = np.flatnonzero(logits >= np.partition(logits, place)[place])
    kept = kept[np.argsort(-logits[kept], kind="stable")][: top_n + TIES_BEYOND_TOP_N]
    top = np.empty(len(kept), TOP)
    top["token_id"] = token_ids[kept]
    top["raw_logprob"], top["processed_logprob"] = raw[kept], processed[kept]
    return top


def _logprobs(logits: Row, of: Row) -> Row:
    """The logprobs of some logits of a row: (z − max) − ln Σ exp(z_j − max).

    The two terms stay apart: added to a maximum of 1e38, the logarithm would vanish.
    """
    largest = logits.max()
    return (of - largest) - np.log(np.exp(logits - largest).sum())
