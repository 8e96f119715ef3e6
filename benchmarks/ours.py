"""This library's backends as implementations for the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from benchmarks.workloads import POSITIONS, Problem
from decoding import Backend, BatchSampler, DecodingError, Sample


class UnavailableError(Exception):
    """An implementation cannot be had here, or lacks what a workload needs; says why."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """A backend with its number of threads.

    smallest_batch: below which it is not measured.
    usual_batch: above which it is not measured unless batch sizes are asked for: it takes seconds.
    """

    backend: Backend
    threads: int = 1
    smallest_batch: int = 1
    usual_batch: int = 64


OURS = MappingProxyType(
    {
        "decoding-numba": Implementation(Backend.NUMBA),
        "decoding-numpy": Implementation(Backend.NUMPY, usual_batch=8),
        "decoding-torch": Implementation(Backend.TORCH, usual_batch=8),
        "decoding-numba-2-threads": Implementation(Backend.NUMBA, threads=2, smallest_batch=64),
    }
)


class OurStep:
    """A batch sampler on one problem."""

    def __init__(self, problem: Problem, implementation: Implementation) -> None:
        backend, threads = implementation.backend, implementation.threads
        self._sampler = BatchSampler(problem.samplers, backend=backend, threads=threads)
        self._problem = problem
        self._logits: Any = problem.given
        if backend is Backend.TORCH:
            self._logits = _as_tensor(problem.given)
        self._draw = self._sampler.draw if problem.alone else self._sampler

    def __call__(self, number: int) -> Any:  # tokens or samples
        """One step, at a position that depends on its number."""
        return self._draw(self._logits, self._problem.histories[number % POSITIONS])

    def output(self) -> list[Sample | int | DecodingError]:
        """What the rows come to at the first position; compiles, where the backend does.

        Raises:
            UnavailableError: the backend's package is not installed.
        """
        try:
            drawn: list[Sample | int | DecodingError] = self(0)
        except ImportError as error:
            raise UnavailableError(str(error)) from error
        return drawn


def _as_tensor(given: Any) -> Any:  # an array or a tensor
    try:
        import torch
    except ImportError as error:
        raise UnavailableError(str(error)) from error
    return given if isinstance(given, torch.Tensor) else torch.from_numpy(given)
