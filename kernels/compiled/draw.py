"""Numba: draws a token from a processed row by Gumbel-max, see `decoding.kernels.randomness`.

The noise of a block's lead bounds that of all its tokens. So the leads are looked at first, and of
the others only those in blocks whose largest logit leaves them a chance. A token i of these has a
score of s or more only if −ln u_i ≤ exp(z − s) − share, where z is its block's largest logit, and
with the high word h of its 64 bits alone −ln u_i ≥ 1 − u_i ≥ (2³² − 1 − h) / 2³². So one compare of
words leaves the few tokens of a block whose logits are read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import masks_from, weigh_alive_block
from decoding.kernels.compiled.final import final_at, is_edited_block, opened
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.memory import (
    BINS_OF_BLOCK,
    FINAL_MAX,
    HISTOGRAM,
    IDS,
    KEYS,
    LOGITS,
    OCCURRENCES,
    PLACES,
    RIVALS,
    VALUES,
    WORDS,
)
from decoding.kernels.compiled.noise import (
    EIGHT,
    blocks_from,
    blocks_of_eight,
    exponential_of,
    mask_below,
    natural_log,
    uniform_of,
    word_of,
    words_of_eight,
)
from decoding.kernels.compiled.passes import (
    BLOCK,
    blocks_of,
    count_in_block,
    largest_of_run,
    lowest_finite,
    rates_of,
    run_from,
)
from decoding.kernels.compiled.scalars import above_of, as_real, below_of, trailing_zeros
from decoding.kernels.compiled.state import is_cut, is_edited, row_in
from decoding.kernels.randomness import BLOCK_SIZE, MARGIN, TOKEN_HIGH, TOKEN_LOW

_HIGH, _LOW = np.uint64(TOKEN_HIGH), np.uint64(TOKEN_LOW)
_ALL_WORDS = 4294967296.0
_LEAST_WEIGHT = np.float32(2.4e-38)
"""A little above the weight that stands for all that are smaller."""
_FLOAT32_MOST = 3.4028234663852886e38
NOISELESS = 1e18
"""From this size on a logit is the same with noise added, so the largest logit wins."""


@compiled
def score_of(token_id: Any, logit: Any, share: Any, position: Any, seed: Any) -> Any:
    """Logit plus noise of a token that is not the lead of its block."""
    high = word_of(token_id, position, _HIGH, seed)
    low = word_of(token_id, position, _LOW, seed)
    return logit - natural_log(share + exponential_of(high, low))


@compiled
def _most_exponential(logit: Any, score: Any) -> Any:
    """Above which no exponential of a token with a logit lets its score reach another's.

    A score is rounded to the units of its size, which at 10¹⁵ are an eighth; so is what ties.
    """
    return math.exp(min(logit - score + 1e-9 + abs(score) * 1e-15, 700.0))


@compiled
def coin(position: Any, domain: Any, seed: Any) -> Any:
    """A uniform number in (0, 1) that follows from the seed, the position and the Philox domain."""
    high, low = word_of(0, position, domain, seed), word_of(1, position, domain, seed)
    return uniform_of(high, low)


@compiled
def draw_candidate(count: Any, position: Any, seed: Any, memory: Any) -> Any:
    """Draw by Gumbel-max: the place of the candidate with the largest logit + noise."""
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    shares, noises, leads = memory.doubles[KEYS], memory.doubles[VALUES], memory.integers[PLACES]
    at = np.uint64(position)
    # Of each candidate's block, or of every block where these are fewer.
    blocks = len(ids) // BLOCK_SIZE
    apart = count <= blocks
    if apart:
        for start in range(0, count, EIGHT):
            blocks_of_eight(ids, start, at, seed, shares, noises, leads)
    else:
        for block in range(0, blocks, EIGHT):
            blocks_from(block, at, seed, shares, noises, leads)
    bounds, best, score = memory.doubles[HISTOGRAM], np.int64(-1), -np.inf
    likeliest, highest = np.int64(0), -np.inf
    for place in range(count):
        index = np.int64(place) if apart else np.int64(ids[place]) // BLOCK_SIZE
        bound = logits[place] + noises[index]
        bounds[place] = bound
        if bound > highest:
            likeliest, highest = np.int64(place), bound
        if ids[place] == leads[index] and (
            bound > score or (bound == score and ids[place] < ids[best])
        ):
            best, score = np.int64(place), bound
    # The token of the highest bound before the others: its score rules most of them out.
    index = likeliest if apart else np.int64(ids[likeliest]) // BLOCK_SIZE
    if ids[likeliest] != leads[index]:
        rival = score_of(np.int64(ids[likeliest]), logits[likeliest], shares[index], position, seed)
        if rival > score or (rival == score and ids[likeliest] < ids[best]):
            best, score = likeliest, rival
    # Lower than the margin asks for, by what rounding may have taken from a bound.
    bar = score - 2.0 * MARGIN - (abs(score) + 50.0) * 1e-15
    rivals, rival_ids, found = memory.integers[RIVALS], memory.integers[OCCURRENCES], 0
    for place in range(count):
        rivals[found], rival_ids[found] = place, ids[place]
        found += bounds[place] >= bar
    words = memory.integers[WORDS].view(np.uint32)
    for start in range(0, found, EIGHT):
        words_of_eight(rival_ids, start, at, _HIGH, seed, words)
    for rank in range(found):
        other = np.int64(rivals[rank])
        index = other if apart else np.int64(ids[other]) // BLOCK_SIZE
        least = shares[index] + np.float64(words[rank] ^ np.uint32(0xFFFFFFFF)) / _ALL_WORDS
        if least > _most_exponential(logits[other], score):
            continue
        if other == likeliest or ids[other] == leads[index]:
            continue
        rival = score_of(np.int64(ids[other]), logits[other], shares[index], position, seed)
        if rival > score or (rival == score and ids[other] < ids[best]):
            best, score = other, rival
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
def _write_reaching(step: Any, block: Any, bound: Any, words: Any) -> Any:
    """A bit for each token of a block: whether its final logit may be `bound` or more.

    It is set for all tokens that do not reach it by a rounding's worth, too.
    """
    row, start = row_in(step), block * BLOCK
    bound -= abs(bound) * 1e-6 + 1e-9
    if is_edited_block(step, block):
        least = max(bound, -_FLOAT32_MOST)
        masks_from(opened(step, block), start, start + BLOCK, least, words)
        return
    least = max(bound * step.state.temperature, -_FLOAT32_MOST)
    masks_from(row, start, start + BLOCK, as_real(row, min(least, _FLOAT32_MOST)), words)


@compiled
def reference_of(row: Any, temperature: Any, largest: Any) -> Any:
    """The largest stored logit that is not above the largest final one, and how far below it is.

    Sums of stored blocks are taken relative to it, as float32 has no number for an edited logit.
    """
    zero = as_real(row, min(max(largest * temperature, lowest_finite(row)), -lowest_finite(row)))
    # Rounded down, and no further: no token that is not above the largest is above it.
    while zero / temperature > largest:
        zero = below_of(row, zero)
    above = above_of(row, zero)
    while above / temperature <= largest:
        zero, above = above, above_of(row, above)
    return zero, zero / temperature - largest


@compiled
def weigh_final(step: Any, largest: Any) -> Any:
    """Σ w and Σ w · gap of a dense row, relative to its largest logit, and how many are possible.

    Its window, if it keeps less than all, is one of an edited row.
    """
    row, temperature, block_max = (
        row_in(step),
        step.state.temperature,
        step.memory.doubles[FINAL_MAX],
    )
    zero, shift = reference_of(row, temperature, largest)
    rate, lowest = rates_of(1.0 / temperature)
    own_rate, own_lowest = rates_of(1.0)
    factor, cuts, edited = math.exp(shift), is_cut(step), is_edited(step)
    total, moment, support, stop = 0.0, 0.0, 0, 0
    while stop < row.width:
        start = stop
        block, stop = start // BLOCK, start + run_from(row, start)
        if edited:
            for other in range(block, stop // BLOCK):
                if cuts or is_edited_block(step, other):
                    stop = start + BLOCK
        top = largest_of_run(block_max, start, stop)
        if top == -np.inf or top < step.state.low:
            continue
        source = row
        if cuts or is_edited_block(step, block):
            source = opened(step, block)
            weight, first, least = weigh_alive_block(
                source, start, stop, largest, own_rate, own_lowest
            )
            total += np.float64(weight)
            moment += np.float64(first)
        else:
            weight, first, least = weigh_alive_block(row, start, stop, zero, rate, lowest)
            total += factor * np.float64(weight)
            moment += factor * (np.float64(first) / temperature + np.float64(weight) * shift)
        # Where no weight is the least there is, every token is possible.
        if least > _LEAST_WEIGHT:
            support += stop - start
            continue
        for first_of_block in range(start, stop, BLOCK):
            support += count_in_block(source, first_of_block, lowest_finite(source), np.inf)
    return total, moment, support


@compiled
def _least_word(largest: Any, score: Any, share: Any) -> Any:
    """Below which no high word of a token of a block can make its score reach another's."""
    limit = _most_exponential(largest, score) - share
    return np.uint64(max(0.0, _ALL_WORDS - 2.0 - limit * _ALL_WORDS))


