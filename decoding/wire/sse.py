"""Server-Sent Events, each one line `data: JSON`, as TGI and OpenAI's API stream them."""

from __future__ import annotations

from decoding.wire.details import StreamEvent

__all__ = ["DONE", "event", "tgi_event"]

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream of OpenAI's API."""


def event(json_text: str) -> bytes:
    """The event `data: JSON` and an empty line; the JSON text, as of `dumps`, has no line ends."""
    return f"data: {json_text}\n\n".encode()


def tgi_event(item: StreamEvent) -> bytes:
    """The event that TGI's `/generate_stream` sends for a token."""
    return event(item.to_json())
