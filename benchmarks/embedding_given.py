"""What every engine of `benchmarks.embedding` is given, and what its steps must leave.

Every engine gets the same rows and the same three parameters, `TEMPERATURE`, `TOP_K` and `TOP_P`,
by its own names and in its own order of steps.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Step
from benchmarks.logits import make_rows
from benchmarks.outcomes import log_softmax
from benchmarks.workloads import HISTORY_LENGTH, POSITIONS, histories_of, seed_of
from decoding import BatchSampler, Pipeline, Sampler

TEMPERATURE, TOP_K, TOP_P = 0.8, 50, 0.9
MASS_BAND = 1e-3
"""Most mass of the tokens that one of two float32 implementations keeps and the other does not."""
DRAWS = 20


@dataclass(frozen=True, eq=False)
class Given:
    """The rows of a step, `(batch, vocab)` float32, under a pipeline, and their histories."""

    rows: NDArray[np.float32]
    pipeline: Pipeline

    @cached_property
    def token_ids(self) -> NDArray[np.int32]:
        """Token ids by row, as many as the longest history has."""
        return histories_of(self.rows)[0].token_ids

    @property
    def samplers(self) -> list[Sampler]:
        """The sampler of every row."""
        return [Sampler(self.pipeline, seed_of(row)) for row in range(len(self.rows))]

    def length(self, number: int) -> int:
        """How many token ids a call sees; they grow by one from call to call."""
        return HISTORY_LENGTH + number % POSITIONS

    @cached_property
    def tokens(self) -> list[int]:
        """What `BatchSampler` alone draws at the first call."""
        history = histories_of(self.rows)[0]
        return [int(token) for token in BatchSampler(self.samplers).draw(self.rows, history)]

    @cached_property
    def kept(self) -> NDArray[np.float64]:
        """The logits after the pipeline by definition, in float64."""
        history = histories_of(self.rows)[0]
        return np.asarray(self.pipeline(self.rows.astype(np.float64), history), np.float64)

    def drawn_fault(self, tokens: list[int]) -> str | None:
        """What is wrong with the tokens that an adapter left at the first call."""
        return None if tokens == self.tokens else f"tokens {tokens}, expected {self.tokens}"

    def support_fault(self, kept: NDArray[np.bool_]) -> str | None:
        """What is wrong with the tokens that an engine or an adapter kept, `(batch, vocab)`."""
        for row, (mine, logits) in enumerate(zip(kept, self.kept, strict=True)):
            masses = np.exp(log_softmax(logits))
            missing, extra = float(masses[~mine].sum()), mine & (logits == -np.inf)
            least = float(masses[logits > -np.inf].min())
            if missing > MASS_BAND or least * np.count_nonzero(extra) > MASS_BAND:
                return f"row {row}: {np.count_nonzero(mine)} tokens of mass {1 - missing:.6f} kept"
        return None

    def member_fault(self, draw: Callable[[], list[int]]) -> str | None:
        """What is wrong with an engine whose drawn tokens alone can be seen."""
        seen = np.array([draw() for _ in range(DRAWS)])
        for row, tokens in enumerate(seen.T):
            if (self.kept[row, tokens] == -np.inf).any():
                return f"row {row}: a token was drawn that its parameters remove"
        return None


class Side(NamedTuple):
    """A step that is timed, and what is wrong with what it leaves at the first call."""

    step: Step
    fault: Callable[[], str | None]


class AbsentError(Exception):
    """A side cannot be had here; says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine: the pipeline of its parameters, our step in it, and its own sampler.

    calls: what of ours is timed.
    """

    calls: str
    pipeline: Callable[[], Pipeline]
    ours: Callable[[Given], Side]
    its_own: Callable[[Given], Side]

    def given(self, batch: int, vocab: int) -> Given:
        """What its steps are given."""
        return Given(make_rows("gaussian", batch, vocab), self.pipeline())


def module(name: str) -> Any:
    """A module of an engine.

    Raises:
        AbsentError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise AbsentError(str(error)) from error


def one_token(rows: NDArray[Any]) -> list[int]:
    """The token that each row keeps; -1 where it keeps none or several."""
    alone = np.isfinite(rows).sum(axis=1) == 1
    return np.where(alone, rows.argmax(axis=1), -1).tolist()
