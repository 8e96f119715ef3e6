"""Makes the checks of torch's own draws, and of the exponential race built on torch."""

from __future__ import annotations

from functools import partial

import torch

from decoding.processors import Temperature
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.testing.sampler_check import check_sampler
from decoding.typing import Anything


def trials() -> tuple[Trial, ...]:
    """The checks of torch, one for each law and function."""
    trial = partial(Trial, f"torch {torch.__version__}")
    race = "the exponential race argmax(p / q)"
    return (
        trial(
            "multinomial",
            "tokens are drawn with the claimed probabilities",
            lambda: check_sampler(_multinomial, Temperature(1.0), tv=0.05, examples=100),
        ),
        trial(
            "multinomial, one generator",
            "a row draws the same token alone as in a batch",
            _batches,
            Trouble.CONVENTION,
        ),
        trial("multinomial", "a vocabulary has any size", _wide, Trouble.LIMIT),
        trial(
            "argmax",
            "NaN logits are not a token",
            lambda: demand(
                int(torch.tensor([3.0, torch.nan, 9.0]).argmax()) == 2,
                "argmax([3, nan, 9]) is token 1, the NaN",
            ),
            Trouble.LIMIT,
        ),
        trial(
            race,
            "a token of probability 0 is never drawn, whatever q is",
            _race_at_zero,
            source="vLLM's, SGLang's and TGI's rule, transcribed",
        ),
        trial(
            f"{race}, bfloat16",
            "tokens of equal probability are drawn equally often",
            _race_in_bfloat16,
            source="TGI's rule, transcribed",
        ),
    )


def _multinomial(logits: Anything, generator: Anything) -> Anything:
    return torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)


def _batches() -> None:
    probs = torch.full((4, 50), 0.02)

    def drawn(rows: int) -> list[int]:
        generator = torch.Generator().manual_seed(0)
        tokens = torch.multinomial(probs[4 - rows :], 1, generator=generator)
        return [int(token) for token in tokens]

    alone, together = drawn(1)[-1], drawn(4)[-1]
    demand(alone == together, f"seed 0: the last of 4 rows draws {together}, and {alone} alone")


def _wide() -> None:
    torch.multinomial(torch.ones(2**24 + 1), 1)


def _race_at_zero() -> None:
    probs = torch.tensor([[0.0, 1.0]])
    token = int((probs / torch.tensor([[0.0, 1.0]])).argmax())
    demand(token == 1, "p = [0, 1], q = [0, 1]: 0 / 0 is NaN, and argmax takes token 0")


def _race_in_bfloat16() -> None:
    generator = torch.Generator().manual_seed(0)
    draws, first = 6_000_000, 0
    for _ in range(6):
        q = torch.empty((draws // 6, 2), dtype=torch.bfloat16).exponential_(generator=generator)
        first += int(((0.5 / q).argmax(dim=1) == 0).sum())
    z = (first - draws / 2.0) / (draws / 4.0) ** 0.5
    # The probability that a fair race strays so far is below 1e-9.
    demand(
        abs(z) < 6.2, f"p = [½, ½]: token 0 has share {first / draws:.5f} of {draws:,}, z = {z:.1f}"
    )
