"""NumPy: finds tokens to ban or penalise from a row's history, and edits their logits."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
Array = NDArray[np.floating[Any]]
Tokens = NDArray[np.int32]

_BUDGET = 8
"""How many comparisons a token the search by levels may cost before the Z-function takes over."""


def without(logits: Array, banned: Sequence[Sequence[int] | NDArray[np.integer]]) -> Array:
    """Ban tokens in each row, ids beyond the row ignored; the same object if there are none."""
    width = logits.shape[1]
    inside = [np.asarray(token_ids, np.int64) for token_ids in banned]
    inside = [token_ids[(token_ids >= 0) & (token_ids < width)] for token_ids in inside]
    if not any(len(token_ids) for token_ids in inside):
        return logits
    result = logits.copy()
    for row, token_ids in enumerate(inside):
        result[row, token_ids] = -np.inf
    return result


def only(logits: Array, allowed: Sequence[Sequence[int] | NDArray[np.integer] | None]) -> Array:
    """Ban all but the allowed tokens of each row; None allows all."""
    if all(token_ids is None for token_ids in allowed):
        return logits
    result = logits.copy()
    for row, token_ids in enumerate(allowed):
        if token_ids is not None:
            kept = np.asarray(token_ids, np.int64)
            kept = kept[(kept >= 0) & (kept < logits.shape[1])]
            result[row] = -np.inf
            result[row, kept] = logits[row, kept]
    return result


def successors(source: Tokens, context: Tokens, size: int) -> Tokens:
    """The tokens that follow the last size − 1 tokens of `context` in `source`."""
    if len(source) < size or len(context) < size - 1:
        return source[:0]
    windows = np.lib.stride_tricks.sliding_window_view(source, size)
    prefix = context[len(context) - (size - 1) :]
    return windows[(windows[:, :-1] == prefix).all(axis=1), -1]


def completed(
    context: Tokens, sequences: Sequence[tuple[tuple[int, ...], float]]
) -> dict[int, float]:
    """The summed values of the sequences that one more token completes, by that token."""
    longest = max((len(sequence) for sequence, _ in sequences), default=1) - 1
    tail = tuple(context[max(0, len(context) - longest) :].tolist())
    found: dict[int, float] = {}
    for sequence, value in sequences:
        size = len(sequence) - 1
        if size <= len(tail) and tail[len(tail) - size :] == sequence[:-1]:
            found[sequence[-1]] = found.get(sequence[-1], 0.0) + value
    return found


def dry(
    context: Tokens,
    multiplier: float,
    base: float,
    allowed: int,
    breakers: Collection[int],
) -> tuple[Tokens, Row]:
    """DRY: multiplier · base^(L − allowed) for the tokens that prolong a repeat of L ≥ allowed."""
    limit = _unbroken(context, breakers)
    lengths = suffix_matches(context, limit)[:-1]
    reaching = lengths >= allowed
    token_ids, place = np.unique(context[1:][reaching], return_inverse=True)
    longest = np.zeros(len(token_ids), np.int64)
    np.maximum.at(longest, place, lengths[reaching])
    with np.errstate(over="ignore"):
        penalties = multiplier * power(base, longest - allowed)
    free = ~np.isin(token_ids, sorted(breakers)) & (limit >= allowed)
    return token_ids[free], np.minimum(penalties[free], sys.float_info.max / 4.0)


def power(base: float, exponents: NDArray[np.int64]) -> Row:
    """base^n of each exponent, by repeated squaring; n below 0 counts as 0.

    The multiplications and their order are fixed, so that every backend has the same bits; a power
    of a library of mathematics is rounded as that library likes.
    """
    result, square = np.ones(len(exponents)), np.float64(base)
    left = exponents.copy()
    while (left > 0).any():
        odd = (left > 0) & (left & 1 == 1)
        result[odd] *= square
        square *= square
        left >>= 1
    return result


def less(logits: Row, token_ids: Tokens, amounts: Row) -> Row:
    """Subtract amounts from tokens that the row has; the same object if there are none."""
    legal = (token_ids >= 0) & (token_ids < len(logits))
    if not legal.any():
        return logits
    result = logits.copy()
    result[token_ids[legal]] -= amounts[legal]
    return result


def suffix_matches(tokens: Tokens, limit: int) -> NDArray[np.int64]:
    """For each position, the length of the longest suffix of `tokens` ending there, up to `limit`.

    The last place counts 0. Linear: places are dropped level by level, which real text ends after a
    few levels; where it does not, the Z-function of the reversed tokens has the same answer.
    """
    lengths = np.zeros(len(tokens), np.int64)
    if len(tokens) == 0:
        return lengths
    places = np.flatnonzero(tokens[:-1] == tokens[-1])
    spent = 0
    for length in range(1, limit + 1):
        if len(places) == 0:
            break
        spent += len(places)
        if spent > _BUDGET * len(tokens):
            return np.minimum(_z_function(tokens[::-1].tolist())[::-1], limit)
        lengths[places] = length
        places = places[places >= length]
        places = places[tokens[places - length] == tokens[-1 - length]]
    return lengths


def _z_function(tokens: list[int]) -> NDArray[np.int64]:
    """How much of the beginning also begins at each place; 0 at the first."""
    size = len(tokens)
    lengths = [0] * size
    left = right = 0
    for place in range(1, size):
        length = min(right - place, lengths[place - left]) if place < right else 0
        while place + length < size and tokens[length] == tokens[place + length]:
            length += 1
        lengths[place] = length
        if place + length > right:
            left, right = place, place + length
    return np.array(lengths, np.int64)


def _unbroken(context: Tokens, breakers: Collection[int]) -> int:
    """How many tokens follow the last breaker."""
    if not breakers:
        return len(context)
    places = np.flatnonzero(np.isin(context, sorted(breakers)))
    return len(context) - 1 - int(places[-1]) if len(places) else len(context)
