"""Benchmark workloads: chains of processors and the rows that they run on."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.logits import Rows, anchor, make_rows
from decoding import (
    Bitmask,
    BitmaskBias,
    FrequencyPenalty,
    History,
    LogitBias,
    MinP,
    Pipeline,
    PresencePenalty,
    Processor,
    RepetitionPenalty,
    Sampler,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    chain,
)

HISTORY_LENGTH = 512
GENERATED_LENGTH = 256
"""The last so many tokens of the history are generated ones."""
POSITIONS = 64
"""A call sees a history of `HISTORY_LENGTH` tokens and up to so many more, so its noise is new."""
TOP_N = 5
GREEN_BIAS = 2.0
MIXED = "mixed"
"""Every workload that is described in turn, a row each."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenLists:
    """The tokens that `everything` speaks of, for a vocabulary of `len(green)`."""

    green: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    bias_ids: NDArray[np.int64]
    bias_values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One chain, in TGI's order. What is None or False takes no part.

    greedy: the likeliest token is taken. alone: the token alone is asked for; else token, raw and
    processed logprob, and top 5.
    watermark, bias, grammar: see `TokenLists`.
    """

    name: str
    greedy: bool = False
    alone: bool = False
    watermark: bool = False
    repetition: float | None = None
    frequency: float | None = None
    presence: float | None = None
    bias: bool = False
    grammar: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    min_p: float | None = None

    def edits(self, lists: TokenLists) -> list[Processor]:
        """What comes before the truncations."""
        chosen: list[Processor] = []
        if self.watermark:
            chosen.append(BitmaskBias.of(_ids(lists.green), GREEN_BIAS))
        if self.repetition is not None:
            chosen.append(RepetitionPenalty(self.repetition))
        if self.frequency is not None:
            chosen.append(FrequencyPenalty(self.frequency))
        if self.presence is not None:
            chosen.append(PresencePenalty(self.presence))
        if self.bias:
            pairs = zip(lists.bias_ids.tolist(), lists.bias_values.tolist(), strict=True)
            chosen.append(LogitBias(dict(pairs)))
        if self.grammar:
            chosen.append(Bitmask.of(_ids(lists.allowed)))
        if self.temperature is not None:
            chosen.append(Temperature(self.temperature))
        return chosen

    def truncations(self, *, more: float = 0.0, keep_ties: bool = True) -> list[Processor]:
        """What removes tokens.

        more: a change of every mass, upwards so that no fewer tokens stay.
        keep_ties: as for `TopK`.
        """
        chosen: list[Processor] = []
        if self.top_k is not None:
            chosen.append(TopK(self.top_k, keep_ties))
        if self.top_p is not None:
            chosen.append(TopP(self.top_p + more))
        if self.typical_p is not None:
            chosen.append(TypicalP(self.typical_p + more))
        if self.min_p is not None:
            chosen.append(MinP(self.min_p * (1.0 - more)))
        return chosen

    def pipeline(self, lists: TokenLists) -> Pipeline:
        """The whole chain."""
        return chain(*self.edits(lists), *self.truncations())


_ALL = (
    Workload(name="greedy", greedy=True, alone=True),
    Workload(name="draw", alone=True, temperature=0.8),
    Workload(name="temperature", temperature=0.8),
    Workload(name="min_p", temperature=0.8, min_p=0.05),
    Workload(name="chain", repetition=1.1, temperature=0.8, top_k=50, top_p=0.9),
    Workload(name="top_p", temperature=0.8, top_p=0.9),
    Workload(name="typical", typical_p=0.9),
    Workload(
        name="everything",
        watermark=True,
        repetition=1.1,
        frequency=0.5,
        presence=0.5,
        bias=True,
        grammar=True,
        temperature=0.8,
        top_k=50,
        top_p=0.9,
    ),
)
WORKLOADS = MappingProxyType({workload.name: workload for workload in _ALL})
NAMES = (*WORKLOADS, MIXED)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Rows with all that is needed to draw a token for each.

    workloads: one a row. rows: the logits, float32. given: the same in the dtype that ours is
    given: an array, or a torch tensor where NumPy has no such dtype.
    histories: of all rows, one a position; peers see the first.
    """

    name: str
    workloads: tuple[Workload, ...]
    lists: TokenLists
    rows: Rows
    given: Any
    histories: tuple[History, ...]

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.workloads[0].greedy

    @property
    def alone(self) -> bool:
        """Whether only tokens are asked for."""
        return self.workloads[0].alone

    @property
    def samplers(self) -> list[Sampler]:
        """What the rows ask of ours."""
        pipelines = {item.name: item.pipeline(self.lists) for item in self.workloads}
        return [
            Sampler(
                pipelines[item.name],
                seed=None if item.greedy else seed_of(row),
                top_n=0 if item.alone else TOP_N,
            )
            for row, item in enumerate(self.workloads)
        ]


def seed_of(row: int) -> int:
    """The seed of a row: both halves of it are in use."""
    return (row + 1) * 0x9E3779B97F4A7C15 % 2**64


def make_problem(
    name: str, *, kind: str, batch: int, width: int, dtype: str = "float32"
) -> Problem:
    """The rows of one figure.

    Raises:
        DecodingError: real logits cannot be had. ImportError: nor can torch, for bfloat16.
    """
    rows = make_rows(kind, batch, width)
    given: Any = rows
    if dtype == "bfloat16":
        import torch

        given = torch.from_numpy(rows).to(torch.bfloat16)
        rows = given.to(torch.float32).numpy()
    mixture = [item for item in WORKLOADS.values() if not item.alone]
    workloads = [mixture[row % len(mixture)] for row in range(batch)]
    if name != MIXED:
        workloads = [WORKLOADS[name]] * batch
    return Problem(name, tuple(workloads), token_lists(width), rows, given, histories_of(rows))


@functools.lru_cache(maxsize=4)
def token_lists(width: int) -> TokenLists:
    """Random halves of a vocabulary, and a hundred random biases in [−2, 2]."""
    generator = np.random.default_rng([1, width])
    allowed = generator.random(width) < 0.5
    allowed[anchor(width)] = True
    return TokenLists(
        generator.random(width) < 0.5,
        allowed,
        generator.choice(width, min(100, width), replace=False),
        generator.uniform(-2.0, 2.0, min(100, width)),
    )


def histories_of(rows: Rows) -> tuple[History, ...]:
    """Histories that grow by a token a step.

    Half of the tokens are among the row's thousand likeliest, since text repeats likely tokens; the
    others are any.
    """
    batch, width = rows.shape
    length = HISTORY_LENGTH + POSITIONS
    token_ids = np.empty((batch, length), np.int32)
    for row, logits in enumerate(rows):
        generator = np.random.default_rng([2, width, row])
        # Sorted: in which order a partition leaves them depends on the machine.
        likely = np.sort(np.argpartition(-logits, min(1000, width - 1))[:1000])
        chosen = generator.choice(likely, length)
        anything = generator.integers(width, size=length)
        token_ids[row] = np.where(generator.random(length) < 0.5, chosen, anything)
    prompts = np.full(batch, HISTORY_LENGTH - GENERATED_LENGTH, np.int64)
    lengths = [np.full(batch, HISTORY_LENGTH + step, np.int64) for step in range(POSITIONS)]
    return tuple(History(token_ids, item, prompts) for item in lengths)


def _ids(chosen: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(chosen).tolist()
