"""NumPy: finds the history tokens that an instruction reads, penalises, bans or biases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.program import Opcode, Part, Program
from decoding.kernels.vector import sequences


def scope_of(
    program: Program, index: int, history: NDArray[np.int32], prompt_length: int
) -> NDArray[np.int32]:
    """The tokens of a row's history that the instruction reads."""
    part, last_n = program.scopes[index].tolist()
    if part == Part.PROMPT:
        history = history[:prompt_length]
    elif part == Part.GENERATED:
        history = history[prompt_length:]
    return history[max(0, len(history) - last_n) :] if last_n > 0 else history


def penalised(
    program: Program, index: int, history: NDArray[np.int32], prompt_length: int
) -> NDArray[np.int32]:
    """The tokens that a penalty applies to, as often as the history has them: no exempt ones."""
    seen = scope_of(program, index, history, prompt_length)
    exempt = program.sparse_token_ids[_entries(program, index)]
    return seen[~np.isin(seen, exempt)] if len(exempt) else seen


def repeats(
    program: Program, index: int, history: NDArray[np.int32], prompt_length: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The edits of an n-gram ban or of DRY: distinct token ids, and the amounts to add."""
    text = scope_of(program, index, history, prompt_length)
    first, second, third = program.operands[index].tolist()
    if program.opcodes[index] == Opcode.NO_REPEAT_NGRAM:
        source = text[:prompt_length] if second == 1.0 else text
        banned = np.unique(sequences.successors(source, text, int(first)))
        return banned, np.full(len(banned), -np.inf)
    breakers = program.sparse_token_ids[_entries(program, index)].tolist()
    token_ids, penalties = sequences.dry(text, first, second, int(third), breakers)
    return token_ids, -penalties


def _entries(program: Program, index: int) -> slice:
    return slice(program.sparse_starts[index], program.sparse_starts[index + 1])
