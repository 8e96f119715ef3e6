"""NumPy: runs one row's instructions, first on the whole row, then on what a truncation left."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Opcode, Program
from decoding.kernels.randomness import XTC_COIN
from decoding.kernels.vector import cutoffs, edits, filters, rescaling, scopes
from decoding.kernels.vector.noise import coin

Row = NDArray[np.float64]


class Candidates(NamedTuple):
    """A part of a row: ascending token ids and their float64 logits."""

    token_ids: NDArray[np.int64]
    logits: Row

    def places_of(self, token_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Find token ids among the candidates; ids that are not there are dropped."""
        places = np.searchsorted(self.token_ids, token_ids)
        places[places == len(self.token_ids)] = 0
        return places[self.token_ids[places] == token_ids]

    def biased(self, token_ids: NDArray[np.int32], values: Row) -> Row:
        """Add a bias to distinct tokens; ids that are not there are dropped."""
        here = np.isin(token_ids, self.token_ids, assume_unique=True)
        return edits.logit_bias(self.logits, self.places_of(token_ids), values[here])

    def only(self, keep: NDArray[np.bool_]) -> Candidates:
        """Keep some of the candidates."""
        return Candidates(self.token_ids[keep], self.logits[keep])


class Emptied(Exception):  # noqa: N818 -- a signal inside this package, not an error of the API
    """Raised where the instruction at `position` removed the last candidate."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def run_row(
    logits: Row,
    program: Program,
    row: int,
    bitmasks: NDArray[np.int32],
    history: NDArray[np.int32],
    prompt_length: int,
) -> Candidates:
    """Apply a row's instructions: the candidates left; `logits` is not written to.

    Raises:
        Emptied: no candidate is left.
    """
    candidates = Candidates(np.arange(len(logits)), logits)
    first, last = program.firsts[row], program.lasts[row]
    for index in range(first, last):
        candidates = apply_instruction(candidates, program, index, bitmasks, history, prompt_length)
        if candidates.logits.max(initial=-np.inf) == -np.inf:
            raise Emptied(int(index - first))
    return candidates.only(candidates.logits > -np.inf)


def apply_program(
    logits: Row,
    program: Program,
    row: int,
    bitmasks: NDArray[np.int32],
    history: NDArray[np.int32],
    prompt_length: int,
) -> Row:
    """Apply a row's instructions to the whole row: −inf where a token is removed.

    Raises:
        Emptied: no candidate is left.
    """
    candidates = run_row(logits, program, row, bitmasks, history, prompt_length)
    result = np.full_like(logits, -np.inf)
    result[candidates.token_ids] = candidates.logits
    return result


def apply_instruction(
    candidates: Candidates,
    program: Program,
    index: int,
    bitmasks: NDArray[np.int32],
    history: NDArray[np.int32],
    prompt_length: int,
) -> Candidates:
    """The candidates after one instruction of the program."""
    logits = candidates.logits
    first, second, third = program.operands[index].tolist()
    slot = program.slots[index]
    entries = slice(program.sparse_starts[index], program.sparse_starts[index + 1])
    ids = program.sparse_token_ids[entries]
    keep = _kept(logits, program.opcodes[index], first, second, program.sparse_values[entries])
    if keep is not None:
        return candidates.only(keep)
    match program.opcodes[index]:
        case Opcode.BITMASK:
            return candidates.only(edits.in_bitmask(candidates.token_ids, bitmasks[slot]))
        case Opcode.TEMPERATURE:
            logits = edits.temperature(logits, first)
        case opcode if opcode in _PENALTIES:
            seen = scopes.penalised(program, index, history, prompt_length)
            logits = _PENALTIES[opcode](logits, candidates.places_of(seen), first)
        case Opcode.LOGIT_BIAS:
            logits = candidates.biased(ids, program.sparse_values[entries])
        case Opcode.NO_REPEAT_NGRAM | Opcode.DRY:
            logits = candidates.biased(*scopes.repeats(program, index, history, prompt_length))
        case Opcode.LOGIT_SCALE:
            logits = rescaling.logit_scale(logits, candidates.places_of(ids), first, second)
        case Opcode.DYNAMIC_TEMPERATURE:
            logits = rescaling.dynamic_temperature(logits, first, second, third)
        case Opcode.XTC:
            if coin(int(program.coins[index]), len(history), XTC_COIN) >= third:
                return candidates
            exempt = candidates.places_of(ids)
            return candidates.only(cutoffs.xtc(logits, first, exempt, int(second)))
        case Opcode.BITMASK_BIAS:
            here = edits.in_bitmask(candidates.token_ids, bitmasks[slot])
            logits = logits + np.where(here, first, 0.0)
        case opcode:
            raise ValueError(f"no such opcode: {opcode}")
    return Candidates(candidates.token_ids, logits)


_PENALTIES: dict[int, Callable[[Row, NDArray[np.int64], float], Row]] = {
    Opcode.REPETITION_PENALTY: edits.repetition_penalty,
    Opcode.FREQUENCY_PENALTY: edits.frequency_penalty,
    Opcode.PRESENCE_PENALTY: edits.presence_penalty,
}


def _kept(
    logits: Row, opcode: int, first: float, second: float, values: Row
) -> NDArray[np.bool_] | None:
    """What a truncation keeps; None for what is no truncation."""
    if opcode == Opcode.CUT:
        return cutoffs.cut(logits, int(first), values)
    if opcode == Opcode.TOP_K:
        return filters.top_k(logits, int(first), keep_ties=second == 1.0)
    if opcode == Opcode.TOP_H:
        return cutoffs.top_h(logits, first, len(logits))
    by_opcode: dict[int, Callable[[Row, float], NDArray[np.bool_]]] = {
        Opcode.TOP_P: filters.top_p,
        Opcode.TYPICAL_P: filters.typical_p,
    }
    keep = by_opcode.get(opcode)
    return None if keep is None else keep(logits, first)
