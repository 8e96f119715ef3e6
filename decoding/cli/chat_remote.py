"""The client of `decoding chat` for a remote server that speaks the OpenAI API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from decoding.bounded_repr import bounded
from decoding.errors import ParameterError, ServerError, shown
from decoding.parameters import GenerationParameters
from decoding.typing import Anything

if TYPE_CHECKING:  # it needs jinja2, which comes with an extra
    from decoding.chat import ChatDelta

_SECONDS = 600.0
"""Longest wait for a server's next bytes, in seconds."""
_MOST_BYTES = 1 << 16
"""Largest part of a server's error body that is read, in bytes."""


class Remote:
    """A client of a server with `/v1/chat/completions`, which streams its answers.

    url: of the server, with or without `/v1` or the whole path. key: a bearer token, or None.
    model: the name to ask for. parameters: of every answer. extra: other fields of the body.

    Raises:
        ParameterError: the URL is none of http or https.
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
            ServerError: the server refuses, or ends the answer without finishing it.
            OSError: it cannot be reached.
        """
        body = json.dumps({**self._body, "messages": messages}).encode()
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310 -- checked
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
                yield from _deltas(response)
        except urllib.error.HTTPError as error:
            problem = _problem(error.read(_MOST_BYTES))
            raise ServerError(f"the server answers {error.code}: {problem}") from None


def _completions(url: str) -> str:
    expected = "a URL of http or https, as http://localhost:3000"
    if not url.startswith(("http://", "https://")) or any(map(str.isspace, url)):
        raise ParameterError("--url", url, expected)
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith("/v1") else f"{base}/v1/chat/completions"


def _deltas(lines: Iterable[bytes]) -> Iterator[ChatDelta]:
    """The pieces in the lines of a stream of events."""
    from decoding.chat import ChatDelta

    finished = False
    for line in lines:
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
        if not isinstance(event, dict):
            raise ServerError(f"the server must send JSON objects, got {shown(data)}")
        if event.get("error"):
            raise ServerError(f"the server says: {_problem(data)}")
        for choice in _objects(event.get("choices")):
            for delta in _objects([choice.get("delta")]):
                reasoning, content = delta.get("reasoning_content"), delta.get("content")
                if isinstance(reasoning, str) and reasoning:
                    yield ChatDelta(reasoning_content=reasoning)
                if isinstance(content, str) and content:
                    yield ChatDelta(content=content)
            finished = finished or bool(choice.get("finish_reason"))
    if not finished:
        raise ServerError("the server ended the answer without finishing it")


def _objects(value: Anything) -> list[dict[str, Any]]:  # JSON
    """The objects in what should be a list of them."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _problem(body: bytes) -> str:
    """The message in the body of a server's error response."""
    try:
        error = json.loads(body)["error"]
        return bounded(str(error["message"] if isinstance(error, dict) else error))
    except (ValueError, KeyError, TypeError, RecursionError):
        return bounded(body.decode("utf-8", "replace"))
