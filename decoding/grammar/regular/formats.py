r"""Regexes of the values of JSON Schema's `format`, such as dates and URIs, as expressions.

Each language lies within what its RFC allows, so that a text that is produced is valid. Some rare
valid texts are left out, such as leap seconds. Where a schema negates a format, a wider language is
excluded: every string that some reader takes for the format.
Sources: RFC 3339 (dates and times, durations), 5321 (e-mail), 1123 (host names), 2673 and 4291 (IP
addresses), 3986 and 3987 (URI and IRI), 6570 (URI templates), 6901 (JSON
pointers), 4122 (UUID).
"""

from __future__ import annotations

from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.regex import parse_full
from decoding.grammar.regular.work import remembered

_DAYS = (
    r"(0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8])"
)
_FOURTH = r"0[48]|[2468][048]|[13579][26]"  # two digits that are a multiple of 4 and not 0
_LEAP_YEAR = rf"\d\d({_FOURTH})|({_FOURTH})00"
# Year 0 is a year of RFC 3339 but of few calendars.
_YEAR = r"(\d{3}[1-9]|\d\d[1-9]\d|\d[1-9]\d\d|[1-9]\d{3})"
DATE = rf"({_YEAR}-({_DAYS})|({_LEAP_YEAR})-02-29)"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
_DURATION = (
    r"P(\d+W|(\d+Y(\d+M(\d+D)?)?|\d+M(\d+D)?|\d+D)(T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S))?"
    r"|T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S))"
)
_BYTE = r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_H16 = r"[0-9A-Fa-f]{1,4}"
_LS32 = rf"({_H16}:{_H16}|{IPV4})"
IPV6 = "(" + "|".join(
    (
        rf"({_H16}:){{6}}{_LS32}",
        rf"::({_H16}:){{5}}{_LS32}",
        rf"({_H16})?::({_H16}:){{4}}{_LS32}",
        rf"(({_H16}:){{0,1}}{_H16})?::({_H16}:){{3}}{_LS32}",
        rf"(({_H16}:){{0,2}}{_H16})?::({_H16}:){{2}}{_LS32}",
        rf"(({_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
        rf"(({_H16}:){{0,4}}{_H16})?::{_LS32}",
        rf"(({_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(({_H16}:){{0,6}}{_H16})?::",
    )
) + ")"  # fmt: skip


def _label(most: int) -> str:
    """The regex of a host name label of at most `most` characters.

    IDNA reserves hyphens as third and fourth character.
    """
    any_of, edge = "[A-Za-z0-9-]", "[A-Za-z0-9]"
    longer = rf"{any_of}({edge}{any_of}|-{edge}){any_of}{{0,{most - 5}}}{edge}"
    return rf"{edge}({any_of}{{0,2}}{edge}|{longer})?"


# A name has at most 253 characters: few labels, or long ones only at the beginning, or short ones.
_HOST = "(" + "|".join(
    rf"{_label(first)}(\.{_label(others)}){{0,{count}}}"
    for first, others, count in ((62, 62, 3), (62, 22, 8), (20, 20, 11))
) + ")"  # fmt: skip
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = rf"{_ATOM}(\.{_ATOM})*@{_HOST}"
_POINTER = r"(/([^~/]|~[01])*)*"
_VARIABLE = r"([A-Za-z0-9_]|%[0-9A-Fa-f]{2})(\.?([A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(:[1-9]\d{0,3}|\*)?"
_TEMPLATE = (
    r"([A-Za-z0-9!#$&()*+,./:;=?@\[\]_~\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef-]|%[0-9A-Fa-f]{2}"
    rf"|\{{[+#./;?&]?{_VARIABLE}(,{_VARIABLE})*\}})*"
)


_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"


