"""transformers: its logits processors, then softmax and multinomial, as its `generate` does.

The same outputs as ours: raw and processed log-softmax, and the top 5. What it has no processor for
(a green list, frequency and presence penalty, a mask) is a processor as its users write them: one
torch expression over tensors that exist beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from benchmarks.peers import one_token
from benchmarks.workloads import (
    GENERATED_LENGTH,
    GREEN_BIAS,
    HISTORY_LENGTH,
    TOP_N,
    Problem,
    TokenLists,
    Workload,
)


def open_step(problem: Problem, threads: int) -> TransformersStep:
    """The processors of the problem's chain."""
    torch.set_num_threads(threads)
    return TransformersStep(problem)


class TransformersStep:
    """One batched call a step."""

    def __init__(self, problem: Problem) -> None:
        self._scores = torch.from_numpy(problem.rows)
        history = problem.histories[0].token_ids[:, :HISTORY_LENGTH]
        self._input_ids: Any = torch.from_numpy(history.astype(np.int64))
        self._chain = _chain(problem.workloads[0], problem.lists)
        self._greedy = problem.greedy

    @torch.no_grad()
    def __call__(self, number: int) -> Any:  # tensors
        """Tokens; unless greedy also both logprobs, and the top 5."""
        del number
        if self._greedy:
            return self._scores.argmax(dim=-1)
        processed = self._chain(self._input_ids, self._scores)
        probabilities = torch.nn.functional.softmax(processed, dim=-1)
        tokens = torch.multinomial(probabilities, num_samples=1)
        raw = torch.log_softmax(self._scores, dim=-1)
        logprobs = torch.log_softmax(processed, dim=-1)
        top = torch.topk(logprobs, min(TOP_N, logprobs.shape[-1]))
        drawn = raw.gather(-1, tokens), logprobs.gather(-1, tokens)
        return tokens, *drawn, top.indices, top.values, raw.gather(-1, top.indices)

    def probabilities(self, row: int) -> NDArray[np.float64]:
        """The softmax that multinomial is given."""
        if self._greedy:
            return one_token(int(self(0)[row]), self._scores.shape[-1])
        one = slice(row, row + 1)
        processed = self._chain(self._input_ids[one], self._scores[one])
        kept: NDArray[np.float64] = torch.softmax(processed, dim=-1)[0].double().numpy()
        return kept


def _chain(workload: Workload, lists: TokenLists) -> LogitsProcessorList:
    chain: list[LogitsProcessor] = []
    if workload.watermark:
        green = torch.from_numpy(lists.green)
        chain.append(_Added(torch.where(green, GREEN_BIAS, 0.0).to(torch.float32)))
    if workload.repetition is not None:
        chain.append(RepetitionPenaltyLogitsProcessor(workload.repetition))
    if workload.frequency is not None and workload.presence is not None:
        chain.append(_Counted(workload.frequency, workload.presence))
    if workload.bias:
        pairs = zip(lists.bias_ids.tolist(), lists.bias_values.tolist(), strict=True)
        biases = [[[token_id], value] for token_id, value in pairs]
        chain.append(SequenceBiasLogitsProcessor(biases))
    if workload.grammar:
        chain.append(_Masked(~torch.from_numpy(lists.allowed)))
    if workload.temperature is not None:
        chain.append(TemperatureLogitsWarper(workload.temperature))
    if workload.top_k is not None:
        chain.append(TopKLogitsWarper(workload.top_k))
    if workload.top_p is not None:
        chain.append(TopPLogitsWarper(workload.top_p))
    if workload.typical_p is not None:
        chain.append(TypicalLogitsWarper(workload.typical_p))
    if workload.min_p is not None:
        chain.append(MinPLogitsWarper(workload.min_p))
    return LogitsProcessorList(chain)


class _Added(LogitsProcessor):
    """A green list: a row to add."""

    def __init__(self, bias: torch.Tensor) -> None:
        self._bias = bias

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        del input_ids
        return scores + self._bias


class _Masked(LogitsProcessor):
    """A grammar's mask."""

    def __init__(self, forbidden: torch.Tensor) -> None:
        self._forbidden = forbidden

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        del input_ids
        return scores.masked_fill(self._forbidden, -torch.inf)


class _Counted(LogitsProcessor):
    """Frequency and presence penalty over the generated tokens, counted anew at each step."""

    def __init__(self, frequency: float, presence: float) -> None:
        self._frequency, self._presence = frequency, presence

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        generated = input_ids[:, -GENERATED_LENGTH:]
        counts = torch.zeros_like(scores)
        counts.scatter_add_(1, generated, torch.ones_like(generated, dtype=scores.dtype))
        return scores - self._frequency * counts - self._presence * (counts > 0)
