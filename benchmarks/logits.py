"""Benchmark inputs: rows of logits of all kinds, from fixed seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

KINDS = ("gaussian", "zipf", "flat", "ties", "normal", "real")
HOSTILE_KINDS = ("one_finite", "ulp", "huge", "denormal")

_SEED = 20_261
_NUMBERS = ("gaussian", "zipf", "flat", "ties", "real", *HOSTILE_KINDS, "normal")
"""The places of kinds are parts of their seeds."""
_BITS_OF_8 = int(np.float32(8.0).view(np.int32))


def anchor(width: int) -> int:
    """The token that `one_finite` leaves and every mask allows."""
    return width // 3


def make_rows(kind: str, count: int, width: int) -> Rows:
    """The first `count` rows of a kind; each depends on its number and the width alone.

    gaussian: N(0, 3²). normal: N(0, 1), an uncertain row. zipf: −1.1 ln(rank) with a jitter of
    0.01, ids shuffled. flat: all 1.
    ties: gaussian, rounded to multiples of 0.5. real: see `captured`; width is at most its own.
    one_finite: −inf but for `anchor`. ulp: neighbouring floats from 8 upwards, shuffled. huge: 3e38
    with either sign. denormal: different multiples of the smallest float, either sign.
    """
    if kind == "real":
        return captured(count)[:, :width]
    number = _NUMBERS.index(kind)
    generators = [np.random.default_rng([_SEED, number, width, row]) for row in range(count)]
    rows = [_MAKERS[kind](generator, width) for generator in generators]
    return np.ascontiguousarray(np.stack(rows), np.float32)


def _gaussian(generator: np.random.Generator, width: int) -> Rows:
    return generator.standard_normal(width, np.float32) * np.float32(3.0)


def _normal(generator: np.random.Generator, width: int) -> Rows:
    return generator.standard_normal(width, np.float32)


def _zipf(generator: np.random.Generator, width: int) -> Rows:
    ranks = generator.permutation(width) + 1
    jitter = 0.01 * generator.standard_normal(width)
    return (-1.1 * np.log(ranks) + jitter).astype(np.float32)


def _flat(generator: np.random.Generator, width: int) -> Rows:
    del generator
    return np.ones(width, np.float32)


def _ties(generator: np.random.Generator, width: int) -> Rows:
    return np.round(_gaussian(generator, width) * 2) / np.float32(2)


def _one_finite(generator: np.random.Generator, width: int) -> Rows:
    row = np.full(width, -np.inf, np.float32)
    row[anchor(width)] = generator.standard_normal()
    return row


def _ulp(generator: np.random.Generator, width: int) -> Rows:
    return (_BITS_OF_8 + generator.permutation(width)).astype(np.int32).view(np.float32)


def _huge(generator: np.random.Generator, width: int) -> Rows:
    return np.where(generator.random(width) < 0.5, -3e38, 3e38).astype(np.float32)


def _denormal(generator: np.random.Generator, width: int) -> Rows:
    magnitudes = (generator.permutation(width) + 1).astype(np.int32).view(np.float32)
    return np.where(generator.random(width) < 0.5, -magnitudes, magnitudes)


_MAKERS: dict[str, Callable[[np.random.Generator, int], Rows]] = {
    "gaussian": _gaussian,
    "normal": _normal,
    "zipf": _zipf,
    "flat": _flat,
    "ties": _ties,
    "one_finite": _one_finite,
    "ulp": _ulp,
    "huge": _huge,
    "denormal": _denormal,
}


def captured(count: int) -> Rows:
    """Logits of SmolLM2-135M-Instruct at tokens of `_TEXT`, the one of median entropy first.

    Raises:
        DecodingError: the model cannot be had.
        ImportError: torch is not installed.
    """
    every = _prefill()
    if count > len(every):
        raise ValueError(f"{count} rows of real logits: the text has {len(every)} tokens")
    return np.ascontiguousarray(every[:count])


@functools.cache
def _prefill() -> Rows:
    from decoding import load

    model = load("smollm2")
    assert model.tokenizer is not None  # this model has one
    assert not callable(model.forward)  # and remembers sequences
    token_ids = model.tokenizer.encode(_TEXT)
    states, logits = model.forward.prefill([token_ids], all_positions=True)
    rows = np.array(logits, np.float32)[_CONTEXT:]
    for state in states:
        model.forward.release(state)
    median = int(np.argsort([_entropy(row) for row in rows])[len(rows) // 2])
    return np.concatenate([rows[median : median + 1], np.delete(rows, median, axis=0)])


def _entropy(row: Rows) -> float:
    weights = np.exp(row.astype(np.float64) - row.max())
    weights /= weights.sum()
    return -float(weights @ np.log(np.maximum(weights, 1e-300)))


_CONTEXT = 32
"""Rows with less before them are left out."""

_TEXT = """\
The lighthouse at the end of the long stone pier had not been lit for thirty years, but every
evening an old man walked out to it with a lantern in one hand and a loaf of bread in the other. The
children of the village said that he fed the gulls. Their parents said that he was waiting for a
ship, and would not say which one.

To bake the bread, mix 500 grams of flour with a teaspoon of salt and a spoonful of honey. Add warm
water until the dough no longer sticks to your fingers, knead it for ten minutes, and let it rest
under a damp cloth until it has doubled in size. Bake it for forty minutes in a hot oven.

A sorting algorithm is stable if elements that compare equal keep their order. Merge sort is stable
and takes time proportional to n log n; quicksort is usually faster in practice, because it touches
memory in order, but its worst case is quadratic. For small arrays, insertion sort beats both.
"""
