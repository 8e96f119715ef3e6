"""Reads request bodies within a size limit, and decodes their JSON as strictly as TGI."""

from __future__ import annotations

from typing import NoReturn

from starlette.requests import Request

from decoding.bounded_repr import bounded
from decoding.json_steps import compact, loads
from decoding.server.problems import VALIDATION, Problem, ProblemError
from decoding.typing import Anything

_MOST_DISCARDED = 32 * 2**20
"""Bytes of a body beyond the limit that are read, and not kept, before it is refused."""


async def read_content(request: Request, limit: int) -> bytes:
    """The bytes of a request's body.

    Raises:
        ProblemError: 415 for another type of content or a compressed one, 413 for more bytes than
            `limit`.
        ClientDisconnect: the client has gone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        _refuse(415, "Expected request with `Content-Type: application/json`")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        _refuse(415, f"Expected request without `Content-Encoding`, got `{bounded(coding)}`")
    too_long = "Failed to buffer the request body: length limit exceeded"
    stated = request.headers.get("content-length", "")
    announced = int(stated[:20]) if stated.isdecimal() else 0
    waits = request.headers.get("expect", "").lower() == "100-continue"
    if announced > limit + _MOST_DISCARDED or (announced > limit and waits):
        _refuse(413, too_long)
    is_long = announced > limit
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        is_long = is_long or size > limit
        if size > limit + _MOST_DISCARDED:
            break
        if is_long:
            # The rest is read: a client that is still sending sees no answer, but a broken
            # connection.
            chunks.clear()
        else:
            chunks.append(chunk)
    if is_long:
        _refuse(413, too_long)
    return b"".join(chunks)


def decode(body: bytes) -> Anything:  # JSON
    """Decode a JSON body; refuse what Python reads beyond JSON, as NaN and lone surrogates.

    Raises:
        ProblemError: 400, it is no JSON.
    """
    try:
        text = body.decode("utf-8")
        value = loads(text, parse_constant=_no_constant)
        if "\\ud" in text or "\\uD" in text:
            compact(value).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = str(error)
        if "integer string conversion" in reason:  # an advice to Python programs
            reason = "number out of range"
        _refuse(400, f"Failed to parse the request body as JSON: {reason[:200]}")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"expected value, got {name}")


def _refuse(status: int, text: str) -> NoReturn:
    raise ProblemError(Problem(status, VALIDATION, text))
