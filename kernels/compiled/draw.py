"""Numba: draws a token from a processed row by Gumbel-max, see `decoding.kernels.randomness`.

The noise of a block's lead bounds that of all its tokens. So the leads are looked at first, and of
the others only the *rivals*: tokens whose logit with their lead's noise may reach the best score.
A rival has a score of s or more only if share − ln u ≤ exp(z − s), where z bounds its logit, and
with the high word h of its 64 bits alone −ln u ≥ 1 − u ≥ (2³² − 1 − h) / 2³². So most are ruled out
by one word of Philox, of which 16 are drawn at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from decoding.kernels.compiled.blocks import masks_reaching
from decoding.kernels.compiled.final import final_at, is_edited_block, opened
from decoding.kernels.compiled.jit import compiled, inlined
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
    TIES,
    VALUES,
    WEIGHTS,
)
from decoding.kernels.compiled.noise import (
    TOGETHER,
    blocks_from,
    blocks_of_tokens,
    exponential_of,
    mask_below,
    natural_log,
    uniform_of,
    word_of,
    words_of_tokens,
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
from decoding.kernels.compiled.scalars import (
    above_of,
    as_real,
    below_of,
    bit_count,
    trailing_zeros,
)
from decoding.kernels.compiled.state import is_cut, is_edited, row_in
from decoding.kernels.compiled.weights import weigh_alive_block
from decoding.kernels.randomness import BLOCK_SIZE, MARGIN, TOKEN_HIGH, TOKEN_LOW

_HIGH, _LOW = np.uint64(TOKEN_HIGH), np.uint64(TOKEN_LOW)
_ALL_WORDS = 4294967296.0
_LEAST_WEIGHT = np.float32(2.4e-38)
"""A little above the weight that stands for all that are smaller."""
_FLOAT32_MOST = 3.4028234663852886e38
_DENSE = 4
"""More rivals among 32 tokens are listed only after a look at the words of all 32."""
_MANY = 64
"""So many rivals are compared before more of them are listed: a better score leaves fewer."""
_NEAR = 4.0
"""By how much less than the highest a block's bound may be, so that its lead is scored first."""
NOISELESS = 1e18
"""From this size on a logit is the same with noise added, so the largest logit wins."""


@compiled
def score_of(token_id: Any, logit: Any, share: Any, position: Any, seed: Any) -> Any:
    """Logit plus noise of a token that is not the lead of its block."""
    high = word_of(token_id, position, _HIGH, seed)
    low = word_of(token_id, position, _LOW, seed)
    return logit - natural_log(share + exponential_of(high, low))


@compiled
def coin(position: Any, domain: Any, seed: Any) -> Any:
    """A uniform number in (0, 1) that follows from the seed, the position and the Philox domain."""
    high, low = word_of(0, position, domain, seed), word_of(1, position, domain, seed)
    return uniform_of(high, low)


@inlined
def _reach_of(score: Any, logit: Any) -> Any:
    """Above which no exponential of a token with a logit lets its score reach another's, or more.

    A score is rounded to the units of its size, which at 10¹⁵ are an eighth; so is what ties.
    """
    gap = score - logit - 1e-9 - abs(score) * 1e-15
    # As eʸ ≥ (1 + y / 8)⁸ for y > 0.
    power = (1.0 + max(gap, 0.0) / 8.0) ** 2
    power *= power
    return 1.0 / (power * power) if gap > 0.0 else np.inf


