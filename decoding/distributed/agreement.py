"""`agree`: a generator by which processes compare arguments before a step, and share any error.

Without this, processes whose pipelines, seeds or texts differ would draw different tokens, or wait
for ever for a message that another one does not send.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.distributed.row_part import Talk
from decoding.errors import DecodingError, RankError, RankMismatchError, shown, shown_error

_HEADER = struct.Struct("<16sqqB")


class View(NamedTuple):
    """An argument that must be equal in all processes, and its name for errors.

    name: of the argument. value: shown where they differ. data: what is compared.
    """

    name: str
    value: Callable[[], object]
    data: bytes


def digest_of(arrays: Sequence[NDArray[Any]]) -> bytes:
    """A digest of the bytes and shapes of arrays."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(repr((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.digest()


def agree(
    views: Sequence[View], width: int, failures: int, error: Exception | None
) -> Talk[tuple[list[int], int]]:
    """Yield the messages that compare all processes' views; return slice widths and failures.

    width: of this process's slice. failures: how many of its rows have failed already. error: why
    this process cannot go on, if it cannot.

    Returns:
        The width of every slice, and how many failures there are.

    Raises:
        RankMismatchError: the views differ, on every process the same error.
        Exception: `error`, on every process: the very type where it is a `DecodingError`, else a
            `RankError` on the others.
    """
    digest = hashlib.blake2b(b"".join(view.data for view in views), digest_size=16).digest()
    message = _HEADER.pack(digest, width, failures, error is not None)
    told = [_HEADER.unpack(reply) for reply in (yield message)]
    if any(failed for *_, failed in told):
        yield from _raise_first(error)
    failures = sum(own for *_, own, _ in told)
    # What a process that failed made of its arguments says nothing.
    if failures == 0 and len({own for own, *_ in told}) > 1:
        yield from _raise_difference(views)
    return [width for _, width, _, _ in told], failures


def shared_failures(own: dict[int, DecodingError]) -> Talk[dict[int, DecodingError]]:
    """Share each row's error among all processes; the first process that has one decides."""
    found: dict[int, DecodingError] = {}
    for failures in (yield from _told(own)):
        found = {**failures, **found}
    return found


def _raise_first(error: Exception | None) -> Talk[None]:
    """Raise the error of the first process that has one."""
    shared: object = error
    if error is not None and not isinstance(error, DecodingError):
        shared = shown_error(error)
    told = yield from _told(shared)
    for rank, item in enumerate(told):
        if item is None:
            continue
        if isinstance(item, DecodingError):
            item.add_note(f"on rank {rank} of the group")
            raise item
        if error is not None:
            raise error
        raise RankError(rank, item)
    raise AssertionError("no process has an error")


def _raise_difference(views: Sequence[View]) -> Talk[None]:
    """Raise an error that names the first view that differs, and two processes that differ."""
    told = yield from _told([(view.data, shown(view.value())) for view in views])
    for index, view in enumerate(views):
        for rank, others in enumerate(told):
            if others[index][0] != told[0][index][0]:
                raise RankMismatchError(view.name, rank, others[index][1], told[0][index][1])
    raise AssertionError("all views are the same")


def _told(value: object) -> Talk[list[Any]]:
    """The values of all processes; a process trusts the others of its group."""
    data = pickle.dumps(value)
    lengths = [struct.unpack("<q", reply)[0] for reply in (yield struct.pack("<q", len(data)))]
    replies = yield data.ljust(max(lengths), b"\0")
    return [
        pickle.loads(reply[:length])  # noqa: S301 -- see above
        for reply, length in zip(replies, lengths, strict=True)
    ]
