"""Makes a failing case small: fewer rows, fewer tokens, simpler logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from decoding.testing.cases import Case, rounded

_Part = TypeVar("_Part")
_MOST_TRIES = 400
_MOST_LOGITS = 20_000_000
_ALONE = 8
"""The most rows of a batch that are tried alone before parts of it are."""


def fewer(parts: tuple[_Part, ...]) -> Iterator[tuple[_Part, ...]]:
    """The parts without a half of them, without a quarter, at last without one of them.

    >>> list(fewer((1, 2, 3)))
    [(2, 3), (1, 3), (1, 2)]
    """
    size = max(1, len(parts) // 2)
    while size:
        for start in range(0, len(parts), size):
            yield parts[:start] + parts[start + size :]
        size //= 2


def shrink(case: Case, fails: Callable[[Case], bool], most_tries: int = _MOST_TRIES) -> Case:
    """The smallest case found for which `fails` holds; `case` itself if none is smaller."""
    tries = logits = 0
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(case):
            tries += 1
            logits += smaller.logits.size
            if tries > most_tries or logits > _MOST_LOGITS:
                return case
            if fails(smaller):
                case, improved = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, the boldest first."""
    rows, width = case.logits.shape
    if rows > 1:
        for row in range(min(rows, _ALONE)):
            yield case.select([row])
        for chosen in fewer(tuple(range(rows))):
            yield case.select(list(chosen))
    size = width // 2
    while size:
        for start in range(0, width - size + 1, max(size, width // 16)):
            narrower = _without(case, start, size)
            if narrower is not None:
                yield narrower
        size //= 2
    yield from _shorter(case)
    yield from _plainer(case)


def _without(case: Case, start: int, size: int) -> Case | None:
    """The case without some columns; tokens beyond them move down, texts lose those removed."""
    logits = np.delete(case.logits, np.s_[start : start + size], axis=1)
    if logits.shape[1] == 0 or not (logits > -np.inf).any(axis=1).all():
        return None

    def moved(text: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(
            token if token < start else token - size
            for token in text
            if not start <= token < start + size
        )

    return replace(
        case,
        logits=logits,
        prompts=tuple(map(moved, case.prompts)),
        generated=tuple(map(moved, case.generated)),
    )


def _shorter(case: Case) -> Iterator[Case]:
    """The case with shorter texts."""
    none = tuple(() for _ in case.prompts)
    if any(case.prompts):
        yield replace(case, prompts=none)
    if any(case.generated):
        yield replace(case, generated=none)
    for row in range(len(case)):
        for name in ("prompts", "generated"):
            texts = getattr(case, name)
            for cut in (len(texts[row]) // 2, len(texts[row]) - 1):
                if 0 <= cut < len(texts[row]):
                    shorter = (*texts[:row], texts[row][:cut], *texts[row + 1 :])
                    yield (
                        replace(case, prompts=shorter)
                        if name == "prompts"
                        else replace(case, generated=shorter)
                    )


def _plainer(case: Case) -> Iterator[Case]:
    """The case with rounder logits."""
    logits = case.logits
    alive = logits > -np.inf
    for digits in (0, 1, 2, 3, 4):
        small = alive & (np.abs(logits) < 1e6)
        plain = np.where(small, np.round(np.where(small, logits, 0.0), digits), logits) + 0.0
        plain = rounded(plain, case.format).astype(logits.dtype)
        if not np.array_equal(plain, logits):
            yield replace(case, logits=plain)
    if logits.shape[1] <= 12:
        for row, token in zip(*np.nonzero(alive & (logits != 0.0)), strict=True):
            zeroed = logits.copy()
            zeroed[row, token] = 0.0
            yield replace(case, logits=zeroed)
