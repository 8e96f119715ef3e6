"""Makes a command-line flag of each field of `GenerationParameters`, and reads the flags."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from decoding.cli.grammar import read_grammar
from decoding.errors import require, shown
from decoding.parameters import REQUEST_FIELDS, GenerationParameters
from decoding.request_fields import RequestField
from decoding.request_grammar import Grammar
from decoding.typing import Anything

DEFAULT_MAX_NEW_TOKENS = 128
"""What the command allows where it is not told, or less where the context has less room."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A request parameter as a command-line flag: its name, type and help.

    convert: from the argument's text; `bool` makes the pair `--name` and `--no-name`.
    join: for a flag that may be repeated, from the list of its values to the parameter.
    """

    convert: Callable[[str], Any]
    help: str
    metavar: str | None = None
    join: Callable[[list[Any]], Any] | None = None


def add_flags(parser: argparse._ActionsContainer) -> None:
    """Add a flag for each request parameter to a parser; an absent flag reads as None."""
    for name, flag in FLAGS.items():
        options: dict[str, Any] = {"dest": name, "default": None, "help": flag.help}
        if flag.convert is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["action"] = "append" if flag.join else "store"
            options |= {"type": flag.convert, "metavar": flag.metavar}
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def read_flags(asked: argparse.Namespace, **defaults: Anything) -> GenerationParameters:
    """The parameters that the flags make.

    defaults: for flags that are not used.

    Raises:
        ParameterError: a value is outside its range.
    """
    given = defaults
    for name, flag in FLAGS.items():
        value = getattr(asked, name)
        if value is not None:
            given[name] = flag.join(value) if flag.join else value
    grammar = read_grammar(asked)
    if grammar is not None:
        legal = "grammar" not in given
        require("--grammar", asked.grammar, legal, "left out where another flag gives a grammar")
        given["grammar"] = grammar
    return GenerationParameters(**given)


def _grammar(text: str) -> Grammar:
    try:
        return Grammar.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{shown(text)}: {error}") from error


def integers(text: str) -> tuple[int, ...]:
    """The integers of an argument, such as token ids, which commas separate."""
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not integers with commas") from error


def _bias(text: str) -> tuple[int, float]:
    token_id, _, value = text.partition("=")
    try:
        return int(token_id), float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not ID=VALUE") from error


def _breaker(text: str) -> str:
    """The text with the escapes of line ends, tabs and backslashes decoded, as a shell does not."""
    return re.sub(r"\\[nrt\\]", lambda found: _ESCAPES[found[0]], text)


def _breakers(texts: list[str]) -> tuple[str, ...]:
    """`none` alone, the word of llama.cpp, is for no breakers at all."""
    return () if texts == ["none"] else tuple(texts)


_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\\": "\\"}

_CONVERTERS: Mapping[str, tuple[Callable[[str], Any], Callable[[list[Any]], Any] | None]] = {
    "bool": (bool, None),
    "f32": (float, None),
    "i32": (int, None),
    "u32": (int, None),
    "u64": (int, None),
    "usize": (int, None),
    "string": (str, None),
    "strings": (str, tuple),
    "ids": (integers, None),
    "sequences": (integers, tuple),
    "biases": (_bias, dict),
    "grammar": (_grammar, None),
}
"""By the type of a field: from an argument's text, and for a flag that may be repeated from all."""


def _flag(field: RequestField) -> Flag:
    convert, join = _CONVERTERS[field.type.name]
    if field.name == "dry_sequence_breakers":
        convert, join = _breaker, _breakers
    description = field.description
    if field.name == "max_new_tokens":
        description += f" (default: {DEFAULT_MAX_NEW_TOKENS})"
    return Flag(convert, description, field.metavar or None, join)


FLAGS: Mapping[str, Flag] = MappingProxyType(
    {name: _flag(field) for name, field in REQUEST_FIELDS.items()}
)
"""A flag for every field of `GenerationParameters`, in the order of `--help`."""
