"""Draws Philox words and the noise of tokens in torch, and chooses each row's token with them.

Words are int64 in [0, 2³²). A product of two of them wraps around in int64, as in every two's
complement arithmetic; its 64 bits are right, and a mask takes off what the sign has spread. The law
is in `decoding.kernels.randomness`: elementwise operations of torch are not fused with one another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from decoding.kernels.randomness import (
    BLOCK_SIZE,
    DISCARDED_BITS,
    LN_2_HIGH,
    LN_2_LOW,
    LOG_COEFFICIENTS,
    LOG_OFFSET,
    MANTISSA_BITS,
    MULTIPLIERS,
    NOISE_BLOCK,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)
from decoding.kernels.tensor.candidates import Candidates

_WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


class Places(NamedTuple):
    """The seed, position and purpose of each row's noise, `(rows, 1)`.

    seeds: the low and the high 32 bits.
    """

    seeds: tuple[Tensor, Tensor]
    positions: Tensor


def philox4x32(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """The four words of each block; counters and keys broadcast against each other."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        # Only c0 and c2 are multiplied again: what stands above the others' 32 bits does no harm.
        c0, c1, c2, c3 = (
            ((product1 >> 32) ^ (c1 ^ k0)) & _WORD,
            product1,
            ((product0 >> 32) ^ (c3 ^ k1)) & _WORD,
            product0,
        )
        k0, k1 = (k0 + WEYL_KEYS[0]) & _WORD, (k1 + WEYL_KEYS[1]) & _WORD
    return c0, c1 & _WORD, c2, c3 & _WORD


def words_at(indices: Tensor, places: Places, domain: int | Tensor) -> Words:
    """The four words at each index; indices `(1 or rows, n)`, a domain's tensor broadcasts."""
    zero = torch.zeros_like(places.positions)
    return philox4x32((indices, places.positions, zero, zero + domain), places.seeds)


def natural_log(x: Tensor) -> Tensor:
    """The noise law's logarithm of positive normal float64."""
    bits = x.view(torch.int64)
    exponents = (bits - LOG_OFFSET) >> MANTISSA_BITS
    f = (bits - (exponents << MANTISSA_BITS)).view(torch.float64) - 1.0
    l1, l2, l3, l4, l5, l6, l7 = LOG_COEFFICIENTS
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (l2 + w * (l4 + w * l6))
    odd = z * (l1 + w * (l3 + w * (l5 + w * l7)))
    k = exponents.to(torch.float64)
    return s * (half + (even + odd)) + k * LN_2_LOW - half + f + k * LN_2_HIGH


def exponential(high: Tensor, low: Tensor) -> Tensor:
    """Exponential noise of mean 1, each from 64 random bits."""
    return -natural_log(_uniform(high, low))


def token_words(candidates: Candidates, places: Places) -> tuple[Tensor, Tensor]:
    """The high and the low 32 random bits of each candidate, `(rows, n)`."""
    rows, width = candidates.logits.shape
    device = places.positions.device
    ids = candidates.token_ids
    indices = torch.arange((width + 3) // 4, device=device) if ids is None else ids >> 2
    tags = torch.tensor([[[TOKEN_HIGH]], [[TOKEN_LOW]]], device=device)
    lanes = torch.stack(words_at(indices, places, tags), dim=3)
    if ids is None:
        words = lanes.flatten(2)[:, :, :width]
    else:
        words = lanes.gather(3, (ids & 3).expand(2, rows, width).unsqueeze(3)).squeeze(3)
    return words[0], words[1]


def token_noise(candidates: Candidates, places: Places) -> Tensor:
    """The noise of each candidate, `(rows, n)` float64."""
    width, ids = candidates.logits.shape[1], candidates.token_ids
    if ids is None:
        ids = torch.arange(width, device=places.positions.device)
        blocks = torch.arange(-(-width // BLOCK_SIZE), device=places.positions.device)
    else:
        blocks = ids // BLOCK_SIZE
    high, low, place, _ = words_at(blocks, places, NOISE_BLOCK)
    shares, leads = exponential(high, low) / BLOCK_SIZE, blocks * BLOCK_SIZE + place % BLOCK_SIZE
    if candidates.token_ids is None:
        shares, leads = (
            part.repeat_interleave(BLOCK_SIZE, dim=1)[:, :width] for part in (shares, leads)
        )
    others = exponential(*token_words(candidates, places))
    return -natural_log(torch.where(ids == leads, shares, shares + others))


def coin(seeds: tuple[Tensor, Tensor], positions: Tensor, domain: int) -> Tensor:
    """A pseudorandom number in (0, 1) for each row, `(rows, 1)` as the seeds and positions."""
    words = words_at(torch.zeros_like(positions), Places(seeds, positions), domain)
    return _uniform(words[0], words[1])


def _uniform(high: Tensor, low: Tensor) -> Tensor:
    """Numbers in (0, 1) of 64 random bits each."""
    bits = (high << (32 - DISCARDED_BITS)) | (low >> DISCARDED_BITS)
    return (bits.to(torch.float64) + 0.5) * UNIFORM_SCALE


def choose(
    candidates: Candidates, seeds: tuple[Tensor, Tensor] | None, positions: Tensor
) -> Tensor:
    """Choose each row's token: the column of its largest logit + noise, ties to the lowest id.

    Gumbel-max: argmax of logit + noise over the candidates; greedy where `seeds` is None.
    """
    scores = candidates.logits
    if seeds is not None:
        scores = scores + token_noise(candidates, Places(seeds, positions))
    return scores.argmax(1, keepdim=True)
