"""Adds the chat flags of `decoding generate`, and makes the prompt from them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from decoding.cli.files import read_json
from decoding.engine.prompts import Inputs
from decoding.errors import ParameterError, require
from decoding.models import LanguageModel

_ONLY_WITH_CHAT = ("system", "chat_template", "template_variable", "tools", "documents", "continue")


def add_chat_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--chat` and its further flags to a parser."""
    group = parser.add_argument_group("chats")
    group.add_argument(
        "--chat", action="store_true", help="PROMPT is a message for the model's chat template"
    )
    group.add_argument("--system", metavar="TEXT", help="with --chat: the system message")
    group.add_argument(
        "--chat-template",
        metavar="NAME",
        help="with --chat: which of the model's chat templates, such as rag (default: tool_use with"
        " --tools if the model has it, else its default template)",
    )
    group.add_argument(
        "--template-variable",
        metavar="NAME=VALUE",
        action="append",
        type=variable,
        help="with --chat: a variable of the template, such as enable_thinking=false; JSON or text;"
        " repeatable",
    )
    group.add_argument(
        "--tools",
        metavar="FILE",
        help="with --chat: a JSON list of the functions that the model may call ('-': stdin)",
    )
    group.add_argument(
        "--documents", metavar="FILE", help="with --chat: a JSON list of documents ('-': stdin)"
    )
    group.add_argument(
        "--continue",
        metavar="TEXT",
        help="with --chat: the beginning of the answer, which the model continues",
    )
    group.add_argument(
        "--sanitize-control-tokens",
        action=argparse.BooleanOptionalAction,
        help="encode control tokens in PROMPT, such as <|im_end|>, as text"
        " (default with --chat: yes)",
    )


def check_chat_flags(asked: argparse.Namespace) -> None:
    """Raise ParameterError for a chat flag that is used without `--chat`."""
    for name in () if asked.chat else _ONLY_WITH_CHAT:
        value = getattr(asked, name)
        require(f"--{name.replace('_', '-')}", value, value is None, "used with --chat")


def read_prompt(asked: argparse.Namespace, model: LanguageModel, text: str) -> Inputs:
    """Make the prompt from PROMPT and the flags of `add_chat_flags`.

    Raises:
        ParameterError: a file is no JSON list of objects, or the model has no chat template or no
            tokenizer.
        ChatTemplateError: the template fails.
        OSError: a file cannot be read.
    """
    if not asked.chat:
        return _sanitized(model, text) if asked.sanitize_control_tokens else text
    # Imported here because jinja2 comes with an extra.
    from decoding.models.chat import chat_prompt

    start = getattr(asked, "continue")
    messages = [
        {"role": role, "content": content}
        for role, content in (("system", asked.system), ("user", text), ("assistant", start))
        if content is not None
    ]
    return chat_prompt(
        model,
        messages,
        tools=_objects("--tools", asked.tools),
        documents=_objects("--documents", asked.documents),
        variables=dict(asked.template_variable or ()),
        continue_final_message=start is not None,
        sanitize_control_tokens=asked.sanitize_control_tokens is not False,
        chat_template=asked.chat_template,
    )


def _sanitized(model: LanguageModel, text: str) -> list[int]:
    # Imported here so that other runs do not wait for it.
    from decoding.models.control_tokens import encode_sanitized

    if model.tokenizer is None:
        raise ParameterError("--sanitize-control-tokens", True, "used with a tokenizer")
    return encode_sanitized(model.tokenizer, text)


def variable(text: str) -> tuple[str, Any]:
    """A template variable from NAME=VALUE, with a value of JSON or text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _objects(flag: str, source: str | None) -> list[dict[str, Any]] | None:
    """Read a file that holds a JSON list of objects."""
    if source is None:
        return None
    values = read_json(flag, source)
    legal = isinstance(values, list) and all(isinstance(value, dict) for value in values)
    require(flag, source, legal, "a file with a JSON list of objects")
    return list(values)
