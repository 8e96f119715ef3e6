"""Hypothesis strategies for logits, histories and processors: ties, −inf, range ends.

Logits here are legal: finite or −inf, with at least one finite entry a row. Illegal rows are
`poisoned_logits`. Rows come with ties, gaps of one ulp, a single peak, denormals, magnitudes up to
3e38, common offsets, dyadic probabilities (whose sums are exact) and masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any, cast

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from decoding.facts import Stating
from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    PROCESSORS,
    AllowedTokens,
    Bitmask,
    BitmaskBias,
    Dry,
    DynamicTemperature,
    LogitBias,
    MinTokens,
    NoRepeatNgram,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
)
from decoding.request_fields import RequestField, ValueType
from decoding.testing.cases import SHRINKING_KINDS
from decoding.typing import DeclaredProcessor, Logits

Row = NDArray[np.float32]

_READ_TEXTS = (Dry, MinTokens, NoRepeatNgram)
"""Their laws need texts that repeat themselves."""

MAX_VOCAB = 40


@lru_cache(maxsize=256)
@st.composite
def rows(draw: st.DrawFn, vocab_size: int) -> Row:
    """One legal float32 row of `vocab_size` logits."""
    choices = _Chosen(draw)
    row = draw(st.sampled_from(SHRINKING_KINDS))(choices, vocab_size)
    if draw(st.booleans()):
        alive = choices.below(2, vocab_size) == 1
        if alive.any():
            row = np.where(alive, row, np.float32(-np.inf))
    return row


@lru_cache(maxsize=256)
@st.composite
def logits(draw: st.DrawFn, max_batch: int = 3, max_vocab: int = MAX_VOCAB) -> Logits:
    """A legal batch, float32 or float64."""
    vocab_size = draw(st.integers(1, max_vocab))
    batch = draw(st.integers(1, max_batch))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return np.stack([draw(rows(vocab_size)) for _ in range(batch)]).astype(dtype)


@st.composite
def poisoned_logits(draw: st.DrawFn, max_vocab: int = MAX_VOCAB) -> Logits:
    """A batch of one row with a NaN or +inf somewhere."""
    row = draw(rows(draw(st.integers(1, max_vocab))))
    row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from([np.nan, np.inf]))
    return row[np.newaxis]


@lru_cache(maxsize=256)
@st.composite
def histories(draw: st.DrawFn, batch: int, vocab_size: int) -> History:
    """Histories of `batch` rows, sometimes with ids beyond the width of the logits.

    Some are of few tokens, so that they repeat themselves.
    """
    largest = draw(st.sampled_from([vocab_size + 1, min(2, vocab_size + 1)]))
    choices = _Chosen(draw)
    lengths = choices.below(13, 2 * batch)
    token_ids = choices.below(largest + 1, int(lengths.sum()))
    texts = [text.tolist() for text in np.split(token_ids, lengths.cumsum()[:-1])]
    return History.of(texts[:batch], texts[batch:])


@lru_cache(maxsize=256)
@st.composite
def batches(draw: st.DrawFn, max_batch: int = 3) -> tuple[Logits, History]:
    """Legal logits and a history that fits them."""
    batch = draw(logits(max_batch))
    return batch, draw(histories(*batch.shape))


@lru_cache(maxsize=256)
def processors(vocab_size: int) -> st.SearchStrategy[DeclaredProcessor]:
    """Any processor that a kernel can run, with any legal parameter, ends of its range included."""
    unit, exponent = st.floats(0.0, 1.0, exclude_min=True), st.floats(0.0, 3.0)
    bias = st.dictionaries(st.integers(0, vocab_size - 1), st.floats(-10.0, 10.0), max_size=4)
    members = st.sets(st.integers(0, vocab_size + 40))
    made: dict[type, st.SearchStrategy[DeclaredProcessor]] = {
        Temperature: st.floats(1e-3, 1e3).map(Temperature),
        TopK: st.builds(TopK, st.integers(0, vocab_size + 2), st.booleans()),
        TopH: st.builds(TopH, unit, st.none() | st.integers(1, vocab_size + 2)),
        DynamicTemperature: st.builds(
            DynamicTemperature, st.floats(0.1, 5.0), st.floats(0.0, 5.0), exponent
        ),
        LogitBias: bias.map(LogitBias),
        Bitmask: members.map(Bitmask.of),
        AllowedTokens: members.filter(bool).map(tuple).map(AllowedTokens),
        SuppressTokens: st.sets(st.integers(0, vocab_size - 1), max_size=4)
        .map(tuple)
        .map(SuppressTokens),
        BitmaskBias: st.builds(BitmaskBias.of, members, st.floats(-5.0, 5.0)),
    }
    described = (item for item in PROCESSORS if hasattr(item, "lower") and item not in made)
    others = [made_of_fields(item) for item in described if item not in _READ_TEXTS]
    return st.one_of(*made.values(), *(strategy for strategy in others if strategy is not None))


def made_of_fields(item: type[Stating]) -> st.SearchStrategy[Any] | None:
    """Processors of a class with any legal numbers; None where its parameters are no such fields.

    Ends of ranges are included; numbers without an end go ten steps far.
    """
    if not fields(cast("Any", item)):
        return st.builds(item)
    numbers = _numbers(item)
    if numbers is None:
        return None
    drawn = {name: _in_range(field.type) for name, field in numbers.items()}
    return st.fixed_dictionaries(drawn).map(lambda values: item(**values))


def neutral_of(item: type[Stating]) -> list[Any]:
    """The processor of a class at its neutral value, which its first field states; none if none."""
    numbers = _numbers(item)
    if not numbers:
        return []
    name, field = next(iter(numbers.items()))
    return [] if field.neutral is None else [item(**{name: field.neutral})]


def _numbers(item: type[Stating]) -> dict[str, RequestField] | None:
    """The fields of requests that are parameters of a class; None where others are required."""
    described = {
        field.attribute or field.name: field for field in item.facts.fields if field.type.is_number
    }
    entries = {entry.name: entry for entry in fields(cast("Any", item))}
    required = {name for name, entry in entries.items() if entry.default is MISSING}
    known = {name: field for name, field in described.items() if name in entries}
    return known if known and required <= known.keys() else None


def _in_range(value_type: ValueType) -> st.SearchStrategy[Any]:
    low, high = value_type.low, value_type.high
    if value_type.annotation == "int":
        return st.integers(int(low), int(min(high, low + 10)))
    least = 0.1 if low == 0.0 and value_type.low_is_outside and high > 10.0 else low
    return st.floats(
        max(least, -10.0),
        min(high, max(low, 0.0) + 10.0),
        exclude_min=value_type.low_is_outside and least == low > -math.inf,
        exclude_max=value_type.high_is_outside and high < math.inf,
    )


@lru_cache(maxsize=256)
def pipelines(vocab_size: int, max_length: int = 6) -> st.SearchStrategy[Pipeline]:
    """A chain of any processors in any order."""
    members = st.lists(processors(vocab_size), max_size=max_length)
    return members.map(lambda items: chain(*items))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """`Choices` that are drawn from Hypothesis, which shrinks them."""

    draw: st.DrawFn

    @property
    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.draw(st.integers(0, 2**32 - 1)))

    def pick(self, values: Sequence[float]) -> float:
        return self.draw(st.sampled_from(values))

    def between(self, low: float, high: float) -> float:
        return self.draw(st.floats(low, high, width=32))

    def below(self, limit: int, size: int) -> NDArray[np.int64]:
        # In one choice: a list of choices takes ten times as long.
        drawn = self.draw(st.binary(min_size=4 * size, max_size=4 * size))
        return np.frombuffer(drawn, ">u4").astype(np.int64) % limit
