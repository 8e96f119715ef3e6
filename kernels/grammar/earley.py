"""An Earley recognizer of context-free grammars: numbered states, and the token mask of each.

Items stand on a graph-structured stack (`decoding.kernels.grammar.earley_arrays`). The set of items
decides how a text may go on: equal sets are the same state, and a transition that was computed once
is a look-up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from decoding.kernels.forks import free_after_fork
from decoding.kernels.grammar.earley_arrays import (
    DEAD,
    FULL,
    MAX_DEPTH,
    NODE_MASK,
    NOTES_SIZE,
    SHIFT,
    SHORT,
    UNKNOWN,
    USED,
    Chart,
    Network,
    grown,
    new_chart,
    rooms,
    size_of,
)
from decoding.kernels.grammar.earley_levels import walked_by_levels
from decoding.kernels.grammar.earley_sets import rehash
from decoding.kernels.grammar.earley_step import begin, fill, joined, part
from decoding.kernels.grammar.earley_surveys import Survey, Surveys
from decoding.kernels.grammar.earley_walk import spread, walk
from decoding.kernels.grammar.trie_nodes import copy_twins

MEGABYTE = 1 << 20
_FIRST_ROOM = (256, 1_024, 256, 1_024, 1 << 12, 1 << 14)
_MORE_ROOM = (FULL, SHORT)
# States of more items are walked without surveys; surveys of so many tries are kept.
_FEW = 8
_TRIES = 4


class MachineLimitError(RuntimeError):
    """Raised where a machine's states need more memory than allowed; its states stay valid.

    Attributes:
        what: the resource.
        limit: its bound.
    """

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"more than {limit:,} {what}")
        self.what, self.limit = what, limit


class EarleyMachine:
    """Moves a grammar's numbered Earley states by bytes (−1: dead); masks their next tokens.

    Threads may share a machine.

    network: the grammar.
    memory: bytes that the states may take. The items and callers that one step notes
        are not counted: they are gone after the step.
    error: makes the error that is raised where the states need more, of a resource and its bound.
    most_work: the most items, callers and calls that all steps may look at; `None` is no bound.
        Beyond it every further transition is dead, and `work` exceeds it.
    start: the state before a text.
    """

    def __init__(
        self,
        network: Network,
        memory: int = 64 * MEGABYTE,
        error: Callable[[str, int], Exception] = MachineLimitError,
        most_work: int | None = None,
    ) -> None:
        self.network, self._error = network, error
        self._memory = memory
        self._columns = int(network.column_of.max()) + 1
        self._column_of: list[int] = network.column_of.tolist()
        self._take(new_chart(network, np.array(_FIRST_ROOM)))
        if most_work is not None:
            self._chart.used[USED.MOST_WORK] = most_work
        self._notes = np.zeros(NOTES_SIZE, np.int64)
        self._stack = np.zeros(MAX_DEPTH, np.int32)
        self._lock = free_after_fork(threading.Lock())
        self._surveys: list[Surveys] = []
        self.start = self._retried(lambda: int(begin(self.network, self._chart, self._notes)))

    @property
    def states(self) -> int:
        """The number of states so far."""
        return int(self._chart.used[USED.STATES])

    @property
    def work(self) -> int:
        """How many items, callers and calls all steps have looked at."""
        return int(self._chart.used[USED.WORK])

    def size(self, state: int) -> int:
        """How many items a state has."""
        return int(self._chart.state_at[state + 1] - self._chart.state_at[state])

    @property
    def memory_used(self) -> int:
        """Bytes of the arrays that grow."""
        return size_of(rooms(self._chart), self._columns)

    def step(self, state: int, symbol: int) -> int:
        """The state after one more byte, or one more mark (256 and up); −1 where none may come.

        Raises:
            MachineLimitError: there is no memory for the next state.
        """
        if state < 0:
            return DEAD
        column = self._column_of[symbol]
        target = int(self._chart.transitions[state, column])
        if target != UNKNOWN:
            return target
        with self._lock:
            return self._retried(
                lambda: int(fill(self.network, self._chart, self._notes, state, column))
            )

    def steps(self, state: int, text: bytes) -> int:
        """The state after some bytes."""
        for byte in text:
            state = self.step(state, byte)
            if state < 0:
                break
        return state

    def accepting(self, state: int) -> bool:
        """Whether a text may end here."""
        return state >= 0 and bool(self._chart.accepting[state])

    def join(self, state: int, other: int) -> int:
        """The state whose continuations are those of both states."""
        if state < 0 or other < 0 or state == other:
            return max(state, other)
        with self._lock:
            return self._retried(lambda: int(joined(self._chart, state, other)))

    def mask(
        self,
        state: int,
        trie: NDArray[np.uint64],
        twins: NDArray[np.int32],
        out: NDArray[np.uint32],
    ) -> None:
        """Set the bits of tokens that may come next: bit i % 32 of word i // 32 is token i.

        trie: see `decoding.kernels.grammar.earley_walk.walk`; arrays given here are not changed
            later. twins: `(n, 2)`: a token, and one of the same bytes that is in the trie.

        Raises:
            MachineLimitError: there is no memory for the states behind the tokens; `out` does not
                have all bits.
        """
        if state < 0:
            return
        with self._lock:
            surveys = self._surveys_of(trie, out.size)
            self._retried(lambda: self._write_mask(state, surveys, out))
            if len(twins):
                copy_twins(twins, out)

    def _write_mask(self, state: int, surveys: Surveys, out: NDArray[np.uint32]) -> int:
        """Set the bits of a mask except those of twins; returns 0, or a code."""
        if not walk.is_compiled:
            notes = self._notes
            return walked_by_levels(self.network, self._chart, notes, surveys.trie, state, out)
        chart = self._chart
        begin, end = int(chart.state_at[state]), int(chart.state_at[state + 1])
        if end - begin <= _FEW:
            keys: list[int] = chart.keys[begin:end].tolist()
            known = [surveys.of(self.network, self._stack, key >> SHIFT) for key in keys]
            if any(known):
                for key, found in zip(keys, known, strict=True):
                    if found is not None:
                        code = self._spread(found, key & NODE_MASK, surveys.trie, out)
                        if code != 0:
                            return code
                rest = [key for key, found in zip(keys, known, strict=True) if found is None]
                if not rest:
                    return 0
                state = int(part(self._chart, np.array(rest, np.int64)))
                if state in _MORE_ROOM:
                    return state
        return int(
            walk(
                self.network,
                self._chart,
                self._notes,
                self._stack,
                surveys.trie,
                state,
                out,
            )
        )

    def _spread(
        self, found: Survey, node: int, trie: NDArray[np.uint64], out: NDArray[np.uint32]
    ) -> int:
        np.bitwise_or(out, found.mask, out=out)
        return int(
            spread(
                self.network,
                self._chart,
                self._notes,
                self._stack,
                trie,
                found.positions,
                found.targets,
                node,
                out,
            )
        )

    def _surveys_of(self, trie: NDArray[np.uint64], words: int) -> Surveys:
        """The surveys of a trie, for masks of `words` words."""
        for surveys in self._surveys:
            if surveys.trie is trie and surveys.scratch.size == words:
                return surveys
        surveys = Surveys(trie, words)
        self._surveys = [surveys, *self._surveys[: _TRIES - 1]]
        return surveys

    def _retried(self, kernel: Callable[[], int]) -> int:
        """The answer of a kernel; while it asks for room, it gets more and is called again."""
        answer = kernel()
        while answer in _MORE_ROOM:
            self._enlarge()
            answer = kernel()
        return answer

    def _enlarge(self) -> None:
        """Make room for what the last step asked for; double the arrays if that fits."""
        room, wanted = rooms(self._chart), self._chart.used[USED.WANTED : USED.GENERATION]
        for growth in (2.0, 1.25, 1.02):
            larger = np.maximum((growth * room).astype(np.int64), wanted)
            larger = np.where(wanted > room, larger, room)
            if size_of(larger, self._columns) <= self._memory:
                break
        else:
            raise self._error("bytes of states", self._memory)
        chart = grown(self.network, self._chart, larger)
        self._take(chart)
        rehash(self.network, self._chart)

    def _take(self, chart: Chart) -> None:
        self._chart = chart
