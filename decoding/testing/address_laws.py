"""Whether every bit of a seed and of a position counts, and no two of them are mixed up."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from decoding.testing.draws import Draw, Tokens

Numbers = NDArray[np.int64]
Address = tuple[Numbers, Numbers]
"""Seeds and positions, of equal length."""

_CERTAIN = 1e-15
"""The probability that different addresses draw the same tokens by chance, for each comparison."""
_POSITION_BITS = 17
"""Texts of 131,072 tokens are usual."""
_LOW, _HIGH = 0x0529_7A4D, 0xF529_7A4D
"""Seeds, of 32 bits also with every stride added to the one or taken from the other."""
_STRIDES = (
    *range(1, 1025),
    *(1 << bit for bit in range(11, 31)),
    *(10**power for power in range(4, 10)),
    *(1009, 10_007, 65_537, 1_000_003, 0x3779B9, 0x9E3779B1, 0x9E3779B9, 0xDEADBEEF),
)
"""What a position may have been multiplied by before it was added to a seed."""


def broken_addresses(draw: Draw, kept: int, seed_bits: int) -> Iterator[tuple[str, str]]:
    """Yield each law of seeds and positions that a sampler's draws break, with the reason.

    draw: draws from flat rows of 64 tokens. kept: how many of these a claim keeps.
    """
    if kept < 2:
        return
    roles = set(draw.roles)
    compared = _Comparison(draw, math.ceil(math.log(1.0 / _CERTAIN) / math.log(kept)))
    seeds, positions = compared.seeds, compared.positions
    if roles & {"seed", "seeds"}:
        for bit in range(min(seed_bits, 63)):  # the highest is the sign of an int64
            if compared.agree((seeds, positions), (seeds ^ (1 << bit), positions)):
                law = "all seeds" if bit < 32 else "wide seeds"
                yield law, f"seeds that differ by 2**{bit} draw the same {compared.count} tokens"
                break
    if roles & {"position", "positions"}:
        far = np.full_like(positions, 0x15555)
        if not roles & {"seed", "seeds"}:
            far = far + np.arange(compared.count) * 2**_POSITION_BITS
        for bit in range(_POSITION_BITS):
            if compared.agree((seeds, far), (seeds, far ^ (1 << bit))):
                why = f"positions that differ by 2**{bit} draw the same {compared.count} tokens"
                yield "all positions", why
                break
        if roles & {"seed", "seeds"}:
            yield from _mixed(compared)


def _mixed(compared: _Comparison) -> Iterator[tuple[str, str]]:
    """Seeds and positions that are added, multiplied, or joined bit by bit."""
    seeds, steps = np.full_like(compared.seeds, _LOW), compared.positions
    law = "seeds and positions"
    for start, sign in ((_LOW, 1), (_HIGH, -1)):
        base = np.full_like(seeds, start)
        for stride in _STRIDES:
            if compared.agree((base, steps + 1), (base + sign * stride, steps)):
                why = f"seed s at position p + 1 draws what seed s {sign * stride:+d} draws at p"
                yield law, why
                return
    for bit in range(31):
        if compared.agree((seeds, steps), (seeds ^ (1 << bit), steps ^ 1)):
            yield law, f"seed s at position p draws what seed s ^ 2**{bit} draws at p ^ 1"
            return
    for more in (0, 1):
        if compared.agree((2 * seeds, steps + 1 - more), (seeds, 2 * (steps + 1) - more)):
            yield law, "seed 2 s at position p draws what seed s draws at about 2 p"
            return


class _Comparison:
    """Compares the tokens of addresses, enough of them that chance does not make them equal."""

    def __init__(self, draw: Draw, count: int) -> None:
        self._draw = draw
        self._known: dict[bytes, Tokens] = {}
        self.count = count
        self.seeds: Numbers = _HIGH ^ (np.arange(count) * 0x2B3_A955)
        self.seeds &= 0xFFFFFFFF
        self.positions: Numbers = np.arange(count)

    def agree(self, first: Address, second: Address) -> bool:
        """Whether two lists of addresses draw the same tokens."""
        return self._quickly(first[0], first[1]) == self._quickly(second[0], second[1])

    def _quickly(self, seeds: Numbers, positions: Numbers) -> list[int]:
        key = seeds.tobytes() + positions.tobytes()
        if key not in self._known:
            self._known[key] = self._tokens(seeds, positions)
        return self._known[key].tolist()

    def _tokens(self, seeds: Numbers, positions: Numbers) -> Tokens:
        rows = np.zeros((self.count, 64), np.float32)
        fed = {"seed", "position"} & set(self._draw.roles)
        if not fed or not self._draw.batched:
            return self._draw(rows, {"seeds": seeds, "positions": positions})
        # One seed or position a call: a row at a time.
        return np.concatenate(
            [
                self._draw(rows[:1], {"seeds": seeds[i : i + 1], "positions": positions[i : i + 1]})
                for i in range(self.count)
            ]
        )
