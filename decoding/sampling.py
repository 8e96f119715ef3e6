"""Logits to tokens: the only place where randomness meets logits.

    token = argmax over the kept support of  logits[i] + noise(seed, position, i)

with standard Gumbel noise, so that P(token = i) = softmax(logits)[i] and a masked token cannot be
drawn. The noise is addressed, not streamed: a token depends on its row's logits, pipeline, seed and
position, and on nothing else in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decoding.errors import (
    DecodingError,
    EmptySupportError,
    InvalidLogitsError,
    ProcessorError,
    ShapeError,
    require,
)
from decoding.history import History
from decoding.kernels.program import Instruction, assemble
from decoding.kernels.result import EMPTY_SUPPORT, INVALID_LOGITS, OK, StepResult
from decoding.kernels.vector.execute import Emptied, apply_program
from decoding.kernels.vector.step import step
from decoding.logits import as_logits
from decoding.pipeline import Fused, Pipeline, chain
from decoding.rng import SEED_RANGE
from decoding.typing import Logits, Processor


@dataclass(frozen=True, slots=True)
class Sampler:
    """How one row turns logits into a token.

    pipeline: what is done to the logits first.
    seed: in [0, 2**64) draws by Gumbel-max; None is greedy: the likeliest token, ties to the
    lowest id.
    top_n: how many of the likeliest tokens to describe; every tie with the n-th comes too (TGI).
    """

    pipeline: Pipeline = chain()
    seed: int | None = None
    top_n: int = 0

    def __post_init__(self) -> None:
        legal = self.seed is None or 0 <= self.seed < SEED_RANGE
        require("seed", self.seed, legal, "None or in [0, 2**64)")
        require("top_n", self.top_n, self.top_n >= 0, ">= 0")


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have been drawn; logprobs as in `Sample`."""

    token_id: int
    raw_logprob: float
    processed_logprob: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn token and how likely it was.

    raw_logprob: natural log-probability under the model's own logits.
    processed_logprob: the same after the pipeline, over the kept support.
    rank: 1 + the number of tokens with a strictly larger raw logit.
    entropy: of the processed distribution, in nats.
    support_size: tokens the pipeline kept.
    top: the likeliest tokens after the pipeline, in order; ties by token id.
    """

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    top: tuple[Alternative, ...] = ()


class BatchSampler:
    """Draws a token for every row of a batch; build it once, call it every step.

    A row's error never touches another row: it takes the place of that row's sample.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self._samplers = tuple(samplers)
        last = [_last(sampler.pipeline) for sampler in samplers]
        self._program = assemble([segment.instructions for segment in last])
        self._last = last
        self._seeds = np.array([sampler.seed or 0 for sampler in samplers], np.uint64)
        self._greedy = np.array([sampler.seed is None for sampler in samplers], np.bool_)
        self._top_n = np.array([sampler.top_n for sampler in samplers], np.int64)
        self._widest_bias = [_widest_bias(sampler.pipeline) for sampler in samplers]
        self._split = any(len(sampler.pipeline.segments) > 1 for sampler in samplers)

    def __call__(self, logits: Any, history: History) -> list[Sample | DecodingError]:  # noqa: ANN401 -- an edge
        """One result a row of `(batch, vocab)` logits, NumPy or torch.

        A row's position is the length of its history.

        Raises:
            ShapeError: the logits are not `(len(samplers), vocab)` floats.
        """
        raw = as_logits(logits)
        if len(raw) != len(self._samplers) or len(history) != len(self._samplers):
            expected = f"{len(self._samplers)} rows, one a sampler"
            raise ShapeError("logits and history", f"{len(raw)} and {len(history)} rows", expected)
        failed: dict[int, DecodingError] = {}
        for row, widest in enumerate(self._widest_bias):
            if widest >= raw.shape[1]:
                expected = f"at most {raw.shape[1] - 1}, the last token of the row"
                failed[row] = ShapeError("logit_bias", f"token id {widest}", expected)
        edited = self._run_splits(raw, history, failed) if self._split else raw
        result = step(
            edited,
            raw,
            self._program,
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
            self._seeds,
            self._greedy,
            self._top_n,
        )
        return [
            failed[row] if row in failed else self._outcome(result, row, history)
            for row in range(len(raw))
        ]

    def _run_splits(
        self, logits: Logits, history: History, failed: dict[int, DecodingError]
    ) -> Logits:
        """The batch after every segment but the last of each row's pipeline."""
        rows = [logits[row : row + 1] for row in range(len(logits))]
        for row, sampler in enumerate(self._samplers):
            # A row that is not logits is reported by the kernel; no processor should see it.
            if row in failed or not (rows[row] < np.inf).all():
                continue
            try:
                for segment in sampler.pipeline.segments[:-1]:
                    rows[row] = _run_segment(segment, rows[row], history.select(row), row)
            except DecodingError as error:
                failed[row] = error
                rows[row] = logits[row : row + 1]
        return np.concatenate(rows)

    def _outcome(self, result: StepResult, row: int, history: History) -> Sample | DecodingError:
        status = result.statuses[row]
        generated = _steps(history, row)
        position = int(result.fault_positions[row])
        if status == INVALID_LOGITS:
            return InvalidLogitsError(row, position, int(result.fault_counts[row]), generated)
        if status == EMPTY_SUPPORT:
            culprit = None if position < 0 else repr(self._last[row].processors[position])
            return EmptySupportError(row, culprit, generated)
        assert status == OK  # noqa: S101 -- ours: a kernel has no other statuses
        top = slice(result.top_starts[row], result.top_starts[row + 1])
        return Sample(
            int(result.token_ids[row]),
            float(result.raw_logprobs[row]),
            float(result.processed_logprobs[row]),
            int(result.ranks[row]),
            float(result.entropies[row]),
            int(result.support_sizes[row]),
            tuple(
                map(
                    Alternative,
                    result.top_token_ids[top].tolist(),
                    result.top_raw_logprobs[top].tolist(),
                    result.top_processed_logprobs[top].tolist(),
                )
            ),
        )


