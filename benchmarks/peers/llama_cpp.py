"""llama.cpp: its sampler chain through the C interface that llama-cpp-python exposes.

A step fills the array of candidates from the row, as its users must, and applies the chain. Its
output is the token and the probabilities that the chain kept. Penalties have seen the history
beforehand; lists of tokens to favour and to forbid are logit biases.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import one_token
from benchmarks.workloads import (
    GENERATED_LENGTH,
    GREEN_BIAS,
    HISTORY_LENGTH,
    Problem,
    TokenLists,
    Workload,
)

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_BIAS = np.dtype([("token", np.int32), ("bias", np.float32)])


def open_step(problem: Problem, threads: int) -> LlamaCppStep:
    """One chain a row; it has no threads to set."""
    del threads
    return LlamaCppStep(problem)


class LlamaCppStep:
    """The rows one after the other, over one array of candidates."""

    def __init__(self, problem: Problem) -> None:
        width = problem.rows.shape[1]
        self._rows, self._greedy = problem.rows, problem.greedy
        self._ids = np.arange(width, dtype=np.int32)
        self._candidates = np.zeros(width, _CANDIDATE)
        pointer = ctypes.POINTER(llama_cpp.llama_token_data)
        self._array = llama_cpp.llama_token_data_array(
            data=self._candidates.ctypes.data_as(pointer), size=width, selected=-1, sorted=False
        )
        self._reference = ctypes.byref(self._array)
        self._chains = [
            _chain(workload, problem.lists, history[:HISTORY_LENGTH].tolist(), seed=row)
            for row, (workload, history) in enumerate(
                zip(problem.workloads, problem.histories[0].token_ids, strict=True)
            )
        ]
        for chain in self._chains:
            weakref.finalize(self, llama_cpp.llama_sampler_free, chain)

    def __call__(self, number: int) -> list[int]:
        """Tokens."""
        del number
        return [self._draw(row) for row in range(len(self._chains))]

    def probabilities(self, row: int) -> NDArray[np.float64]:
        """The probabilities in the array of candidates after the chain."""
        token_id = self._draw(row)
        if self._greedy:
            return one_token(token_id, len(self._ids))
        kept = self._candidates[: self._array.size]
        probabilities = np.zeros(len(self._ids))
        probabilities[kept["id"]] = kept["p"]
        return probabilities

    def _draw(self, row: int) -> int:
        candidates, array = self._candidates, self._array
        candidates["id"] = self._ids
        candidates["logit"] = self._rows[row]
        candidates["p"] = 0.0
        array.size, array.selected, array.sorted = len(candidates), -1, False
        llama_cpp.llama_sampler_apply(self._chains[row], self._reference)
        return int(candidates["id"][array.selected])


def _chain(workload: Workload, lists: TokenLists, history: list[int], seed: int) -> Any:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in _samplers(workload, lists, seed):
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    for token_id in history:
        llama_cpp.llama_sampler_accept(chain, token_id)
    return chain


def _samplers(workload: Workload, lists: TokenLists, seed: int) -> list[Any]:
    chosen: list[Any] = []
    width = len(lists.green)
    if workload.greedy:
        return [llama_cpp.llama_sampler_init_greedy()]
    if workload.watermark:
        green = np.flatnonzero(lists.green)
        chosen.append(_biases(width, green, np.full(len(green), GREEN_BIAS)))
    if workload.repetition is not None:
        penalties = width, HISTORY_LENGTH, workload.repetition, 0.0, 0.0
        chosen.append(llama_cpp.llama_sampler_init_penalties(*penalties))
    if workload.frequency is not None and workload.presence is not None:
        penalties = width, GENERATED_LENGTH, 1.0, workload.frequency, workload.presence
        chosen.append(llama_cpp.llama_sampler_init_penalties(*penalties))
    if workload.bias:
        chosen.append(_biases(width, lists.bias_ids, lists.bias_values))
    if workload.grammar:
        forbidden = np.flatnonzero(~lists.allowed)
        chosen.append(_biases(width, forbidden, np.full(len(forbidden), -np.inf)))
    if workload.temperature is not None:
        chosen.append(llama_cpp.llama_sampler_init_temp(workload.temperature))
    if workload.top_k is not None:
        chosen.append(llama_cpp.llama_sampler_init_top_k(workload.top_k))
    if workload.top_p is not None:
        chosen.append(llama_cpp.llama_sampler_init_top_p(workload.top_p, 1))
    if workload.typical_p is not None:
        chosen.append(llama_cpp.llama_sampler_init_typical(workload.typical_p, 1))
    if workload.min_p is not None:
        chosen.append(llama_cpp.llama_sampler_init_min_p(workload.min_p, 1))
    return [*chosen, llama_cpp.llama_sampler_init_dist(seed)]


def _biases(width: int, token_ids: NDArray[np.int64], values: NDArray[np.float64]) -> Any:
    """A sampler that adds values to logits; it keeps a copy of both."""
    pairs = np.empty(len(token_ids), _BIAS)
    pairs["token"], pairs["bias"] = token_ids, values
    pointer = pairs.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_logit_bias))
    return llama_cpp.llama_sampler_init_logit_bias(width, len(pairs), pointer)
