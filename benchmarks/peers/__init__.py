"""Other samplers behind one interface, each with this library's order of steps."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.ours import UnavailableError
from benchmarks.workloads import MIXED, Problem

PEERS = MappingProxyType(
    {
        "transformers": "benchmarks.peers.transformers",
        "llama_cpp": "benchmarks.peers.llama_cpp",
        "mlx": "benchmarks.peers.mlx",
        "vllm": "benchmarks.peers.vllm",
    }
)


class PeerStep(Protocol):
    """A peer on one problem."""

    def __call__(self, number: int) -> Any:  # whatever the peer returns
        """One step for the whole batch."""
        ...

    def probabilities(self, row: int) -> NDArray[np.float64]:
        """What the token is drawn from, `(vocab,)`; 0 for what is not kept."""
        ...


def open_peer(name: str, problem: Problem, threads: int) -> PeerStep:
    """A peer, ready to run.

    Raises:
        UnavailableError: it is not installed, or lacks what the problem needs.
    """
    if problem.name == MIXED:
        raise UnavailableError("a batch shares one chain")
    try:
        module = importlib.import_module(PEERS[name])
    except ImportError as error:
        raise UnavailableError(str(error)) from error
    step: PeerStep = module.open_step(problem, threads)
    return step


def one_token(token_id: int, width: int) -> NDArray[np.float64]:
    """The distribution of a greedy choice."""
    chosen = np.zeros(width)
    chosen[token_id] = 1.0
    return chosen
