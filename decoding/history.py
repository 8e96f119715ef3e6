"""What each row has been given and has chosen: a read-only view for processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, ShapeError

PADDING = -1
"""Fills the unused end of a row of `History.token_ids`; never a token."""

_LARGEST = np.iinfo(np.int32).max
_EXPECTED = "token ids that an int32 holds, of the prompt and of the generated text"


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The token ids of a batch of sequences, prompt first.

    token_ids: `(batch, width)` int32; row r is valid up to `lengths[r]`, then anything may follow.
    lengths: `(batch,)` int64, prompt + generated.
    prompt_lengths: `(batch,)` int64, at most `lengths`.

    >>> history = History.of([[5, 6]], [[7]])
    >>> history.row(0).tolist(), history.generated(0).tolist()
    ([5, 6, 7], [7])
    """

    token_ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        generated: Sequence[Sequence[int]] | None = None,
    ) -> History:
        """A history from plain lists; `generated` defaults to nothing for every row."""
        if isinstance(prompts, str) or not isinstance(prompts, Sequence | np.ndarray):
            raise ParameterError("prompts", prompts, "a sequence of token ids for each row")
        chosen = generated if generated is not None else [()] * len(prompts)
        if len(chosen) != len(prompts):
            raise ShapeError("generated", f"{len(chosen)} rows", f"{len(prompts)} rows")
        rows = [_row(*parts) for parts in zip(prompts, chosen, strict=True)]
        width = max((len(row) for row in rows), default=0)
        token_ids = np.full((len(rows), width), PADDING, np.int32)
        for index, row in enumerate(rows):
            token_ids[index, : len(row)] = row
        return cls(
            token_ids,
            np.array([len(row) for row in rows], np.int64),
            np.array([len(prompt) for prompt in prompts], np.int64),
        )

    @classmethod
    def empty(cls, batch: int) -> History:
        """A batch of rows that have seen nothing."""
        return cls.of([()] * batch)

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, row: int) -> NDArray[np.int32]:
        """Prompt and generated tokens of one row."""
        return self.token_ids[row, : self.lengths[row]]

    def prompt(self, row: int) -> NDArray[np.int32]:
        """What one row was given."""
        return self.token_ids[row, : self.prompt_lengths[row]]

    def generated(self, row: int) -> NDArray[np.int32]:
        """What one row has chosen."""
        return self.token_ids[row, self.prompt_lengths[row] : self.lengths[row]]

    def select(self, row: int) -> History:
        """The history of one row, as a batch of one."""
        rows = slice(row, row + 1)
        return History(self.token_ids[rows], self.lengths[rows], self.prompt_lengths[rows])

    def read_only(self) -> History:
        """The same history in views that cannot be written to: for code of others."""
        arrays = (self.token_ids.view(), self.lengths.view(), self.prompt_lengths.view())
        for array in arrays:
            array.flags.writeable = False
        return History(*arrays)


def _row(prompt: Sequence[int], tail: Sequence[int]) -> NDArray[np.integer[Any]] | list[int]:
    """The tokens of one row, checked."""
    try:
        row = [*prompt, *tail]
        token_ids = np.array(row)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError("a row of the history", (prompt, tail), _EXPECTED) from None
    if not row:
        return row
    legal = token_ids.ndim == 1 and token_ids.dtype.kind in "iu"
    if not legal or token_ids.min() < PADDING or token_ids.max() > _LARGEST:
        raise ParameterError("a row of the history", (prompt, tail), _EXPECTED)
    return token_ids


class HistoryBuffer:
    """The growing history of a batch; every token costs O(1).

    `selected` and `joined` make the histories of other batches of the same rows by array
    operations, and leave this one as it is.
    """

    __slots__ = ("_lengths", "_longest", "_prompt_lengths", "_rows", "_token_ids")

    def __init__(self, start: History) -> None:
        self._token_ids = start.token_ids
        self._lengths = start.lengths
        self._prompt_lengths = start.prompt_lengths
        self._longest = int(start.lengths.max(initial=0))
        self._rows = np.arange(len(start))

    @classmethod
    def of(cls, token_ids: Sequence[Sequence[int]], prompt_lengths: Sequence[int]) -> HistoryBuffer:
        """A buffer of rows, prompt first."""
        start = History.of(token_ids)
        lengths = np.array(prompt_lengths, np.int64)
        return cls(History(start.token_ids, start.lengths, lengths))

    @classmethod
    def joined(cls, parts: Sequence[HistoryBuffer]) -> HistoryBuffer:
        """The rows of all parts, in order; at least one part."""
        histories = [part.view() for part in parts]
        rows = sum(map(len, histories))
        # One column more is room for the next token.
        width = 1 + max(int(item.lengths.max(initial=0)) for item in histories)
        token_ids = np.full((rows, width), PADDING, np.int32)
        end = 0
        for item in histories:
            start, end = end, end + len(item)
            known = item.token_ids[:, :width]
            token_ids[start:end, : known.shape[1]] = known
        lengths = np.concatenate([item.lengths for item in histories])
        prompt_lengths = np.concatenate([item.prompt_lengths for item in histories])
        return cls(History(token_ids, lengths, prompt_lengths))

    def selected(self, rows: Sequence[int]) -> HistoryBuffer:
        """Some of the rows, in the order in which they are named."""
        chosen = np.array(rows, np.int64)
        lengths = self._lengths[chosen]
        # One column more is room for the next token.
        token_ids = self._token_ids[chosen, : int(lengths.max(initial=0)) + 1]
        return HistoryBuffer(History(token_ids, lengths, self._prompt_lengths[chosen]))

    def view(self) -> History:
        """The history as it stands; valid until the next `append`."""
        return History(self._token_ids, self._lengths, self._prompt_lengths)

    def append(self, token_ids: Sequence[int]) -> None:
        """One more token for every row."""
        self._make_room(1)
        self._token_ids[self._rows, self._lengths] = token_ids
        self._lengths = self._lengths + 1
        self._longest += 1

    def extend_row(self, row: int, token_ids: Sequence[int]) -> None:
        """Several more tokens for one row."""
        self._make_room(len(token_ids))
        start = int(self._lengths[row])
        end = start + len(token_ids)
        self._token_ids[row, start:end] = token_ids
        self._lengths = self._lengths.copy()
        self._lengths[row] = end
        self._longest = max(self._longest, end)

    def _make_room(self, count: int) -> None:
        width = self._token_ids.shape[1]
        if self._longest + count > width:
            more = np.full((len(self._rows), max(64, width, count)), PADDING, np.int32)
            self._token_ids = np.concatenate([self._token_ids, more], axis=1)
