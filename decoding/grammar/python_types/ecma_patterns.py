r"""Translates Pydantic's regular expressions to ECMA-262 patterns that match no further strings.

Pydantic matches with Rust's `regex`, or with Python's `re.match` if its configuration says so. Both
define `\d`, `\w` and `\s` by Unicode, which ECMA-262 does not, and differ in `$` and `.`. The
engines have different versions of Unicode. So a character class is a pair of sets: the code points
that are in it in every version, and those that are in it in some version. A class is translated to
the first set; its complement is the complement of the second.
Sources: docs.rs/regex (Syntax), docs.python.org/library/re.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from decoding.grammar.regular import codepoints
from decoding.grammar.regular.codepoints import Ranges

_PUNCTUATION = frozenset("\\.+*?()|[]{}^$#&-~/ \"'`!@%,:;<=>_")
_SIMPLE = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "a": 7}
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}
_SYNTAX = frozenset("\\^$.*+?()[]{}|/")


class PatternError(ValueError):
    """Raised for pattern syntax that is unsupported or differs in meaning between engines."""


@dataclass(frozen=True, slots=True)
class CharacterClass:
    """A class of code points: `surely` in every version of Unicode, `maybe` in some version."""

    surely: Ranges
    maybe: Ranges

    def complement(self) -> CharacterClass:
        """The other code points."""
        return CharacterClass(codepoints.complement(self.maybe), codepoints.complement(self.surely))


def _all_but(categories: Collection[str]) -> Ranges:
    """The characters outside of some categories, and all beyond the first two planes."""
    category = unicodedata.category
    return codepoints.complement(
        codepoints.union(
            (code, code) for code in range(_LOOKED_AT) if category(chr(code)) in categories
        )
    )


_WHITE = (
    *((9, 13), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
)
"""The Unicode property White_Space, which is stable."""
_LOOKED_AT = 0x20000
_NO_WORD = frozenset(("Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Zs", "Zl", "Zp", "Cc"))
"""Unicode categories without letters, marks, digits and connectors."""
_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nl", "No", "Pc", "Sk", "So")
_NO_DIGIT = _NO_WORD.union(_LETTERS, ("Cf", "Co"))
"""Categories of assigned characters that are no digits."""
_ASCII_WHITE = ((9, 13), (32, 32))


@cache
def _class_of(letter: str) -> CharacterClass:
    r"""The class of `\d`, `\w` or `\s`; unassigned code points may be in it in some version."""
    if letter == "d":
        return CharacterClass(codepoints.DIGIT, _all_but(_NO_DIGIT))
    if letter == "s":
        # Python has four more separators.
        return CharacterClass(_ASCII_WHITE, codepoints.union(_WHITE, [(0x1C, 0x1F)]))
    return CharacterClass(codepoints.WORD, _all_but(_NO_WORD))


_NO_NEWLINE = CharacterClass(codepoints.complement(((10, 10),)), codepoints.EVERY)


def ecma_pattern(pattern: str, engine: Literal["rust-regex", "python-re"]) -> str:
    r"""An ECMA-262 pattern that only matches in strings in which `pattern` matches.

    Python matches at the beginning of a string. Raises `PatternError` for flags, word boundaries,
    look-around, references, property classes and operations on classes.

    >>> ecma_pattern(r"^\d+$", "rust-regex")
    '^[0-9]+$'
    """
    translated = "".join(_translated(pattern))
    return f"^(?:{translated})" if engine == "python-re" else translated


def _translated(pattern: str) -> Iterator[str]:
    place, size = 0, len(pattern)
    while place < size:
        one = pattern[place]
        if one == "\\":
            if pattern[place + 1 : place + 2] in ("A", "z", "Z"):
                # Only Python has \Z, which is Rust's \z.
                yield "^" if pattern[place + 1] == "A" else "$"
                place += 2
                continue
            found, place = _escape(pattern, place)
            yield _spelled(found.surely)
        elif one == "[":
            found, place = _bracket(pattern, place)
            yield _spelled(found.surely)
        elif one == ".":
            yield _spelled(_NO_NEWLINE.surely)
            place += 1
        elif one == "(":
            opened, place = _group(pattern, place)
            yield opened
        elif one == "{":
            end = pattern.find("}", place)
            bounds = pattern[place + 1 : end].replace(" ", "")
            low, _, high = bounds.partition(",")
            if end < 0 or not low.isdigit() or not (high.isdigit() or not high):
                raise PatternError(f"{pattern[place : place + 9]!r} is no repetition")
            yield f"{{{bounds}}}"
            place = end + 1
        elif one in "*+?":
            if pattern[place - 1 : place] in ("*", "+", "?", "}") and one == "+":
                raise PatternError(f"repetition of a repetition at {place}")
            yield one
            place += 1
        elif one in "|)^$":
            yield one
            place += 1
        else:
            yield _spelled(((ord(one), ord(one)),))
            place += 1


def _group(pattern: str, place: int) -> tuple[str, int]:
    if pattern[place + 1 : place + 2] != "?":
        return "(", place + 1
    if pattern.startswith("(?:", place):
        return "(?:", place + 3
    for opening in ("(?P<", "(?<"):
        end = pattern.find(">", place)
        name = pattern[place + len(opening) : end]
        if pattern.startswith(opening, place) and name.isidentifier():
            return "(?:", end + 1
    raise PatternError(f"{pattern[place : place + 6]!r} (flags or look-around)")


def _escape(pattern: str, place: int) -> tuple[CharacterClass, int]:
    """The class of an escape, and the index after it."""
    letter = pattern[place + 1 : place + 2]
    if letter and letter in "dws":
        return _class_of(letter), place + 2
    if letter and letter in "DWS":
        return _class_of(letter.lower()).complement(), place + 2
    if letter in _SIMPLE:
        return _single(_SIMPLE[letter]), place + 2
    if letter in _HEXADECIMAL:
        return _hexadecimal(pattern, place, letter)
    if letter and letter in _PUNCTUATION:
        return _single(ord(letter)), place + 2
    raise PatternError(f"the escape {pattern[place : place + 2]!r}")


def _hexadecimal(pattern: str, place: int, letter: str) -> tuple[CharacterClass, int]:
    begin, end = place + 2, place + 2 + _HEXADECIMAL[letter]
    if pattern[begin : begin + 1] == "{":
        begin, end = begin + 1, pattern.find("}", begin)
    try:
        code = int(pattern[begin:end], 16)
        chr(code)
    except (ValueError, OverflowError) as error:
        raise PatternError(f"the escape {pattern[place : place + 10]!r}") from error
    return _single(code), end + (pattern[begin - 1] == "{")


def _single(code: int) -> CharacterClass:
    return CharacterClass(((code, code),), ((code, code),))


def _bracket(pattern: str, place: int) -> tuple[CharacterClass, int]:
    """The class in brackets at an index, and the index after it."""
    begin = place
    place += 1
    negated = pattern[place : place + 1] == "^"
    place += negated
    surely: list[tuple[int, int]] = []
    maybe: list[tuple[int, int]] = []
    first = True
    while pattern[place : place + 1] != "]" or first:
        first = False
        if place >= len(pattern):
            raise PatternError(f"the class {pattern[begin : begin + 9]!r} has no end")
        if pattern[place] == "[" or pattern[place : place + 2] in ("&&", "--", "~~", "||"):
            raise PatternError(f"operations on classes at {place}")
        low, place = _member(pattern, place)
        if pattern.startswith("--", place):
            raise PatternError(f"operations on classes at {place}")
        if pattern[place : place + 1] == "-" and pattern[place + 1 : place + 2] not in ("]", ""):
            high, place = _member(pattern, place + 1)
            ends = (low.surely, high.surely)
            if any(len(one) != 1 or one[0][0] != one[0][1] for one in ends) or low == high:
                raise PatternError(f"the range before {place}")
            span = ((low.surely[0][0], high.surely[0][0]),)
            if span[0][0] > span[0][1]:
                raise PatternError(f"the range before {place}, which is empty")
            low = CharacterClass(span, span)
        surely += low.surely
        maybe += low.maybe
    found = CharacterClass(codepoints.union(surely), codepoints.union(maybe))
    return (found.complement() if negated else found), place + 1


def _member(pattern: str, place: int) -> tuple[CharacterClass, int]:
    if pattern[place : place + 1] == "\\":
        return _escape(pattern, place)
    return _single(ord(pattern[place])), place + 1


def _spelled(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _character(ranges[0][0])
    if not ranges:
        return "[]"
    spans = (
        _character(low) if low == high else f"{_character(low)}-{_character(high)}"
        for low, high in ranges
    )
    return f"[{''.join(spans)}]"


def _character(code: int) -> str:
    one = chr(code)
    if one.isascii() and one.isprintable():
        return f"\\{one}" if one in _SYNTAX else (r"\x2d" if one == "-" else one)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\u{{{code:x}}}"
