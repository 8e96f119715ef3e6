"""Helpers of several routes: JSON responses, TGI's headers, waiting for generations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from decoding.engine.front import AsyncGeneration
from decoding.server.problems import Problem
from decoding.server.service import Account, Service
from decoding.server.sse import EventStream, until_gone
from decoding.wire.json_text import dumps
from decoding.wire.sse import event


class ClientGoneError(Exception):
    """Raised when a client disconnects before its response."""


def json_response(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> HttpResponse:
    """A JSON answer, written as TGI writes it."""
    return HttpResponse(
        dumps(value), status_code=status, media_type="application/json", headers=headers
    )


async def run_until_gone(http: HttpRequest, account: Account) -> list[AsyncGeneration]:
    """Wait for all generations of an HTTP request; a client that disconnects ends them.

    Raises:
        ProblemError: one of them failed.
        ClientGoneError: the client has gone.
    """
    waiting = asyncio.ensure_future(account.results())
    watching = asyncio.ensure_future(until_gone(http.receive))
    try:
        await asyncio.wait((waiting, watching), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        account.disconnect()
        raise ClientGoneError
    except asyncio.CancelledError:
        account.close()
        raise
    finally:
        watching.cancel()
        waiting.cancel()


def stream_headers(service: Service, characters: int) -> dict[str, str]:
    """TGI's headers of a request that begins to answer.

    characters: of the prompt.
    """
    kind = service.settings.compute_type
    return {"x-compute-type": kind, "x-compute-characters": str(characters)}


def times_headers(account: Account, characters: int) -> dict[str, str]:
    """TGI's headers of a request that is over.

    characters: of the prompt.
    """
    times = account.times()
    responses = [item.generation.result() for item in account.handles]
    total = time.monotonic() - account.began

    def milliseconds(name: str) -> str:
        return str(round(1000.0 * times[name]))

    return {
        **stream_headers(account.service, characters),
        "x-compute-time": f"{total:.6f}",
        "x-total-time": str(round(1000.0 * total)),
        "x-validation-time": milliseconds("validation_duration"),
        "x-queue-time": milliseconds("queue_duration"),
        "x-inference-time": milliseconds("inference_duration"),
        "x-time-per-token": milliseconds("mean_time_per_token_duration"),
        "x-prompt-tokens": str(responses[0].input_length),
        "x-generated-tokens": str(sum(item.generated_tokens for item in responses)),
    }


def refusal_stream(problem: Problem) -> EventStream:
    """A stream of one event, the error of a refused request, as TGI's native routes answer."""
    return EventStream(
        _Refusal(problem), headers={}, keep_alive_s=3600.0, on_end=lambda _complete: None
    )


class _Refusal:
    """A source of one event."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    async def chunks(self) -> AsyncIterator[bytes]:
        """The event."""
        yield event(dumps(self._problem.native_event()))

    def wake(self) -> None:
        """Nothing to wake."""

    def cancel(self) -> None:
        """Nothing to cancel."""
