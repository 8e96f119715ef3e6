"""Checks a chat request's `tools` and `tool_choice`, and builds the grammar of tool calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from decoding.chat.formats import ToolFormat
from decoding.errors import ParameterError, require
from decoding.grammar.regular.expressions import is_spelled
from decoding.json_steps import loads
from decoding.request_grammar import Grammar, json_object_text

ToolChoice: TypeAlias = str | Mapping[str, Any]
"""Which tools may be called: "none", "auto", "required", or one of them: its name, as in TGI, or
`{"type": "function", "function": {"name": ...}}`. Or some of them: `{"type": "allowed_tools",
"allowed_tools": {"mode": "auto" or "required", "tools": [...]}}` with an object of the form above
for each."""

_CHOICES = ("none", "auto", "required")

MOST_TOOLS = 512
MOST_CHARACTERS = 256
"""Longest name of a tool, in characters."""

_DECIDE_FOR_THEMSELVES = (
    "$ref", "$dynamicRef", "additionalProperties", "allOf", "anyOf", "else", "if", "oneOf",
    "patternProperties", "propertyNames", "then", "unevaluatedProperties",
)  # fmt: skip
"""Keywords beside which a schema's own properties may not be all that it allows."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. parameters: JSON text of the schema of its arguments."""

    name: str
    parameters: str


@dataclass(frozen=True, slots=True)
class Calls:
    """The tools that an answer may call, and whether it must call one.

    tools: of which a call is one. required: whether the answer is calls and nothing else.
    several: whether there may be more than one.
    """

    tools: tuple[Tool, ...]
    required: bool
    several: bool


def read_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    """Check a request's tools, and return the functions that they describe.

    tools: `{"type": "function", "function": {"name", "description", "parameters"}}` each; a bare
        function is taken as well, and `arguments`, TGI's name of `parameters`. Without either a
        function takes no arguments.

    Raises:
        ParameterError: a tool has another shape, a name is no text of 1 to 256 characters, or two
            are equal, or there are more than 512.
    """
    legal = isinstance(tools, Sequence) and not isinstance(tools, str | bytes)
    require("tools", tools, legal, "a sequence of tools")
    require("tools", f"{len(tools)} tools", len(tools) <= MOST_TOOLS, f"at most {MOST_TOOLS}")
    found: dict[str, Tool] = {}
    for index, item in enumerate(tools):
        path = f"tools[{index}]"
        require(path, item, isinstance(item, Mapping), "an object with a `function`")
        function = item.get("function", item)
        if item.get("type", "function") != "function" or not isinstance(function, Mapping):
            raise ParameterError(path, item, 'of type "function", with an object `function`')
        tool = _tool(function, f"{path}.function")
        require(f"{path}.function.name", tool.name, tool.name not in found, "unique")
        found[tool.name] = tool
    return tuple(found.values())


def _tool(function: Mapping[str, Any], path: str) -> Tool:
    name = function.get("name")
    legal = isinstance(name, str) and 0 < len(name) <= MOST_CHARACTERS and is_spelled(name)
    require(f"{path}.name", name, legal, f"text of 1 to {MOST_CHARACTERS} characters")
    name_of_schema = "parameters" if function.get("parameters") is not None else "arguments"
    parameters = function.get(name_of_schema)
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    try:
        text = json_object_text(parameters)
    except ValueError as error:
        expected = f"a JSON Schema that is an object ({error})"
        raise ParameterError(f"{path}.{name_of_schema}", parameters, expected) from error
    kind = loads(text).get("type", "object")
    legal = kind == "object" or (isinstance(kind, list) and "object" in kind)
    require(f"{path}.{name_of_schema}.type", kind, legal, "object")
    return Tool(str(name), text)


def read_tool_choice(
    choice: ToolChoice | None,
    tools: tuple[Tool, ...],
    *,
    several: bool,
) -> Calls | None:
    """Which calls an answer may have; None for no tools.

    several: whether there may be more than one.

    Raises:
        ParameterError: the choice is none of the legal ones, or there are no tools to choose from.
    """
    if choice is None:
        choice = "auto"
    if choice in _CHOICES:
        require("tool_choice", choice, choice != "required" or bool(tools), "used with tools")
        if choice == "none" or not tools:
            return None
        return Calls(tools, required=choice == "required", several=several)
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        return _allowed(choice.get("allowed_tools"), tools, several=several)
    return Calls((_named(choice, tools),), required=True, several=False)


def _allowed(allowed: object, tools: tuple[Tool, ...], *, several: bool) -> Calls:
    """Read a tool choice of the type `allowed_tools`: the tools, and whether to call one."""
    expected = 'an object with a `mode`, "auto" or "required", and a list of `tools`'
    legal = isinstance(allowed, Mapping) and allowed.get("mode") in ("auto", "required")
    listed = allowed.get("tools") if isinstance(allowed, Mapping) else None
    if not legal or not isinstance(listed, list) or not 0 < len(listed) <= MOST_TOOLS:
        raise ParameterError("tool_choice.allowed_tools", allowed, expected)
    names = {_named(item, tools).name for item in listed}
    chosen = tuple(tool for tool in tools if tool.name in names)
    assert isinstance(allowed, Mapping)
    return Calls(chosen, required=allowed["mode"] == "required", several=several)


def _named(choice: ToolChoice, tools: tuple[Tool, ...]) -> Tool:
    """Find the tool that a tool choice names."""
    name: object = choice
    if not isinstance(choice, str):
        expected = '{"type": "function", "function": {"name": ...}}'
        require("tool_choice", choice, isinstance(choice, Mapping), expected)
        function = choice.get("function", choice)
        require("tool_choice", choice, isinstance(function, Mapping), expected)
        name = function.get("name")
    named = tuple(tool for tool in tools if tool.name == name)
    known = ", ".join(tool.name for tool in tools[:8]) or "none"
    expected = f"none, auto, required, or the name of one of the tools ({known})"
    require("tool_choice", name, bool(named), expected)
    return named[0]


def call_schema(calls: Calls, form: ToolFormat, *, begun: bool = False) -> Grammar:
    """The grammar of a call, or of the array of all calls.

    JSON is written as `json.dumps` writes it, with keys in the order of the schemas; where the
    prompt has `begun` an answer, it may have other white space.
    """
    from decoding.grammar.json_style import JsonStyle, Whitespace

    schemas = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                form.arguments_key: _arguments(tool, index),
            },
            "required": ["name", form.arguments_key],
            "additionalProperties": False,
        }
        for index, tool in enumerate(calls.tools)
    ]
    schema: dict[str, Any] = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if form.as_array:
        schema = {"type": "array", "items": schema, "minItems": 1}
        if not calls.several:
            schema["maxItems"] = 1
    space: Whitespace = "readable" if begun else "spaced"
    return Grammar("json", schema, style=JsonStyle(space, digits=20, key_order="declared"))


def _arguments(tool: Tool, index: int) -> dict[str, Any]:
    """The schema of a tool's arguments, at its place in the schema of a call."""
    schema: dict[str, Any] = {"type": "object", **loads(tool.parameters)}
    schema["type"] = "object"
    if "properties" in schema and not any(word in schema for word in _DECIDE_FOR_THEMSELVES):
        schema["additionalProperties"] = False
    if '"$ref"' in tool.parameters and "$id" not in schema:
        # References are to the schema of the arguments, wherever that stands.
        schema["$id"] = f"tool:/{index}"
    return schema
