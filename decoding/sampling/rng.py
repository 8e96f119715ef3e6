"""Seeds of sequences, and Gumbel noise by seed, position and token id; see `docs/noise.md`."""

from __future__ import annotations

import hashlib
import os

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.kernels.randomness import SEQUENCE_SEED
from decoding.kernels.vector.noise import Place, philox4x32, token_noise

SEED_RANGE = 2**64


def random_seed() -> int:
    """A fresh 64-bit seed from the operating system."""
    return int.from_bytes(os.urandom(8), "little")


def sequence_seed(seed: int, index: int) -> int:
    """The seed of the index-th sequence of a request; sequence 0 has the request's own.

    Another sequence's seed is 64 Philox bits addressed by (index, domain `SEQUENCE_SEED`).
    """
    require("seed", seed, 0 <= seed < SEED_RANGE, "in [0, 2**64)")
    if index == 0:
        return seed
    words = philox4x32(np.array([index], np.uint64), 0, 0, SEQUENCE_SEED, seed)[0]
    return int(words[0]) << 32 | int(words[1])


def row_seed(seed: int, row_id: str | int | None, index: int) -> int:
    """The seed of a row of `decoding batch` that samples and states none.

    The first 8 bytes of SHA-256 of the seed of all and the row's id, or its index where it has
    none: of no other row, and of no order.
    """
    kind, name = ("index", index) if row_id is None else (type(row_id).__name__, row_id)
    digest = hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def gumbel_noise(
    token_ids: NDArray[np.int64], seed: int, position: int, draw: int = 0
) -> NDArray[np.float64]:
    """Standard Gumbel noise of each token, a pure function of its arguments.

    token_ids: ascending, at least 0. seed: in [0, 2**64). position: tokens before this one in the
    sequence. draw: tells several draws at one position apart.
    """
    require("seed", seed, 0 <= seed < SEED_RANGE, "in [0, 2**64)")
    return token_noise(token_ids, Place(seed, position, draw))
