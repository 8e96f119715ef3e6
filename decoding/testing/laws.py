"""What every processor must obey, as functions that raise `AssertionError` with the law's name.

`check_contract` holds for any processor, also a plain function. `check_declarations` holds a
processor to the facts that it states about itself. Run them over `strategies.batches()`:

    @given(strategies.batches())
    def test_mine(batch):
        laws.check_contract(mine, *batch)
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
from numpy.typing import NDArray

from decoding.history import History
from decoding.typing import DeclaredProcessor, Logits, Processor

_TOLERANCE = 1e-5


def check_contract(processor: Processor, logits: Logits, history: History) -> None:
    """Shape, purity, validity, no resurrection, and a batch is its rows."""
    given = logits.copy()
    given.flags.writeable = False
    result = processor(given, history)
    _law(np.array_equal(given, logits), "the input is not written to")
    _law(result.shape == logits.shape, "the shape is kept")
    _law(result.dtype == logits.dtype, "the dtype is kept")
    _law(bool((result < np.inf).all()), "finite or -inf logits give finite or -inf logits")
    _law(not (np.isneginf(logits) & ~np.isneginf(result)).any(), "-inf never returns to life")
    rows = [processor(logits[row : row + 1], history.select(row)) for row in range(len(logits))]
    _law(np.array_equal(result, np.concatenate(rows)), "a batch is the stack of its rows")


def check_declarations(processor: DeclaredProcessor, logits: Logits, history: History) -> None:
    """Every fact the processor states is true of this batch."""
    result = processor(logits, history)
    alive = result > -np.inf
    if processor.only_removes:
        _law(np.array_equal(result[alive], logits[alive]), "only_removes: what stays is untouched")
    if processor.never_empties:
        _law(bool(alive.any(axis=1).all()), "never_empties: a token stays in every row")
    if processor.argmax_invariant:
        same = result.max(axis=1) == np.take_along_axis(
            result, logits.argmax(axis=1)[:, np.newaxis], axis=1
        ).squeeze(1)
        _law(bool(same.all()), "argmax_invariant: the likeliest token stays the likeliest")
    if processor.idempotent:
        again = processor(result, history)
        _law(np.array_equal(again, result), "idempotent: twice is once")
    if not processor.needs_history:
        _law(
            np.array_equal(processor(logits, History.empty(len(logits))), result),
            "needs_history is False: the history changes nothing",
        )
    if processor.shift_invariant and np.abs(logits[logits > -np.inf]).max() < 1e3:
        check_shift(processor, logits, history)
    if processor.vocabulary_blind:
        check_permutation(processor, logits, history)


def check_shift(processor: Processor, logits: Logits, history: History) -> None:
    """A constant added to the logits changes no probability, outside the rounding band."""
    row = on_a_grid(logits)
    if outside_the_rounding_band(processor, row, history):
        before = log_softmax(processor(row, history))
        after = log_softmax(processor(row + 64.0, history))
        same = same_distribution(before, after)
        _law(same, "shift_invariant: a constant added to the logits changes no probability")


def check_permutation(processor: Processor, logits: Logits, history: History) -> None:
    """Permuting the vocabulary permutes the result, outside the rounding band."""
    row = on_a_grid(logits)
    if outside_the_rounding_band(processor, row, history):
        order = np.random.default_rng(0).permutation(row.shape[1])
        permuted = processor(np.ascontiguousarray(row[:, order]), history)
        same = np.allclose(permuted, processor(row, history)[:, order], rtol=1e-6, atol=0.0)
        _law(same, "vocabulary_blind: permuting the vocabulary permutes the result")


def on_a_grid(logits: Logits) -> NDArray[np.float64]:
    """The logits in float64, rounded to multiples of 2⁻¹⁰: equal, or clearly different.

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
    """A processor at its neutral value returns the very object it was given."""
    _law(processor(logits, history) is logits, "neutral: the same object comes back")


def check_value(processor: DeclaredProcessor) -> None:
    """A processor is a value: it survives pickle, copy and repr, and can be hashed."""
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


def _law(holds: bool, law: str) -> None:  # noqa: FBT001 -- the law itself
    if not holds:
        raise AssertionError(law)
