"""Removes unproductive and unreachable rules of a grammar; finds the nullable rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar.ebnf.syntax import Alternative, Call, Item, Rule, Rules, Symbol, Terminal

Holds = Callable[[Terminal], bool]


def pruned(grammar: Rules, is_empty: Holds) -> Rules:
    """The same grammar, in which every rule derives some string and occurs in some text.

    is_empty: whether a terminal matches nothing at all.

    Raises:
        GrammarUnsatisfiableError: the start rule derives no text.
    """
    productive = _least(grammar, lambda symbol: not is_empty(symbol), needs_all=True)
    if grammar.start not in productive:
        start = grammar.rules[grammar.start]
        raise GrammarUnsatisfiableError(start.where, f"rule {start.name} derives no text at all")

    def usable(symbol: Symbol) -> bool:
        if isinstance(symbol, Call):
            return symbol.rule in productive
        return not isinstance(symbol, Terminal) or not is_empty(symbol)

    kept = [
        tuple(
            tuple(item for item in alternative if usable(item.symbol))
            for alternative in rule.alternatives
            if all(item.minimum == 0 or usable(item.symbol) for item in alternative)
        )
        for rule in grammar.rules
    ]
    return _renumbered(grammar, kept)


def nullable_rules(grammar: Rules, is_nullable: Holds) -> frozenset[int]:
    """The rules that derive the empty string.

    is_nullable: whether a terminal matches the empty string.
    """
    return _least(grammar, is_nullable, needs_all=False)


def _least(grammar: Rules, terminal: Holds, *, needs_all: bool) -> frozenset[int]:
    """The least set of rules that have an alternative whose required items all hold.

    A call holds if its rule is in the set. `terminal` decides terminals; a token holds as
    `needs_all` says.
    """
    waiting: list[list[tuple[int, list[Call]]]] = [[] for _ in grammar.rules]
    found: set[int] = set()
    fresh: list[int] = []

    def note(rule: int) -> None:
        if rule not in found:
            found.add(rule)
            fresh.append(rule)

    for number, rule in enumerate(grammar.rules):
        for alternative in rule.alternatives:
            needed = [item.symbol for item in alternative if item.minimum > 0]
            calls = [symbol for symbol in needed if isinstance(symbol, Call)]
            others = [symbol for symbol in needed if not isinstance(symbol, Call)]
            if all(terminal(s) if isinstance(s, Terminal) else needs_all for s in others):
                if calls:
                    waiting[calls[-1].rule].append((number, calls))
                else:
                    note(number)
    while fresh:
        for number, calls in waiting[fresh.pop()]:
            while calls and calls[-1].rule in found:
                calls.pop()
            if calls:
                waiting[calls[-1].rule].append((number, calls))
            else:
                note(number)
    return frozenset(found)


def _renumbered(grammar: Rules, kept: list[tuple[Alternative, ...]]) -> Rules:
    """The rules that the start rule reaches, renumbered; the start rule becomes number 0."""
    number = {grammar.start: 0}
    order = [grammar.start]
    for rule in order:
        for alternative in kept[rule]:
            for item in alternative:
                if isinstance(item.symbol, Call) and item.symbol.rule not in number:
                    number[item.symbol.rule] = len(order)
                    order.append(item.symbol.rule)

    def moved(item: Item) -> Item:
        if isinstance(item.symbol, Call):
            return replace(item, symbol=Call(number[item.symbol.rule]))
        return item

    rules: list[Rule] = [
        replace(
            grammar.rules[rule],
            alternatives=tuple(tuple(moved(item) for item in items) for items in kept[rule]),
        )
        for rule in order
    ]
    return Rules(tuple(rules), 0)
