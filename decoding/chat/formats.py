"""Lists formats of tool calls and reasoning tags; picks a model's by its chat template."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, replace
from typing import Final

from decoding.errors import ParameterError


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How a model writes its tool calls.

    A call is a JSON object with the name first: `{"name": ..., arguments_key: {...}}`.

    name: what requests call the format. opening: the text that begins a call, or all of them.
    closing: the text that ends a call; empty where the JSON ends it.
    as_array: whether all calls are one JSON array behind one opening.
    bare: whether a call may do without its opening at the beginning of an answer.
    separator: a regular expression of what stands between two calls that have no opening of their
        own; empty where there is no second.
    arguments_key: the key of the arguments.
    id_letters: how many letters and digits an id has; 0 for the form `call_` and 24 digits.
    instructed: whether a system message must tell the model how to call, because its template does
        not know tools.
    several: whether an answer has several calls unless the request says otherwise.
    """

    name: str
    opening: str
    closing: str = ""
    as_array: bool = False
    bare: bool = False
    separator: str = ""
    arguments_key: str = "arguments"
    id_letters: int = 0
    instructed: bool = False
    several: bool = True

    @property
    def leading(self) -> tuple[str, ...]:
        """The texts that begin a tool call at the start of an answer, besides the opening tag."""
        return ('{"name"',) if self.bare else ()

    def new_id(self) -> str:
        """An id for one call, which no other one has."""
        if not self.id_letters:
            return f"call_{secrets.token_hex(12)}"
        letters = string.ascii_letters + string.digits
        return "".join(secrets.choice(letters) for _ in range(self.id_letters))


HERMES: Final = ToolFormat("hermes", "<tool_call>", "</tool_call>")
"""`<tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call>`, as of Hermes and Qwen."""
LLAMA_3: Final = ToolFormat(
    "llama3_json", "<|python_tag|>", bare=True, separator="; ?|\n", arguments_key="parameters"
)
"""Llama 3's format: `{"name": ..., "parameters": {...}}`, after `<|python_tag|>` or alone."""
MISTRAL: Final = ToolFormat("mistral", "[TOOL_CALLS]", as_array=True, id_letters=9)
"""`[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`, as of Mistral."""
GENERIC: Final = replace(HERMES, name="generic", instructed=True, several=False)
"""Hermes' format for templates that do not know tools: a system message explains it."""

TOOL_FORMATS: Final = (HERMES, LLAMA_3, MISTRAL, GENERIC)


def tool_format(template: str, name: str | None = None) -> ToolFormat:
    """Return the tool-call format of a given name, or the one that a chat template suggests.

    name: of a format, where the operator or the request knows better.

    Raises:
        ParameterError: there is no format of that name.
    """
    if name is not None:
        names = [item.name for item in TOOL_FORMATS]
        if name not in names:
            raise ParameterError("tool_format", name, f"one of {', '.join(names)}")
        return TOOL_FORMATS[names.index(name)]
    if HERMES.opening in template:
        return HERMES
    if MISTRAL.opening in template:
        return MISTRAL
    if LLAMA_3.opening in template or '"parameters": ' in template:
        return LLAMA_3
    return replace(HERMES, name="unknown") if _knows_tools(template) else GENERIC


def _knows_tools(template: str) -> bool:
    blocks = re.findall(r"{[{%].*?[%}]}", template, re.DOTALL)
    return any(re.search(r"\btools\b", block) for block in blocks)


@dataclass(frozen=True, slots=True)
class ReasoningFormat:
    """The tags around a model's reasoning."""

    name: str
    opening: str
    closing: str


REASONING_FORMATS: Final = (
    ReasoningFormat("think", "<think>", "</think>"),
    ReasoningFormat("thinking", "<thinking>", "</thinking>"),
    ReasoningFormat("reasoning", "<reasoning>", "</reasoning>"),
    ReasoningFormat("seed", "<seed:think>", "</seed:think>"),
    ReasoningFormat("mistral", "[THINK]", "[/THINK]"),
)


def reasoning_format(template: str, name: str | None = None) -> ReasoningFormat | None:
    """The tags around the reasoning of the model that a template belongs to; None for no reasoning.

    name: of a format, or `none`, where the operator or the request knows better.

    Raises:
        ParameterError: there is no format of that name.
    """
    if name == "none":
        return None
    if name is not None:
        found = next((item for item in REASONING_FORMATS if item.name == name), None)
        if found is None:
            names = ["none", *(item.name for item in REASONING_FORMATS)]
            raise ParameterError("reasoning", name, f"one of {', '.join(names)}")
        return found
    fitting = (
        item for item in REASONING_FORMATS if item.opening in template or item.closing in template
    )
    return next(fitting, None)
