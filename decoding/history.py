"""`History`: a batch's token ids, prompt and generated; `HistoryBuffer`: one that grows."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer, checked_token_ids
from decoding.errors import ParameterError, ShapeError

__all__ = ["History", "HistoryBuffer"]

PADDING = -1
"""Fills the unused end of a row of `History.token_ids`; never a token."""

_LEAST_ROOM = 64
_MOST_KEPT = 2**20
"""The most token ids for which an empty buffer keeps room."""

_NOTHING: tuple[int, ...] = ()
"""The tokens that a new row has generated."""

_LARGE = 2**20
"""Bytes from which an array's memory is taken page by page."""

_MOST_ROWS = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The token ids of a batch of sequences, prompt first.

    token_ids: `(batch, width)` int32; row r is valid up to `lengths[r]`, then anything may follow.
    lengths: `(batch,)` int64, prompt + generated, at most the width.
    prompt_lengths: `(batch,)` int64, at most `lengths`.
    Arrays and tensors of other integers are converted.

    Raises:
        ShapeError: the arrays have other shapes, or lengths that do not fit.
        ParameterError: they hold no integers, or token ids beyond int32.

    >>> history = History.of([[5, 6]], [[7]])
    >>> history.row(0).tolist(), history.generated(0).tolist()
    ([5, 6, 7], [7])
    """

    token_ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        token_ids = _integers("token_ids", self.token_ids, 2, np.int32)
        rows, width = token_ids.shape
        lengths = _integers("lengths", self.lengths, 1, np.int64)
        prompts = _integers("prompt_lengths", self.prompt_lengths, 1, np.int64)
        if len(lengths) != rows or len(prompts) != rows:
            raise ShapeError(
                "lengths and prompt_lengths",
                f"{len(lengths)} and {len(prompts)} numbers",
                f"{rows}, one a row of token_ids",
            )
        if rows and not (
            prompts.min() >= 0 and (prompts <= lengths).all() and lengths.max() <= width
        ):
            raise ShapeError(
                "lengths",
                f"{lengths.tolist()[:8]}, of them {prompts.tolist()[:8]} of prompts",
                f"0 <= prompt length <= length <= {width}, the width of token_ids",
            )
        object.__setattr__(self, "token_ids", token_ids)
        object.__setattr__(self, "lengths", lengths)
        object.__setattr__(self, "prompt_lengths", prompts)

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        generated: Sequence[Sequence[int]] | None = None,
    ) -> History:
        """Make a history from token ids; `generated` defaults to none.

        prompts, generated: for each row a sequence, an array or a tensor of token ids.

        Raises:
            ParameterError: they are no token ids in [0, 2**31).
            ShapeError: `generated` has another number of rows.
        """
        first = _rows("prompts", prompts)
        second = [[]] * len(first) if generated is None else _rows("generated", generated)
        if len(second) != len(first):
            raise ShapeError("generated", f"{len(second)} rows", f"{len(first)} rows")
        rows = [prompt + tail for prompt, tail in zip(first, second, strict=True)]
        width = max((len(row) for row in rows), default=0)
        token_ids = np.full((len(rows), width), PADDING, np.int32)
        for index, row in enumerate(rows):
            token_ids[index, : len(row)] = row
        return _trusted(
            token_ids,
            np.array([len(row) for row in rows], np.int64),
            np.array([len(prompt) for prompt in first], np.int64),
        )

    @classmethod
    def empty(cls, batch: int) -> History:
        """Make a history of rows without tokens. Raises `ParameterError` for no number of rows."""
        batch = checked_integer("batch", batch, 0, _MOST_ROWS)
        return _trusted(
            np.full((batch, 0), PADDING, np.int32),
            np.zeros(batch, np.int64),
            np.zeros(batch, np.int64),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, row: int) -> NDArray[np.int32]:
        """All tokens of one row, prompt first; `ParameterError` if there is no such row."""
        row = checked_row(row, len(self.lengths))
        return self.token_ids[row, : self.lengths[row]]

    def prompt(self, row: int) -> NDArray[np.int32]:
        """The prompt of one row; `ParameterError` if there is no such row."""
        row = checked_row(row, len(self.lengths))
        return self.token_ids[row, : self.prompt_lengths[row]]

    def generated(self, row: int) -> NDArray[np.int32]:
        """The generated tokens of one row; `ParameterError` if there is no such row."""
        row = checked_row(row, len(self.lengths))
        return self.token_ids[row, self.prompt_lengths[row] : self.lengths[row]]

    def select(self, row: int) -> History:
        """The history of one row, as a batch of one; `ParameterError` if there is no such row."""
        row = checked_row(row, len(self.lengths))
        rows = slice(row, row + 1)
        return _trusted(self.token_ids[rows], self.lengths[rows], self.prompt_lengths[rows])

    def read_only(self) -> History:
        """The same history as read-only arrays, for processors of users."""
        token_ids, lengths = self.token_ids.view(), self.lengths.view()
        prompt_lengths = self.prompt_lengths.view()
        for array in (token_ids, lengths, prompt_lengths):
            array.flags.writeable = False
        return _trusted(token_ids, lengths, prompt_lengths)


def _trusted(
    token_ids: NDArray[np.int32], lengths: NDArray[np.int64], prompt_lengths: NDArray[np.int64]
) -> History:
    """Make a `History` of arrays that are right, without checks: a view is made at every step."""
    history = object.__new__(History)
    object.__setattr__(history, "token_ids", token_ids)
    object.__setattr__(history, "lengths", lengths)
    object.__setattr__(history, "prompt_lengths", prompt_lengths)
    return history


def _integers(name: str, values: object, ndim: int, dtype: type[Any]) -> NDArray[Any]:
    """Convert an array, a tensor or nested lists to integers of a dtype.

    The result is writeable and side by side, as kernels read it; the array itself where it is that.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(name, values, "an array of integers") from None
    if array.size == 0 and array.dtype.kind == "f":  # of an empty list
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise ParameterError(name, values, "an array of integers")
    if array.ndim != ndim:
        raise ShapeError(name, f"shape {array.shape}", f"{ndim} dimensions")
    limits, is_other = np.iinfo(dtype), array.dtype != dtype and array.size
    if is_other and not (array.min() >= limits.min and array.max() <= limits.max):
        raise ParameterError(name, values, f"integers that {np.dtype(dtype)} holds")
    return np.require(array, dtype, ("C", "A", "W"))