@compiled
def draw_from_row(step: Any, seed: Any) -> Any:
    """Draw by Gumbel-max from a whole row: the winning token id and its final logit."""
    memory, position = step.memory, len(step.history)
    block_max, able_words = memory.doubles[FINAL_MAX], memory.integers[BINS_OF_BLOCK]
    shares, noises, leads = memory.doubles[KEYS], memory.doubles[VALUES], memory.integers[PLACES]
    at = np.uint64(position)
    blocks = blocks_of(step.state)
    for block in range(0, blocks, EIGHT):
        blocks_from(block, at, seed, shares, noises, leads)
    best, score, first, highest = np.int64(-1), -np.inf, 0, -np.inf
    for block in range(blocks):
        bound = block_max[block] + noises[block]
        if bound > highest:
            first, highest = block, bound
        if bound > score:
            logit = final_at(step, np.int64(leads[block]))
            if logit + noises[block] > score:
                best, score = np.int64(leads[block]), logit + noises[block]
    # The block of the highest bound before the others: its best score rules most of them out.
    for turn in range(-1, blocks):
        block = first if turn < 0 else turn
        bound = block_max[block] + (noises[block] + MARGIN)
        if bound < score or bound == -np.inf or turn == first:
            continue
        lead, share, seen = np.int64(leads[block]), shares[block], np.nan
        least = np.uint64(0)
        _write_reaching(step, block, score - (noises[block] + MARGIN), able_words)
        for start in range(block * BLOCK_SIZE, block * BLOCK_SIZE + BLOCK_SIZE, 32):
            # Most have no token whose logit leaves it a chance, whatever its noise is.
            able = np.uint32(able_words[(start >> 5) & (BLOCK // 32 - 1)])
            if able == 0:
                continue
            if score != seen:
                least, seen = _least_word(block_max[block], score, share), score
            below = mask_below(start, at, _HIGH, seed, least)
            hits = np.uint32(np.uint32(below ^ np.uint32(0xFFFFFFFF)) & able)
            while hits != 0:
                token_id = start + trailing_zeros(hits)
                hits = np.uint32(hits & np.uint32(hits - np.uint32(1)))
                logit = final_at(step, token_id)
                may_win = logit + (noises[block] + MARGIN) >= score and logit > -np.inf
                if not may_win or token_id == lead:
                    continue
                rival = score_of(token_id, logit, share, position, seed)
                if rival > score or (rival == score and token_id < best):
                    best, score = token_id, rival
    return best, final_at(step, best)
