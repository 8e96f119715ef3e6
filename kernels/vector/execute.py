"""Run the instructions of one row, on the whole row first, then on what a truncation left."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Opcode, Program
from decoding.kernels.vector import cutoffs, edits, filters
from decoding.kernels.vector.dense import narrow

Row = NDArray[np.float64]


class Candidates(NamedTuple):
    """Part of a row: ascending token ids and their float64 logits."""

    token_ids: NDArray[np.int64]
    logits: Row

    def places_of(self, token_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Where the given ids stand among the candidates; ids that are not there are dropped."""
        places = np.searchsorted(self.token_ids, token_ids)
        places[places == len(self.token_ids)] = 0
        return places[self.token_ids[places] == token_ids]

    def only(self, keep: NDArray[np.bool_]) -> Candidates:
        """The candidates that stay."""
        return Candidates(self.token_ids[keep], self.logits[keep])


class Emptied(Exception):  # noqa: N818 -- a signal inside this package, not an error of the API
    """The instruction `position` of the row removed the last candidate."""

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
    """The candidates left after the row's instructions; `logits` is not written to.

    Raises:
        Emptied: no candidate is left.
    """
    candidates = Candidates(np.arange(len(logits)), logits)
    first, last = program.row_starts[row], program.row_starts[row + 1]
    for index in range(first, last):
        candidates = _apply(candidates, program, index, bitmasks, history, prompt_length)
        if candidates.logits.max(initial=-np.inf) == -np.inf:
            raise Emptied(int(index - first))
    return candidates.only(candidates.logits > -np.inf)


def apply_program(
    logits: NDArray[np.floating[Any]],
    program: Program,
    row: int,
    bitmasks: NDArray[np.int32],
    history: NDArray[np.int32],
    prompt_length: int,
) -> NDArray[np.floating[Any]]:
    """The whole row after its instructions, −inf where a token is gone, in the dtype it came in.

    Raises:
        Emptied: no candidate is left.
    """
    candidates = run_row(logits.astype(np.float64), program, row, bitmasks, history, prompt_length)
    result = np.full_like(logits, -np.inf)
    result[candidates.token_ids] = narrow(candidates.logits, logits.dtype)
    return result


def _apply(
    candidates: Candidates,
    program: Program,
    index: int,
    bitmasks: NDArray[np.int32],
    history: NDArray[np.int32],
    prompt_length: int,
) -> Candidates:
    logits = candidates.logits
    first, second = program.operands[index].tolist()
    slot = program.slots[index]
    match program.opcodes[index]:
        case Opcode.TOP_K:
            return candidates.only(filters.top_k(logits, int(first), keep_ties=second == 1.0))
        case Opcode.TOP_P:
            return candidates.only(filters.top_p(logits, first))
        case Opcode.MIN_P:
            return candidates.only(filters.min_p(logits, first))
        case Opcode.TYPICAL_P:
            return candidates.only(filters.typical_p(logits, first))
        case Opcode.EPSILON_CUTOFF:
            return candidates.only(cutoffs.epsilon_cutoff(logits, first))
        case Opcode.ETA_CUTOFF:
            return candidates.only(cutoffs.eta_cutoff(logits, first))
        case Opcode.TOP_N_SIGMA:
            return candidates.only(cutoffs.top_n_sigma(logits, first))
        case Opcode.BITMASK:
            return candidates.only(edits.in_bitmask(candidates.token_ids, bitmasks[slot]))
        case Opcode.TEMPERATURE:
            logits = edits.temperature(logits, first)
        case Opcode.REPETITION_PENALTY:
            logits = edits.repetition_penalty(logits, candidates.places_of(history), first)
        case Opcode.FREQUENCY_PENALTY:
            generated = candidates.places_of(history[prompt_length:])
            logits = edits.frequency_penalty(logits, generated, first)
        case Opcode.PRESENCE_PENALTY:
            generated = candidates.places_of(history[prompt_length:])
            logits = edits.presence_penalty(logits, generated, first)
        case Opcode.LOGIT_BIAS:
            entries = slice(program.sparse_starts[index], program.sparse_starts[index + 1])
            ids, values = program.sparse_token_ids[entries], program.sparse_values[entries]
            here = np.isin(ids, candidates.token_ids, assume_unique=True)
            logits = edits.logit_bias(logits, candidates.places_of(ids), values[here])
        case Opcode.BITMASK_BIAS:
            here = edits.in_bitmask(candidates.token_ids, bitmasks[slot])
            logits = logits + np.where(here, first, 0.0)
        case opcode:
            raise ValueError(f"no such opcode: {opcode}")
    return Candidates(candidates.token_ids, logits)
