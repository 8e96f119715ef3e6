"""`EventStream`: an ASGI response of Server-Sent Events, with comments during silence."""

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

    def wake(self) -> None:
        """Let `chunks` go on, and give `b""` where nothing has come."""

    def cancel(self) -> None:
        """Cancel: the client has disconnected."""


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
        silence = _Silence(self._keep_alive_s, self._source.wake)
        try:
            async for chunk in self._source.chunks():
                if self._gone:
                    return
                if not chunk and not silence.is_long:
                    continue
                message: Message = {
                    "type": "http.response.body",
                    "body": chunk or KEEP_ALIVE,
                    "more_body": True,
                }
                await send(message)
                silence.interrupt()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            silence.end()

    async def _watch(self, receive: Receive) -> None:
        await until_gone(receive)
        self._gone = True
        self._source.cancel()
        self._source.wake()


async def until_gone(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Silence:
    """The time since something was sent.

    limit_s: seconds after which it is long. on_limit: called when it has become long, and again
        after as many seconds.
    """

    __slots__ = ("_began", "_limit_s", "_loop", "_on_limit", "_timer")

    def __init__(self, limit_s: float, on_limit: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit_s, self._on_limit = limit_s, on_limit
        self._began = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(limit_s, self._look)

    @property
    def is_long(self) -> bool:
        """Whether it has lasted as long as the limit."""
        return self._loop.time() - self._began >= self._limit_s

    def interrupt(self) -> None:
        """Begin anew: something was sent."""
        self._began = self._loop.time()

    def end(self) -> None:
        """Stop the timer.

        Timer and object refer to each other. Let go, they and the request behind them are freed at
        once, and not by Python's collector of circular garbage, which stops all threads.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        idle = self._loop.time() - self._began
        if idle >= self._limit_s:
            self._on_limit()
            idle = 0.0
        self._timer = self._loop.call_later(self._limit_s - idle, self._look)
