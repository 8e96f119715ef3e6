"""The opcodes as Triton constants, and Triton functions that apply bitmasks and their biases."""

import triton
import triton.language as tl

from decoding.kernels.program import Opcode

TEMPERATURE = tl.constexpr(int(Opcode.TEMPERATURE))
TOP_K = tl.constexpr(int(Opcode.TOP_K))
TOP_P = tl.constexpr(int(Opcode.TOP_P))
CUT = tl.constexpr(int(Opcode.CUT))
TYPICAL_P = tl.constexpr(int(Opcode.TYPICAL_P))
REPETITION_PENALTY = tl.constexpr(int(Opcode.REPETITION_PENALTY))
FREQUENCY_PENALTY = tl.constexpr(int(Opcode.FREQUENCY_PENALTY))
PRESENCE_PENALTY = tl.constexpr(int(Opcode.PRESENCE_PENALTY))
LOGIT_BIAS = tl.constexpr(int(Opcode.LOGIT_BIAS))
BITMASK = tl.constexpr(int(Opcode.BITMASK))
BITMASK_BIAS = tl.constexpr(int(Opcode.BITMASK_BIAS))

NOTHING = tl.constexpr(float("-inf"))
LARGEST = tl.constexpr(3.4028234663852886e38)
"""The largest float32: where edits leave more, the survey of a row looks at this instead."""
NO_TOKEN = tl.constexpr(2**31 - 1)


@triton.jit
def widened(logits):
    """Half precision as float32, exactly; Triton's interpreter loses subnormal bfloat16."""
    if logits.dtype == tl.bfloat16:
        bits = logits.to(tl.uint16, bitcast=True).to(tl.uint32) << 16
        return bits.to(tl.float32, bitcast=True)
    else:  # both are compiled unless one is the alternative
        return logits.to(tl.float32)


@triton.jit
def bit_of(bitmasks, words, slots, tokens, here):
    """Read the bits of tokens in packed bitmasks: 0 or 1, and 0 outside of the words or `here`."""
    inside = here & (tokens >> 5 < words)
    word = tl.load(bitmasks + slots.to(tl.int64) * words + (tokens >> 5), mask=inside, other=0)
    return (word >> (tokens & 31)) & 1


@triton.jit
def densely_edited(
    logits, alive, tokens, here, start, stop, most, opcodes, operands, slots, bitmasks, words
):
    """Apply each row's bitmask biases and bitmasks: the new logits, and which tokens remain.

    logits: `(rows, n)`, float64 where there are biases: a sum that is rounded to float32 is not in
    the order of the sums. start, stop: each row's edits in the program, `(rows, 1)`.
    """
    for step in range(most):
        active = start + step < stop
        opcode = tl.load(opcodes + start + step, mask=active, other=-1)
        dense = (opcode == BITMASK) | (opcode == BITMASK_BIAS)
        if tl.max(dense.to(tl.int32)) > 0:
            slot = tl.load(slots + start + step, mask=dense, other=0)
            amount = tl.load(operands + 2 * (start + step), mask=dense, other=0.0)
            bit = bit_of(bitmasks, words, slot, tokens, here & dense)
            alive = alive & ((opcode != BITMASK) | (bit == 1))
            biased = (opcode == BITMASK_BIAS) & (bit == 1)
            amount = tl.where(biased, amount.to(logits.dtype), 0.0)
            logits += amount
    return logits, alive


@triton.jit
def narrowed(logits):
    """Round float64 to float32, finite values to finite ones; return the rounding errors too."""
    narrow = tl.minimum(tl.maximum(logits, -LARGEST), LARGEST).to(tl.float32)
    lost = (logits - narrow.to(tl.float64)).to(tl.float32)
    return narrow, tl.where(tl.abs(narrow) < LARGEST, lost, 0.0)


@triton.jit
def bits_set(words):
    """How many bits of each int32 word are 1."""
    pairs = words - ((words >> 1) & 0x55555555)
    fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    eights = (fours + (fours >> 4)) & 0x0F0F0F0F
    sixteens = eights + (eights >> 8)
    return (sixteens + (sixteens >> 16)) & 0x3F
