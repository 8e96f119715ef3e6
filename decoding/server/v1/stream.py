"""The chunks of a stream of `/v1`: the events of all its choices, as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from decoding.engine.front import AsyncGeneration, wait_any
from decoding.server.answers import stream_headers
from decoding.server.problems import problem_of
from decoding.server.service import Account, Service
from decoding.server.sse import EventStream
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
        ...

    def write(self, index: int, item: StreamEvent, /) -> str:
        """The chunks of an event of the choice of this index."""
        ...


def event_stream(
    service: Service, account: Account, writer: Writer, used: Used | None, *, characters: int
) -> EventStream:
    """The response that streams the choices of an account.

    used: None where no usage is asked for. characters: of the prompt.
    """
    source = ChoiceStream(account, writer, used)
    return EventStream(
        source,
        headers=stream_headers(service, characters),
        keep_alive_s=service.settings.keep_alive_s,
        on_end=source.end,
    )


class ChoiceStream:
    """The source of a stream of `/v1`: the chunks of all choices, then their usage.

    used: None where no usage is asked for.
    """

    def __init__(self, account: Account, writer: Writer, used: Used | None) -> None:
        self._account, self._writer, self._used = account, writer, used
        self._handles = account.handles

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes to send; see `sse.Source`."""
        first = self._writer.first()
        if first:
            yield first.encode()
        open_choices = dict(enumerate(self._handles))
        while open_choices:
            await wait_any(list(open_choices.values()))
            pieces: list[str] = []
            for index, handle in list(open_choices.items()):
                over = handle.done
                pieces += [self._writer.write(index, item) for item in handle.take_events()]
                if over:
                    del open_choices[index]
                    error = handle.generation.error
                    if error is not None:
                        problem = problem_of(error, running=True)
                        self._account.fail(problem)
                        yield "".join(pieces).encode() + event(dumps(problem.openai_event()))
                        return
            yield "".join(pieces).encode()
        end = (
            ""
            if self._used is None
            else self._writer.chunks.usage(usage(*self._used(self._handles)))
        )
        yield end.encode() + DONE

    def wake(self) -> None:
        """Wake `chunks`, which waits for the next event."""
        for handle in self._handles:
            handle.wake()

    def cancel(self) -> None:
        """Cancel the generations: the client has disconnected."""
        for handle in self._handles:
            handle.cancel()

    def end(self, complete: bool) -> None:
        """Close the account of the request."""
        if complete and all(item.generation.response is not None for item in self._handles):
            self._account.succeed()
        else:
            self._account.disconnect()