def _reference(further: str) -> tuple[str, str]:
    """The regexes of a URI and of a URI reference, in which `further` characters are unreserved."""
    free = rf"[A-Za-z0-9._~!$&'()*+,;={further}-]|%[0-9A-Fa-f]{{2}}"
    plain = rf"({free}|[:@])"
    authority = rf"(({free}|:)*@)?(\[{IPV6}\]|({free})*)(:\d*)?"
    behind = rf"(\?({plain}|[/?])*)?(#({plain}|[/?])*)?"
    rooted = rf"//{authority}(/{plain}*)*|/({plain}+(/{plain}*)*)?|"
    rootless = rf"{plain}+(/{plain}*)*"
    uri = rf"{_SCHEME}:({rooted}|{rootless}){behind}"
    relative = rf"({free}|@)+(/{plain}*)*"  # no colon before a slash
    reference = rf"(({_SCHEME}:)?({rooted})|{_SCHEME}:{rootless}|{relative}){behind}"
    return uri, reference


_URI, _URI_REFERENCE = _reference("")
_IRI, _IRI_REFERENCE = _reference(r"\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef")

_PATTERNS = {
    "date-time": rf"{DATE}[Tt]{_TIME}",
    "date": DATE,
    "time": _TIME,
    "duration": _DURATION,
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uri": _URI,
    "uri-reference": _URI_REFERENCE,
    "iri": _IRI,
    "iri-reference": _IRI_REFERENCE,
    "uri-template": _TEMPLATE,
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "json-pointer": _POINTER,
    "relative-json-pointer": rf"(0|[1-9]\d*)(#|{_POINTER})",
}

# Every string that some reader takes for a format, where these are more than the strings above.
# A date has no time behind it, and what has one begins with a date: no reader takes a string for
# both. Likewise a time begins with two digits and a colon.
_ANYTHING = r"[\s\S]*"
_POSSIBLE = {
    "date-time": r"\d{4}[^Tt\s:]*[Tt\s_][\s\S]*",
    "date": r"\d{4}[^Tt\s:_]*",
    "time": r"\d\d:[\s\S]*",
    "duration": r"[+-]?P[\s\S]*",
    "email": r"[\s\S]*@[\s\S]*",
    "idn-email": r"[\s\S]*@[\s\S]*",
    "hostname": "[A-Za-z0-9._-]*",
    "idn-hostname": _ANYTHING,
    "ipv6": r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[\s\S]*)?",
    "uri": rf"{_SCHEME}:[\s\S]*",
    "uri-reference": _ANYTHING,
    "iri": r"[\s\S]*:[\s\S]*",
    "iri-reference": _ANYTHING,
    "uri-template": _ANYTHING,
    "relative-json-pointer": r"(0|[1-9]\d*)[\s\S]*",
}
_LEFT_OUT = {
    "date-time": "the year 0000, leap seconds and fractions of more than nine digits",
    "date": "the year 0000",
    "time": "leap seconds and fractions of more than nine digits",
    "duration": "fractions and signs, which ISO 8601 has",
    "email": "quoted local parts and addresses in brackets",
    "idn-email": "all but ASCII",
    "hostname": "long labels behind other long ones",
    "idn-hostname": "all but ASCII",
    "ipv6": "addresses with a zone",
    "uri": "hosts of the form [v1.x]",
    "uri-reference": "hosts of the form [v1.x]",
    "iri": "hosts of the form [v1.x] and characters beyond U+FFFF",
    "iri-reference": "hosts of the form [v1.x] and characters beyond U+FFFF",
    "uri-template": "characters beyond U+FFFF",
    "relative-json-pointer": "changes of an index",
}


def left_out(name: str) -> str | None:
    """A sentence on the strings of a format that are never produced; `None` if there are none."""
    return _LEFT_OUT.get(name)


@remembered(64)
def possible_expression(name: str) -> Expression | None:
    """All strings that some reader takes for a format; `None`: those of `format_expression`."""
    pattern = _POSSIBLE.get(name)
    return None if pattern is None else parse_full(pattern)


@remembered(64)
def format_expression(name: str) -> Expression | None:
    """The strings of a format; `None` for a format that is not known.

    >>> format_expression("byte") is None
    True
    """
    pattern = _PATTERNS.get(name)
    return None if pattern is None else parse_full(pattern)
