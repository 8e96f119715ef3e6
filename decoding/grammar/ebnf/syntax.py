"""A context-free grammar as a value: what both notations are read into.

Strings are over bytes, without a lexer: a terminal is a regular language, and where one ends is
decided by whatever follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from decoding.grammar.regular.expressions import Expression

MAX_SYMBOLS = 500_000
"""Symbols of a grammar, and states of what it becomes."""
MAX_RULES = 10_000
"""Rules of a grammar."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Any string of a regular language, in UTF-8."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """Whatever the rule of this number derives."""

    rule: int


@dataclass(frozen=True, slots=True)
class TokenReference:
    """One token as such, whatever its text.

    token: its id, or how the vocabulary spells it, like "<|eot_id|>".
    negated: any token but this one.
    """

    token: int | str
    negated: bool = False


Symbol: TypeAlias = Terminal | Call | TokenReference


@dataclass(frozen=True, slots=True)
class Item:
    """A symbol, `minimum` to `maximum` times; `None` is no bound."""

    symbol: Symbol
    minimum: int = 1
    maximum: int | None = 1


Alternative: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Any of its alternatives; none at all derives nothing.

    where: the place of its definition, `line:column`.
    nested: it is a group in brackets inside another rule, called there only.
    """

    name: str
    alternatives: tuple[Alternative, ...]
    where: str = ""
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """A grammar: its rules by number, and which of them a whole text is."""

    rules: tuple[Rule, ...]
    start: int


def called_by(rule: Rule) -> list[int]:
    """The rules that a rule calls, as often as it names them."""
    items = (item for alternative in rule.alternatives for item in alternative)
    return [item.symbol.rule for item in items if isinstance(item.symbol, Call)]
