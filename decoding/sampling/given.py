"""Computes logprobs, rank and entropy of given tokens, bit for bit as of sampled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import DecodingError, ParameterError, require
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.logits import as_rows, logits_of
from decoding.processors.feedback import Feedback
from decoding.sampling.backends import named
from decoding.sampling.batch import BatchSampler, Sample, Sampler, States
from decoding.sampling.stages import Stages, next_states
from decoding.typing import Rows


class TokenDescriber:
    """Describes a given token for every row of a batch; made once, called for many batches.

    A token that the sampler would have drawn gets the sample that it would have got, bit for bit.
    Any other token gets the same arithmetic:

        processed_logprob = (z_i − max z) − ln Σ exp(z_j − max z)

    with z, the maximum and the sum those of the sampler's own kernel. So the difference between a
    logprob of a draw and the logprob of the same token here is exactly 0, given the same logits,
    the same pipeline and the same backend, whatever the pipeline does.

    samplers: one a row. Their seeds only decide which rows need a second call.
    backend: as of `BatchSampler`.
    """

    def __init__(
        self, samplers: Sequence[Sampler], *, backend: Backend | str | None = None
    ) -> None:
        self._sampler = BatchSampler(samplers, backend=backend)
        self._samplers = tuple(samplers)
        self._scales: BatchSampler | None = None
        self._raw_scales: BatchSampler | None = None
        self._backend = named(backend)
        self._stages = {
            row: Stages(item.pipeline.segments[:-1], self._backend)
            for row, item in enumerate(self._samplers)
            if any(isinstance(part, Feedback) for part in item.pipeline.processors)
        }

    def __call__(
        self,
        logits: Rows,
        history: History,
        token_ids: Sequence[int],
        states: Sequence[States] | None = None,
    ) -> list[Sample | DecodingError]:
        """One result a row of `(batch, vocab)` logits; arguments as in a call of `BatchSampler`.

        token_ids: the token of each row. A token that the pipeline removes has the processed
            logprob −inf, and leaves the states of feedbacks as they were.

        Raises:
            ShapeError: the logits are not `(len(samplers), vocab)` floats.
            ParameterError: not one token id a row, or an id beyond the logits.
        """
        width = int(as_rows(logits).shape[1])
        require("token_ids", token_ids, len(token_ids) == len(history), "one for every row")
        for token_id in token_ids:
            if not 0 <= token_id < width:
                raise ParameterError("token_ids", token_id, f"in [0, {width}), ids of the logits")
        drawn = self._sampler(logits, history, states)
        others = [
            row
            for row, outcome in enumerate(drawn)
            if isinstance(outcome, Sample) and outcome.token_id != token_ids[row]
        ]
        if not others:
            return drawn
        widened = logits_of(as_rows(logits))
        edited = self._sampler.process_exactly(logits, history, states)
        scales = self._scale_samplers()(logits, history, states)
        raw_scales = self._raw_samplers()(logits, History.empty(len(history)))
        found = list(drawn)
        for row in others:
            sample, scale, raw_scale = drawn[row], scales[row], raw_scales[row]
            if row in edited.errors or not isinstance(scale, Sample):
                found[row] = edited.errors.get(row, scale)
                continue
            after = edited.logits[row]
            assert isinstance(sample, Sample)  # ours: `others` has rows with a sample
            assert isinstance(raw_scale, Sample)  # ours: so its logits are legal
            # The likeliest token's logprob is (max − max) − ln Σ: minus the logarithm, exactly.
            logs = (-scale.top[0].processed_logprob, -raw_scale.raw_logprob)
            found[row] = _described(sample, token_ids[row], widened[row], after, logs)
            if row in self._stages:
                found[row] = self._observed(found[row], row, widened, history, states)
        return found

    def _observed(
        self,
        outcome: Sample | DecodingError,
        row: int,
        logits: NDArray[Any],
        history: History,
        states: Sequence[States] | None,
    ) -> Sample | DecodingError:
        """The sample with the states after its token."""
        assert isinstance(outcome, Sample)  # ours
        before = self._samplers[row].start() if states is None else states[row]
        if outcome.processed_logprob == -np.inf:
            return replace(outcome, states=before)
        own = history.select(row)
        _, steered = self._stages[row](logits[row : row + 1], own, before, row)
        after = next_states(steered, outcome.token_id, own, row)
        return after if isinstance(after, DecodingError) else replace(outcome, states=after)

    def _scale_samplers(self) -> BatchSampler:
        """The same samplers, describing their likeliest token too."""
        if self._scales is None:
            samplers = [replace(item, top_n=max(1, item.top_n)) for item in self._samplers]
            self._scales = BatchSampler(samplers, backend=self._backend)
        return self._scales

    def _raw_samplers(self) -> BatchSampler:
        """Samplers that take the likeliest token of the rows as they are."""
        if self._raw_scales is None:
            samplers = [Sampler()] * len(self._samplers)
            self._raw_scales = BatchSampler(samplers, backend=self._backend)
        return self._raw_scales


def _described(
    sample: Sample,
    token_id: int,
    raw: NDArray[Any],
    edited: NDArray[np.float64],
    logs: tuple[float, float],
) -> Sample:
    """The sample of a row, of another token.

    raw, edited: the row before and after the pipeline. logs: ln Σ exp(z − max) of the processed and
    of the raw row.
    """
    drawn, wide = sample.token_id, raw.astype(np.float64)
    return replace(
        sample,
        token_id=token_id,
        raw_logprob=_logprob(wide, token_id, logs[1], (drawn, sample.raw_logprob)),
        processed_logprob=_logprob(edited, token_id, logs[0], (drawn, sample.processed_logprob)),
        rank=1 + int(np.count_nonzero(raw > raw[token_id])),
    )


def _logprob(
    row: NDArray[np.float64], token_id: int, log: float, known: tuple[int, float]
) -> float:
    """(z − max) − ln Σ of a token, with the logarithm that gives another token its known logprob.

    A kernel may leave a row to NumPy, which sums in another order: in one call, and not in another.
    """
    largest, (other, logprob) = float(row.max()), known
    if (float(row[other]) - largest) - log != logprob:
        by_numpy = float(np.log(np.exp(row[row > -np.inf] - largest).sum()))
        if (float(row[other]) - largest) - by_numpy == logprob:
            log = by_numpy
    return (float(row[token_id]) - largest) - log
