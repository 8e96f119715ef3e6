"""Numba: the survey of a row, its block maxima with sums of the weights of all its logits.

Weights are taken in float32, relative to a reference that need not be the largest logit, which is
not known before the row is read. In the end they are made relative to the largest.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.blocks import largest_value
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.passes import (
    BLOCK,
    is_wide,
    largest_of_run,
    rates_of,
    run_from,
)
from decoding.kernels.compiled.scalars import value_at
from decoding.kernels.compiled.vectors import EXPONENT_ROUNDER, SHIFTS
from decoding.kernels.compiled.weights import (
    survey_least,
    survey_sums,
    survey_total,
    survey_twice,
    weigh_block,
    weight_of,
)

_MOST_SHIFTED = 6e4
"""The largest reference · scale of which float32 holds the exponent of 2, below 2¹⁷, to a 32nd."""
_MOST_ABOVE, _MOST_SUMMED = 40.0, 10.0
"""A weight of more than e to this power makes Σ w begin anew, lest it overflow; the latter where
Σ w · gap is asked for, which loses digits before."""


class Survey(NamedTuple):
    """The largest logit of a row, and sums of `weigh` relative to it.

    total: Σ w at temperature 1. scaled, moment: Σ w and Σ w · gap at the temperature that was asked
    for, NaN where none was. possible: how many tokens are, 0 where that is not known.
    """

    largest: Any
    total: Any
    scaled: Any
    moment: Any
    possible: Any


class Exponent(NamedTuple):
    """The numbers by which weights exp((z − reference) · scale) are computed in float32.

    rate, lowest: of `rates_of`. rounder: see `weights.shifted_factors`. unit: what the reference
    itself weighs.
    """

    reference: Any
    scale: Any
    rate: Any
    lowest: Any
    rounder: Any
    unit: Any


@compiled
def is_near(reference: Any, scale: Any) -> Any:
    """Whether float32 holds the exponent of a reference well enough for `exponent_of` to shift."""
    return abs(reference * scale) < _MOST_SHIFTED


@compiled
def exponent_of(row: Any, reference: Any, scale: Any, shifts: Any) -> Any:
    """Make the `Exponent` for weights relative to a reference, which the row's precision holds.

    shifts: whether it is for `weights.shifted_factors`; then it must be near.
    """
    rate, lowest = rates_of(scale)
    rounder, unit = np.float32(EXPONENT_ROUNDER), 1.0
    if SHIFTS and shifts and not is_wide(row):
        rounder = np.float32(EXPONENT_ROUNDER - reference * np.float64(rate))
        unit = np.float64(weight_of(reference, rate, rounder))
    return Exponent(reference, scale, rate, lowest, rounder, unit)


@compiled
def _exponents(row: Any, reference: Any, scale: Any) -> Any:
    """Make the `Exponent` at scale 1, and that at another; both shift, or neither."""
    shifts = is_near(reference, max(scale, 1.0))
    plain = other = exponent_of(row, reference, 1.0, shifts)
    if scale != 1.0:
        other = exponent_of(row, reference, scale, shifts)
    return plain, other


@compiled
def _survey_run(
    row: Any, start: Any, stop: Any, plain: Any, other: Any, sums: Any, least_too: Any,
    block_max: Any,
) -> Any:  # fmt: skip
    """Sum the weights of a run, at scale 1 and maybe at another, and write its block maxima.

    Returns Σ w of the plain `Exponent`, NaN if any logit is; Σ w and Σ w · gap of the other one,
    where `sums` asks for them; and the least gap, where `least_too` or `sums` does, else −inf.
    """
    reference, lowest = plain.reference, max(plain.lowest, other.lowest)
    weight, second, moment, least = np.float32(0.0), np.float32(0.0), np.float32(0.0), -np.inf
    if not is_near(reference, max(other.scale, 1.0)):
        for block in range(start // BLOCK, stop // BLOCK):
            block_max[block] = largest_value(row, block * BLOCK, block * BLOCK + BLOCK)
        weight, _ = weigh_block(row, start, stop, reference, plain.rate, lowest)
        second, moment = weigh_block(row, start, stop, reference, other.rate, lowest)
    elif not (sums or least_too):
        weight = survey_total(
            row, start, stop, reference, lowest, block_max, plain.rate, plain.rounder
        )
    elif not sums:
        weight, low = survey_least(
            row, start, stop, reference, lowest, block_max, plain.rate, plain.rounder
        )
        least = low - reference
    elif other.scale == 1.0:
        weight, moment, gap = survey_sums(
            row, start, stop, reference, lowest, block_max, plain.rate, plain.rounder
        )
        second, least = weight, np.float64(gap)
    else:
        weight, second, moment, gap = survey_twice(
            row, start, stop, reference, lowest, block_max, plain.rate, plain.rounder,
            other.rate, other.rounder,
        )  # fmt: skip
        least = np.float64(gap)
    return weight, second, np.float64(moment), least


@compiled
def survey(row: Any, block_max: Any, temperature: Any) -> Any:
    """Find a row's largest logit and block maxima, and sum weights exp(gap), in one pass.

    temperature: of the scaled sums; 0 for none, but those at 1 where all logits are equal.

    The sums are taken relative to a reference, the largest logit of the first block or run, which
    is replaced by that of a later run that is far above it.
    """
    scale, sums, stop = 1.0, temperature > 0.0, 0
    if sums:
        scale = 1.0 / temperature
    steepest, lowest = max(scale, 1.0), max(rates_of(1.0)[1], rates_of(scale)[1])
    reference, most = -np.inf, _MOST_SUMMED if sums else _MOST_ABOVE
    for block in range(run_from(row, 0) // BLOCK if sums else 1):
        reference = max(reference, largest_value(row, block * BLOCK, block * BLOCK + BLOCK))
    known = -np.inf < reference < np.inf
    reference = reference if known else 0.0
    plain, other = _exponents(row, reference, scale)
    # whole: whether no gap is the least there is; a token that is removed has that.
    total, scaled, moment, largest, whole, flat = 0.0, 0.0, 0.0, -np.inf, True, known
    least_too = False
    while stop < row.width:
        start, stop = stop, stop + run_from(row, stop)
        weight, second, first, least, top = np.float32(0.0), np.float32(0.0), 0.0, 0.0, -np.inf
        for _ in range(3):
            weight, second, first, least = _survey_run(
                row, start, stop, plain, other, sums, least_too, block_max
            )
            top = largest_of_run(block_max, start, stop)
            if known and (top - reference) * steepest <= most:
                differ = weight < 0.999 * plain.unit * (stop - start)
                if sums or least_too or differ or start > 0 or not flat:
                    break
                least_too = True  # as the first are equal, about
                continue
            if not -np.inf < top < np.inf:
                break
            # Once more, relative to this run's largest.
            if known:
                total, scaled, moment = _moved(total, scaled, moment, plain, other, top)
            reference, known = top, True
            plain, other = _exponents(row, reference, scale)
            total, scaled, moment = total * plain.unit, scaled * other.unit, moment * other.unit
            flat = False
        if np.isnan(weight) or top == np.inf:
            return Survey(np.nan, 0.0, 0.0, 0.0, 0)
        largest, whole = max(largest, top), whole and least > lowest + 0.5
        flat = flat and top == reference and _is_flat(row, start, stop, reference, least)
        least_too = least_too and flat
        if known:
            total += np.float64(weight)
            scaled += np.float64(second)
            moment += first * scale
    if known:
        total, scaled, moment = _moved(total, scaled, moment, plain, other, largest)
        total, scaled, moment = max(total, 1.0), max(scaled, 1.0), min(moment, 0.0)
    if flat:
        total, scaled, moment = 1.0 * row.width, 1.0 * row.width, 0.0
    elif not sums:
        scaled, moment = np.nan, np.nan
    return Survey(largest, total, scaled, moment, row.width if flat or (whole and sums) else 0)


@compiled
def _is_flat(row: Any, start: Any, stop: Any, reference: Any, least: Any) -> Any:
    """Whether no logit of a run is below a reference.

    least: the least gap of the run, or that of what fills up the last block.
    """
    if stop <= row.width:
        return least == 0.0
    below = 0
    for token_id in range(start, row.width):
        below += value_at(row, token_id) < reference
    return below == 0


@inlined
def _moved(total: Any, scaled: Any, moment: Any, plain: Any, other: Any, reference: Any) -> Any:
    """Rescale the sums of a `Survey`, taken by two `Exponent`, to another reference."""
    change = plain.reference - reference
    power = change * other.scale
    factor = math.exp(power) / other.unit
    moment = factor * (moment + scaled * power)
    return total * (math.exp(change) / plain.unit), scaled * factor, moment
