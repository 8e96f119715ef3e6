"""The abstract syntax of context-free grammars that the GBNF and Lark-like parsers return.

Strings are over bytes and there is no lexer: a terminal is a regular language, and it may end
wherever the rest of the text fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from decoding.grammar.regular.expressions import Expression

MAX_SYMBOLS = 500_000
"""The most symbols of a grammar, and states of its automata."""
MAX_RULES = 10_000
"""The most rules of a grammar."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A symbol for any string of a regular language, in UTF-8."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A symbol for what a rule derives. rule: its number."""

    rule: int


@dataclass(frozen=True, slots=True)
class TokenReference:
    """A symbol for one token of the vocabulary, whatever its text.

    token: its id, or how the vocabulary spells it, like "<|eot_id|>".
    negated: any token but this one.
    """

    token: int | str
    negated: bool = False


Symbol: TypeAlias = Terminal | Call | TokenReference


@dataclass(frozen=True, slots=True)
class Item:
    """A symbol that is repeated `minimum` to `maximum` times; `None` is no bound."""

    symbol: Symbol
    minimum: int = 1
    maximum: int | None = 1


Alternative: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: it derives what any of its alternatives derives.

    where: the position of its definition, `line:column`.
    """

    name: str
    alternatives: tuple[Alternative, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """A context-free grammar: its rules by number, and the number of the start rule."""

    rules: tuple[Rule, ...]
    start: int


def called_by(rule: Rule) -> list[int]:
    """The numbers of the rules that a rule calls, repeated as often as it calls them."""
    items = (item for alternative in rule.alternatives for item in alternative)
    return [item.symbol.rule for item in items if isinstance(item.symbol, Call)]
