"""Streams of generations: the events of all generations of a request, as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from decoding.engine.front import AsyncGeneration, wait_any
from decoding.server.answers import stream_headers
from decoding.server.problems import Problem, problem_of
from decoding.server.service import Account, Service
from decoding.server.sse import EventStream
from decoding.wire.details import StreamEvent


class Format(Protocol):
    """Protocol of how a family of routes writes a stream."""

    def first(self) -> str:
        """What comes before any token."""

    def write(self, index: int, item: StreamEvent, /) -> str:
        """An event of the generation of this index."""

    def failed(self, problem: Problem, /) -> bytes:
        """The end of a stream of which a generation has failed."""

    def last(self, handles: Sequence[AsyncGeneration], /) -> bytes:
        """The end of a stream whose generations are complete."""


def event_stream(
    service: Service, account: Account, form: Format, *, characters: int
) -> EventStream:
    """The response that streams the generations of an account.

    characters: of the prompt.
    """
    source = GenerationStream(account, form)
    return EventStream(
        source,
        headers=stream_headers(service, characters),
        keep_alive_s=service.settings.keep_alive_s,
        on_end=source.end,
    )


class GenerationStream:
    """The source of a stream: what the events of an account's generations are written as."""

    def __init__(self, account: Account, form: Format) -> None:
        self._account, self._form = account, form
        self._handles = account.handles

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes to send; see `sse.Source`."""
        form = self._form
        first = form.first()
        if first:
            yield first.encode()
        running = list(enumerate(self._handles))
        while running:
            await wait_any([handle for _, handle in running])
            pieces: list[str] = []
            over: list[AsyncGeneration] = []
            for index, handle in running:
                if handle.done:  # before its events are taken, so that none comes later
                    over.append(handle)
                pieces += [form.write(index, item) for item in handle.take_events()]
            chunk = "".join(pieces).encode()
            for handle in over:
                error = handle.generation.error
                if error is not None:
                    problem = problem_of(error, running=True)
                    self._account.fail(problem)
                    yield chunk + form.failed(problem)
                    return
            yield chunk
            if over:
                running = [item for item in running if item[1] not in over]
        last = form.last(self._handles)
        if last:
            yield last

    def wake(self) -> None:
        """Wake `chunks`, which waits for the next event."""
        for handle in self._handles:
            handle.wake()

    def cancel(self) -> None:
        """Cancel the generations: the client has disconnected."""
        self._account.cancel()

    def end(self, complete: bool) -> None:
        """Close the account of the request."""
        if complete and all(item.generation.response is not None for item in self._handles):
            self._account.succeed()
        else:
            self._account.disconnect()
