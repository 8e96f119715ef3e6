"""The deltas (pieces) of a streamed chat message, and the message that they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

ChatFinish: TypeAlias = Literal["stop", "length", "tool_calls"]
"""Why an answer ended, in the words of the OpenAI API."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call.

    index: of the call among those of the message, from 0.
    id, name: in the first piece of a call; None in those that follow.
    arguments: what this piece adds to the JSON text of the arguments.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of a message: exactly one of the three fields is not None.

    content: what it adds to the text. reasoning_content: what it adds to the reasoning.
    tool_call: what it adds to one tool call.
    """

    content: str | None = None
    reasoning_content: str | None = None
    tool_call: ToolCallDelta | None = None


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """How a message ended.

    finish_reason: "length" where the tokens ran out, also in the middle of a call; "tool_calls"
        where the message has any; "stop" otherwise.
    deltas: what was held back until the end.
    """

    finish_reason: ChatFinish
    deltas: tuple[ChatDelta, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call; `arguments` is JSON text, incomplete where the token limit ended the answer."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A whole message.

    content: None where there is none beside tool calls or reasoning.
    reasoning_content: None where the model has not reasoned.
    """

    content: str | None
    reasoning_content: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: ChatFinish


def fold(deltas: Iterable[ChatDelta], end: ChatEnd) -> ChatMessage:
    """Merge the streamed deltas of an answer into one complete message.

    deltas: what a reader's `read` returned, in order. end: what its `finish` returned.
    """
    content: list[str] = []
    reasoning: list[str] = []
    calls: list[tuple[str, str, list[str]]] = []
    for delta in (*deltas, *end.deltas):
        if delta.content is not None:
            content.append(delta.content)
        if delta.reasoning_content is not None:
            reasoning.append(delta.reasoning_content)
        if (piece := delta.tool_call) is not None:
            if piece.index == len(calls):
                calls.append((piece.id or "", piece.name or "", []))
            calls[piece.index][2].append(piece.arguments)
    text = "".join(content)
    return ChatMessage(
        text if text or not (calls or reasoning) else None,
        "".join(reasoning) if reasoning else None,
        tuple(ToolCall(key, name, "".join(arguments)) for key, name, arguments in calls),
        end.finish_reason,
    )
