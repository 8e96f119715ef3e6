"""Hypothesis strategies for logits, histories and processors, aimed at where samplers break.

Logits here are legal: finite or −inf, with at least one finite entry a row. Illegal rows are
`poisoned_logits`. Rows come with ties, gaps of one ulp, a single peak, denormals, magnitudes up to
3e38, common offsets, dyadic probabilities (whose sums are exact) and masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    AllowedTokens,
    Bitmask,
    BitmaskBias,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.typing import DeclaredProcessor, Logits

Row = NDArray[np.float32]

MAX_VOCAB = 40


@st.composite
def rows(draw: st.DrawFn, vocab_size: int) -> Row:
    """One legal float32 row of `vocab_size` logits."""
    kind = draw(st.sampled_from(sorted(_KINDS)))
    row = _KINDS[kind](draw, vocab_size)
    if draw(st.booleans()):
        alive = draw(st.lists(st.booleans(), min_size=vocab_size, max_size=vocab_size))
        alive[draw(st.integers(0, vocab_size - 1))] = True
        row = np.where(alive, row, np.float32(-np.inf))
    return row


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


@st.composite
def histories(draw: st.DrawFn, batch: int, vocab_size: int) -> History:
    """What `batch` rows have seen; now and then an id beyond the width of the logits.

    Some are of few tokens, so that they repeat themselves.
    """
    largest = draw(st.sampled_from([vocab_size + 1, min(2, vocab_size + 1)]))
    token_ids = st.lists(st.integers(0, largest), max_size=12)
    per_row = st.lists(token_ids, min_size=batch, max_size=batch)
    return History.of(draw(per_row), draw(per_row))


@st.composite
def batches(draw: st.DrawFn, max_batch: int = 3) -> tuple[Logits, History]:
    """Legal logits and a history that fits them."""
    batch = draw(logits(max_batch))
    return batch, draw(histories(*batch.shape))


def processors(vocab_size: int) -> st.SearchStrategy[DeclaredProcessor]:
    """Any processor that a kernel can run, with any legal parameter, ends of its range included."""
    unit = st.floats(0.0, 1.0, exclude_min=True)
    penalty, exponent = st.floats(-5.0, 5.0), st.floats(0.0, 3.0)
    bias = st.dictionaries(st.integers(0, vocab_size - 1), st.floats(-10.0, 10.0), max_size=4)
    members = st.sets(st.integers(0, vocab_size + 40))
    options: list[st.SearchStrategy[DeclaredProcessor]] = [
        st.floats(1e-3, 1e3).map(Temperature),
        st.builds(TopK, st.integers(0, vocab_size + 2), st.booleans()),
        unit.map(TopP),
        st.floats(0.0, 1.0).map(MinP),
        unit.map(TypicalP),
        st.floats(0.0, 0.99).map(EpsilonCutoff),
        st.floats(0.0, 0.99).map(EtaCutoff),
        st.floats(0.0, 6.0).map(TopNSigma),
        st.builds(TopH, unit, st.none() | st.integers(1, vocab_size + 2)),
        st.builds(DynamicTemperature, st.floats(0.1, 5.0), st.floats(0.0, 5.0), exponent),
        st.floats(0.1, 10.0).map(RepetitionPenalty),
        penalty.map(FrequencyPenalty),
        penalty.map(PresencePenalty),
        bias.map(LogitBias),
        members.map(Bitmask.of),
        members.filter(bool).map(tuple).map(AllowedTokens),
        st.sets(st.integers(0, vocab_size - 1), max_size=4).map(tuple).map(SuppressTokens),
        st.builds(BitmaskBias.of, members, st.floats(-5.0, 5.0)),
    ]
    return st.one_of(options)


def pipelines(vocab_size: int, max_length: int = 6) -> st.SearchStrategy[Pipeline]:
    """A chain of any processors in any order."""
    members = st.lists(processors(vocab_size), max_size=max_length)
    return members.map(lambda items: chain(*items))


def _gaussian(draw: st.DrawFn, vocab_size: int) -> Row:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 3.0, 10.0]))
    return (generator.standard_normal(vocab_size) * scale).astype(np.float32)


def _tied(draw: st.DrawFn, vocab_size: int) -> Row:
    values = st.lists(st.integers(-3, 3), min_size=vocab_size, max_size=vocab_size)
    return np.array(draw(values), np.float32)


def _neighbouring(draw: st.DrawFn, vocab_size: int) -> Row:
    base = np.float32(draw(st.floats(-20.0, 20.0, width=32)))
    steps = draw(st.lists(st.integers(0, 2), min_size=vocab_size, max_size=vocab_size))
    ladder = [base, np.nextafter(base, np.float32(np.inf)), base]
    ladder[2] = np.nextafter(ladder[1], np.float32(np.inf))
    return np.array([ladder[step] for step in steps], np.float32)


def _peaked(draw: st.DrawFn, vocab_size: int) -> Row:
    row = np.zeros(vocab_size, np.float32)
    row[draw(st.integers(0, vocab_size - 1))] = draw(st.sampled_from([1.0, 30.0, 104.0, 1000.0]))
    return row


def _dyadic(draw: st.DrawFn, vocab_size: int) -> Row:
    exponents = draw(st.lists(st.integers(0, 6), min_size=vocab_size, max_size=vocab_size))
    return (-np.log(2.0) * np.array(exponents)).astype(np.float32)


def _extreme(draw: st.DrawFn, vocab_size: int) -> Row:
    values = st.sampled_from([3e38, -3e38, 1e-40, -1e-40, 0.0, -0.0, 1e4, 88.0, -104.0])
    return np.array(draw(st.lists(values, min_size=vocab_size, max_size=vocab_size)), np.float32)


def _offset(draw: st.DrawFn, vocab_size: int) -> Row:
    return _tied(draw, vocab_size) + np.float32(draw(st.sampled_from([-1e4, 1e4, 512.0])))


_KINDS: dict[str, Callable[[st.DrawFn, int], Any]] = {
    "gaussian": _gaussian,
    "tied": _tied,
    "neighbouring": _neighbouring,
    "peaked": _peaked,
    "dyadic": _dyadic,
    "extreme": _extreme,
    "offset": _offset,
}
