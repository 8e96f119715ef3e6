"""Triton: sparse edits (penalties, biases), computed before the pass over the row.

One program a row. What it leaves, for the kernels after it:

    touched   one bit a token, whether the row's edits are sparse there
    patches   that token's logit after all edits of the row but its bitmasks, in float64

A tally of one int32 a token counts the history by atomics and is all zeros again at the end, so a
step costs what its histories are long and not what the vocabulary is.
"""

import triton
import triton.language as tl

from decoding.kernels.gpu.operations import (
    BITMASK_BIAS,
    FREQUENCY_PENALTY,
    LOGIT_BIAS,
    PRESENCE_PENALTY,
    REPETITION_PENALTY,
    bit_of,
    widened,
)

SEEN_IN_PROMPT = tl.constexpr(1)
ONE_GENERATED = tl.constexpr(2)
"""A tally is twice the generated count, plus 1 if the prompt holds the token."""


@triton.jit(do_not_specialize=["history_stride"])
def patch_rows(
    logits,
    row_stride,
    width,
    opcodes,
    operands,
    slots,
    row_starts,
    cut_starts,
    sparse_starts,
    sparse_tokens,
    sparse_values,
    bitmasks,
    words,
    reads_history,
    history,
    history_stride,
    lengths,
    prompt_lengths,
    tallies,
    touched,
    patches,
    SPAN: tl.constexpr,
):
    """Count the tokens of each row's history, and write the edited logits of affected tokens."""
    row = tl.program_id(0).to(tl.int64)
    start = tl.load(row_starts + row).to(tl.int32)
    stop = tl.load(cut_starts + row).to(tl.int32)
    length = tl.load(lengths + row) * tl.load(reads_history + row)
    prompt_length = tl.load(prompt_lengths + row)
    logits += row * row_stride
    history += row * history_stride
    tallies += row * width
    touched += row * words
    patches += row * width
    span = tl.arange(0, SPAN)
    for base in range(0, length, SPAN):
        place = base + span
        token = tl.load(history + place, mask=place < length, other=-1)
        here = (token >= 0) & (token < width)
        generated = place >= prompt_length
        tl.atomic_add(tallies + token, ONE_GENERATED, mask=here & generated)
        tl.atomic_or(tallies + token, SEEN_IN_PROMPT, mask=here & (place < prompt_length))
    tl.debug_barrier()
    for base in range(0, length, SPAN):
        place = base + span
        token = tl.load(history + place, mask=place < length, other=-1)
        here = (token >= 0) & (token < width)
        value = edited(
            token, here, start, stop, logits, opcodes, operands, slots,
            sparse_starts, sparse_tokens, sparse_values, bitmasks, words, tallies,
        )  # fmt: skip
        tl.store(patches + token, value, mask=here)
        tl.atomic_or(touched + (token >> 5), 1 << (token & 31), mask=here)
    for index in range(start, stop):
        if tl.load(opcodes + index) == LOGIT_BIAS:
            last = tl.load(sparse_starts + index + 1).to(tl.int32)
            for base in range(tl.load(sparse_starts + index).to(tl.int32), last, SPAN):
                place = base + span
                token = tl.load(sparse_tokens + place, mask=place < last, other=-1)
                here = (token >= 0) & (token < width)
                value = edited(
                    token, here, start, stop, logits, opcodes, operands, slots,
                    sparse_starts, sparse_tokens, sparse_values, bitmasks, words, tallies,
                )  # fmt: skip
                tl.store(patches + token, value, mask=here)
                tl.atomic_or(touched + (token >> 5), 1 << (token & 31), mask=here)
    tl.debug_barrier()
    for base in range(0, length, SPAN):
        place = base + span
        token = tl.load(history + place, mask=place < length, other=-1)
        tl.store(tallies + token, 0, mask=(token >= 0) & (token < width))


@triton.jit
def edited(
    token, here, start, stop, logits, opcodes, operands, slots,
    sparse_starts, sparse_tokens, sparse_values, bitmasks, words, tallies,
):  # fmt: skip
    """Apply every edit of a row but its bitmasks to the logits of some tokens, in float64."""
    value = widened(tl.load(logits + token, mask=here, other=0.0)).to(tl.float64)
    # Past the first-level cache, which the atomics of the tally do not write.
    tally = tl.load(tallies + token, mask=here, other=0, cache_modifier=".cg")
    for index in range(start, stop):
        opcode = tl.load(opcodes + index)
        first = tl.load(operands + 2 * index)
        if opcode == REPETITION_PENALTY:
            penalised = tl.where(value < 0, value * first, value / first)
            value = tl.where(tally > 0, penalised, value)
        elif opcode == FREQUENCY_PENALTY:
            value = tl.where(tally > 1, value - first * (tally >> 1).to(tl.float64), value)
        elif opcode == PRESENCE_PENALTY:
            value = tl.where(tally > 1, value - first, value)
        elif opcode == BITMASK_BIAS:
            slot = tl.load(slots + index)
            bit = bit_of(bitmasks, words, slot, token, here)
            value = tl.where(bit == 1, value + first, value)
        elif opcode == LOGIT_BIAS:
            last = tl.load(sparse_starts + index + 1).to(tl.int32)
            before = tl.load(sparse_starts + index).to(tl.int32)
            place = first_not_below(token, before, last, sparse_tokens)
            found = here & (place < last)
            same = tl.load(sparse_tokens + place, mask=found, other=-1) == token
            amount = tl.load(sparse_values + place, mask=found & same, other=0.0)
            value = value + amount
    return value


@triton.jit
def first_not_below(token, first, last, sparse_tokens):
    """Binary search of tokens in the ascending ids `sparse_tokens[first:last]`: their positions."""
    low = tl.zeros_like(token) + first
    high = tl.zeros_like(token) + last
    while tl.max(high - low) > 0:
        middle = (low + high) // 2
        below = tl.load(sparse_tokens + middle, mask=low < high, other=-1) < token
        low = tl.where((low < high) & below, middle + 1, low)
        high = tl.where((low < high) & ~below, tl.minimum(middle, high), high)
    return low
