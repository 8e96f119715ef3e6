"""Numba: green lists by Philox, the tokens whose random word is below a bound, packed as bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.kernels.compiled.noise import mask_below


def fill(words: Any, domain: Any, seed: Any, bound: Any) -> None:
    """Bit i % 32 of word i // 32: whether the word of token i is below the bound."""
    none = np.uint64(0)
    for word in range(len(words)):
        words[word] = mask_below(word * 32, none, domain, seed, bound)
