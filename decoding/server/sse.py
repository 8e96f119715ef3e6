"""Server-Sent Events: an event is one line of JSON; comments come while nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
KEEP_ALIVE = b":\n\n"


class Source(Protocol):
    """Protocol of a source of Server-Sent Events."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Bytes to send; `b""` sends nothing. It ends where the stream ends, and never raises."""
        ...

    def wake(self) -> None:
        """Let `chunks` go on, and give `b""` where nothing has come."""
        ...

    def cancel(self) -> None:
        """Cancel: the client has disconnected."""
        ...


class EventStream:
    """An ASGI response that sends a source's chunks and ends it when the client goes.

    A send waits while the client does not read, and then the source waits too.

    source: of the chunks. headers: beyond those of every stream.
    keep_alive_s: seconds of silence after which a comment is sent.
    on_end: called once at the end; with False where the client has gone before it.
    """

    def __init__(
        self,
        source: Source,
        *,
        headers: Mapping[str, str],
        keep_alive_s: float,
        on_end: Callable[[bool], None],
    ) -> None:
        self._source = source
        self._headers = [*HEADERS, *((k.encode(), v.encode()) for k, v in headers.items())]
        self._keep_alive_s = keep_alive_s
        self._on_end = on_end
        self._gone = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        watcher = asyncio.ensure_future(self._watch(receive))
        complete = False
        try:
            await self._send(send)
            complete = not self._gone
        except OSError:  # how servers say that the client has gone
            self._gone = True
        finally:
            watcher.cancel()
            self._source.cancel()
            self._on_end(complete)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        due: asyncio.TimerHandle

        def beat() -> None:
            nonlocal due
            idle = loop.time() - sent_at
            if idle >= self._keep_alive_s:
                self._source.wake()
                idle = 0.0
            due = loop.call_later(self._keep_alive_s - idle, beat)

        due = loop.call_later(self._keep_alive_s, beat)
        try:
            async for chunk in self._source.chunks():
                if self._gone:
                    return
                if not chunk and loop.time() - sent_at < self._keep_alive_s:
                    continue
                message: Message = {
                    "type": "http.response.body",
                    "body": chunk or KEEP_ALIVE,
                    "more_body": True,
                }
                await send(message)
                sent_at = loop.time()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            due.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._source.cancel()
        self._source.wake()
