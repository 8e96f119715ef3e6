"""Converts chat messages to plain JSON data, as transformers gives them to templates.

Source: `apply_chat_template` of transformers 5.24.
"""

from __future__ import annotations

import dataclasses
import reprlib  # `repr` of a bounded length
from collections.abc import Mapping, Sequence
from sys import getsizeof
from typing import Any, TypeAlias

import numpy as np

from decoding.errors import ChatTemplateError, ParameterError, require
from decoding.models.template_budget import Weight, check_integer
from decoding.typing import Anything

Message: TypeAlias = dict[str, Any]
"""A chat message as templates read it: a string key for each field."""

REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""The names under which APIs give a message's reasoning; the first one that is there wins."""

CONTINUATION_MARK = "(the final message goes on here) "
"""Put after the text that is to be continued; its last space shows whether the template trims."""

_MAX_DEPTH = 100


def plain(value: object, depth: int = 0) -> Anything:  # noqa: PLR0911 -- JSON data
    """Copy a value as plain JSON data; an object of a type `T` that has none becomes `<T>`.

    Data classes and objects with `model_dump` become dictionaries, tuples stay tuples.

    Raises:
        ChatTemplateError: it is nested more than 100 deep, or holds an integer of too many digits.
    """
    if depth > _MAX_DEPTH:
        raise ChatTemplateError(f"a value is nested more than {_MAX_DEPTH} deep")
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int():
            check_integer(value)
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case Mapping():
            return {plain(key, depth + 1): plain(item, depth + 1) for key, item in value.items()}
        case list():
            return [plain(item, depth + 1) for item in value]
        case tuple():
            return tuple(plain(item, depth + 1) for item in value)
        case np.generic():
            return plain(value.item(), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name), depth + 1) for name in names}
    dump = getattr(value, "model_dump", None)
    return plain(dump(), depth + 1) if callable(dump) else f"<{type(value).__name__}>"


def weight_of(value: object) -> Weight:
    """Count the values and bytes of plain data, by which a template's budget of work grows."""
    values = size = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        values += 1
        size += getsizeof(item)
        if isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
    return Weight(values, size, 0)


def normalised(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Copy messages as plain data without None fields; give reasoning both of its names.

    Fields that are None are left out. Reasoning is there as `reasoning_content` and `thinking`,
    under whichever name of `REASONING_FIELDS` it comes.

    Raises:
        ParameterError: a message is no mapping, data class or object with `model_dump`.
    """
    legal = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
    require("messages", type(messages).__name__, legal, "a sequence of messages")
    return [_normalised(plain(message), index) for index, message in enumerate(messages)]


def _normalised(message: object, index: int) -> Message:
    if not isinstance(message, dict):
        expected = "a mapping with 'role' and 'content'"
        raise ParameterError(f"messages[{index}]", type(message).__name__, expected)
    kept = {key: value for key, value in message.items() if value is not None}
    reasoning = next((kept[key] for key in REASONING_FIELDS if key in kept), None)
    if reasoning is None:
        return kept
    return {"thinking": reasoning, **kept, "reasoning_content": reasoning}


def mark_continuation(messages: list[Message], field: str, template: str) -> str:
    """Append `CONTINUATION_MARK` to the last message's text, in place; return that text.

    field: the message's field that is to be continued, as `content`; of a list of content blocks,
        the text of the last block that has one.

    Raises:
        ParameterError: there is no such text.
        ChatTemplateError: the template does not read the field.
    """
    require("messages", messages, len(messages) > 0, "at least one, to continue the last one")
    last = messages[-1]
    text = last.get(field)
    fields = [field]
    if field in REASONING_FIELDS:
        fields = [name for name in REASONING_FIELDS if name in last and last[name] == text]
    if not any(name in template for name in fields):
        raise ChatTemplateError(f"it does not read {reprlib.repr(field)}, which is to be continued")
    if isinstance(text, list | tuple):
        blocks = [block for block in text if isinstance(block, dict)]
        block = next((b for b in reversed(blocks) if isinstance(b.get("text"), str)), None)
        if block is not None:
            said: str = block["text"]
            block["text"] += CONTINUATION_MARK
            return said
    elif isinstance(text, str):
        last.update(dict.fromkeys(fields, text + CONTINUATION_MARK))
        return text
    expected = "text, which is to be continued"
    raise ParameterError(f"messages[-1][{reprlib.repr(field)}]", type(text).__name__, expected)


def cut_continuation(rendered: str, text: str) -> str:
    """Cut a rendered chat behind the text that `mark_continuation` marked.

    Raises:
        ChatTemplateError: the template has changed or left out the text.
    """
    mark = CONTINUATION_MARK
    place = rendered.rfind(mark.strip())
    if place < 0 or text.strip() not in rendered:
        raise ChatTemplateError("it does not write the message that is to be continued as it is")
    kept = rendered[:place] if rendered.startswith(mark, place) else rendered[:place].rstrip()
    # A template may write the text more than once.
    return kept.replace(mark, "").replace(mark.strip(), "")
