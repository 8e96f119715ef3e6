r"""Parses escapes of a regex, which begin with `\`, and classes in square brackets."""

from __future__ import annotations

import re
from collections.abc import Callable

from decoding.errors import GrammarSyntaxError, GrammarUnsupportedError
from decoding.grammar.regular import codepoints
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.expressions import MAX_CODE_POINT
from decoding.grammar.regular.unicode_properties import property_of

_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "0": 0}
_CLASSES = {"d": codepoints.DIGIT, "w": codepoints.WORD, "s": codepoints.SPACE}
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"([pP])(?:\{(\^?)([A-Za-z0-9_=]+)\}|([A-Z]))")


BACK_REFERENCE = (
    "it matches what a group has matched, which a finite automaton cannot store; write the possible"
    " texts of the group as alternatives, each with its repetition"
)


def where(offset: int) -> str:
    """Return the location of an offset, as errors name it."""
    return f"offset {offset}"


def _hexadecimal(pattern: str, offset: int) -> tuple[int, int] | None:
    found = _HEX.match(pattern, offset)
    if found is None:
        return None
    code = int(found[found.lastindex or 0], 16)
    end = found.end()
    if code > MAX_CODE_POINT:
        raise GrammarSyntaxError(where(offset - 1), f"no character has the code point {code:#x}")
    if found[2] and 0xD800 <= code <= 0xDBFF:
        low = _LOW_SURROGATE.match(pattern, end)
        if low is not None:
            code = 0x10000 + (code - 0xD800) * 0x400 + int(low[1], 16) - 0xDC00
            end = low.end()
    return code, end


def _property(pattern: str, offset: int) -> tuple[Ranges, int]:
    found = _PROPERTY.match(pattern, offset)
    if found is None:
        raise GrammarSyntaxError(where(offset - 1), "a property needs a name, as in \\p{L}")
    ranges = property_of(found[3] or found[4])
    if ranges is None:
        raise GrammarUnsupportedError(
            where(offset - 1),
            f"\\{found[0]}",
            "no such property is known; write a general category (\\p{Lu}), a script"
            " (\\p{Script=Greek}), a binary property of ECMA-262 (\\p{Alphabetic}), or the"
            " characters themselves in a class",
        )
    if (found[1] == "P") != (found[2] == "^"):
        ranges = codepoints.complement(ranges)
    return ranges, found.end()


def escape(pattern: str, offset: int) -> tuple[int | Ranges, int]:
    r"""Return the code point or the set of an escape, and the offset behind it.

    offset: of the character after the `\`.
    """
    if offset >= len(pattern):
        raise GrammarSyntaxError(where(offset - 1), "nothing follows the \\")
    letter = pattern[offset]
    if letter in "dwsDWS":
        ranges = _CLASSES[letter.lower()]
        return ranges if letter.islower() else codepoints.complement(ranges), offset + 1
    if letter in "pP":
        return _property(pattern, offset)
    if letter == "c" and re.match("[A-Za-z]", pattern[offset + 1 : offset + 2]):
        return ord(pattern[offset + 1]) % 32, offset + 2
    if letter.isdecimal() and (letter != "0" or pattern[offset + 1 : offset + 2].isdecimal()):
        if letter == "0":
            reason = "write the character by its number in hexadecimal digits, as in \\x08"
            raise GrammarUnsupportedError(where(offset - 1), "an octal escape", reason)
        raise GrammarUnsupportedError(where(offset - 1), "a back-reference", BACK_REFERENCE)
    if letter in _CONTROLS:
        return _CONTROLS[letter], offset + 1
    found = _hexadecimal(pattern, offset)
    if found is not None:
        return found
    if letter.isascii() and letter.isalpha():
        raise GrammarSyntaxError(where(offset - 1), f"\\{letter} has no meaning here")
    return ord(letter), offset + 1


def _member(pattern: str, offset: int) -> tuple[int | Ranges, int]:
    """Return one member of a class, and the offset behind it."""
    if pattern[offset] != "\\":
        return ord(pattern[offset]), offset + 1
    if pattern[offset + 1 : offset + 2] == "b":
        return 8, offset + 2
    return escape(pattern, offset + 1)


def character_class(
    pattern: str, offset: int, fold: Callable[[Ranges], Ranges], *, python: bool
) -> tuple[Ranges, int]:
    """Return the set of characters of a class, and the offset behind it.

    offset: of the character after the `[`.
    fold: applied to the set before it is negated.
    python: whether a `]` that comes first is a member, as in Python, or ends the class.
    """
    opening = offset - 1
    negated = pattern[offset : offset + 1] == "^"
    offset += negated
    found: list[Ranges] = []
    first = python
    while offset < len(pattern) and (pattern[offset] != "]" or first):
        first = False
        start = offset
        item, offset = _member(pattern, offset)
        if pattern[offset : offset + 1] == "-" and pattern[offset + 1 : offset + 2] not in {
            "]",
            "",
        }:
            last, end = _member(pattern, offset + 1)
            if isinstance(item, int) and isinstance(last, int):
                if last < item:
                    got = f"U+{item:04X}-U+{last:04X}"
                    reason = f"a range of characters must ascend, got {got}"
                    raise GrammarSyntaxError(where(start), reason)
                found.append(((item, last),))
                offset = end
                continue
        found.append(((item, item),) if isinstance(item, int) else item)
    if offset >= len(pattern):
        raise GrammarSyntaxError(where(opening), "the character class is not closed: expected ]")
    ranges = fold(codepoints.without_surrogates(codepoints.union(*found)))
    return codepoints.complement(ranges) if negated else ranges, offset + 1
