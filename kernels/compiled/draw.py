"""Gumbel-max over what the program left: the noise of `decoding.kernels.randomness`.

A token wins if no other has a larger z + noise, with noise = −ln(−ln u). Since −ln u ≥ 1 − u, token
i cannot beat a score s unless 1 − u_i < exp(z_i − s), and with the high word h of its 64 bits alone
1 − u_i ≥ (2³² − 1 − h) / 2³². So one compare in the domain of words leaves the few tokens whose
noise is computed; `_MARGIN` covers the rounding of that compare.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import weigh_block
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.noise import contest_block, words_of_eight
from decoding.kernels.compiled.passes import BLOCK, count_in_block, lowest_finite, rates_of
from decoding.kernels.compiled.scalars import as_real, trailing_zeros, value_at
from decoding.kernels.randomness import (
    DISCARDED_BITS,
    MULTIPLIERS,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = (np.uint64(item) for item in MULTIPLIERS)
_WEYL_0, _WEYL_1 = (np.uint64(item) for item in WEYL_KEYS)
_HIGH, _LOW = np.uint64(TOKEN_HIGH), np.uint64(TOKEN_LOW)
_NO_DRAW = np.uint64(0)
_DISCARDED = np.uint64(DISCARDED_BITS)
_MARGIN = 1.001
NOISELESS = 1e18
"""From this size on a logit is the same with noise added, so the largest logit wins."""


@compiled
def philox_word(token_id: Any, position: Any, domain: Any, seed: Any) -> Any:
    """One 32-bit word of one token, in 64 bits."""
    c0, c1 = np.uint64(token_id >> 2), np.uint64(position)
    c2, c3 = _NO_DRAW, domain
    key0, key1 = seed & _WORD, seed >> _HALF
    for _ in range(ROUNDS):
        product0, product1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ key0,
            product1 & _WORD,
            (product0 >> _HALF) ^ c3 ^ key1,
            product0 & _WORD,
        )
        key0, key1 = (key0 + _WEYL_0) & _WORD, (key1 + _WEYL_1) & _WORD
    lane = token_id & 3
    if lane == 0:
        return c0
    if lane == 1:
        return c1
    return c2 if lane == 2 else c3


@compiled
def _uniform(high: Any, low: Any) -> Any:
    """A number in (0, 1) of 64 random bits."""
    word = (high << _HALF) | low
    return (np.float64(word >> _DISCARDED) + 0.5) * UNIFORM_SCALE


@compiled
def gumbel(token_id: Any, position: Any, seed: Any) -> Any:
    """A token's noise, from all its 64 bits."""
    high = philox_word(token_id, position, _HIGH, seed)
    low = philox_word(token_id, position, _LOW, seed)
    return -math.log(-math.log(_uniform(high, low)))


@compiled
def coin(position: Any, domain: Any, seed: Any) -> Any:
    """A number in (0, 1) that depends on the seed, the place and the purpose alone."""
    return _uniform(philox_word(0, position, domain, seed), philox_word(1, position, domain, seed))


@compiled
def draw_candidate(
    ids: Any,
    logits: Any,
    count: Any,
    reference: Any,
    weights: Any,
    position: Any,
    seed: Any,
    words: Any,
) -> Any:
    """The place of the winner among candidates, whose exp(z − reference) are in `weights`."""
    at = np.uint64(position)
    for start in range(0, count, 8):
        words_of_eight(ids, start, at, _NO_DRAW, _HIGH, seed & _WORD, seed >> _HALF, words)
    best, score, limit = -1, -np.inf, np.inf
    for place in range(count):
        if np.float64(words[place] ^ np.uint32(0xFFFFFFFF)) > weights[place] * limit:
            continue
        rival = logits[place] + gumbel(np.int64(ids[place]), position, seed)
        if rival > score or (rival == score and ids[place] < ids[best]):
            best, score = place, rival
            limit = math.exp(min(reference - score, 700.0)) * 4294967296.0 * _MARGIN
    return best


@compiled
def greedy_candidate(ids: Any, logits: Any, count: Any) -> Any:
    """The place of the largest logit; of ties the lowest id."""
    best = 0
    for place in range(1, count):
        if logits[place] > logits[best] or (
            logits[place] == logits[best] and ids[place] < ids[best]
        ):
            best = place
    return best


