"""Builds OpenAI's responses: whole bodies as dicts, chunks of streams as `data:` events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from decoding.wire.details import FinishReason
from decoding.wire.json_text import dumps, quote

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]


def finish_of(reason: FinishReason) -> Finish:
    """The `finish_reason` of OpenAI's API for the reason why a text ended."""
    return "length" if reason is FinishReason.LENGTH else "stop"


@dataclass(frozen=True, slots=True)
class Head:
    """The fields that begin every response and every chunk of a stream.

    kind: of the object: `chat.completion`, `chat.completion.chunk` or `text_completion`.
    created: seconds since 1970. fingerprint: of the system that answers.
    """

    kind: str
    id: str
    created: int
    model: str
    fingerprint: str

    def to_wire(self) -> dict[str, Any]:
        """The fields, in the order of the wire."""
        return {
            "object": self.kind,
            "id": self.id,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The field `usage`: the numbers of tokens that a request took."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def answer(head: Head, choices: Sequence[dict[str, Any]], used: dict[str, int]) -> dict[str, Any]:
    """The body of a whole response."""
    return {**head.to_wire(), "choices": list(choices), "usage": used}


class Chunks:
    """Writes the chunks of a stream, most of which differ in a few characters.

    include_usage: whether each chunk has a `usage`, which is null until the last one.
    """

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head
        self._front = dumps(head.to_wire())[:-1] + ',"choices":['
        self._end = '],"usage":null}\n\n' if include_usage else "]}\n\n"

    def content(self, index: int, text: str) -> str:
        """The event `data: JSON` of a chunk with a piece of a chat's text."""
        return (
            f'data: {self._front}{{"index":{index},"delta":{{"content":{quote(text)}}},'
            f'"logprobs":null,"finish_reason":null}}{self._end}'
        )

    def text(self, index: int, text: str) -> str:
        """The event `data: JSON` of a chunk with a piece of a completion's text."""
        return (
            f'data: {self._front}{{"index":{index},"text":{quote(text)},'
            f'"logprobs":null,"finish_reason":null}}{self._end}'
        )

    def choice(self, choice: dict[str, Any]) -> str:
        """The event `data: JSON` of any chunk of one choice."""
        return f"data: {self._front}{dumps(choice)}{self._end}"

    def usage(self, used: dict[str, int]) -> str:
        """The event `data: JSON` of the last chunk, which has the usage and no choices."""
        return f"data: {dumps({**self._head.to_wire(), 'choices': [], 'usage': used})}\n\n"