def sample(
    logits: Any,  # noqa: ANN401 -- an edge
    history: History,
    samplers: Sequence[Sampler],
) -> list[Sample | DecodingError]:
    """Draw a token a row, once; a loop should keep a `BatchSampler`.

    >>> [drawn] = sample(np.log([[0.2, 0.5, 0.3]]), History.empty(1), [Sampler()])
    >>> drawn.token_id, drawn.rank, round(drawn.processed_logprob, 4)
    (1, 1, -0.6931)
    """
    return BatchSampler(samplers)(logits, history)


def _last(pipeline: Pipeline) -> Fused:
    last = pipeline.segments[-1]
    assert isinstance(last, Fused)  # noqa: S101 -- ours: a pipeline ends with one
    return last


def _widest_bias(pipeline: Pipeline) -> int:
    """The largest token id that an instruction names; −1 for none."""
    instructions: list[Instruction] = []
    for segment in pipeline.segments:
        if isinstance(segment, Fused):
            instructions += segment.instructions
    return max((token_id for item in instructions for token_id in item.token_ids), default=-1)


def _steps(history: History, row: int) -> int:
    return int(history.lengths[row] - history.prompt_lengths[row])


def _run_segment(segment: Fused | Processor, logits: Logits, history: History, row: int) -> Logits:
    """One segment over one row `(1, vocab)`."""
    if not isinstance(segment, Fused):
        return _run_processor(segment, logits, history, row)
    if not segment.instructions:
        return logits
    try:
        program = assemble([segment.instructions])
        prompt_length = int(history.prompt_lengths[0])
        return apply_program(logits[0], program, 0, history.row(0), prompt_length)[np.newaxis]
    except Emptied as emptied:
        culprit = repr(segment.processors[emptied.position])
        raise EmptySupportError(row, culprit, _steps(history, 0)) from None


def _run_processor(processor: Processor, logits: Logits, history: History, row: int) -> Logits:
    """A processor that only Python knows, held to its contract."""
    given = logits.view()
    given.flags.writeable = False
    generated = _steps(history, 0)

    def broken(problem: str) -> ProcessorError:
        return ProcessorError(repr(processor), problem, row, generated)

    try:
        returned = processor(given, history)
    except Exception as error:
        raise broken(f"raised {type(error).__name__}: {error}") from error
    try:
        result = as_logits(returned)
    except ShapeError as error:
        raise broken(f"must return logits: {error}") from error
    if result.shape != logits.shape:
        raise broken(f"must return logits of shape {logits.shape}, got {result.shape}")
    if not (result < np.inf).all():
        raise broken("must return finite logits or -inf, got NaN or +inf")
    if (np.isneginf(logits) & ~np.isneginf(result)).any():
        raise broken("must not bring an impossible token back to life")
    if not (result > -np.inf).any() and (logits > -np.inf).any():
        raise EmptySupportError(row, repr(processor), generated)
    return result
