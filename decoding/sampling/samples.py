"""Requests and results of a `BatchSampler`: `Sampler`, `Sample`, `Alternative`, `Processed`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any, TypeAlias

from numpy.typing import NDArray

from decoding.checks import check_integer
from decoding.errors import DecodingError, ParameterError, require
from decoding.history import History
from decoding.kernels.result import ROW, tuples_of_top
from decoding.pipeline import Pipeline, as_pipeline, chain
from decoding.processors.feedback import is_feedback
from decoding.records import constructor_of
from decoding.sampling.rng import SEED_RANGE
from decoding.sampling.stages import Steered, next_states

States: TypeAlias = tuple[Any, ...]
"""The states of the feedbacks of one sequence's pipeline, in order; immutable values."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """How a token is drawn from one row: a pipeline, a seed, and what to describe.

    pipeline: what is done to the logits first; a lone processor is a pipeline.
    seed: in [0, 2**64) draws by Gumbel-max; None is greedy: the likeliest token, ties to the
    lowest id.
    top_n: how many of the likeliest tokens to describe; every tie with the n-th comes too (TGI), of
    32 beyond n the lowest ids.
    """

    pipeline: Pipeline = chain()
    seed: int | None = None
    top_n: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "pipeline", as_pipeline(self.pipeline))
        if self.seed is not None:
            check_integer(self, "seed", 0, SEED_RANGE - 1, "None or in [0, 2**64)")
        check_integer(self, "top_n", 0)

    def start(self) -> States:
        """The states of a sequence before its first token."""
        if len(self.pipeline.segments) == 1:  # instructions alone, which have no state
            return ()
        return tuple(item.start() for item in self.pipeline.processors if is_feedback(item))


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
    states: of the feedbacks in the pipeline after this token.
    """

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    top: tuple[Alternative, ...] = ()
    states: States = ()


@dataclass(frozen=True, slots=True, eq=False)
class Processed:
    """A batch of logits after each row's pipeline.

    logits: `(batch, vocab)`, float64 where the given logits were, else float32; a row with an error
        is as it was given.
    errors: of the rows whose pipeline failed, by row.
    """

    logits: NDArray[Any]
    errors: Mapping[int, DecodingError]
    _steered: Mapping[int, list[Steered]]

    @property
    def rows(self) -> list[NDArray[Any] | DecodingError]:
        """The row `(vocab,)`, or the error, of each row."""
        return [self.errors.get(row, logits) for row, logits in enumerate(self.logits)]

    def states_after(self, row: int, token_id: int, history: History) -> States:
        """The states of a row's feedbacks after the token that the caller has drawn.

        history: as it was given, without that token.

        Raises:
            ProcessorError: a feedback raised.
        """
        after = next_states(self._steered.get(row, ()), token_id, history.select(row), row)
        if isinstance(after, DecodingError):
            raise after
        return after


_new_sample, _new_alternative = constructor_of(Sample), constructor_of(Alternative)

_FORMATS = {"i": "q", "f": "d"}
"""How `struct` reads the fields of `ROW`: all have eight bytes."""

tuples_of_rows: Callable[[Any], Iterator[tuple[Any, ...]]] = struct.Struct(
    "=" + "".join(_FORMATS[ROW[name].kind] for name in ROW.names or ())
).iter_unpack
"""The entries of a contiguous array of `ROW` as tuples, in half of the time of `tolist`."""


def sample_of(row: tuple[Any, ...], top: NDArray[Any]) -> Sample:
    """The sample of one row of `decoding.kernels.result.ROW`, given as a tuple.

    top: the likeliest tokens of the batch, of `decoding.kernels.result.TOP`.
    """
    _, _, _, token_id, raw, processed, rank, entropy, support_size, start, count = row
    if not count:
        return _new_sample(token_id, raw, processed, rank, entropy, support_size)
    described = tuples_of_top(top[start : start + count])
    alternatives = tuple(starmap(_new_alternative, described))
    return _new_sample(token_id, raw, processed, rank, entropy, support_size, alternatives)


def checked_samplers(samplers: object) -> tuple[Sampler, ...]:
    """Check the samplers of a batch, one a row; raises `ParameterError`."""
    if not isinstance(samplers, Sequence) or isinstance(samplers, str):
        raise ParameterError("samplers", samplers, "a sequence of samplers, one a row")
    for index, item in enumerate(samplers):
        require(f"samplers[{index}]", item, isinstance(item, Sampler), "a Sampler")
    return tuple(samplers)
