r"""The parser of regexes: ECMA-262's syntax and Python's additions, read into expressions.

`\d` and `\w` are ASCII, `\s` and `.` are those of ECMA-262, and `$` is the very end of the text.
Lazy quantifiers are read as greedy ones: they change which match is found, not whether there is
one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.assertions import (
    Boundary,
    Either,
    End,
    Look,
    Node,
    Start,
    either,
    joined,
    repeated,
)
from decoding.grammar.regular.atomic import atomic, possessive
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.escapes import BACK_REFERENCE, character_class, escape, where
from decoding.grammar.regular.expressions import EMPTY_STRING, Expression
from decoding.grammar.regular.lookaround import full_language, search_language
from decoding.grammar.regular.work import remembered

MAX_NODES = 300_000
"""Characters of a pattern."""
MAX_COUNT = 100_000
MAX_NESTING = 256

_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_COUNT_UP_TO = re.compile(r"\{()(,)(\d+)\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]+)\)")
_SCOPED_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?:")
_NAMED = re.compile(r"\(\?P?<([^\W\d]\w*)>")
_BLANKS = re.compile(r"\s+|#[^\n]*")
_CONDITIONAL = (
    "it depends on whether a group has matched, which a finite automaton cannot store; write both"
    " cases as alternatives"
)
_RECURSIVE = "recursion is not regular; write a context-free grammar (compile_gbnf, compile_lark)"
_LOOKS = {"(?=": (True, False), "(?!": (True, True), "(?<=": (False, False), "(?<!": (False, True)}


@dataclass(slots=True)
class _Group:
    """A group that is still open."""

    offset: int
    flags: frozenset[str]
    look: tuple[bool, bool] | None = None
    parts: list[Node] = field(default_factory=list)
    options: list[Node] = field(default_factory=list)
    depth: int = 0
    is_atomic: bool = False
    is_lazy: bool = False

    def close(self) -> tuple[Node, int]:
        """Return the node of the group and the depth of its nesting."""
        self.options.append(joined(self.parts))
        if self.is_atomic:
            node = atomic(self.options, self.offset, is_lazy=self.is_lazy)
        else:
            node = either(self.options)
        depth = self.depth + (len(self.options) > 1) + 1
        if self.look is not None:
            ahead, negative = self.look
            node = Look(node, ahead, negative, self.offset)
        return node, depth


class _Parser:
    """A parser of one pattern: one pass, with a stack of open groups."""

    def __init__(self, pattern: str, *, python: bool) -> None:
        self.pattern, self.python = pattern, python
        self.at = 0
        self.stack: list[_Group] = []
        self.sets: dict[Node, Node] = {}  # of characters, interned: some take much memory
        self.group = _Group(0, frozenset())

    def parse(self) -> Node:
        if len(self.pattern) > MAX_NODES:
            raise GrammarLimitError("", "characters in a pattern", MAX_NODES)
        self._leading_flags()
        while self.at < len(self.pattern):
            self._step()
        if self.stack:
            raise GrammarSyntaxError(where(self.group.offset), "this group is not closed by )")
        return self.group.close()[0]

    def _leading_flags(self) -> None:
        found = _FLAGS.match(self.pattern)
        while found is not None:
            self._set_flags(found[1], on=True)
            self.at = found.end()
            found = _FLAGS.match(self.pattern, self.at)

    def _set_flags(self, flags: str, *, on: bool) -> None:
        for flag in flags:
            if flag not in "imsxaug":
                reason = "the flags i, m, s and x are known; a, u and g change nothing"
                raise GrammarUnsupportedError(where(self.at), f"the flag {flag}", reason)
        known = self.group.flags
        self.group.flags = known | frozenset(flags) if on else known - frozenset(flags)

    def _skip_blanks(self) -> None:
        """Skip blanks and comments, where the flag x is set."""
        while "x" in self.group.flags and (found := _BLANKS.match(self.pattern, self.at)):
            self.at = found.end()

    def _step(self) -> None:
        self._skip_blanks()
        if self.at == len(self.pattern):
            return
        letter = self.pattern[self.at]
        if letter == "(":
            self._open()
        elif letter == ")":
            self._close()
        elif letter == "|":
            self.at += 1
            self.group.options.append(joined(self.group.parts))
            self.group.parts = []
        elif letter in "*+?" or (letter == "{" and self._count() is not None):
            raise GrammarSyntaxError(where(self.at), f"nothing to repeat before {letter}")
        else:
            start = self.at
            self._quantified(self._atom(letter), 1, start)

    def _open(self) -> None:
        start = self.at
        group = _Group(start, self.group.flags)
        named, flags = _NAMED.match(self.pattern, start), _SCOPED_FLAGS.match(self.pattern, start)
        look = next((key for key in _LOOKS if self.pattern.startswith(key, start)), None)
        if self.pattern.startswith("(?#", start):
            self._skip_comment()
            return
        if look is not None:
            group.look = _LOOKS[look]
            self.at += len(look)
        elif self.pattern.startswith("(?>", start):
            group.is_atomic = True
            self.at += 3
        elif named is not None:
            self.at = named.end()
        elif flags is None and self.pattern.startswith("(?", start):
            raise self._bad_group()
        self.stack.append(self.group)
        self.group = group
        if len(self.stack) > MAX_NESTING:
            raise GrammarLimitError(where(start), "levels of nested groups", MAX_NESTING)
        if flags is not None:
            self._set_flags(flags[1], on=True)
            self._set_flags(flags[2] or "", on=False)
            self.at = flags.end()
        elif self.at == start:
            self.at += 1

    def _skip_comment(self) -> None:
        end = self.pattern.find(")", self.at)
        if end < 0:
            raise GrammarSyntaxError(where(self.at), "this comment is not closed by )")
        self.at = end + 1

    def _bad_group(self) -> GrammarSyntaxError | GrammarUnsupportedError:
        for begin, name, reason in (
            ("(?P=", "a back-reference", BACK_REFERENCE),
            ("(?(", "a conditional group", _CONDITIONAL),
            ("(?R", "a recursive pattern", _RECURSIVE),
            ("(?&", "a recursive pattern", _RECURSIVE),
        ):
            if self.pattern.startswith(begin, self.at):
                return GrammarUnsupportedError(where(self.at), name, reason)
        if self.pattern[self.at + 2 : self.at + 3].isdecimal():
            return GrammarUnsupportedError(where(self.at), "a recursive pattern", _RECURSIVE)
        if _FLAGS.match(self.pattern, self.at):
            reason = "flags stand at the beginning only; for a part, write (?i:...)"
            return GrammarSyntaxError(where(self.at), reason)
        return GrammarSyntaxError(
            where(self.at), f"unknown kind of group {self.pattern[self.at : self.at + 4]!r}"
        )

    def _close(self) -> None:
        if not self.stack:
            raise GrammarSyntaxError(where(self.at), "this ) closes no group")
        node, depth = self.group.close()
        start, is_lazy = self.group.offset, self.group.is_lazy
        self.group = self.stack.pop()
        self.group.is_lazy |= is_lazy
        self.at += 1
        self._quantified(node, depth, start)

    def _atom(self, letter: str) -> Node:
        self.at += 1
        if letter in "^$":
            return self._line_edge(Start() if letter == "^" else End(), ahead=letter == "$")
        if letter == ".":
            ends = () if "s" in self.group.flags else codepoints.LINE_ENDS
            return operations.one_of(codepoints.complement(ends))
        if letter == "[":
            ranges, self.at = character_class(
                self.pattern, self.at, self._folded, python=self.python
            )
            return self._set(ranges)
        if letter == "\\":
            return self._escaped()
        return self._characters(ord(letter))

    def _line_edge(self, edge: Node, *, ahead: bool) -> Node:
        """Return the edge of the text or, with the flag m, of any line."""
        if "m" not in self.group.flags:
            return edge
        line_end = operations.one_of(codepoints.LINE_ENDS)
        return Either((edge, Look(line_end, ahead, negative=False, offset=self.at - 1)))

    def _escaped(self) -> Node:
        letter = self.pattern[self.at : self.at + 1]
        anchors: dict[str, Node] = {
            "A": Start(),
            "Z": End(),
            "z": End(),
            "b": Boundary(negative=False),
            "B": Boundary(negative=True),
        }
        if letter in anchors:
            self.at += 1
            return anchors[letter]
        if letter == "k":
            raise GrammarUnsupportedError(where(self.at - 1), "a back-reference", BACK_REFERENCE)
        item, self.at = escape(self.pattern, self.at)
        return self._characters(item)

    def _characters(self, item: int | Ranges) -> Node:
        ranges = ((item, item),) if isinstance(item, int) else item
        return self._set(self._folded(codepoints.without_surrogates(ranges)))

    def _set(self, ranges: Ranges) -> Node:
        made = operations.one_of(ranges)
        return self.sets.setdefault(made, made)

    def _folded(self, ranges: Ranges) -> Ranges:
        return codepoints.ignoring_case(ranges) if "i" in self.group.flags else ranges

    def _count(self) -> tuple[int, int | None, int] | None:
        """Return the minimum, the maximum and the end of a quantifier at this position, or None."""
        letter = self.pattern[self.at : self.at + 1]
        if letter in {"*", "+", "?"}:
            return int(letter == "+"), 1 if letter == "?" else None, self.at + 1
        found = _COUNT.match(self.pattern, self.at)
        if found is None and self.python:
            found = _COUNT_UP_TO.match(self.pattern, self.at)
        if found is None:
            return None
        if max(len(found[1]), len(found[3] or "")) > 9:
            raise GrammarLimitError(where(self.at), "repetitions of one part", MAX_COUNT)
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else None
        return least, most, found.end()

    def _quantified(self, node: Node, depth: int, start: int) -> None:
        self._skip_blanks()
        count = self._count()
        if count is not None:
            least, most, end = count
            if most is not None and most < least:
                reason = f"a repetition must have minimum <= maximum, got {{{least},{most}}}"
                raise GrammarSyntaxError(where(self.at), reason)
            if max(least, most or 0) > MAX_COUNT:
                raise GrammarLimitError(where(self.at), "repetitions of one part", MAX_COUNT)
            mark = self.pattern[end : end + 1]
            self.at = end + (mark in {"?", "+"})
            self.group.is_lazy |= mark == "?"
            if self._count() is not None:
                raise GrammarSyntaxError(where(self.at), "a quantifier follows another one")
            if mark == "+":
                node = possessive(node, least, most, end)
            else:
                node = repeated(node, least, most, start)
            depth += 1
        self.group.parts.append(node)
        self.group.depth = max(self.group.depth, depth)
        if depth > MAX_NESTING:
            raise GrammarLimitError(where(start), "levels of nesting", MAX_NESTING)


@remembered(4096)
def parse_full(pattern: str) -> Expression:
    r"""Return the texts that a pattern matches from beginning to end, as `re.fullmatch` does.

    The syntax is Python's where it differs from ECMA-262: a `]` that comes first in a class is a
    member of it, and `{,n}` is a quantifier.

    Raises:
        GrammarSyntaxError: if the pattern is not well formed.
        GrammarUnsupportedError: for what no regular language expresses (`\1`), or not here.
        GrammarLimitError: for too many characters, repetitions or levels of nesting.
    """
    return full_language(_Parser(pattern, python=True).parse()) if pattern else EMPTY_STRING


@remembered(4096)
def parse_search(pattern: str) -> Expression:
    r"""Return the texts in which a pattern of ECMA-262 matches anywhere (JSON Schema's `pattern`).

    Raises:
        GrammarSyntaxError: if the pattern is not well formed.
        GrammarUnsupportedError: for what no regular language expresses (`\1`), or not here.
        GrammarLimitError: for too many characters, repetitions or levels of nesting.
    """
    return search_language(_Parser(pattern, python=False).parse())
