"""Golden noise: every table of `docs/noise.md`, computed anew from what the page says.

`Page` is a second implementation, on Python's integers and floats, that shares nothing with the
library but the page. The library is held to the same tables. A change of a table breaks everyone
who has stored a seed.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from decoding.history import History
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.reference import noise as reference
from decoding.kernels.reference.cutoffs import coin
from decoding.kernels.reference.philox import philox4x32
from decoding.sampling.batch import Sampler, sample
from decoding.sampling.rng import gumbel_noise, row_seed, sequence_seed

TEXT = (Path(__file__).parents[2] / "docs" / "noise.md").read_text()
Row = list[str]


def table(last: str) -> list[Row]:
    """The rows of the page's only table whose last column has this title."""
    head = rf"^\|.*\| {re.escape(last)} \|\n\|[-|]+\n"
    [found] = re.findall(head + r"((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in found.splitlines()]


NAMED = {name: float.fromhex(value) for name, value in table("float64 in hexadecimal")}


class Page:
    """The law, written from the page."""

    @staticmethod
    def philox(counter: list[int], key: list[int]) -> list[int]:
        (a, b, c, d), (k, m) = counter, key
        for _ in range(10):
            p, q = a * 0xD2511F53, c * 0xCD9E8D57
            a, b, c, d = q >> 32 ^ b ^ k, q % 2**32, p >> 32 ^ d ^ m, p % 2**32
            k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
        return [a, b, c, d]

    @staticmethod
    def words(seed: int, position: int, index: int, domain: int) -> list[int]:
        return Page.philox([index, position, 0, domain], [seed % 2**32, seed >> 32])

    @staticmethod
    def u(high: int, low: int) -> float:
        return (((high * 2**32 + low) >> 12) + 0.5) / 2**52

    @staticmethod
    def ln(x: float) -> float:
        bits = int.from_bytes(struct.pack(">d", x), "big")
        exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
        (m,) = struct.unpack(">d", (bits - (exponent << 52)).to_bytes(8, "big"))
        k, f = float(exponent), m - 1.0
        h, s = (0.5 * f) * f, f / (2.0 + f)
        z = s * s
        w = z * z
        even = w * (NAMED["L2"] + w * (NAMED["L4"] + w * NAMED["L6"]))
        odd = NAMED["L5"] + w * NAMED["L7"]
        odd = z * (NAMED["L1"] + w * (NAMED["L3"] + w * odd))
        return (((s * (h + (even + odd)) + k * NAMED["LOW"]) - h) + f) + k * NAMED["HIGH"]

    @staticmethod
    def share(seed: int, position: int, block: int) -> tuple[float, int]:
        high, low, place, _ = Page.words(seed, position, block, 4)
        return -Page.ln(Page.u(high, low)) / 256, block * 256 + place % 256

    @staticmethod
    def noise(seed: int, position: int, token_id: int) -> float:
        share, lead = Page.share(seed, position, token_id >> 8)
        if token_id == lead:
            return -Page.ln(share)
        high, low = (
            Page.words(seed, position, token_id >> 2, domain)[token_id % 4] for domain in (1, 2)
        )
        return -Page.ln(share + -Page.ln(Page.u(high, low)))

    @staticmethod
    def token(logits: list[float], seed: int, position: int) -> int:
        """Skips what section 6 allows to be skipped, or a page of draws would take seconds."""
        best, score = -1, -float("inf")
        blocks = [Page.share(seed, position, block) for block in range((len(logits) + 255) // 256)]
        leads = [lead for _, lead in blocks if lead < len(logits)]
        most = [-Page.ln(share) + 2.0**-40 for share, _ in blocks]
        for token_id in [*leads, *range(len(logits))]:
            if logits[token_id] + most[token_id >> 8] < score:
                continue
            own = logits[token_id] + Page.noise(seed, position, token_id)
            if own > score or (own == score and token_id < best):
                best, score = token_id, own
        return best


def logits_of(row: str, count: int) -> list[float]:
    """The rows of the page's draws."""
    if row == "flat":
        return [0.0] * count
    return [i * 2654435761 % 65536 / 8192 for i in range(count)]


def hexadecimal(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("philox", [Page.philox, philox4x32])
def test_words(philox: Callable[..., list[int]]) -> None:
    for counter, key, words in table("words"):
        assert list(philox(hexadecimal(counter), hexadecimal(key))) == hexadecimal(words)


@pytest.mark.parametrize("ln", [Page.ln, reference.natural_log])
def test_logarithms(ln: Callable[[float], float]) -> None:
    for x, answer in table("ln x"):
        assert ln(float.fromhex(x)).hex() == answer


def test_exponentials() -> None:
    for word, u, answer in table("−ln u"):
        high, low = divmod(int(word, 16), 2**32)
        assert Page.u(high, low).hex() == u
        assert (-Page.ln(Page.u(high, low))).hex() == answer
        assert reference.exponential(int(word, 16)).hex() == answer


@pytest.mark.parametrize("share_of", [Page.share, reference.block_share])
def test_blocks(share_of: Callable[[int, int, int], tuple[float, int]]) -> None:
    for *place, answer, lead in table("lead"):
        share, found = share_of(*map(int, place))
        assert (share.hex(), found) == (answer, int(lead))


def by_numpy(seed: int, position: int, token_id: int) -> float:
    return float(gumbel_noise(np.array([token_id]), seed, position)[0])


@pytest.mark.parametrize("noise", [Page.noise, reference.token_noise, by_numpy])
def test_noise(noise: Callable[[int, int, int], float]) -> None:
    for seed, position, token_id, answer in table("noise"):
        assert noise(int(seed), int(position), int(token_id)).hex() == answer


def by_sampler(logits: list[float], seed: int, position: int) -> int:
    history = History.of([[0] * position])
    return sample(np.array([logits]), history, [Sampler(seed=seed)])[0].token_id


@pytest.mark.parametrize("token", [Page.token, by_sampler])
def test_draws(token: Callable[[list[float], int, int], int]) -> None:
    for row, count, seed, position, drawn in table("drawn"):
        logits = logits_of(row, int(count))
        assert token(logits, int(seed), int(position)) == int(drawn)


def test_seeds_of_sequences() -> None:
    for seed, index, answer in table("seed of the sequence"):
        high, low, *_ = Page.words(int(seed), 0, int(index), 3)
        assert int(answer) == (high * 2**32 + low if int(index) > 0 else int(seed))
        assert sequence_seed(int(seed), int(index)) == int(answer)


def test_seeds_of_rows_of_a_batch() -> None:
    for seed, kind, name, answer in table("seed of the row"):
        text = f"{seed}\0{kind}\0{name}".encode()
        assert int(hashlib.sha256(text).hexdigest()[:16], 16) == int(answer)
        row_id = {"str": name, "int": int(name) if kind != "str" else None, "index": None}[kind]
        assert row_seed(int(seed), row_id, int(name) if kind == "index" else 5) == int(answer)


def test_coins() -> None:
    for seed, position, answer in table("coin"):
        high, low, *_ = Page.words(int(seed), int(position), 0, XTC_COIN)
        assert Page.u(high, low).hex() == answer
        assert coin(int(seed), int(position), XTC_COIN).hex() == answer
