"""vLLM: its V1 sampler, the one of its CPU build.

A step copies the logits, on which the sampler writes, and draws every row's token. As its users get
them without `logprobs`, tokens come without descriptions. Penalties see the prompt and the output
apart, as the engine keeps them; their counts are made anew at each step.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from vllm.platforms import current_platform
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessors
from vllm.v1.sample.logits_processor.builtin import LogitBiasLogitsProcessor, MinPLogitsProcessor
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p
from vllm.v1.sample.sampler import Sampler

from benchmarks.ours import UnavailableError
from benchmarks.peers import one_token
from benchmarks.workloads import GENERATED_LENGTH, HISTORY_LENGTH, Problem, TokenLists, Workload


def open_step(problem: Problem, threads: int) -> VllmStep:
    """The sampler of the problem's chain.

    Raises:
        UnavailableError: vLLM has no such step, or another platform than a CPU.
    """
    workload = problem.workloads[0]
    if workload.typical_p is not None:
        raise UnavailableError("it has no typical-p")
    if workload.watermark:
        raise UnavailableError("it has no watermark")
    if not current_platform.is_cpu():
        raise UnavailableError("its build is not the one for CPUs")
    torch.set_num_threads(threads)
    current_platform.import_kernels()
    return VllmStep(problem)


class VllmStep:
    """One batched call a step."""

    def __init__(self, problem: Problem) -> None:
        self._rows = torch.from_numpy(problem.rows)
        self._logits = self._rows.clone()
        self._greedy = problem.greedy
        self._sampler = Sampler()
        history = problem.histories[0].token_ids[:, :HISTORY_LENGTH]
        self._metadata = _metadata(problem.workloads[0], problem.lists, len(self._rows), history)

    def __call__(self, number: int) -> Any:  # a tensor
        """Tokens."""
        del number
        self._logits.copy_(self._rows)
        return self._sampler(self._logits, self._metadata).sampled_token_ids

    def probabilities(self, row: int) -> NDArray[np.float64]:
        """The softmax of the logits that are drawn from."""
        if self._greedy:
            return one_token(int(self(0)[row, 0]), self._rows.shape[1])
        metadata, sampler = self._metadata, self._sampler
        logits = sampler.apply_logits_processors(
            self._rows.clone(), metadata, predict_bonus_token=False
        )
        if metadata.temperature is not None:
            logits = sampler.apply_temperature(logits, metadata.temperature, metadata.all_random)
        for processor in metadata.logitsprocs.argmax_invariant:
            logits = processor.apply(logits)
        logits = apply_top_k_top_p(logits, metadata.top_k, metadata.top_p)
        kept: NDArray[np.float64] = torch.softmax(logits[row], dim=-1).double().numpy()
        return kept


def _metadata(
    workload: Workload, lists: TokenLists, batch: int, history: NDArray[np.int32]
) -> SamplingMetadata:
    def filled(value: float | None, neutral: float) -> torch.Tensor:
        return torch.full((batch,), neutral if value is None else value)

    penalties = (workload.repetition, workload.frequency, workload.presence)
    start = HISTORY_LENGTH - GENERATED_LENGTH
    k = None
    if workload.top_k is not None:
        k = torch.full((batch,), min(workload.top_k, len(lists.green)), dtype=torch.int32)
    mask = None
    if workload.grammar:
        mask = (~torch.from_numpy(lists.allowed)).expand(batch, -1)
    return SamplingMetadata(
        temperature=None if workload.greedy else filled(workload.temperature, 1.0),
        all_greedy=workload.greedy,
        all_random=not workload.greedy,
        top_p=None if workload.top_p is None else filled(workload.top_p, 1.0),
        top_k=k,
        generators={},
        max_num_logprobs=None,
        no_penalties=penalties == (None, None, None),
        prompt_token_ids=torch.from_numpy(history[:, :start].astype(np.int64)),
        frequency_penalties=filled(workload.frequency, 0.0),
        presence_penalties=filled(workload.presence, 0.0),
        repetition_penalties=filled(workload.repetition, 1.0),
        output_token_ids=history[:, start:].tolist(),
        allowed_token_ids_mask=mask,
        bad_words_token_ids={},
        logitsprocs=_processors(workload, lists, batch),
    )


def _processors(workload: Workload, lists: TokenLists, batch: int) -> LogitsProcessors:
    """Its own processors for min-p and biases, with a batch of requests."""
    device = torch.device("cpu")
    config: Any = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=batch))
    chosen: list[Any] = []
    if workload.min_p is not None:
        chosen.append(MinPLogitsProcessor(config, device, is_pin_memory=False))
    if workload.bias:
        chosen.append(LogitBiasLogitsProcessor(config, device, is_pin_memory=False))
    pairs = zip(lists.bias_ids.tolist(), lists.bias_values.tolist(), strict=True)
    params: Any = SimpleNamespace(min_p=workload.min_p or 0.0, logit_bias=dict(pairs))
    added = [(row, params, [], []) for row in range(batch)]
    for processor in chosen:
        processor.update_state(BatchUpdate(batch, removed=[], added=added, moved=[]))
    return LogitsProcessors(chosen)
