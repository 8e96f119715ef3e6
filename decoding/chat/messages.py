"""Prepares messages for a chat template; describes tools in text if the template takes none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from decoding.chat.formats import ToolFormat
from decoding.errors import ParameterError, require
from decoding.json_steps import loads
from decoding.models.chat_messages import plain

Messages: TypeAlias = str | Sequence[Mapping[str, Any]]
"""Messages; a string is one user message."""

_TOOL_PROMPT = "You may call functions."

_INSTRUCTION = """{prompt} They are listed here, one JSON object a line:
<tools>
{tools}
</tools>
To call a function, write a JSON object with its name and its arguments, like this:
<tool_call>
{{"name": "function_name", "arguments": {{"argument": "value"}}}}
</tool_call>"""


def read_messages(messages: Messages) -> list[dict[str, Any]]:
    """A copy of messages as plain data, each with one text as its content.

    Content that is a list of text parts, or of an answer's refusals, becomes their text: the
    templates of most models read texts alone.

    Raises:
        ParameterError: they are no sequence of mappings, or a part of a content is no text.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    legal = isinstance(messages, Sequence) and not isinstance(messages, bytes)
    require("messages", type(messages).__name__, legal, "text, or a sequence of messages")
    found = []
    for index, message in enumerate(map(plain, messages)):
        if not isinstance(message, dict):
            expected = "a mapping with 'role' and 'content'"
            raise ParameterError(f"messages[{index}]", type(message).__name__, expected)
        parts = message.get("content")
        if isinstance(parts, list):
            text = _joined(parts, f"messages[{index}].content")
            found.append({**message, "content": text})
        else:
            found.append(message)
    return found


def _joined(parts: Sequence[object], path: str) -> str:
    """The text of content parts, as TGI joins them."""
    texts = []
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        # A part is named as the field that has its text.
        text = part.get(kind) if isinstance(part, dict) and kind in ("text", "refusal") else None
        if not isinstance(text, str):
            expected = "a part of type 'text' or 'refusal' with a text"
            raise ParameterError(f"{path}[{index}]", kind, expected)
        texts.append(text)
    return "".join(texts)


def with_parsed_arguments(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages with the arguments of tool calls parsed from JSON text to objects, for templates."""
    return [
        {**message, "tool_calls": [_parsed(call) for call in message["tool_calls"]]}
        if isinstance(message.get("tool_calls"), list)
        else dict(message)
        for message in messages
    ]


def _parsed(call: object) -> object:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return call
    try:
        value = loads(arguments)
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": value}}


def with_known_roles(messages: Sequence[dict[str, Any]], template: str) -> list[dict[str, Any]]:
    """Messages of the role `developer` as `system`, its older name, which most templates know."""
    if "developer" in template:
        return list(messages)
    return [
        {**message, "role": "system"} if message.get("role") == "developer" else message
        for message in messages
    ]


def with_contents(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Messages in which the assistant's have a content, which is empty where they had none."""
    return [
        {**message, "content": ""}
        if message.get("role") == "assistant" and message.get("content") is None
        else message
        for message in messages
    ]


def has_calls(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a message has tool calls."""
    return any(message.get("tool_calls") for message in messages)


def instructed(
    messages: Sequence[dict[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    tool_prompt: str | None = None,
) -> list[dict[str, Any]]:
    """Messages for a template without tools: the system message explains the tools.

    tool_prompt: what stands before the list of tools; None for one sentence.
    """
    lines = "\n".join(json.dumps(plain(tool), ensure_ascii=False) for tool in tools)
    instruction = _INSTRUCTION.format(prompt=tool_prompt or _TOOL_PROMPT, tools=lines)
    first = messages[0] if messages else {}
    if first.get("role") != "system":
        return [{"role": "system", "content": instruction}, *messages]
    content = first.get("content")
    joined = f"{content}\n\n{instruction}" if content else instruction
    return [{**first, "content": joined}, *messages[1:]]


def as_text(messages: Sequence[dict[str, Any]], form: ToolFormat) -> list[dict[str, Any]]:
    """Messages for a template without tools: calls and results are written as texts.

    Calls of the assistant become its text, and results of tools become messages of the user.
    """
    return [_as_text(message, form) for message in messages]


def _as_text(message: dict[str, Any], form: ToolFormat) -> dict[str, Any]:
    if message.get("role") == "tool":
        content = f"<tool_response>\n{_text_of(message.get('content'))}\n</tool_response>"
        return {"role": "user", "content": content}
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return message
    parts = [_text_of(message.get("content"))]
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        written = json.dumps(function if isinstance(function, dict) else call, ensure_ascii=False)
        parts.append(f"{form.opening}\n{written}\n{form.closing}")
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**kept, "content": "\n".join(part for part in parts if part)}


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (block.get("text") for block in content if isinstance(block, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return "" if content is None else json.dumps(content, ensure_ascii=False)


def continued_text(message: Mapping[str, Any]) -> str:
    """The text of a final message that the model is to continue."""
    return _text_of(message.get("content"))
