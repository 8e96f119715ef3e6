"""Bounds on work that no machine's speed changes: the calls of functions, Python's and C's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooMuchWorkError(AssertionError):
    """What runs has called more functions than it may."""


@contextmanager
def at_most_calls(limit: int) -> Iterator[None]:
    """Stop what runs inside, by an error, at the first call beyond `limit`."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls > limit:
            raise TooMuchWorkError(limit)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
