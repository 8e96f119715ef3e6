r"""Regular expressions: ECMA-262 and what Python adds to it, as expressions.

`\d` and `\w` are ASCII, `\s` and `.` are those of ECMA-262, and `$` is the very end of the text.
Quantifiers may be lazy: it changes what a match is, not whether there is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from decoding.errors import GrammarLimitError, GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar import algebra, codepoints
from decoding.grammar.assertions import (
    Boundary,
    End,
    Look,
    Node,
    Start,
    either,
    joined,
    repeated,
    resolve_full,
    resolve_search,
)
from decoding.grammar.codepoints import Ranges
from decoding.grammar.escapes import character_class, escape, where
from decoding.grammar.expressions import EMPTY_STRING, Expression

MAX_NODES = 1_000_000
MAX_COUNT = 100_000
MAX_NESTING = 256

_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_COUNT_UP_TO = re.compile(r"\{()(,)(\d+)\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]+)\)")
_SCOPED_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?:")
_NAMED = re.compile(r"\(\?P?<([^\W\d]\w*)>")
_LOOKS = {"(?=": (True, False), "(?!": (True, True), "(?<=": (False, False), "(?<!": (False, True)}


@dataclass(slots=True)
class _Group:
    """A group that is still open."""

    offset: int
    ignore_case: bool
    dot_all: bool
    look: tuple[bool, bool] | None = None
    parts: list[Node] = field(default_factory=list)
    options: list[Node] = field(default_factory=list)
    depth: int = 0

    def close(self) -> tuple[Node, int]:
        """Return what the group means and how deep it is nested."""
        self.options.append(joined(self.parts))
        node = either(self.options)
        depth = self.depth + (len(self.options) > 1) + 1
        if self.look is not None:
            ahead, negative = self.look
            node = Look(node, ahead, negative, self.offset)
        return node, depth


class _Parser:
    """One pass over a pattern, with a stack of open groups."""

    def __init__(self, pattern: str, *, python: bool) -> None:
        self.pattern, self.python = pattern, python
        self.at = 0
        self.stack: list[_Group] = []
        self.group = _Group(0, ignore_case=False, dot_all=False)

    def parse(self) -> Node:
        if len(self.pattern) > MAX_NODES:
            raise GrammarLimitError("", "characters in a pattern", MAX_NODES)
        self._leading_flags()
        while self.at < len(self.pattern):
            self._step()
        if self.stack:
            raise GrammarSyntaxError(where(self.group.offset), "the group is not closed")
        return self.group.close()[0]

    def _leading_flags(self) -> None:
        found = _FLAGS.match(self.pattern)
        if found is not None:
            self._set_flags(found[1], on=True)
            self.at = found.end()

    def _set_flags(self, flags: str, *, on: bool) -> None:
        for flag in flags:
            if flag == "i":
                self.group.ignore_case = on
            elif flag == "s":
                self.group.dot_all = on
            elif flag not in "aug":
                raise GrammarUnsupportedError(
                    where(self.at), f"the flag {flag}", "only i and s are known"
                )

    def _step(self) -> None:
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
        group = _Group(start, self.group.ignore_case, self.group.dot_all)
        named, flags = _NAMED.match(self.pattern, start), _SCOPED_FLAGS.match(self.pattern, start)
        look = next((key for key in _LOOKS if self.pattern.startswith(key, start)), None)
        if self.pattern.startswith("(?#", start):
            self._skip_comment()
            return
        if look is not None:
            group.look = _LOOKS[look]
            self.at += len(look)
        elif named is not None:
            self.at = named.end()
        elif flags is None and self.pattern.startswith("(?", start):
            raise self._bad_group()
        self.stack.append(self.group)
        self.group = group
        if len(self.stack) > MAX_NESTING:
            raise GrammarLimitError(where(start), "nested groups", MAX_NESTING)
        if flags is not None:
            self._set_flags(flags[1], on=True)
            self._set_flags(flags[2] or "", on=False)
            self.at = flags.end()
        elif self.at == start:
            self.at += 1

    def _skip_comment(self) -> None:
        end = self.pattern.find(")", self.at)
        if end < 0:
            raise GrammarSyntaxError(where(self.at), "the comment is not closed")
        self.at = end + 1

    def _bad_group(self) -> GrammarSyntaxError | GrammarUnsupportedError:
        for begin, name in (
            ("(?P=", "a back-reference"),
            ("(?>", "an atomic group"),
            ("(?(", "a conditional group"),
        ):
            if self.pattern.startswith(begin, self.at):
                return GrammarUnsupportedError(where(self.at), name, "it cannot be expressed")
        if _FLAGS.match(self.pattern, self.at):
            return GrammarSyntaxError(where(self.at), "flags stand at the beginning only")
        return GrammarSyntaxError(where(self.at), "unknown kind of group")

    def _close(self) -> None:
        if not self.stack:
            raise GrammarSyntaxError(where(self.at), "this ) closes nothing")
        node, depth = self.group.close()
        start = self.group.offset
        self.group = self.stack.pop()
        self.at += 1
        self._quantified(node, depth, start)

    def _atom(self, letter: str) -> Node:
        self.at += 1
        if letter == "^":
            return Start()
        if letter == "$":
            return End()
        if letter == ".":
            ends = () if self.group.dot_all else codepoints.LINE_ENDS
            return algebra.one_of(codepoints.complement(ends))
        if letter == "[":
            ranges, self.at = character_class(
                self.pattern, self.at, self._folded, python=self.python
            )
            return algebra.one_of(ranges)
        if letter == "\\":
            return self._escaped()
        return self._characters(ord(letter))

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
            raise GrammarUnsupportedError(
                where(self.at - 1), "a back-reference", "it is not a regular language"
            )
        item, self.at = escape(self.pattern, self.at)
        return self._characters(item)

    def _characters(self, item: int | Ranges) -> Node:
        ranges = ((item, item),) if isinstance(item, int) else item
        return algebra.one_of(self._folded(codepoints.without_surrogates(ranges)))

    def _folded(self, ranges: Ranges) -> Ranges:
        return codepoints.ignoring_case(ranges) if self.group.ignore_case else ranges

    def _count(self) -> tuple[int, int | None, int] | None:
        """Return the minimum, the maximum and the end of a quantifier at this place."""
        letter = self.pattern[self.at : self.at + 1]
        if letter in {"*", "+", "?"}:
            return int(letter == "+"), 1 if letter == "?" else None, self.at + 1
        found = _COUNT.match(self.pattern, self.at)
        if found is None and self.python:
            found = _COUNT_UP_TO.match(self.pattern, self.at)
        if found is None:
            return None
        if max(len(found[1]), len(found[3] or "")) > 9:
            raise GrammarLimitError(where(self.at), "repetitions", MAX_COUNT)
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else None
        return least, most, found.end()

    def _quantified(self, node: Node, depth: int, start: int) -> None:
        count = self._count()
        if count is not None:
            least, most, end = count
            if most is not None and most < least:
                raise GrammarSyntaxError(where(self.at), "the bounds are reversed")
            if max(least, most or 0) > MAX_COUNT:
                raise GrammarLimitError(where(self.at), "repetitions", MAX_COUNT)
            if self.pattern[end : end + 1] == "+":
                raise GrammarUnsupportedError(
                    where(end), "a possessive quantifier", "it cannot be expressed"
                )
            self.at = end + (self.pattern[end : end + 1] == "?")
            if self._count() is not None:
                raise GrammarSyntaxError(where(self.at), "a quantifier follows another one")
            node, depth = repeated(node, least, most, start), depth + 1
        self.group.parts.append(node)
        self.group.depth = max(self.group.depth, depth)
        if depth > MAX_NESTING:
            raise GrammarLimitError(where(start), "levels of nesting", MAX_NESTING)


@lru_cache(maxsize=4096)
def parse_full(pattern: str) -> Expression:
    r"""Return the texts that a pattern matches from beginning to end, as `re.fullmatch` does.

    The syntax is Python's where it differs from ECMA-262: a `]` that comes first in a class is a
    member of it, and `{,n}` is a quantifier.

    Raises:
        GrammarSyntaxError: if the pattern is not well formed.
        GrammarUnsupportedError: for what no regular language expresses (`\1`), or not here.
        GrammarLimitError: for too many characters, repetitions or levels of nesting.
    """
    return resolve_full(_Parser(pattern, python=True).parse()) if pattern else EMPTY_STRING


@lru_cache(maxsize=4096)
def parse_search(pattern: str) -> Expression:
    r"""Return the texts in which a pattern of ECMA-262 matches anywhere (JSON Schema's `pattern`).

    Raises:
        GrammarSyntaxError: if the pattern is not well formed.
        GrammarUnsupportedError: for what no regular language expresses (`\1`), or not here.
        GrammarLimitError: for too many characters, repetitions or levels of nesting.
    """
    return resolve_search(_Parser(pattern, python=False).parse())
