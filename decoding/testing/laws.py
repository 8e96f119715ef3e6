"""Checks of processors and samplers against their laws; a failure is an `AssertionError`.

`check_contract` holds for any processor, also a plain function. `check_declarations` holds a
processor to the facts that it states about itself. Run them over `strategies.batches()`:

    @given(strategies.batches())
    def test_mine(batch):
        laws.check_contract(mine, *batch)
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.facts import facts_of
from decoding.history import History
from decoding.typing import DeclaredProcessor, Logits, Processor

_TOLERANCE = 1e-5


def check_contract(processor: Processor, logits: Logits, history: History) -> None:
    """Check shape, purity, validity, that −inf stays −inf, and batch = rows under any padding.

    A row alone is called without padding and with more of it than in the batch; the batch is called
    with paddings of several widths and contents: tokens of the row itself, of its neighbours, and
    the ends of int32.
    """
    given = logits.copy()
    given.flags.writeable = False
    result = processor(given, history)
    _law(np.array_equal(given, logits), "the input is not written to")
    _law(result.shape == logits.shape, "the shape is kept")
    _law(result.dtype == logits.dtype, "the dtype is kept")
    _law(bool((result < np.inf).all()), "finite or -inf logits give finite or -inf logits")
    _law(not (np.isneginf(logits) & ~np.isneginf(result)).any(), "-inf never returns to life")
    for alone in (_alone, _alone_in_padding):
        rows = [processor(logits[row : row + 1], alone(history, row)) for row in range(len(logits))]
        _law(np.array_equal(result, np.concatenate(rows)), "a batch is the stack of its rows")
    for padded in paddings(history):
        again = processor(given, padded)
        _law(np.array_equal(again, result), "what lies beyond the length of a row is not read")


def paddings(history: History) -> Iterator[History]:
    """Histories of the same rows with other widths and other padding.

    A sampler, like a processor, must return the same for all of them.
    """
    rows = [history.row(row) for row in range(len(history))]
    longest = max(map(len, rows), default=0)
    neighbours = rows[1:] + rows[:1]
    yield _padded(history, longest, [_NO_TOKENS] * len(rows))
    yield _padded(history, longest + 1, [row[-1:] + 1 for row in rows])
    yield _padded(history, longest + 3, [row[::-1] for row in rows])
    yield _padded(history, 2 * longest + 9, neighbours)
    yield _padded(history, longest + 2, [_ENDS] * len(rows))


_NO_TOKENS = np.zeros(0, np.int32)
_ENDS = np.array([0, np.iinfo(np.int32).max, np.iinfo(np.int32).min], np.int32)


def _alone(history: History, row: int) -> History:
    """One row without padding."""
    return _padded(history.select(row), int(history.lengths[row]), [_NO_TOKENS])


def _alone_in_padding(history: History, row: int) -> History:
    """One row before more padding than the batch has: its own tokens, again and again."""
    width = 2 * history.token_ids.shape[1] + 3
    return _padded(history.select(row), width, [history.row(row)])


def _padded(history: History, width: int, contents: Sequence[NDArray[np.int32]]) -> History:
    """The rows in a history of a width, each followed by its contents, repeated; 0 for none."""
    token_ids = np.zeros((len(history), width), np.int32)
    for index, content in enumerate(contents):
        row = history.row(index)
        token_ids[index, : len(row)] = row
        if len(content):
            token_ids[index, len(row) :] = np.resize(content, width - len(row))
    return History(token_ids, history.lengths, history.prompt_lengths)


def check_sampler(
    sampler: Callable[[Logits, History], Sequence[object]], logits: Logits, history: History
) -> None:
    """Check that a sampler writes to no input and repeats its draws under any padding.

    sampler: from `(batch, vocab)` logits and their history to a result a row, which `==` compares.
    """
    given = logits.copy()
    given.flags.writeable = False
    drawn = list(sampler(given, history))
    _law(len(drawn) == len(logits), "a result for every row")
    _law(list(sampler(given, history)) == drawn, "the same logits and history, the same results")
    for padded in paddings(history):
        same = list(sampler(given, padded)) == drawn
        _law(same, "what lies beyond the length of a row is not read")


def check_declarations(processor: DeclaredProcessor, logits: Logits, history: History) -> None:
    """Check on one batch that every fact that the processor declares is true."""
    facts = facts_of(processor)
    if facts is None:
        raise AssertionError("facts: the processor states what holds of it")
    result = processor(logits, history)
    alive = result > -np.inf
    if facts.only_removes:
        _law(np.array_equal(result[alive], logits[alive]), "only_removes: what stays is untouched")
    if facts.never_empties:
        _law(bool(alive.any(axis=1).all()), "never_empties: a token stays in every row")
    if facts.argmax_invariant:
        same = result.max(axis=1) == np.take_along_axis(
            result, logits.argmax(axis=1)[:, np.newaxis], axis=1
        ).squeeze(1)
        _law(bool(same.all()), "argmax_invariant: the likeliest token stays the likeliest")
    if facts.idempotent:
        again = processor(result, history)
        _law(np.array_equal(again, result), "idempotent: twice is once")
    if not facts.needs_history:
        _law(
            np.array_equal(processor(logits, History.empty(len(logits))), result),
            "needs_history is False: the history changes nothing",
        )
    if facts.shift_invariant and np.abs(logits[logits > -np.inf]).max() < 1e3:
        check_shift(processor, logits, history)
    if facts.scale_invariant and np.abs(logits[logits > -np.inf]).max() < 1e3:
        check_scale(processor, logits, history)
    if facts.vocabulary_blind:
        check_permutation(processor, logits, history)


def check_shift(processor: Processor, logits: Logits, history: History) -> None:
    """Check that adding a constant to the logits changes no probability."""
    row = on_a_grid(logits)
    if outside_the_rounding_band(processor, row, history):
        before = log_softmax(processor(row, history))
        after = log_softmax(processor(row + 64.0, history))
        same = same_distribution(before, after)
        _law(same, "shift_invariant: a constant added to the logits changes no probability")


def check_scale(processor: Processor, logits: Logits, history: History) -> None:
    """Check that dividing the logits by a temperature does not change which tokens are kept."""
    row = on_a_grid(logits)
    kept = processor(row, history) > -np.inf
    same = all(
        np.array_equal(processor(row * scale, history) > -np.inf, kept) for scale in (0.5, 4.0)
    )
    _law(same, "scale_invariant: a temperature changes nothing of what is kept")


def check_permutation(processor: Processor, logits: Logits, history: History) -> None:
    """Check that permuting the vocabulary permutes the result."""
    row = on_a_grid(logits)
    if outside_the_rounding_band(processor, row, history):
        order = np.random.default_rng(0).permutation(row.shape[1])
        permuted = processor(np.ascontiguousarray(row[:, order]), history)
        same = np.allclose(permuted, processor(row, history)[:, order], rtol=1e-6, atol=0.0)
        _law(same, "vocabulary_blind: permuting the vocabulary permutes the result")


def on_a_grid(logits: Logits) -> NDArray[np.float64]:
    """Round logits to multiples of 2⁻¹⁰ in float64, so that unequal ones differ clearly.

    On that grid adding a power of two is exact.
    """
    return np.round(logits.astype(np.float64) * 1024.0) / 1024.0


def outside_the_rounding_band(
    processor: Processor, logits: NDArray[np.float64], history: History
) -> bool:
    """Whether moving every logit by up to 10⁻⁹ leaves the support as it is.

    Where it does not, a cut falls on a token, and the order in which numbers are added decides.
    Equal logits move together, so that ties stay ties.
    """
    wave = np.sin(1e6 * np.maximum(logits, -1e300))
    supports = [processor(logits + move * wave, history) > -np.inf for move in (-1e-9, 0.0, 1e-9)]
    return all(np.array_equal(support, supports[0]) for support in supports)


def check_neutral(processor: Processor, logits: Logits, history: History) -> None:
    """Check that a processor at its neutral value returns its input object."""
    _law(processor(logits, history) is logits, "neutral: the same object comes back")


def check_value(processor: DeclaredProcessor) -> None:
    """Check that a processor survives pickle, copy and repr, and can be hashed."""
    _law(pickle.loads(pickle.dumps(processor)) == processor, "pickle round trip")  # noqa: S301 -- our own bytes
    _law(copy.deepcopy(processor) == processor, "copy round trip")
    _law(hash(copy.copy(processor)) == hash(processor), "equal values have equal hashes")
    _law(repr(processor).startswith(type(processor).__name__ + "("), "repr is the constructor call")


def same_distribution(
    first: NDArray[np.float64], second: NDArray[np.float64], tolerance: float = _TOLERANCE
) -> bool:
    """Whether two batches of logprobs have one support and agree to within `tolerance`.

    It is relative to 1, or to the logprob where that is more.
    """
    alive = first > -np.inf
    if not np.array_equal(alive, second > -np.inf):
        return False
    scale = np.maximum(1.0, np.abs(first[alive]))
    return bool((np.abs(first[alive] - second[alive]) <= tolerance * scale).all())


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    """Row-wise log-probabilities in float64; a row without support stays −inf."""
    rows = logits.astype(np.float64)
    largest = rows.max(axis=1, keepdims=True)
    shifted = rows - np.where(largest > -np.inf, largest, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - np.where(largest > -np.inf, total, 0.0)


def _law(holds: bool, law: str) -> None:
    if not holds:
        raise AssertionError(law)
