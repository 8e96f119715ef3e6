"""The lexer and the collector of rules that the GBNF and the Lark-like parser share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from decoding.errors import (
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
)
from decoding.grammar.ebnf.syntax import (
    MAX_RULES,
    MAX_SYMBOLS,
    Alternative,
    Call,
    Item,
    Rule,
    Rules,
    Symbol,
)

MAX_COUNT = 100_000
"""The largest bound of a repetition."""


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A lexeme of a grammar's text: its kind, its text and its position, `line:column`."""

    kind: str
    text: str
    where: str


def lexemes_of(text: str, pattern: re.Pattern[str]) -> list[Lexeme]:
    """Split a text into lexemes.

    pattern: its named groups are the kinds of lexemes; the kind `skip` is dropped. The last lexeme
    has the kind `end`.
    """
    words: list[Lexeme] = []
    at, line, line_at = 0, 1, 0
    while at < len(text):
        where = f"{line}:{at - line_at + 1}"
        match = pattern.match(text, at)
        if match is None:
            raise GrammarSyntaxError(where, f"unexpected {text[at : at + 10]!r}")
        if match.lastgroup != "skip":
            words.append(Lexeme(match.lastgroup or "", match.group(), where))
        newlines = text.count("\n", at, match.end())
        if newlines:
            line += newlines
            line_at = text.rindex("\n", at, match.end()) + 1
        at = match.end()
    words.append(Lexeme("end", "", f"{line}:{at - line_at + 1}"))
    return words


@dataclass(slots=True)
class OpenBracket:
    """The alternatives read so far of a rule, or of a bracketed group inside a rule."""

    word: Lexeme
    alternatives: list[Alternative] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def next_alternative(self) -> None:
        """End the current alternative, at a bar."""
        self.alternatives.append(tuple(self.items))
        self.items = []

    def closed(self) -> tuple[Alternative, ...]:
        """End the last alternative; returns all of them."""
        self.next_alternative()
        return tuple(self.alternatives)


class RuleCollector:
    """Collects the rules of a grammar while its text is parsed.

    open: the open brackets of the rule that is being parsed; the rule itself is the first.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._called_at: dict[int, str] = {}
        self._rules: dict[int, Rule] = {}
        self._count = 0
        self._symbols = 0
        self.open: list[OpenBracket] = []

    def call(self, name: str, where: str) -> Call:
        """The call of a rule by name; the rule may be defined later."""
        if name not in self._numbers:
            self._numbers[name] = self._fresh()
        self._called_at.setdefault(self._numbers[name], where)
        return Call(self._numbers[name])

    def define(self, name: str, alternatives: tuple[Alternative, ...], where: str) -> None:
        """Add a rule.

        Raises:
            GrammarSyntaxError: the name is defined already.
            GrammarLimitError: there are too many.
        """
        if len(self._rules) == MAX_RULES:
            raise GrammarLimitError(where, "rules of a grammar", MAX_RULES)
        if name not in self._numbers:
            self._numbers[name] = self._fresh()
        number = self._numbers[name]
        if number in self._rules:
            before = self._rules[number].where
            raise GrammarSyntaxError(where, f"rule {name} is already defined at {before}")
        self._rules[number] = Rule(name, alternatives, where)

    def add(self, symbol: Symbol, where: str) -> None:
        """Append a symbol to the current alternative."""
        self._symbols += 1
        if self._symbols > MAX_SYMBOLS:
            raise GrammarLimitError(where, "symbols of a grammar", MAX_SYMBOLS)
        self.open[-1].items.append(Item(symbol))

    def close(self) -> None:
        """Close the innermost bracket; its content becomes one symbol of the outer alternative."""
        inner = self.open.pop()
        alternatives = inner.closed()
        if len(alternatives) == len(alternatives[0]) == 1 and alternatives[0][0] == Item(
            alternatives[0][0].symbol
        ):
            self.add(alternatives[0][0].symbol, inner.word.where)
            return
        number = self._fresh()
        self._rules[number] = Rule("", alternatives, inner.word.where)
        self.add(Call(number), inner.word.where)

    def repeat(self, minimum: int, maximum: int | None, where: str) -> None:
        """Repeat the last symbol; a symbol that is repeated already becomes a rule first."""
        items = self.open[-1].items
        if not items:
            raise GrammarSyntaxError(where, "a repetition needs a symbol before it")
        if maximum is not None and minimum > maximum:
            raise GrammarSyntaxError(
                where, f"a repetition must have minimum <= maximum, got {{{minimum},{maximum}}}"
            )
        if max(minimum, maximum or 0) > MAX_COUNT:
            raise GrammarLimitError(where, "repetitions of one symbol", MAX_COUNT)
        if items[-1] != Item(items[-1].symbol):
            number = self._fresh()
            self._rules[number] = Rule("", ((items[-1],),), where)
            items[-1] = Item(Call(number))
        items[-1] = replace(items[-1], minimum=minimum, maximum=maximum)

    def rules(self, start: str) -> Rules:
        """The grammar of all rules.

        Raises:
            GrammarUnsatisfiableError: a rule that is called is not defined.
        """
        first = self.call(start, "").rule
        for name, number in self._numbers.items():
            if number not in self._rules:
                raise GrammarUnsatisfiableError(
                    self._called_at[number], f"rule {name} is not defined"
                )
        return Rules(tuple(self._rules[number] for number in range(self._count)), first)

    def _fresh(self) -> int:
        self._count += 1
        return self._count - 1