@compiled
def _best_of(step: Any, count: Any, seed: Any, best: Any, score: Any, logit: Any) -> Any:
    """The best token so far, or that of `count` rivals whose score is higher; score and logit.

    Of equal scores the lowest id. The rivals' ids stand in `OCCURRENCES`, their blocks' shares in
    `TIES`, and bounds of their logits in `WEIGHTS`, which are the logits if the row is compact.
    """
    memory, position = step.memory, len(step.history)
    ids, words = memory.integers[OCCURRENCES], memory.integers[RIVALS].view(np.uint32)
    bounds, shares = memory.doubles[WEIGHTS], memory.doubles[TIES]
    for start in range(0, count, TOGETHER):
        words_of_tokens(ids, start, np.uint64(position), _HIGH, seed, words)
    for rank in range(count):
        least = shares[rank] + np.float64(words[rank] ^ np.uint32(0xFFFFFFFF)) / _ALL_WORDS
        if least > _reach_of(score, bounds[rank]):
            continue
        token_id = np.int64(ids[rank])
        own = bounds[rank] if step.state.compact else final_at(step, token_id)
        if own == -np.inf:
            continue
        rival = score_of(token_id, own, shares[rank], position, seed)
        if rival > score or (rival == score and token_id < best):
            best, score, logit = token_id, rival, own
    return best, score, logit


@compiled
def draw_candidate(step: Any, seed: Any) -> Any:
    """Draw by Gumbel-max: the id and the logit of the candidate with the largest logit + noise."""
    memory, count, at = step.memory, step.state.count, np.uint64(len(step.history))
    ids, logits = memory.integers[IDS], memory.doubles[LOGITS]
    shares, noises, leads = memory.doubles[KEYS], memory.doubles[VALUES], memory.integers[PLACES]
    # Of each candidate's block, or of every block where these are fewer.
    blocks = blocks_of(step.state)
    apart = count <= blocks
    if apart:
        for start in range(0, count, TOGETHER):
            blocks_of_tokens(ids, start, at, seed, shares, noises, leads)
    else:
        for block in range(0, blocks, TOGETHER):
            blocks_from(block, at, seed, shares, noises, leads)
    reached, best, score, logit = memory.doubles[HISTOGRAM], np.int64(-1), -np.inf, -np.inf
    likeliest, highest = np.int64(0), -np.inf
    for place in range(count):
        index = np.int64(place) if apart else np.int64(ids[place]) // BLOCK_SIZE
        bound = logits[place] + noises[index]
        if bound > highest:
            likeliest, highest = np.int64(place), bound
        reached[place] = bound
        if ids[place] == leads[index]:
            reached[place] = -np.inf
            if bound > score or (bound == score and ids[place] < best):
                best, score, logit = np.int64(ids[place]), bound, logits[place]
    rivals, bounds = memory.integers[OCCURRENCES], memory.doubles[WEIGHTS]
    rival_shares, bar = memory.doubles[TIES], -np.inf
    # The token of the highest bound before the others: its score rules most of them out.
    for turn in range(2):
        found = 0
        for place in range(likeliest, count if turn == 1 else likeliest + 1):
            index = np.int64(place) if apart else np.int64(ids[place]) // BLOCK_SIZE
            rivals[found], bounds[found] = ids[place], logits[place]
            rival_shares[found] = shares[index]
            found += reached[place] > -np.inf and reached[place] >= bar
        best, score, logit = _best_of(step, found, seed, best, score, logit)
        # Lower than the margin asks for, by what rounding may have taken from a bound.
        bar, likeliest = score - 2.0 * MARGIN - (abs(score) + 50.0) * 1e-15, np.int64(0)
    return best, logit


@compiled
def greedy_candidate(step: Any) -> Any:
    """The id and the logit of the candidate with the largest logit; of ties the lowest id."""
    ids, logits = step.memory.integers[IDS], step.memory.doubles[LOGITS]
    best = 0
    for place in range(1, step.state.count):
        if logits[place] > logits[best] or (
            logits[place] == logits[best] and ids[place] < ids[best]
        ):
            best = place
    return np.int64(ids[best]), logits[best]


