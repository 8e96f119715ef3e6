"""Writes context-free grammars and regular expressions as GBNF, for engines that read it.

What a terminal says with an intersection, a complement or an automaton has no form in GBNF and is
refused; such a grammar runs by masks instead. The text is what `parse_gbnf` and llama.cpp read, and
xgrammar too where no token is named by its number.
"""

from __future__ import annotations

import re

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.ebnf.syntax import Call, Item, Rule, Rules, Symbol, Terminal, TokenReference
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
    Characters,
    Choice,
    Expression,
    Repeat,
    Sequence,
    Words,
)

START = "root"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
_COUNTS = {(0, None): "*", (1, None): "+", (0, 1): "?", (1, 1): ""}
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\"", "[": r"\[", "]": r"\]"}


def gbnf_text(rules: Rules, *, names_tokens: bool = True) -> str:
    """The GBNF text of a grammar, a line a rule; its first rule is `root`.

    names_tokens: whether the reader knows `<[id]>` and `<text>`, which llama.cpp does.

    Raises:
        GrammarUnsupportedError: GBNF cannot say a terminal, or the reader knows no token.
    """
    names = _names(rules)
    order = [rules.start, *(at for at in range(len(rules.rules)) if at != rules.start)]
    lines = [
        f"{names[at]} ::= {_alternatives(rules.rules[at], names, names_tokens=names_tokens)}"
        for at in order
    ]
    return "\n".join(lines) + "\n"


def gbnf_of_expression(expression: Expression) -> str:
    """The GBNF text of the language of a regular expression; raises as `gbnf_text`."""
    rule = Rule(START, ((Item(Terminal(expression)),),))
    return gbnf_text(Rules((rule,), 0))


def _names(rules: Rules) -> list[str]:
    """A name of letters, digits and hyphens for each rule; that of the start rule is `root`."""
    found, taken = [], {START}
    for at, rule in enumerate(rules.rules):
        name = START
        if at != rules.start:
            plain = _NOT_IN_NAMES.sub("-", rule.name).strip("-") or "rule"
            name, number = plain, 2
            while name in taken:
                name, number = f"{plain}-{number}", number + 1
            taken.add(name)
        found.append(name)
    return found


def _alternatives(rule: Rule, names: list[str], *, names_tokens: bool) -> str:
    written = []
    for alternative in rule.alternatives:
        items = [_item(item, rule, names, names_tokens=names_tokens) for item in alternative]
        written.append(" ".join(items) or '""')
    if not written:
        raise GrammarUnsupportedError(rule.where, rule.name, "GBNF has no rule without a text")
    return " | ".join(written)


def _item(item: Item, rule: Rule, names: list[str], *, names_tokens: bool) -> str:
    symbol = _symbol(item.symbol, rule, names, names_tokens=names_tokens)
    count = _count(item.minimum, item.maximum)
    return f"({symbol}){count}" if count else symbol


def _symbol(symbol: Symbol, rule: Rule, names: list[str], *, names_tokens: bool) -> str:
    match symbol:
        case Call(at):
            return names[at]
        case Terminal(expression):
            return operations.fold(expression, lambda node, parts: _part(node, parts, rule))
        case TokenReference(token, negated):
            if not names_tokens:
                reason = "the engine's grammars have no references to tokens"
                raise GrammarUnsupportedError(rule.where, f"<{token}>", reason)
            # The text of a token has its brackets already.
            return "!" * negated + (f"<[{token}]>" if isinstance(token, int) else token)


def _part(node: Expression, parts: list[str], rule: Rule) -> str:
    match node:
        case Characters(ranges):
            return "." if node == ANY_CHARACTER else _set(ranges)
        case Words(words):
            return _any_of(['"' + "".join(map(_escaped, word)) + '"' for word in words])
        case Sequence():
            return " ".join(parts) if len(parts) != 1 and parts else (parts or ['""'])[0]
        case Choice() if parts:
            return _any_of(parts)
        case Repeat(_, minimum, maximum):
            return f"({parts[0]}){_count(minimum, maximum)}"
    reason = "GBNF has no intersections, complements and look-arounds"
    raise GrammarUnsupportedError(rule.where, type(node).__name__.lower(), reason)


def _any_of(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def _count(minimum: int, maximum: int | None) -> str:
    if (minimum, maximum) in _COUNTS:
        return _COUNTS[minimum, maximum]
    if minimum == maximum:
        return f"{{{minimum}}}"
    return f"{{{minimum},{'' if maximum is None else maximum}}}"


def _set(ranges: Ranges) -> str:
    """A set of characters, with `^` and `-` at its end: readers differ about their escapes."""
    signs = [sign for sign in "^-" if codepoints.contains(ranges, ord(sign))]
    others = codepoints.complement(codepoints.union([(0x2D, 0x2D), (0x5E, 0x5E)]))
    plain = codepoints.intersection(ranges, others)
    if not plain:
        return _any_of([f'"{sign}"' for sign in signs])
    return f"[{''.join(map(_range, plain))}{''.join(signs)}]"


def _range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    if low == high:
        return _escaped(chr(low), in_set=True)
    return f"{_escaped(chr(low), in_set=True)}-{_escaped(chr(high), in_set=True)}"


def _escaped(character: str, *, in_set: bool = False) -> str:
    """A character of a literal or of a set."""
    if character in _ESCAPES and (in_set or character not in "[]"):
        return _ESCAPES[character]
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02X}"
    return character if code < 0x7F or not in_set else f"\\U{code:08X}"
