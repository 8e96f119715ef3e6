"""`History`: the prompt and the generated tokens of each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, ShapeError

__all__ = ["History", "HistoryBuffer"]

PADDING = -1
"""Fills the unused end of a row of `History.token_ids`; never a token."""

_LEAST_ROOM = 64
_MOST_KEPT = 2**20
"""The most token ids for which an empty buffer keeps room."""

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
        """Make a history from lists of token ids; `generated` defaults to none."""
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
        """Make a history of rows without tokens."""
        return cls.of([()] * batch)

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, row: int) -> NDArray[np.int32]:
        """The prompt and the generated tokens of one row."""
        return self.token_ids[row, : self.lengths[row]]

    def prompt(self, row: int) -> NDArray[np.int32]:
        """The prompt of one row."""
        return self.token_ids[row, : self.prompt_lengths[row]]

    def generated(self, row: int) -> NDArray[np.int32]:
        """The generated tokens of one row."""
        return self.token_ids[row, self.prompt_lengths[row] : self.lengths[row]]

    def select(self, row: int) -> History:
        """The history of one row, as a batch of one."""
        rows = slice(row, row + 1)
        return History(self.token_ids[rows], self.lengths[rows], self.prompt_lengths[rows])

    def read_only(self) -> History:
        """The same history as read-only arrays, for processors of users."""
        arrays = (self.token_ids.view(), self.lengths.view(), self.prompt_lengths.view())
        for array in arrays:
            array.flags.writeable = False
        return History(*arrays)


def _row(prompt: Sequence[int], tail: Sequence[int]) -> NDArray[np.integer[Any]] | list[int]:
    """Check and convert the tokens of one row."""
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
    """The growing history of a batch; rows join and leave as those of a `BatchSampler` do.

    A token costs O(1), a row that joins or leaves no more than its own tokens.

    >>> buffer = HistoryBuffer()
    >>> buffer.add([5, 6]), buffer.add([7])
    (0, 1)
    >>> buffer.append([8, 9])
    >>> buffer.remove(0)
    >>> buffer.view().row(0).tolist(), buffer.view().prompt(0).tolist()
    ([7, 9], [7])
    """

    __slots__ = ("_lengths", "_longest", "_prompt_lengths", "_rows", "_token_ids")

    def __init__(self) -> None:
        # Room for more rows and more tokens than there are.
        self._token_ids = np.full((0, _LEAST_ROOM), PADDING, np.int32)
        self._lengths = np.zeros(0, np.int64)
        self._prompt_lengths = np.zeros(0, np.int64)
        self._rows = np.arange(0)
        self._longest = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, prompt: Sequence[int], generated: Sequence[int] = ()) -> int:
        """Add a row behind the others; returns its number.

        Raises:
            ParameterError: what is given is no token ids.
        """
        for name, part in (("prompt", prompt), ("generated", generated)):
            if isinstance(part, str) or not isinstance(part, Sequence | np.ndarray):
                raise ParameterError(name, part, "a sequence of token ids")
        tokens = _row(prompt, generated)
        row, length = len(self), len(tokens)
        self._make_room(row + 1, length)
        self._token_ids[row, :length] = tokens
        lengths = np.append(self._lengths, length)
        prompt_lengths = np.append(self._prompt_lengths, len(prompt))
        self._become(lengths, prompt_lengths)
        return row

    def remove(self, row: int) -> None:
        """Take a row out; the last row takes its place, and the others keep theirs.

        Raises:
            ParameterError: there is no such row.
        """
        row = checked_row(row, len(self))
        lengths, prompt_lengths = self._lengths.copy(), self._prompt_lengths.copy()
        lengths[row], prompt_lengths[row] = lengths[-1], prompt_lengths[-1]
        last = len(self) - 1
        if row != last:
            self._token_ids[row, : lengths[row]] = self._token_ids[last, : lengths[row]]
        self._become(lengths[:-1], prompt_lengths[:-1])
        if last == 0 and self._token_ids.size > _MOST_KEPT:
            self._token_ids = np.full((0, _LEAST_ROOM), PADDING, np.int32)

    def swap(self, row: int, other: int) -> None:
        """Let two rows change places.

        Raises:
            ParameterError: there is no such row.
        """
        pair = [checked_row(row, len(self)), checked_row(other, len(self))]
        lengths, prompt_lengths = self._lengths.copy(), self._prompt_lengths.copy()
        lengths[pair], prompt_lengths[pair] = lengths[pair[::-1]], prompt_lengths[pair[::-1]]
        longest = int(lengths[pair].max())
        self._token_ids[pair, :longest] = self._token_ids[pair[::-1], :longest]
        self._become(lengths, prompt_lengths)

    def view(self) -> History:
        """The history so far; valid until a row is removed or swapped."""
        return History(self._token_ids[: len(self)], self._lengths, self._prompt_lengths)

    def append(self, token_ids: Sequence[int]) -> None:
        """Append one token to every row.

        Raises:
            ShapeError: there are more or fewer tokens than rows.
        """
        if len(token_ids) != len(self):
            raise ShapeError("token_ids", f"{len(token_ids)} token ids", f"{len(self)}, one a row")
        if not len(self):
            return
        self._make_room(len(self), self._longest + 1)
        self._token_ids[self._rows, self._lengths] = token_ids
        self._lengths = self._lengths + 1
        self._longest += 1

    def extend_row(self, row: int, token_ids: Sequence[int]) -> None:
        """Append tokens to one row.

        Raises:
            ParameterError: there is no such row.
        """
        start = int(self._lengths[checked_row(row, len(self))])
        end = start + len(token_ids)
        self._make_room(len(self), end)
        self._token_ids[row, start:end] = token_ids
        lengths = self._lengths.copy()
        lengths[row] = end
        self._lengths = lengths
        self._longest = max(self._longest, end)

    def _become(self, lengths: NDArray[np.int64], prompt_lengths: NDArray[np.int64]) -> None:
        self._lengths, self._prompt_lengths = lengths, prompt_lengths
        self._rows = np.arange(len(lengths))
        self._longest = int(lengths.max(initial=0))

    def _make_room(self, rows: int, width: int) -> None:
        room, columns = self._token_ids.shape
        if rows <= room and width <= columns:
            return
        shape = (
            room if rows <= room else max(rows, 2 * room),
            columns if width <= columns else max(width, 2 * columns),
        )
        grown = np.full(shape, PADDING, np.int32)
        longest = self._longest
        grown[: len(self), :longest] = self._token_ids[: len(self), :longest]
        self._token_ids = grown


def checked_row(row: object, rows: int) -> int:
    """The number of a row of a batch.

    Raises:
        ParameterError: it is no integer in `[0, rows)`.
    """
    if isinstance(row, int | np.integer) and not isinstance(row, bool) and 0 <= row < rows:
        return int(row)
    expected = f"the number of a row, in [0, {rows})" if rows else "a row, and there is none"
    raise ParameterError("row", row, expected)
