"""Checks of the presets' arguments; errors name the parameters of the other engine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from decoding.errors import ParameterError


def number(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> float:
    """Check a finite number within bounds; a bool is refused.

    >>> number("top_p", 1, above=0, at_most=1)
    1.0
    >>> number("top_p", 1.5, above=0, at_most=1)
    Traceback (most recent call last):
    decoding.errors.ParameterError: top_p must be a finite number > 0 and <= 1, got 1.5
    """
    converted = math.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        converted = float(value)
    within = above < converted < below and at_least <= converted <= at_most
    if not (math.isfinite(converted) and within):
        expected = _bounded("a finite number", above, at_least, below, at_most)
        raise ParameterError(name, value, expected)
    return converted


def whole(name: str, value: object, *, at_least: int, at_most: int = 2**64) -> int:
    """Check an integer within bounds; a bool and a float are refused."""
    converted = at_least - 1
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        converted = int(value)
    if not at_least <= converted <= at_most:
        limit = math.inf if at_most == 2**64 else at_most
        expected = _bounded("an integer", -math.inf, at_least, math.inf, limit)
        raise ParameterError(name, value, expected)
    return int(converted)


def flag(name: str, value: object) -> bool:
    """Check a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ParameterError(name, value, "a bool")
    return bool(value)


def token_ids(name: str, value: object) -> tuple[int, ...]:
    """Check token ids: one, several, or None for none."""
    if value is None:
        return ()
    if isinstance(value, int | np.integer):
        return (whole(name, value, at_least=0),)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ParameterError(name, value, "token ids")
    return tuple(whole(name, token_id, at_least=0) for token_id in value)


def sequences(name: str, value: object) -> tuple[tuple[int, ...], ...]:
    """Check non-empty sequences of token ids."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ParameterError(name, value, "sequences of token ids")
    kept = tuple(
        token_ids(name, sequence) if isinstance(sequence, Iterable) else () for sequence in value
    )
    if () in kept:
        raise ParameterError(name, value, "non-empty sequences of token ids")
    return kept


def biases(name: str, value: object) -> dict[int, float]:
    """Check a mapping of token ids to biases, finite or −inf; None for none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(name, value, "a mapping of token ids to biases")
    return {
        whole(name, key, at_least=0): -math.inf if bias == -math.inf else number(name, bias)
        for key, bias in value.items()
    }


def _bounded(kind: str, above: float, at_least: float, below: float, at_most: float) -> str:
    bounds = ((">", above), (">=", at_least), ("<", below), ("<=", at_most))
    stated = [f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound)]
    return f"{kind} {' and '.join(stated)}" if stated else kind
