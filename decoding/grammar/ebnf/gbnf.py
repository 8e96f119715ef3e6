r"""Parses GBNF, the grammar notation of llama.cpp, to the rules of `syntax`.

    root    ::= "a" | [a-z]+ ( " " word ){2,4} # a comment
    word    ::= [^\x00-\x1F] . "\u00e9"
    thought ::= <think> !</think>* <[128013]>

A rule ends before the next name with `::=`. Literals and classes may contain the escapes
`\n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH`, which denote characters, not bytes. `.` is any
character. `<[id]>` is one token by its number, `<text>` one by its text, brackets included; `!`
before them means any other token.
"""

from __future__ import annotations

import re

from decoding.errors import GrammarSyntaxError
from decoding.grammar.ebnf.parsing import Lexeme, OpenBracket, RuleCollector, lexemes_of
from decoding.grammar.ebnf.syntax import Rules, Terminal, TokenReference
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.expressions import ANY_CHARACTER, MAX_CODE_POINT

_WORDS = re.compile(
    r"""
    (?P<skip>(?:\s|\#[^\n]*)+)
  | (?P<name>[A-Za-z0-9_-]+)
  | (?P<define>::=)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<set>\[(?:[^\]\\]|\\.)*\])
  | (?P<token>!?<(?:\[[0-9]{1,9}\]|[^<>\s]+)>)
  | (?P<repeat>[*+?]|\{\s*[0-9]{1,9}\s*(?:,\s*[0-9]{0,9}\s*)?\})
  | (?P<mark>[|().])
    """,
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([nrt\\\"\[\]]))|([^\\])",
    re.DOTALL,
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}


def parse_gbnf(text: str, start: str = "root") -> Rules:
    """Parse a GBNF text to rules.

    start: the name of the start rule.

    Raises:
        GrammarSyntaxError: the text is not GBNF; `where` is `line:column`.
        GrammarUnsatisfiableError: a rule that is called is not defined.
        GrammarLimitError: more than `MAX_SYMBOLS` symbols.
    """
    words = lexemes_of(text, _WORDS)
    collector = RuleCollector()
    at = 0
    while words[at].kind != "end":
        if words[at].kind != "name" or words[at + 1].kind != "define":
            raise GrammarSyntaxError(words[at].where, f"expected a rule, got {words[at].text!r}")
        name = words[at]
        collector.open = [OpenBracket(name)]
        at += 2
        while not _rule_ends(words, at):
            _read(collector, words[at])
            at += 1
        if len(collector.open) > 1:
            raise GrammarSyntaxError(collector.open[-1].word.where, "the bracket is not closed")
        collector.define(name.text, collector.open.pop().closed(), name.where)
    return collector.rules(start)


def _rule_ends(words: list[Lexeme], at: int) -> bool:
    kind = words[at].kind
    return kind == "end" or (kind == "name" and words[at + 1].kind == "define")


def _read(collector: RuleCollector, word: Lexeme) -> None:
    """Parse one lexeme of the right side of a rule."""
    match word.kind, word.text:
        case "name", name:
            collector.add(collector.call(name, word.where), word.where)
        case "string", quoted:
            literal = "".join(chr(code) for code, _ in _spelled(quoted[1:-1], word))
            collector.add(Terminal(operations.literal(literal)), word.where)
        case "set", _:
            collector.add(_set(word), word.where)
        case "token", _:
            collector.add(_token(word.text), word.where)
        case "repeat", _:
            collector.repeat(*_bounds(word.text), word.where)
        case _, "|":
            collector.open[-1].next_alternative()
        case _, "(":
            collector.open.append(OpenBracket(word))
        case _, ")" if len(collector.open) > 1:
            collector.close()
        case _, ".":
            collector.add(Terminal(ANY_CHARACTER), word.where)
        case _:
            raise GrammarSyntaxError(word.where, f"{word.text!r} is not allowed here")


def _spelled(text: str, word: Lexeme) -> list[tuple[int, bool]]:
    """The code points of a text, escapes resolved; whether each is written without an escape."""
    found: list[tuple[int, bool]] = []
    at = 0
    while at < len(text):
        match = _CHARACTER.match(text, at)
        if match is None:
            raise GrammarSyntaxError(word.where, f"unknown escape {text[at : at + 2]!r}")
        *hexadecimal, control, plain = match.groups()
        digits = next((group for group in hexadecimal if group), None)
        if digits is not None:
            code_point = int(digits, 16)
        else:
            code_point = ord(plain or _CONTROLS.get(control, control))
        if code_point > MAX_CODE_POINT or 0xD800 <= code_point <= 0xDFFF:
            raise GrammarSyntaxError(word.where, f"{match.group()} is not a character")
        found.append((code_point, plain is not None))
        at = match.end()
    return found


def _set(word: Lexeme) -> Terminal:
    """The terminal of a character class in square brackets."""
    inside = word.text[1:-1]
    negated = inside.startswith("^")
    spelled = _spelled(inside[negated:], word)
    if not spelled and not negated:
        raise GrammarSyntaxError(word.where, "expected at least one character in [], got none")
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(spelled):
        low = high = spelled[at][0]
        if at + 2 < len(spelled) and spelled[at + 1] == (ord("-"), True):
            high = spelled[at + 2][0]
            at += 2
        if low > high:
            raise GrammarSyntaxError(
                word.where, f"the range from U+{low:04X} to U+{high:04X} is reversed"
            )
        ranges.append((low, high))
        at += 1
    found = codepoints.without_surrogates(codepoints.union(ranges))
    return Terminal(operations.one_of(codepoints.complement(found) if negated else found))


def _token(text: str) -> TokenReference:
    negated = text.startswith("!")
    spelled = text[negated:]
    number = re.fullmatch(r"<\[(\d+)\]>", spelled)
    return TokenReference(int(number[1]) if number else spelled, negated)


def _bounds(text: str) -> tuple[int, int | None]:
    """The bounds of the repetition `*`, `+`, `?`, `{m}`, `{m,}` or `{m,n}`."""
    simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
    if text in simple:
        return simple[text]
    low, comma, high = text[1:-1].replace(" ", "").partition(",")
    if not comma:
        return int(low), int(low)
    return int(low), int(high) if high.strip() else None
