"""The second Triton kernel of a step: truncations, draw and description, on a row's candidates.

A program handles `ROWS` rows. It lists their candidates in the order of token ids and computes on
them in float64, with the numbers that the NumPy kernels use: the order of tokens, ties and
perturbed scores are the same. Until the first truncation, the tokens that are not candidates count
as the sums that `survey` left of them.

A row is undecided where a truncation or a list needs a token at or below the bound of `survey`,
which may be no candidate, or where the candidates outnumber the room. Another backend then computes
that row.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.listing import list_bits, list_top
from decoding.kernels.gpu.operations import NO_TOKEN, NOTHING, bit_of, densely_edited, widened
from decoding.kernels.gpu.philox import token_noise
from decoding.kernels.gpu.slices import faults_of, joined_bounds, joined_raw, joined_rest
from decoding.kernels.gpu.truncations import softmax, truncated
from decoding.kernels.result import EMPTY_SUPPORT as _EMPTY_SUPPORT
from decoding.kernels.result import INVALID_LOGITS as _INVALID_LOGITS
from decoding.kernels.result import OK as _OK
from decoding.kernels.result import ROW

OK = tl.constexpr(_OK)
INVALID_LOGITS = tl.constexpr(_INVALID_LOGITS)
EMPTY_SUPPORT = tl.constexpr(_EMPTY_SUPPORT)
UNDECIDED = tl.constexpr(max(_OK, _INVALID_LOGITS, _EMPTY_SUPPORT) + 1)
"""The status of an undecided row; the backend replaces it before a caller sees it."""

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
    """Truncate, draw, describe (but for the rank) rows of `smallest` to `largest` candidates."""
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

    here = inside & (split < SPLITS)
    top, bound, others = joined_bounds(numbers, counts, plane, split, here, found)
    faults, fault = faults_of(counts, plane, split, here)
    sound = inside & (faults == 0)
    undecided = sound & (found > room)
    temperature = tl.load(temperatures + row, mask=inside, other=1.0).to(tl.float64)
    rest = tl.zeros_like(top)
    rest_product = tl.zeros_like(top)
    if SUMS:
        rest, rest_product = joined_rest(numbers, plane, split, here, sound, top, temperature)

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

    v, alive, top, bound, complete, uncertain = truncated(
        v, alive, top, bound, others == 0, rest, rest_product,
        opcodes, operands, middle, stop, most_cuts, PIVOTS,
    )  # fmt: skip
    undecided = undecided | (sound & uncertain)

    score = v
    if NOISE:
        position = tl.load(positions + row, mask=inside, other=0)
        seed = tl.load(seeds + row, mask=inside, other=0)
        is_greedy = tl.load(greedy + row, mask=inside, other=1)
        score = tl.where(is_greedy == 1, v, v + token_noise(token, position, seed))
    best = tl.max(score, axis=1, keep_dims=True)
    chosen = tl.min(tl.where(alive & (score == best), token, NO_TOKEN), axis=1, keep_dims=True)

    fields += row * FIELDS
    field_values += row * FIELDS
    some = tl.max(alive.to(tl.int32), axis=1, keep_dims=True) > 0
    if DESCRIBE:
        relative, _, total, product = softmax(v, alive, top, complete, rest, rest_product)
        log_total = tl.log(total)
        raw_logits += row * raw_row_stride
        raw_top, raw_log_total = joined_raw(numbers, plane, split, here)
    if ROOM > 0:
        wanted = tl.load(top_n + row, mask=inside, other=0).to(tl.int64)
        if tl.max(wanted) > 0:
            listed, count, short = list_top(v, alive, wanted, bound, complete, PIVOTS)
            undecided = undecided | short
            place = tl.cumsum(listed.to(tl.int32), axis=1) - 1
            out = row * ROOM + place
            raw_listed = tl.load(raw_logits + token, mask=listed, other=0.0)
            raw_listed = widened(raw_listed).to(tl.float64)
            tl.store(listed_tokens + out, token.to(tl.int64), mask=listed)
            tl.store(listed_values + out, relative - log_total, mask=listed)
            # Logprobs are rounded: two logits that are not the same may have the same one.
            tl.store(listed_logits + out, v, mask=listed)
            tl.store(listed_raw + out, (raw_listed - raw_top) - raw_log_total, mask=listed)
            tl.store(fields + TOP_COUNT, count, mask=inside)

    status = tl.where(undecided, UNDECIDED, tl.where(some, OK, EMPTY_SUPPORT))
    status = tl.where(faults > 0, INVALID_LOGITS, status)
    fine = inside & (status == OK)
    tl.store(fields, status.to(tl.int64), mask=inside)
    tl.store(fields + FAULT_POSITION, tl.where(faults > 0, fault, 0), mask=inside)
    tl.store(fields + FAULT_COUNT, faults, mask=inside)
    tl.store(fields + TOKEN_ID, chosen.to(tl.int64), mask=fine)
    if DESCRIBE:
        raw = tl.load(raw_logits + chosen, mask=inside & some, other=0.0)
        raw = widened(raw).to(tl.float64)
        drawn = tl.sum(tl.where(alive & (token == chosen), relative, 0.0), axis=1, keep_dims=True)
        support = tl.sum(alive.to(tl.int64), axis=1, keep_dims=True)
        support += tl.where(complete, 0, others)
        tl.store(field_values + RAW_LOGPROB, (raw - raw_top) - raw_log_total, mask=fine)
        tl.store(field_values + PROCESSED_LOGPROB, drawn - log_total, mask=fine)
        tl.store(fields + RANK, tl.full(chosen.shape, 1, tl.int64), mask=fine)
        entropy = tl.maximum(log_total - product / total, 0.0)
        tl.store(field_values + ENTROPY, entropy, mask=fine)
        tl.store(fields + SUPPORT_SIZE, support, mask=fine)