def _rows(name: str, rows: object) -> list[list[int]]:
    """Check and convert the token ids of several rows."""
    if not _is_sequence(rows):
        raise ParameterError(name, rows, "a sequence of token ids for each row")
    return [_token_ids(f"{name}[{index}]", row) for index, row in enumerate(rows)]


def _token_ids(name: str, token_ids: object) -> list[int]:
    """Check and convert token ids; raise `ParameterError` for what is none."""
    if not _is_sequence(token_ids):
        raise ParameterError(name, token_ids, "a sequence of token ids")
    return checked_token_ids(name, token_ids)


def _as_row(name: str, token_ids: object) -> list[int] | NDArray[np.int32]:
    """Check token ids, and convert them where they are no array of int32."""
    if isinstance(token_ids, np.ndarray) and token_ids.dtype == np.int32 and token_ids.ndim == 1:
        if token_ids.min(initial=0) < 0:
            raise ParameterError(name, token_ids, "token ids >= 0 (below 2**31)")
        return token_ids
    return _token_ids(name, token_ids)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a list, a tuple, an array or a tensor, and no text, set or iterator."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return False
    return isinstance(value, Sequence) or (
        hasattr(value, "tolist") and getattr(value, "ndim", 1) > 0
    )


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

    __slots__ = ("_count", "_lengths", "_longest", "_prompt_lengths", "_rows", "_token_ids")

    def __init__(self) -> None:
        # Room for more rows and more tokens than there are.
        self._token_ids = np.zeros((0, _LEAST_ROOM), np.int32)
        self._lengths = np.zeros(0, np.int64)
        self._prompt_lengths = np.zeros(0, np.int64)
        self._rows = np.arange(0)
        self._count = 0
        # No row is longer; found anew where rows may need more room.
        self._longest = 0

    def __len__(self) -> int:
        return self._count

    def add(
        self,
        prompt: Sequence[int] | NDArray[np.integer[Any]],
        generated: Sequence[int] | NDArray[np.integer[Any]] = _NOTHING,
    ) -> int:
        """Add a row behind the others; returns its number.

        Raises:
            ParameterError: `prompt` or `generated` is no sequence, array or tensor of token ids in
                [0, 2**31).
        """
        first = _as_row("prompt", prompt)
        second = () if generated is _NOTHING else _as_row("generated", generated)
        row, begun, length = self._count, len(first), len(first) + len(second)
        self._make_room(row + 1, length)
        self._token_ids[row, :begun] = first
        if length > begun:
            self._token_ids[row, begun:length] = second
        self._lengths[row], self._prompt_lengths[row] = length, begun
        self._count, self._longest = row + 1, max(self._longest, length)
        return row

    def remove(self, row: int) -> None:
        """Take a row out; the last row takes its place, and the others keep theirs.

        Raises:
            ParameterError: there is no such row.
        """
        last = self._count - 1
        row = checked_row(row, self._count)
        lengths, prompt_lengths = self._lengths, self._prompt_lengths
        if row != last:
            end = lengths[last]
            self._token_ids[row, :end] = self._token_ids[last, :end]
            lengths[row], prompt_lengths[row] = end, prompt_lengths[last]
        self._count = last
        if last == 0:
            self._longest = 0
            if self._token_ids.size > _MOST_KEPT:
                self._token_ids = np.zeros((0, _LEAST_ROOM), np.int32)

    def swap(self, row: int, other: int) -> None:
        """Let two rows change places.

        Raises:
            ParameterError: there is no such row.
        """
        pair = [checked_row(row, self._count), checked_row(other, self._count)]
        longest = int(self._lengths[pair].max())
        self._token_ids[pair, :longest] = self._token_ids[pair[::-1], :longest]
        for array in (self._lengths, self._prompt_lengths):
            array[pair] = array[pair[::-1]]

    def view(self) -> History:
        """The history so far; valid until a row is removed or swapped."""
        count = self._count
        return _trusted(
            self._token_ids[:count], self._lengths[:count], self._prompt_lengths[:count]
        )

    def append(self, token_ids: Sequence[int]) -> None:
        """Append one token to every row; where it raises, no row has changed.

        Raises:
            ParameterError: `token_ids` is no sequence, array or tensor of token ids in [0, 2**31).
            ShapeError: there are more or fewer tokens than rows.
        """
        tokens, rows = _token_ids("token_ids", token_ids), self._count
        if len(tokens) != rows:
            raise ShapeError("token_ids", f"{len(tokens)} token ids", f"{rows}, one a row")
        if not rows:
            return
        lengths = self._lengths
        if self._longest >= self._token_ids.shape[1]:  # the longest row may have left
            self._longest = int(lengths[:rows].max())
            self._make_room(rows, self._longest + 1)
            lengths = self._lengths
        self._token_ids[self._rows[:rows], lengths[:rows]] = tokens
        # Another array: views of before keep their lengths.
        self._lengths = lengths + 1
        self._longest += 1

    def extend_row(self, row: int, token_ids: Sequence[int]) -> None:
        """Append tokens to one row.

        Raises:
            ParameterError: there is no such row, or `token_ids` is no sequence, array or tensor of
                token ids in [0, 2**31).
        """
        tokens = _token_ids("token_ids", token_ids)
        start = int(self._lengths[checked_row(row, self._count)])
        end = start + len(tokens)
        self._make_room(self._count, end)
        self._token_ids[row, start:end] = tokens
        lengths = self._lengths.copy()
        lengths[row] = end
        self._lengths = lengths
        self._longest = max(self._longest, end)

    def _make_room(self, rows: int, width: int) -> None:
        room, columns = self._token_ids.shape
        if rows <= room and width <= columns:
            return
        count = self._count
        more_rows = room if rows <= room else max(rows, 2 * room)
        more_columns = columns if width <= columns else max(width, 2 * columns)
        grown = _zeros(more_rows, more_columns)
        # The tokens alone, so that one long row does not let all others cost as much.
        for row, length in enumerate(self._lengths[:count].tolist()):
            grown[row, :length] = self._token_ids[row, :length]
        lengths, prompt_lengths = np.zeros(more_rows, np.int64), np.zeros(more_rows, np.int64)
        lengths[:count] = self._lengths[:count]
        prompt_lengths[:count] = self._prompt_lengths[:count]
        self._rows, self._lengths, self._prompt_lengths = (
            np.arange(more_rows),
            lengths,
            prompt_lengths,
        )
        self._token_ids = grown  # last: its shape tells how much room there is


def _zeros(rows: int, columns: int) -> NDArray[np.int32]:
    """An array of zeros, of which only what is written to takes memory and time.

    Large arrays of NumPy ask Linux for pages of 2 MiB: the first token of each row would take one.
    """
    size = 4 * rows * columns
    if size < _LARGE:
        return np.zeros((rows, columns), np.int32)
    # Private, as the default of Unix is memory that a child process shares.
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = mmap.mmap(-1, size, flags=private) if private else mmap.mmap(-1, size)
    return np.frombuffer(memory, np.int32).reshape(rows, columns)


def checked_row(row: object, rows: int) -> int:
    """Check that a row number is an integer in `[0, rows)` and return it as an int.

    Raises:
        ParameterError: it is no integer in `[0, rows)`.
    """
    if isinstance(row, int | np.integer) and not isinstance(row, bool) and 0 <= row < rows:
        return int(row)
    expected = f"the number of a row, in [0, {rows})" if rows else "a row, and there is none"
    raise ParameterError("row", row, expected)
