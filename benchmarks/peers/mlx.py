"""mlx-lm: the functions of its `sample_utils` on the CPU.

Its own sampler fixes another order (temperature last); here its functions run in ours, so that the
law is the same. As in its generation loop the output is the token and the log-probabilities that
the sampler is given, which makes no top 5. One row a call: a batch would share one history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm import sample_utils
from numpy.typing import NDArray

from benchmarks.ours import UnavailableError
from benchmarks.peers import one_token
from benchmarks.workloads import HISTORY_LENGTH, Problem, Workload


def open_step(problem: Problem, threads: int) -> MlxStep:
    """The problem's chain; the CPU device has no threads to set.

    Raises:
        UnavailableError: the chain has a step that mlx-lm lacks.
    """
    del threads
    workload = problem.workloads[0]
    if workload.typical_p is not None:
        raise UnavailableError("it has no typical-p")
    if workload.grammar or workload.watermark:
        raise UnavailableError("it has no masks and no watermark")
    if workload.top_k is not None and workload.top_k >= problem.rows.shape[1]:
        raise UnavailableError("it refuses a top-k of the vocabulary's size")
    mx.set_default_device(mx.cpu)
    return MlxStep(problem)


class MlxStep:
    """The rows one after the other."""

    def __init__(self, problem: Problem) -> None:
        histories = problem.histories[0].token_ids[:, :HISTORY_LENGTH]
        self._rows = [mx.array(row) for row in problem.rows]
        self._tokens = [mx.array(history) for history in histories]
        self._workload, self._greedy = problem.workloads[0], problem.greedy
        self._processors: list[Callable[[Any, Any], Any]] = sample_utils.make_logits_processors(
            repetition_penalty=self._workload.repetition, repetition_context_size=HISTORY_LENGTH
        )

    def __call__(self, number: int) -> list[int]:
        """Tokens."""
        del number
        return [self._draw(row) for row in range(len(self._rows))]

    def probabilities(self, row: int) -> NDArray[np.float64]:
        """The softmax of what the categorical draw is given."""
        if self._greedy:
            return one_token(self._draw(row), self._rows[row].size)
        kept = mx.softmax(self._kept(self._logprobs(row)), axis=-1)
        return np.array(kept[0]).astype(np.float64)

    def _draw(self, row: int) -> int:
        if self._greedy:
            chosen: Any = sample_utils.greedy_sampler(self._rows[row])
            return int(chosen.item())
        logprobs = self._logprobs(row)
        token: Any = sample_utils.categorical_sampling(self._kept(logprobs), 1.0)
        mx.eval(token, logprobs)
        return int(token.item())

    def _logprobs(self, row: int) -> Any:  # an array of mlx
        logits = self._rows[row][None]  # a new array: the penalties write to it
        for process in self._processors:
            logits = process(self._tokens[row], logits)
        return logits - mx.logsumexp(logits, keepdims=True)

    def _kept(self, logprobs: Any) -> Any:  # arrays of mlx
        workload: Workload = self._workload
        if workload.temperature is not None:
            logprobs = logprobs * (1.0 / workload.temperature)
        if workload.top_k is not None:
            logprobs = sample_utils.apply_top_k(logprobs, workload.top_k)
        if workload.top_p is not None:
            logprobs = sample_utils.apply_top_p(logprobs, workload.top_p)
        if workload.min_p is not None:
            logprobs = sample_utils.apply_min_p(logprobs, workload.min_p)
        return logprobs
