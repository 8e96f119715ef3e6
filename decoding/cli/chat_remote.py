"""The client of `decoding chat` for a remote server that speaks the OpenAI API."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from decoding.bounded_repr import bounded
from decoding.errors import ServerError, require, shown, shown_error
from decoding.parameters import GenerationParameters

if TYPE_CHECKING:  # it needs jinja2, which comes with an extra
    from decoding.chat import ChatDelta

T = TypeVar("T", dict[str, Any], list[Any], str)

_SECONDS = 600.0
"""Longest wait for a server's next bytes, in seconds."""
_MOST_BYTES = 1 << 16
"""Largest part of a server's error body that is read, in bytes."""
_MOST_LINE = 1 << 24
"""Longest line of a server's stream, in bytes."""


class Remote:
    """A client of a server with `/v1/chat/completions`, which streams its answers.

    url: of the server, with or without `/v1` or the whole path. key: a bearer token, or None.
    model: the name to ask for. parameters: of every answer. extra: other fields of the body.

    Raises:
        ParameterError: the URL is none of http or https, or the key fits no header.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        model: str | None,
        parameters: GenerationParameters,
        extra: Mapping[str, Any],
    ) -> None:
        self._url = _completions(url)
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if key:
            legal = key.isascii() and key.isprintable()
            require("--api-key", f"{len(key)} characters", legal, "printable ASCII")
            self._headers["Authorization"] = f"Bearer {key}"
        fields = parameters.to_dict()
        if "max_new_tokens" in fields:
            fields["max_tokens"] = fields.pop("max_new_tokens")
        if "grammar" in fields:
            fields["response_format"] = fields.pop("grammar")
        self._body = {"model": model or "default", "stream": True, **fields, **extra}

    def answer(self, messages: list[dict[str, Any]]) -> Generator[ChatDelta, None, None]:
        """The pieces of an answer as they come; closing the iterator ends it.

        Raises:
            ServerError: the server refuses, answers something else than a chat's events, or ends
                the answer without finishing it. Where it redirects, its other place is not asked:
                it would be given the key.
            OSError: it cannot be reached.
        """
        body = json.dumps({**self._body, "messages": messages}).encode()
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310 -- checked
        try:
            with _OPENER.open(request, timeout=_SECONDS) as response:
                yield from _deltas(response)
        except urllib.error.HTTPError as error:
            with error:
                problem = _problem(error.read(_MOST_BYTES))
            raise ServerError(f"the server answers {error.code}: {problem}") from None
        except http.client.HTTPException as error:
            raise ServerError(f"the server must speak HTTP, got {shown_error(error)}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes an error of an answer that names another URL."""

    def redirect_request(self, *_: object) -> None:
        """Ask nothing else."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def _completions(url: str) -> str:
    expected = "a URL of http or https, as http://localhost:3000"
    try:
        parts = urlsplit(url)
        legal = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # as of a port that is no number
        legal = False
    legal = legal and url.isascii() and url.isprintable() and " " not in url
    require("--url", url, legal, expected)
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"


def _deltas(stream: IO[bytes]) -> Iterator[ChatDelta]:
    """The pieces in the lines of a stream of events."""
    from decoding.chat import ChatDelta

    finished = False
    while line := stream.readline(_MOST_LINE):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            break
        try:
            event = json.loads(data)
        except (ValueError, RecursionError) as error:
            got = f"{shown(data)} ({bounded(str(error))})"
            raise ServerError(f"the server must send JSON, got {got}") from None
        if _of(event, dict).get("error"):
            raise ServerError(f"the server says: {_problem(data)}")
        for choice in _of(event.get("choices"), list):
            delta = _of(_of(choice, dict).get("delta"), dict)
            if reasoning := _of(delta.get("reasoning_content"), str):
                yield ChatDelta(reasoning_content=_printable(reasoning))
            if content := _of(delta.get("content"), str):
                yield ChatDelta(content=_printable(content))
            finished = finished or bool(choice.get("finish_reason"))
    if not finished:
        raise ServerError("the server ended the answer without finishing it")


def _of(value: object, kind: type[T]) -> T:
    """Check the type of a member of an event; an empty value stands for null or an absent one."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ServerError(f"the server must send {kind.__name__} here, got {shown(value)}")
    return value


def _printable(text: str) -> str:
    """The text with a question mark for every half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _problem(body: bytes) -> str:
    """The message in the body of a server's error response."""
    try:
        error = json.loads(body)["error"]
        return bounded(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError, RecursionError):
        return bounded(body.decode("utf-8", "replace"))
