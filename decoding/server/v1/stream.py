"""How `/v1` writes a stream: the chunks of all choices, their usage, and `[DONE]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from decoding.engine.front import AsyncGeneration
from decoding.server.problems import Problem
from decoding.wire.details import StreamEvent
from decoding.wire.json_text import dumps
from decoding.wire.openai.answers import Chunks, usage
from decoding.wire.sse import DONE, event

Used = Callable[[Sequence[AsyncGeneration]], tuple[int, int]]
"""The function from generations to the numbers of tokens of prompt and answer."""


class Writer(Protocol):
    """Turns the events of the choices of a request into the chunks that are sent."""

    chunks: Chunks

    def first(self) -> str:
        """The chunks before any token."""

    def write(self, index: int, item: StreamEvent, /) -> str:
        """The chunks of an event of the choice of this index."""


class ChunkFormat:
    """The `Format` of `/v1`.

    used: None where no usage is asked for.
    """

    def __init__(self, writer: Writer, used: Used | None) -> None:
        self._chunks, self._used = writer.chunks, used
        self.first, self.write = writer.first, writer.write

    def failed(self, problem: Problem) -> bytes:
        """One object that says what failed, and no `[DONE]`."""
        return event(dumps(problem.openai_event()))

    def last(self, handles: Sequence[AsyncGeneration]) -> bytes:
        """The chunk of the usage, and `[DONE]`."""
        if self._used is None:
            return DONE
        return self._chunks.usage(usage(*self._used(handles))).encode() + DONE
