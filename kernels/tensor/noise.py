"""Draws Philox words and Gumbel noise in torch, and chooses each row's token with them.

Words are int64 in [0, 2³²). A product of two of them wraps around in int64, as in every two's
complement arithmetic; its 64 bits are right, and a mask takes off what the sign has spread.
"""

from __future__ import annotations

import torch
from torch import Tensor

from decoding.kernels.randomness import (
    DISCARDED_BITS,
    MULTIPLIERS,
    ROUNDS,
    TOKEN_HIGH,
    TOKEN_LOW,
    UNIFORM_SCALE,
    WEYL_KEYS,
)
from decoding.kernels.tensor.candidates import Candidates

_WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


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


def token_words(
    candidates: Candidates, seeds: tuple[Tensor, Tensor], positions: Tensor
) -> tuple[Tensor, Tensor]:
    """The high and the low 32 random bits of each candidate, `(rows, n)`.

    seeds: the low and the high 32 bits; they and the positions are `(rows, 1)`.
    """
    rows, width = candidates.logits.shape
    device = positions.device
    ids = candidates.token_ids
    blocks = torch.arange((width + 3) // 4, device=device) if ids is None else ids >> 2
    tags = [torch.full((1, 1), tag, device=device) for tag in (TOKEN_HIGH, TOKEN_LOW)]
    counter = (blocks, positions, torch.zeros_like(positions), torch.stack(tags))
    lanes = torch.stack(philox4x32(counter, seeds), dim=3)
    if ids is None:
        words = lanes.flatten(2)[:, :, :width]
    else:
        words = lanes.gather(3, (ids & 3).expand(2, rows, width).unsqueeze(3)).squeeze(3)
    return words[0], words[1]


def gumbel(high: Tensor, low: Tensor) -> Tensor:
    """Standard Gumbel noise of 64 random bits each; finite at every word."""
    return -(-_uniform(high, low).log()).log()


def coin(seeds: tuple[Tensor, Tensor], positions: Tensor, domain: int) -> Tensor:
    """A number in (0, 1) a row, `(rows, 1)` as the seeds and positions."""
    zero = torch.zeros_like(positions)
    words = philox4x32((zero, positions, zero, torch.full_like(positions, domain)), seeds)
    return _uniform(words[0], words[1])


def _uniform(high: Tensor, low: Tensor) -> Tensor:
    """Numbers in (0, 1) of 64 random bits each."""
    bits = (high << (32 - DISCARDED_BITS)) | (low >> DISCARDED_BITS)
    return (bits.to(torch.float64) + 0.5) * UNIFORM_SCALE


def choose(
    candidates: Candidates, seeds: tuple[Tensor, Tensor] | None, positions: Tensor
) -> Tensor:
    """Where each row's token stands among its candidates, `(rows, 1)`; ties to the lowest id.

    Gumbel-max: argmax of logit + noise over the candidates; greedy where `seeds` is None.
    """
    scores = candidates.logits
    if seeds is not None:
        scores = scores + gumbel(*token_words(candidates, seeds, positions))
    return scores.argmax(1, keepdim=True)
