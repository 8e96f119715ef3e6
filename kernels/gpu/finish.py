"""The second kernel of a step: the rest of the program on the candidates, and the draw.

A program lists the candidates of `ROWS` rows in the order of their ids and works on them in
float64, on the very numbers that NumPy's kernels see: the order of tokens, every tie and the
perturbed scores are theirs. Until the first truncation the row's other tokens count as the sums
that the survey left of them. A truncation that needs a token at or below the bound, and so perhaps
one that is not here, makes the row undecided, and so do more candidates than there is room for; the
host then has the row done by another backend.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.cuts import cut_key, foremost, key
from decoding.kernels.gpu.filters import prefix_kept, softmax
from decoding.kernels.gpu.operations import (
    CUT,
    LARGEST,
    NO_TOKEN,
    NOTHING,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    TYPICAL_P,
    bit_of,
    bits_set,
    densely_edited,
    widened,
)
from decoding.kernels.gpu.philox import token_noise
from decoding.kernels.result import EMPTY_SUPPORT as _EMPTY_SUPPORT
from decoding.kernels.result import INVALID_LOGITS as _INVALID_LOGITS
from decoding.kernels.result import OK as _OK
from decoding.kernels.result import ROW, TIES_BEYOND_TOP_N

OK = tl.constexpr(_OK)
INVALID_LOGITS = tl.constexpr(_INVALID_LOGITS)
EMPTY_SUPPORT = tl.constexpr(_EMPTY_SUPPORT)
UNDECIDED = tl.constexpr(max(_OK, _INVALID_LOGITS, _EMPTY_SUPPORT) + 1)
"""The candidates were too few to be certain; no caller of the backend sees this status."""

_NAMES = ROW.names or ()
FIELDS = tl.constexpr(len(_NAMES))
FAULT_POSITION = tl.constexpr(_NAMES.index("fault_position"))
FAULT_COUNT = tl.constexpr(_NAMES.index("fault_count"))
TOKEN_ID = tl.constexpr(_NAMES.index("token_id"))
RAW_LOGPROB = tl.constexpr(_NAMES.index("raw_logprob"))
PROCESSED_LOGPROB = tl.constexpr(_NAMES.index("processed_logprob"))
RANK = tl.constexpr(_NAMES.index("rank"))
ENTROPY = tl.constexpr(_NAMES.index("entropy"))
SUPPORT_SIZE = tl.constexpr(_NAMES.index("support_size"))
TOP_COUNT = tl.constexpr(_NAMES.index("top_count"))
INFINITY = tl.constexpr(float("inf"))
MORE_TIES = tl.constexpr(TIES_BEYOND_TOP_N)


@triton.jit
def finish(
    logits,
    row_stride,
    raw_logits,
    raw_row_stride,
    batch,
    width,
    opcodes,
    operands,
    slots,
    row_starts,
    cut_starts,
    most_edits,
    most_cuts,
    temperatures,
    greedy,
    top_n,
    seeds,
    positions,
    bitmasks,
    words,
    touched,
    patches,
    candidates,
    listing,
    listing_room,
    smallest,
    largest,
    rooms,
    numbers,
    counts,
    fields,
    field_values,
    listed_tokens,
    listed_values,
    listed_raw,
    listed_logits,
    ROWS: tl.constexpr,
    SPLITS: tl.constexpr,
    SPLIT_LANES: tl.constexpr,
    WORDS: tl.constexpr,
    TILE: tl.constexpr,
    DENSE: tl.constexpr,
    SPARSE: tl.constexpr,
    NOISE: tl.constexpr,
    SUMS: tl.constexpr,
    DESCRIBE: tl.constexpr,
    ROOM: tl.constexpr,
    PIVOTS: tl.constexpr,
):
    """Run the rest of the program on the candidates of some rows, draw, and describe the draw.

    Everything but the rank, of those of `ROWS` rows with `smallest` to `largest` candidates.
    """
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None].to(tl.int64)
    inside = row < batch
    split = tl.arange(0, SPLIT_LANES)[None, :]
    plane = batch * SPLITS
    numbers += row * SPLITS
    counts += row * SPLITS
    found = tl.load(counts + split, mask=inside & (split < SPLITS), other=0)
    found = tl.sum(found, axis=1, keep_dims=True)
    room = tl.load(rooms + row, mask=inside, other=0)
    handled = tl.minimum(found, room)
    inside = inside & (handled >= smallest) & (handled <= largest)
    if tl.max(inside.to(tl.int32)) == 0:
        return

    # What the survey left of each slice, in the order of slices, so that sums are always the same.
    here = inside & (split < SPLITS)
    tops = tl.load(numbers + split, mask=here, other=NOTHING)
    top = tl.max(tops, axis=1, keep_dims=True)
    bound = tl.load(numbers + plane + split, mask=here, other=NOTHING)
    bound = tl.max(bound, axis=1, keep_dims=True)
    # Rounded to float32, the largest of the others may have been a little more, or much more.
    slack = (tl.abs(bound) + tl.abs(top)) * 2.4e-7 + 1e-44
    bound = tl.where(bound > NOTHING, bound + slack, NOTHING)
    bound = tl.where(bound >= LARGEST, INFINITY, bound)
    temperature = tl.load(temperatures + row, mask=inside, other=1.0).to(tl.float64)
    shift = tl.where((tops > NOTHING) & (top < INFINITY), tops - top, 0.0) / temperature
    others = tl.load(counts + plane + split, mask=here, other=0)
    others = (tl.sum(others, axis=1, keep_dims=True) - found).to(tl.int64)
    faults = tl.load(counts + 2 * plane + split, mask=here, other=0)
    faults = tl.sum(faults.to(tl.int64), axis=1, keep_dims=True)
    fault = tl.load(counts + 3 * plane + split, mask=here, other=NO_TOKEN)
    fault = tl.min(fault, axis=1, keep_dims=True).to(tl.int64)
    sound = inside & (faults == 0)
    undecided = sound & (found > room)
    rest = tl.zeros_like(top)
    rest_product = tl.zeros_like(top)
    if SUMS:
        factor = tl.exp(shift)
        weight = tl.load(numbers + 2 * plane + split, mask=here & sound, other=0.0)
        product = tl.load(numbers + 3 * plane + split, mask=here & sound, other=0.0)
        rest = tl.sum(factor * weight, axis=1, keep_dims=True)
        rest_product = tl.sum(factor * (product + shift * weight), axis=1, keep_dims=True)
    if DESCRIBE:
        raw_tops = tl.load(numbers + 4 * plane + split, mask=here, other=NOTHING)
        raw_weights = tl.load(numbers + 5 * plane + split, mask=here, other=0.0)

    listing += row * listing_room
    list_bits(candidates + row * words, words, sound & ~undecided, listing, WORDS)
    lane = tl.arange(0, TILE)[None, :]
    alive = sound & ~undecided & (lane < found)
    token = tl.load(listing + lane, mask=alive, other=NO_TOKEN)
    v = tl.load(logits + row * row_stride + token, mask=alive, other=NOTHING)
    v = widened(v).to(tl.float64)
    start = tl.load(row_starts + row, mask=inside, other=0)
    middle = tl.load(cut_starts + row, mask=inside, other=0)
    stop = tl.load(row_starts + row + 1, mask=inside, other=0)
    if DENSE:
        v, alive = densely_edited(
            v, alive, token, alive, start, middle, most_edits,
            opcodes, operands, slots, bitmasks, words,
        )  # fmt: skip
    if SPARSE:
        bit = bit_of(touched, words, row, token, alive)
        patch = tl.load(patches + row * width + token, mask=alive & (bit == 1), other=0.0)
        v = tl.where(bit == 1, patch, v)
    v = tl.where(alive, v, NOTHING)

    complete = others == 0
    # Cut off at the end of float32, logits in the rest say nothing of their weights.
    undecided = undecided | (sound & ~complete & (top >= LARGEST))
    for step in range(most_cuts):
        active = middle + step < stop
        opcode = tl.load(opcodes + middle + step, mask=active, other=-1)
        first = tl.load(operands + 2 * (middle + step), mask=active, other=1.0)
        second = tl.load(operands + 2 * (middle + step) + 1, mask=active, other=0.0)
        if tl.max((opcode == TEMPERATURE).to(tl.int32)) > 0:
            divisor = tl.where(opcode == TEMPERATURE, first, 1.0)
            v = v / divisor
            bound = bound / divisor
            top = top / divisor
        if tl.max((opcode == CUT).to(tl.int32)) > 0:
            fall = first
            if tl.max(((opcode == CUT) & (second != 0.0)).to(tl.int32)) > 0:
                _, _, total, _ = softmax(v, alive, top, complete, rest, rest_product)
                fall = first + second * tl.log(total)
            least = tl.max(v, axis=1, keep_dims=True) + tl.minimum(fall, 0.0)
            undecided = undecided | ((opcode == CUT) & ~complete & ~(least > bound))
            alive = alive & ((opcode != CUT) | (v >= least))
        prefix = (opcode == TOP_K) | (opcode == TOP_P) | (opcode == TYPICAL_P)
        if tl.max(prefix.to(tl.int32)) > 0:
            kept, certain = prefix_kept(
                v, alive, bound, top, complete, rest, rest_product, opcode, first, second,
                PIVOTS,
            )  # fmt: skip
            undecided = undecided | (prefix & ~complete & ~certain)
            alive = alive & (kept | ~prefix)
        complete = complete | prefix | (opcode == CUT)
        v = tl.where(alive, v, NOTHING)

    score = v
    if NOISE:
        position = tl.load(positions + row, mask=inside, other=0)
        seed = tl.load(seeds + row, mask=inside, other=0)
        is_greedy = tl.load(greedy + row, mask=inside, other=1)
        score = tl.where(is_greedy == 1, v, v + token_noise(token, position, seed))
    best = tl.max(score, axis=1, keep_dims=True)
    chosen = tl.min(tl.where(alive & (score == best), token, NO_TOKEN), axis=1, keep_dims=True)

    some = tl.max(alive.to(tl.int32), axis=1, keep_dims=True) > 0
    if DESCRIBE:
        relative, weight, total, product = softmax(v, alive, top, complete, rest, rest_product)
        log_total = tl.log(total)
        support = tl.sum(alive.to(tl.int64), axis=1, keep_dims=True)
        support += tl.where(complete, 0, others)
        raw_top = tl.max(raw_tops, axis=1, keep_dims=True)
        raw_shift = tl.where(raw_tops > NOTHING, raw_tops - raw_top, NOTHING)
        raw_total = tl.sum(tl.exp(raw_shift) * raw_weights, axis=1, keep_dims=True)
        raw_log_total = tl.log(tl.where(raw_total > 0.0, raw_total, 1.0))
        raw_logits += row * raw_row_stride
        raw = tl.load(raw_logits + chosen, mask=inside & some, other=0.0)
        raw = widened(raw).to(tl.float64)
        drawn = tl.sum(tl.where(alive & (token == chosen), relative, 0.0), axis=1, keep_dims=True)
    if ROOM > 0:
        wanted = tl.load(top_n + row, mask=inside, other=0).to(tl.int64)
        if tl.max(wanted) > 0:
            one = tl.full(v.shape, 1.0, tl.float64)
            keys = key(v)
            nth = cut_key(keys, one, alive, tl.maximum(wanted, 1).to(tl.float64), PIVOTS)
            listed = alive & (keys >= nth) & (wanted > 0)
            count = tl.sum(listed.to(tl.int64), axis=1, keep_dims=True)
            short = ~complete & (wanted > 0) & ~((nth > key(bound)) & (count >= wanted))
            undecided = undecided | short
            if tl.max(count - wanted) > MORE_TIES:
                most = wanted + MORE_TIES
                last = cut_key(keys, one, listed, most.to(tl.float64), PIVOTS)
                before = listed & (keys > last)
                left = most - tl.sum(before.to(tl.int64), axis=1, keep_dims=True)
                listed = before | foremost(listed & (keys == last), left)
                count = tl.sum(listed.to(tl.int64), axis=1, keep_dims=True)
            place = tl.cumsum(listed.to(tl.int32), axis=1) - 1
            out = row * ROOM + place
            raw_listed = tl.load(raw_logits + token, mask=listed, other=0.0)
            raw_listed = widened(raw_listed).to(tl.float64)
            tl.store(listed_tokens + out, token.to(tl.int64), mask=listed)
            tl.store(listed_values + out, relative - log_total, mask=listed)
            # Logprobs are rounded: two logits that are not the same may have the same one.
            tl.store(listed_logits + out, v, mask=listed)
            tl.store(listed_raw + out, (raw_listed - raw_top) - raw_log_total, mask=listed)
            tl.store(fields + row * FIELDS + TOP_COUNT, count, mask=inside)

    status = tl.where(undecided, UNDECIDED, tl.where(some, OK, EMPTY_SUPPORT))
    status = tl.where(faults > 0, INVALID_LOGITS, status)
    fine = inside & (status == OK)
    fields += row * FIELDS
    field_values += row * FIELDS
    tl.store(fields, status.to(tl.int64), mask=inside)
    tl.store(fields + FAULT_POSITION, tl.where(faults > 0, fault, 0), mask=inside)
    tl.store(fields + FAULT_COUNT, faults, mask=inside)
    tl.store(fields + TOKEN_ID, chosen.to(tl.int64), mask=fine)
    if DESCRIBE:
        tl.store(field_values + RAW_LOGPROB, (raw - raw_top) - raw_log_total, mask=fine)
        tl.store(field_values + PROCESSED_LOGPROB, drawn - log_total, mask=fine)
        tl.store(fields + RANK, tl.full(chosen.shape, 1, tl.int64), mask=fine)
        entropy = tl.maximum(log_total - product / total, 0.0)
        tl.store(field_values + ENTROPY, entropy, mask=fine)
        tl.store(fields + SUPPORT_SIZE, support, mask=fine)


@triton.jit
def list_bits(bitmask, words, here, listing, WORDS: tl.constexpr):
    """Write the token ids of a row's set bits to its candidate list, ascending.

    Every turn writes the lowest of each word, so there are as many as bits in the fullest word.
    """
    place = tl.arange(0, WORDS)[None, :]
    word = tl.load(bitmask + place, mask=here & (place < words), other=0)
    count = bits_set(word)
    spot = tl.cumsum(count, axis=1) - count
    while tl.max((word != 0).to(tl.int32)) > 0:
        # A power of two is a float32, and that is an exponent alone.
        lowest = (word & -word).to(tl.uint32).to(tl.float32).to(tl.int32, bitcast=True)
        number = (lowest >> 23) - 127
        tl.store(listing + spot, place * 32 + number, mask=word != 0)
        spot += 1
        word = word & (word - 1)
    tl.debug_barrier()