@compiled
def final_at(row: Any, shadow: Any, patched: Any, temperature: Any, token_id: Any) -> Any:
    """A logit of a patched row."""
    if patched[token_id // BLOCK] != 0:
        return value_at(shadow, token_id)
    return value_at(row, token_id) / temperature


@compiled
def reference_of(row: Any, temperature: Any, largest: Any) -> Any:
    """The largest stored logit that is not above the largest final one, and how far below it is.

    Sums of stored blocks are taken relative to it, as float32 has no number for an edited logit.
    """
    zero = as_real(row, min(max(largest * temperature, lowest_finite(row)), -lowest_finite(row)))
    # Rounded down, and no further: no token that is not above the largest is above it.
    while np.float64(zero) / temperature > largest:
        zero = np.nextafter(zero, as_real(row, -np.inf))
    above = np.nextafter(zero, as_real(row, np.inf))
    while np.float64(above) / temperature <= largest:
        zero, above = above, np.nextafter(above, as_real(row, np.inf))
    return zero, np.float64(zero) / temperature - largest


@compiled
def weigh_patched(
    row: Any, shadow: Any, patched: Any, block_max: Any, temperature: Any, largest: Any
) -> Any:
    """Σ w and Σ w · gap of a patched row, relative to its largest logit, and how many are possible.

    block_max: of the final logits.
    """
    rate, lowest = rates_of(1.0 / temperature)
    own_rate, own_lowest = rates_of(1.0)
    zero, shift = reference_of(row, temperature, largest)
    factor = math.exp(shift)
    total, moment, support = 0.0, 0.0, 0
    for block in range(len(patched)):
        if block_max[block] == -np.inf:
            continue
        start = block * BLOCK
        stop = start + BLOCK
        if patched[block] != 0:
            weight, first = weigh_block(shadow, start, stop, largest, own_rate, own_lowest)
            total += np.float64(weight)
            moment += np.float64(first)
            support += count_in_block(shadow, start, lowest_finite(shadow), np.inf)
        else:
            weight, first = weigh_block(row, start, stop, zero, rate, lowest)
            total += factor * np.float64(weight)
            moment += factor * (np.float64(first) / temperature + np.float64(weight) * shift)
            support += count_in_block(row, start, lowest_finite(row), np.inf)
    return total, moment, support


@compiled
def draw_from_row(
    row: Any,
    shadow: Any,
    patched: Any,
    block_max: Any,
    temperature: Any,
    largest: Any,
    position: Any,
    seed: Any,
    weights: Any,
) -> Any:
    """The winner among all tokens of a patched row, and its final logit.

    Then the sums of `weigh_patched`.
    patched: of every block, 0 or whether it is read from the shadow. block_max, largest: of the
    final logits. weights: float32 scratch for a block.
    """
    rate, lowest = rates_of(1.0 / temperature)
    own_rate, own_lowest = rates_of(1.0)
    zero, shift = reference_of(row, temperature, largest)
    factor = math.exp(shift)
    at, key0, key1 = np.uint64(position), seed & _WORD, seed >> _HALF
    best, score, limit = np.int64(-1), -np.inf, np.inf
    # The contest starts with the score of a largest token, which is a good one.
    for block in range(len(patched)):
        if block_max[block] == largest:
            best = np.int64(block * BLOCK)
            while final_at(row, shadow, patched, temperature, best) != largest:
                best += 1
            score = largest + gumbel(best, position, seed)
            limit = math.exp(min(largest - score, 80.0)) * 2147483648.0 * _MARGIN
            break
    total, moment, support = 0.0, 0.0, 0
    for block in range(len(patched)):
        if block_max[block] == -np.inf:
            continue
        start = block * BLOCK
        stop = start + BLOCK
        # Weights are relative to what each block's sums are relative to; so is the limit.
        share = 1.0 if patched[block] != 0 else factor
        if patched[block] != 0:
            hits, weight, first, least = contest_block(
                shadow,
                start,
                stop,
                largest,
                own_rate,
                own_lowest,
                start,
                at,
                _NO_DRAW,
                _HIGH,
                key0,
                key1,
                np.float32(limit),
                weights,
            )
            total += np.float64(weight)
            moment += np.float64(first)
        else:
            hits, weight, first, least = contest_block(
                row,
                start,
                stop,
                zero,
                rate,
                lowest,
                start,
                at,
                _NO_DRAW,
                _HIGH,
                key0,
                key1,
                np.float32(limit * factor),
                weights,
            )
            total += factor * np.float64(weight)
            moment += factor * (np.float64(first) / temperature + np.float64(weight) * shift)
        # A weight above the least there is belongs to a possible token.
        if least > np.float32(2.4e-38):
            support += BLOCK
        elif patched[block] != 0:
            support += count_in_block(shadow, start, lowest_finite(shadow), np.inf)
        else:
            support += count_in_block(row, start, lowest_finite(row), np.inf)
        while hits != 0:
            lane = trailing_zeros(hits)
            hits = np.uint32(hits & np.uint32(hits - np.uint32(1)))
            for token_id in range(start + lane, stop, 32):
                logit = final_at(row, shadow, patched, temperature, token_id)
                if not logit > -np.inf or token_id == best:
                    continue
                high = philox_word(token_id, position, _HIGH, seed)
                weight = np.float64(weights[token_id - start])
                if np.float64((high ^ _WORD) >> np.uint64(1)) > weight * limit * share:
                    continue
                rival = logit + gumbel(token_id, position, seed)
                if rival > score or (rival == score and token_id < best):
                    best, score = np.int64(token_id), rival
                    limit = math.exp(min(largest - score, 80.0)) * 2147483648.0 * _MARGIN
    logit = final_at(row, shadow, patched, temperature, best)
    return best, logit, total, moment, support
