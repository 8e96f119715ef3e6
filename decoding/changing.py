"""What changes with every step in a program: the operands that depend on the history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.history import History
from decoding.kernels.program import Instruction, Program, assemble, fit_bitmasks, words_of
from decoding.pipeline import Fused
from decoding.typing import DynamicBias, DynamicBitmask


class Changing:
    """The programs of a batch, one fused run of instructions a row, as a step needs them."""

    def __init__(self, segments: Sequence[Fused]) -> None:
        self._rows: list[list[Instruction]] = [list(segment.instructions) for segment in segments]
        self.program = assemble(self._rows)
        places = [
            (row, index, processor)
            for row, segment in enumerate(segments)
            for index, processor in enumerate(segment.processors)
        ]
        self._biases = [
            (row, index, processor)
            for row, index, processor in places
            if isinstance(processor, DynamicBias)
        ]
        with_bitmask = [
            (row, processor)
            for row, index, processor in places
            if self._rows[row][index].bitmask is not None
        ]
        self._masks = [
            (slot, row, processor)
            for slot, (row, processor) in enumerate(with_bitmask)
            if isinstance(processor, DynamicBitmask)
        ]
        self._width, self._bitmasks = -1, np.zeros((0, 0), np.int32)

    def bitmasks(self, history: History, width: int) -> NDArray[np.int32]:
        """The bitmasks of this step, for logits of a width."""
        if width != self._width:
            self._width = width
            self._bitmasks = fit_bitmasks(list(self.program.bitmasks), words_of(width))
        for slot, row, processor in self._masks:
            words = processor.bitmask(history.select(row))
            self._bitmasks[slot] = fit_bitmasks([words], self._bitmasks.shape[1])[0]
        return self._bitmasks

    def new_program(self, history: History, width: int) -> Program | None:
        """The program of this step, where it is not that of the last one."""
        if not self._biases:
            return None
        for row, index, processor in self._biases:
            added = processor.additions(history.select(row))
            legal = {token_id: added[token_id] for token_id in added if 0 <= token_id < width}
            self._rows[row][index] = self._rows[row][index]._replace(
                token_ids=tuple(legal), values=tuple(legal.values())
            )
        self.program = assemble(self._rows)
        return self.program
