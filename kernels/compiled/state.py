"""Numba: the state of a row between two instructions of its program.

A row is *compact*, a list of candidates in `IDS` and `LOGITS`, or *dense*: its stored logits after
bitmasks, by a temperature, but for the touched tokens of `TOUCHED_IDS` and `TOUCHED`, and
within a window of logits. Where an instruction needs more, all that is written into the *shadow*,
an array of float64, and the row is dense as it stands there. `slot[token]` is 1 + its place among
the touched, 0 for all others. No edited logit is rounded on the way: see "One arithmetic" in
`decoding.kernels.program`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from decoding.kernels.compiled.formats import Row
from decoding.kernels.compiled.jit import compiled, inlined
from decoding.kernels.compiled.passes import BLOCK, Window, is_wide, stored_bounds

DONE, EMPTIED, NEEDS_SHADOW, BEYOND = 0, 1, 2, 3
"""What an instruction has made of a row; BEYOND: its numbers are outside this arithmetic."""


class Step(NamedTuple):
    """What all instructions of a row share.

    last: where they end. limit: the most candidates that are listed. shadow: an array for a whole
    row. state: a record, `records.STATE`:

    outcome, index: of the next instruction. compact; count: of candidates, else of touched tokens.
    address ... behind: the row, see `formats.Row`. maxima: where in `memory.doubles` the largest
    logit of each block stands, after the masks, or a bound of it; stale: these are of before.
    largest: of a dense row, before temperature, touched tokens and window. total, moment: Σ w and
    Σ w · gap as of `passes.weigh`, of the stored row at `sums_temperature`, NaN where not known; so
    may moment alone be.
    masked, bias: whether bitmasks edit the row, and what that of `BIASED` adds; see `masks`.
    low ... ties: what is kept of the row, see `passes.Window`; low and high are final logits.
    least, most: see `final.bound_blocks`.
    """

    instructions: Any
    last: Any
    sparse: Any
    history: Any
    prompt_length: Any
    vocab: Any
    limit: Any
    shadow: Any
    memory: Any
    state: Any


@inlined
def row_in(step: Any) -> Any:
    """The stored row."""
    state = step.state
    return Row(state.address, state.format, state.width, state.whole, state.behind)


@compiled
def begin(step: Any, row: Any, maxima: Any, largest: Any) -> Any:
    """Make the state that of a row as it is stored: dense, unedited, and all of it kept."""
    state = step.state
    state.outcome, state.compact, state.count = DONE, False, 0
    state.address, state.format, state.width = row.address, row.format, row.width
    state.whole, state.behind, state.maxima = row.whole, row.behind, maxima
    state.stale, state.largest, state.sums_temperature = False, largest, np.nan
    _clear(state)


@compiled
def _clear(state: Any) -> Any:
    """No masks, no temperature, and everything is kept."""
    state.masked, state.bias, state.temperature = False, 0.0, 1.0
    state.low, state.high = -np.inf, np.inf
    state.last_tie, state.kept_total, state.kept_moment = state.width, np.nan, np.nan
    state.support, state.ties = 0, 0


@compiled
def become_compact(step: Any, count: Any) -> Any:
    """A compact row after an instruction; −1 candidates: the numbers are beyond this arithmetic."""
    state = step.state
    state.outcome = DONE if count > 0 else (EMPTIED if count == 0 else BEYOND)
    state.index += count > 0
    state.compact, state.stale, state.count = True, False, max(count, 0)
    _clear(state)


@compiled
def keep_window(step: Any, window: Any) -> Any:
    """Keep a window of stored logits."""
    state = step.state
    state.low, state.high = window.low / state.temperature, window.high / state.temperature
    state.last_tie, state.kept_total, state.kept_moment = (
        window.last_tie,
        window.total,
        window.moment,
    )
    state.support, state.ties = window.support, 0


@compiled
def window_of(step: Any) -> Any:
    """What is kept of a row without edits, as a window of stored logits."""
    state = step.state
    low, high = stored_bounds(row_in(step), state.low, state.high, state.temperature)
    return Window(low, high, state.last_tie, state.kept_total, state.kept_moment, state.support)


@inlined
def is_cut(step: Any) -> Any:
    """Whether less is kept than everything."""
    return step.state.low > -np.inf or step.state.high < np.inf


@inlined
def is_kept(step: Any, logit: Any, token_id: Any) -> Any:
    """Whether a token with a final logit is kept."""
    state = step.state
    if not state.low <= logit <= state.high:
        return False
    return logit > state.low or token_id <= state.last_tie


@inlined
def is_edited(step: Any) -> Any:
    """Whether a dense row has logits other than its stored ones divided by its temperature."""
    return step.state.count > 0 or step.state.masked


@inlined
def is_flat(step: Any) -> Any:
    """Whether all stored logits are known to be equal, so that sums over them are counts.

    Of float32 only: those of float64 may differ by less than the sums can tell.
    """
    state = step.state
    known = not np.isnan(state.sums_temperature)
    whole = known and state.moment == 0.0 and state.total == state.width
    return whole and not is_wide(row_in(step))


@compiled
def equal_blocks(step: Any) -> Any:
    """How many of the first blocks are known to hold equal logits alone, and whole.

    The last block need not be: beyond the row's end a bitmask may have bits, which are no tokens.
    """
    return step.state.width // BLOCK if is_flat(step) else 0


@compiled
def can_window(step: Any) -> Any:
    """Whether a window can say what stays of a dense row: no temperature makes two logits ties.

    Two float32 that are not the same never are the same float64 when they are divided.
    """
    return step.state.temperature == 1.0 or not is_wide(row_in(step))


@compiled
def has_bounds(step: Any) -> Any:
    """Whether bounds of stored logits can say what stays."""
    return not is_edited(step) and can_window(step)


@compiled
def can_divide_window(step: Any) -> Any:
    """Whether a temperature leaves a window a window, in final logits and in stored ones."""
    divided = step.state.temperature != 1.0 or is_wide(row_in(step))
    return not divided and not is_edited(step)