@inlined
def _add_rivals(step: Any, block: Any, score: Any, count: Any, seed: Any) -> Any:
    """Append the tokens of a block, but for its lead, that may reach a score; the new count.

    Some that do not reach it by a rounding's worth are among them.
    """
    memory, row, start = step.memory, row_in(step), block * BLOCK
    rivals, words = memory.integers[OCCURRENCES], memory.integers[BINS_OF_BLOCK]
    bounds, shares = memory.doubles[WEIGHTS], memory.doubles[TIES]
    top, share = memory.doubles[FINAL_MAX][block], memory.doubles[KEYS][block]
    lead = memory.integers[PLACES][block]
    bound = score - (memory.doubles[VALUES][block] + MARGIN)
    bound -= abs(bound) * 1e-6 + 1e-9
    if is_edited_block(step, block):
        least = max(bound, -_FLOAT32_MOST)
        masks_reaching(opened(step, block), start, start + BLOCK, least, words)
    else:
        least = min(max(bound * step.state.temperature, -_FLOAT32_MOST), _FLOAT32_MOST)
        masks_reaching(row, start, start + BLOCK, as_real(row, least), words)
    least, at, is_known = np.uint64(0), np.uint64(len(step.history)), False
    for first in range(start, start + BLOCK, 32):
        able = np.uint32(words[(first - start) // 32])
        if bit_count(able) > _DENSE:
            if not is_known:
                limit = (_reach_of(score, top) - share) * _ALL_WORDS
                least, is_known = np.uint64(max(0.0, _ALL_WORDS - 2.0 - limit)), True
            able = np.uint32(able & ~mask_below(first, at, _HIGH, seed, least))
        while able != 0:
            token_id = first + trailing_zeros(able)
            able = np.uint32(able & np.uint32(able - np.uint32(1)))
            rivals[count], bounds[count], shares[count] = token_id, top, share
            count += token_id != lead
    return count


@compiled
def reference_of(row: Any, temperature: Any, largest: Any, most: Any) -> Any:
    """The largest stored logit that is not above the largest final one, and how far below it is.

    Sums of stored blocks are taken relative to it, as float32 has no number for an edited logit.
    most: no stored logit is larger; of several that a temperature makes one, none above may count.
    """
    zero = as_real(row, min(max(largest * temperature, lowest_finite(row)), -lowest_finite(row)))
    # Rounded down, and no further: no token that is not above the largest is above it.
    while zero / temperature > largest:
        zero = below_of(row, zero)
    above = above_of(row, zero)
    while above / temperature <= largest:
        zero, above = above, above_of(row, above)
    zero = min(zero, as_real(row, most))
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
    zero, shift = reference_of(row, temperature, largest, step.state.largest)
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
def draw_from_row(step: Any, seed: Any) -> Any:
    """Draw by Gumbel-max from a dense row: the winning token id and its final logit."""
    memory, at, tops = step.memory, np.uint64(len(step.history)), step.memory.doubles[FINAL_MAX]
    shares, noises, leads = memory.doubles[KEYS], memory.doubles[VALUES], memory.integers[PLACES]
    reached, listed = memory.doubles[HISTOGRAM], memory.integers[BINS_OF_BLOCK][BLOCK:]
    blocks, likeliest, highest = blocks_of(step.state), 0, -np.inf
    for block in range(0, blocks, TOGETHER):
        blocks_from(block, at, seed, shares, noises, leads)
    for block in range(blocks):
        reached[block] = tops[block] + (noises[block] + MARGIN)
        if reached[block] > highest:
            likeliest, highest = block, reached[block]
    best, score, logit = np.int64(-1), -np.inf, -np.inf
    # Leads and the block of the highest bound come first: the best score of these rules most out.
    for turn in range(2):
        bar = score if turn == 1 else highest - _NEAR
        found, count = 0, 0
        for block in range(blocks):
            listed[found] = block
            found += reached[block] >= bar and reached[block] > -np.inf
        for place in range(found):
            lead = np.int64(leads[listed[place]])
            own = final_at(step, lead)
            lead_score = own + noises[listed[place]]
            if lead_score > score or (lead_score == score and lead < best):
                best, score, logit = lead, lead_score, own
        if turn == 0:
            found, listed[0] = min(found, 1), likeliest
        for place in range(found):
            chosen = np.int64(listed[place])
            if reached[chosen] >= score:
                count = _add_rivals(step, chosen, score, count, seed)
            if count >= _MANY or place == found - 1:
                best, score, logit = _best_of(step, count, seed, best, score, logit)
                count = 0
        reached[likeliest] = -np.inf
    return best, logit
