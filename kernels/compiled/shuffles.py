"""Numba: green lists by torch's `randperm` (MT19937), packed one bit a token.

    for i = 0 .. count − 1:  swap order[i] with order[i + w[i] mod (n − i)]

Which tokens end in front is all that is asked for. So nothing is fetched to the front: what stands
at place i is only sent back, and a place at the back holds in the end a token that was sent there,
or, if none was, the token that it began with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.jit import owning

_STATE, _AHEAD = 624, 397
_ONE = np.uint32(1)
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_TWIST = np.uint32(0x9908B0DF)


@owning
def _seeded(seed: Any) -> Any:
    state = np.empty(_STATE, np.uint32)
    word = np.uint32(seed)
    state[0] = word
    for index in range(1, _STATE):
        mixed = word ^ (word >> np.uint32(30))
        word = np.uint32(np.uint32(1812433253) * mixed + np.uint32(index))
        state[index] = word
    return state


@owning
def _twisted(one: Any, next_one: Any) -> Any:
    joined = (one & _UPPER) | (next_one & _LOWER)
    return (joined >> _ONE) ^ (_TWIST * (joined & _ONE))


@owning
def _advance(old: Any, new: Any) -> Any:
    """The next 624 words of the state; two arrays and two loops, so that it vectorises."""
    behind = _STATE - _AHEAD
    for index in range(behind):
        new[index] = old[index + _AHEAD] ^ _twisted(old[index], old[index + 1])
    for index in range(behind, _STATE - 1):
        new[index] = new[index - behind] ^ _twisted(old[index], old[index + 1])
    new[_STATE - 1] = new[_AHEAD - 1] ^ _twisted(old[_STATE - 1], new[0])


@owning
def _partners(state: Any, start: Any, count: Any, size: Any, partners: Any) -> Any:
    """With which place each of `count` steps from `start` on swaps."""
    for index in range(count):
        word = state[index]
        word ^= word >> np.uint32(11)
        word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
        word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
        word ^= word >> np.uint32(18)
        step = np.int32(start) + np.int32(index)
        left = np.int32(size) - step
        # Exact: a quotient below 2³² / left is rounded by less than 1 / left.
        times = np.int32(np.float64(word) / np.float64(left))
        partners[index] = np.uint32(step) + (word - np.uint32(times) * np.uint32(left))


def fill(bits: Any, seed: Any, size: Any, count: Any, order: Any) -> None:
    """Bit i % 8 of byte i // 8: whether token i is among the first `count` of `size`, 0 < count.

    bits: bytes, enough for all tokens. order: scratch, one a token, of a type that holds `count`,
    which stands for a place that nothing was sent to.
    """
    front, back = order[:count], order[count:size]
    for place in range(count):
        front[place] = place
    for place in range(size - count):
        back[place] = count
    old, new = _seeded(seed), np.empty(_STATE, np.uint32)
    partners = np.empty(_STATE, np.uint32)
    start = 0
    while start < count:
        _advance(old, new)
        steps = min(_STATE, count - start)
        _partners(new, start, steps, size, partners)
        own = order[start : start + steps]
        for index in range(steps):
            order[partners[index]] = own[index]
        old, new = new, old
        start += steps
    is_in_front = np.zeros(8 * len(bits), np.uint8)
    is_in_front[:count] = 1
    # What stands for nothing clears token `count`, whose own place is looked at next.
    for place in range(size - count):
        is_in_front[back[place]] = 0
    behind = is_in_front[count:size]
    for place in range(size - count):
        behind[place] = back[place] != count
    eights = is_in_front.view(np.uint64)
    for index in range(len(bits)):
        # The product gathers the lowest bits of eight bytes in the highest byte.
        bits[index] = (eights[index] * np.uint64(0x0102040810204080)) >> np.uint64(56)
