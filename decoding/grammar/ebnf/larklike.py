r"""Parses an EBNF that resembles Lark's, without a lexer, to the rules of `syntax`.

    start: pair ("," pair)*              // a comment; # begins one too
    pair: NAME "=" (value | [sign] INT) -> assignment
    ?value: "true"i | /[0-9a-f]/i ~ 2..4
    sign: "+" | "-"
    NAME: ("a".."z" | "_")+
    %import common.INT
    %import common.WS -> SPACE
    %ignore SPACE

Names of rules are in lower case, names of terminals in upper case. `?`, `!` and `_` before a name
and `->` after an alternative shape a parse tree in Lark and have no effect here. There is no lexer
that takes the longest match: a terminal may end wherever the rest of the text fits. Text that
`%ignore` matches may come before, between and after the terminals of rules. Regular expressions are
those of `decoding.grammar.regular.regex`, with the flags `i`, `m`, `s`. Not supported are
priorities, templates, `%declare`, `%override`, `%extend`, and imports of other libraries than
`common`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.ebnf.call_graph import components
from decoding.grammar.ebnf.common import COMMON_TERMINALS
from decoding.grammar.ebnf.parsing import Lexeme, OpenBracket, RuleCollector, lexemes_of
from decoding.grammar.ebnf.syntax import Alternative, Item, Rules, Symbol, Terminal, called_by
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.regex import parse_full

_WORDS = re.compile(
    r"""
    (?P<skip>(?:\s|//[^\n]*|\#[^\n]*)+)
  | (?P<directive>%[a-z]+)
  | (?P<name>_{0,2}[A-Za-z][A-Za-z0-9_]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"i?)
  | (?P<regex>/(?!/)(?:[^/\\\n]|\\.)+/[a-z]*)
  | (?P<arrow>->)
  | (?P<repeat>[*+]|\?(?![A-Za-z_]))
  | (?P<number>[0-9]{1,9})
  | (?P<dots>\.\.)
  | (?P<mark>[|():\[\]~.,{}?!])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|([^\\])", re.DOTALL
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "/": "/"}
_REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_IGNORED = "%ignore"
_START = "%start"


def parse_larklike(text: str, start: str = "start") -> Rules:
    """Parse a Lark-like text to rules.

    start: the name of the start rule.

    Raises:
        GrammarSyntaxError: the text is not in this notation; `where` is `line:column`.
        GrammarUnsupportedError: it uses a feature that is not supported.
        GrammarUnsatisfiableError: a rule that is called is not defined.
        GrammarLimitError: more than `MAX_SYMBOLS` symbols.
    """
    words = lexemes_of(text, _WORDS)
    reader = _Reader(words, spacing=any(word.text == _IGNORED for word in words))
    while reader.word.kind != "end":
        if reader.word.kind == "directive":
            _directive(reader)
        else:
            _definition(reader)
    return _finished(reader, start)


@dataclass(slots=True)
class _Reader:
    """The state of parsing.

    spacing: whether the grammar has `%ignore`. ignored: the alternatives that it ignores.
    spaced: by terminal, the rule for the terminal followed by ignored text.
    in_terminal: whether the definition of a terminal is being parsed.
    """

    words: list[Lexeme]
    spacing: bool
    at: int = 0
    collector: RuleCollector = field(default_factory=RuleCollector)
    ignored: list[Alternative] = field(default_factory=list)
    spaced: dict[Symbol, Symbol] = field(default_factory=dict)
    in_terminal: bool = False

    @property
    def word(self) -> Lexeme:
        """The next word."""
        return self.words[self.at]

    def take(self, *expected: str) -> Lexeme:
        """The next word, which is of one of these kinds or texts."""
        word = self.word
        if word.kind not in expected and word.text not in expected:
            got = repr(word.text) if word.text else "the end"
            raise GrammarSyntaxError(word.where, f"expected {' or '.join(expected)}, got {got}")
        self.at += 1
        return word

    def taken(self, text: str) -> bool:
        """Whether the next word is this one, which is passed then."""
        found = self.word.text == text
        self.at += found
        return found


def _is_terminal(name: str) -> bool:
    return name.lstrip("_")[0].isupper()


def _definition(reader: _Reader) -> None:
    """Parse the definition of a rule or terminal."""
    while _is_modifier(reader.word):
        reader.at += 1
    name = reader.take("name")
    if reader.word.text == "{":
        raise GrammarUnsupportedError(reader.word.where, "template", "rules have no parameters")
    if reader.word.text == ".":
        reason = "all parses of a text are allowed, so priorities have no meaning"
        raise GrammarUnsupportedError(reader.word.where, "priority", reason)
    reader.take(":")
    reader.in_terminal = _is_terminal(name.text)
    reader.collector.define(name.text, _alternatives(reader, name), name.where)


def _alternatives(reader: _Reader, word: Lexeme) -> tuple[Alternative, ...]:
    """Parse the right side of a definition."""
    collector = reader.collector
    collector.open = [OpenBracket(word)]
    while not _definition_ends(reader):
        _read(reader)
    if len(collector.open) > 1:
        raise GrammarSyntaxError(collector.open[-1].word.where, "the bracket is not closed")
    return collector.open.pop().closed()


def _definition_ends(reader: _Reader) -> bool:
    words, at = reader.words, reader.at
    while _is_modifier(words[at]):
        at += 1
    if words[at].kind != "name":
        return words[at].kind in ("end", "directive")
    # A template or a priority begins a definition too; `_definition` refuses them.
    begins = [word.text for word in words[at + 1 : at + 4]]
    return begins[0] in (":", "{") or (begins[0] == "." and begins[2:] == [":"])


def _is_modifier(word: Lexeme) -> bool:
    return word.kind == "mark" and word.text in ("?", "!")


def _read(reader: _Reader) -> None:
    """Parse the next lexeme of the right side of a definition."""
    collector, word = reader.collector, reader.word
    reader.at += 1
    match word.kind, word.text:
        case "name", _:
            collector.add(_named(reader, word), word.where)
        case "string", _:
            terminal = Terminal(_literal(reader, word))
            collector.add(_spaced(reader, terminal, word.where), word.where)
        case "regex", _:
            collector.add(_spaced(reader, Terminal(_regex(word)), word.where), word.where)
        case "repeat", _:
            collector.repeat(*_REPEATS[word.text], word.where)
        case "arrow", _:
            _alias(reader, word)
        case _, "~":
            low = int(reader.take("number").text)
            high = int(reader.take("number").text) if reader.taken("..") else low
            collector.repeat(low, high, word.where)
        case _, "|":
            collector.open[-1].next_alternative()
        case _, "(" | "[":
            collector.open.append(OpenBracket(word))
        case _, ")" | "]":
            _close(collector, word)
        case _:
            raise GrammarSyntaxError(word.where, f"{word.text!r} is not allowed here")


def _alias(reader: _Reader, word: Lexeme) -> None:
    """Parse `-> name`, which names an alternative and has no effect."""
    reader.take("name")
    ends = reader.word.text == "|" or _definition_ends(reader)
    if len(reader.collector.open) > 1 or not ends:
        raise GrammarSyntaxError(
            word.where, "an alias (-> name) is allowed only at the end of an alternative of a rule"
        )


def _close(collector: RuleCollector, word: Lexeme) -> None:
    if collector.open[-1].word.text + word.text not in ("()", "[]"):
        raise GrammarSyntaxError(word.where, f"no open bracket matches {word.text!r}")
    collector.close()
    if word.text == "]":
        collector.repeat(0, 1, word.where)


def _named(reader: _Reader, word: Lexeme) -> Symbol:
    """The symbol of a rule or terminal that is called by name."""
    symbol = reader.collector.call(word.text, word.where)
    if _is_terminal(word.text):
        return _spaced(reader, symbol, word.where)
    if reader.in_terminal:
        raise GrammarSyntaxError(word.where, f"a terminal cannot contain the rule {word.text}")
    return symbol


def _spaced(reader: _Reader, symbol: Symbol, where: str) -> Symbol:
    """The symbol of a terminal; in a rule, with ignored text after it."""
    if reader.in_terminal or not reader.spacing:
        return symbol
    if symbol not in reader.spaced:
        name = f"{_IGNORED} {len(reader.spaced)}"
        reader.spaced[symbol] = reader.collector.call(name, where)
        ignored = Item(reader.collector.call(_IGNORED, where), 0, None)
        reader.collector.define(name, ((Item(symbol), ignored),), where)
    return reader.spaced[symbol]


def _literal(reader: _Reader, word: Lexeme) -> Expression:
    """The expression of a quoted string, or of a range `"a".."z"`."""
    text = _unquoted(word)
    if not reader.taken(".."):
        if word.text.endswith("i"):
            return operations.sequence(
                operations.one_of(codepoints.ignoring_case(((ord(c), ord(c)),))) for c in text
            )
        return operations.literal(text)
    last = reader.take("string")
    high = _unquoted(last)
    if len(text) != 1 or len(high) != 1 or text > high or "i" in (word.text[-1], last.text[-1]):
        got = f"{word.text}..{last.text}"
        reason = f"a range must go from one character to a later one, got {got}"
        raise GrammarSyntaxError(word.where, reason)
    return operations.one_of(codepoints.without_surrogates(((ord(text), ord(high)),)))


def _unquoted(word: Lexeme) -> str:
    inside = word.text.removesuffix("i")[1:-1]
    found: list[str] = []
    for match in _ESCAPE.finditer(inside):
        *hexadecimal, escaped, plain = match.groups()
        digits = next((group for group in hexadecimal if group), None)
        if digits is not None:
            code_point = int(digits, 16)
            if code_point > 0x10FFFF or 0xD800 <= code_point <= 0xDFFF:
                raise GrammarSyntaxError(word.where, f"{match.group()} is not a character")
            found.append(chr(code_point))
        elif plain is not None:
            found.append(plain)
        elif escaped in _CONTROLS:
            found.append(_CONTROLS[escaped])
        else:
            raise GrammarSyntaxError(word.where, f"unknown escape {match.group()!r}")
    return "".join(found)


def _regex(word: Lexeme) -> Expression:
    pattern, _, flags = word.text[1:].rpartition("/")
    pattern = pattern.replace(r"\/", "/")
    if set(flags) - set("ims"):
        raise GrammarUnsupportedError(word.where, f"flag {flags!r}", "only i, m and s are known")
    return _parsed(f"(?{flags}:{pattern})" if flags else pattern, word.where)


def _parsed(pattern: str, where: str) -> Expression:
    """Parse a regular expression; its errors get the position in the grammar."""
    try:
        return parse_full(pattern)
    except GrammarUnsupportedError as error:
        raise GrammarUnsupportedError(where, error.keyword, f"in a regex, {error}") from error
    except GrammarLimitError as error:
        raise GrammarLimitError(where, error.what, error.limit) from error
    except GrammarSyntaxError as error:
        raise GrammarSyntaxError(where, f"in the regex, {error}") from error


def _directive(reader: _Reader) -> None:
    word = reader.take("directive")
    if word.text == "%import":
        _import(reader)
    elif word.text == _IGNORED:
        reader.in_terminal = True
        reader.ignored += _alternatives(reader, word)
    else:
        raise GrammarUnsupportedError(word.where, word.text, "only %import and %ignore are known")


def _import(reader: _Reader) -> None:
    """Parse `%import` with `common.NAME`, `common.NAME -> OTHER`, or `common (NAME, NAME)`."""
    library = reader.take("name")
    if library.text != "common":
        reason = "only the library common is known"
        raise GrammarUnsupportedError(library.where, f"%import {library.text}", reason)
    if reader.taken("("):
        names = [reader.take("name")]
        while reader.taken(","):
            names.append(reader.take("name"))
        reader.take(")")
        imported = [(name, name.text) for name in names]
    else:
        reader.take(".")
        name = reader.take("name")
        imported = [(name, reader.take("name").text if reader.taken("->") else name.text)]
    for word, called in imported:
        if word.text not in COMMON_TERMINALS:
            reason = "this terminal of the library is not known"
            raise GrammarUnsupportedError(word.where, f"common.{word.text}", reason)
        terminal = Terminal(_parsed(COMMON_TERMINALS[word.text], word.where))
        reader.collector.define(called, ((Item(terminal),),), word.where)


def _finished(reader: _Reader, start: str) -> Rules:
    """The grammar of all definitions; with `%ignore`, a text may begin with ignored text."""
    collector = reader.collector
    if reader.spacing:
        collector.define(_IGNORED, tuple(reader.ignored), "")
        items = (Item(collector.call(_IGNORED, ""), 0, None), Item(collector.call(start, "")))
        collector.define(_START, (items,), "")
    rules = collector.rules(_START if reader.spacing else start)
    calls = [called_by(rule) for rule in rules.rules]
    for circle in components(calls):
        for rule in (rules.rules[number] for number in circle):
            loops = len(circle) > 1 or circle[0] in calls[circle[0]]
            if loops and rule.name and _is_terminal(rule.name):
                raise GrammarSyntaxError(rule.where, f"terminal {rule.name} contains itself")
    return rules
