"""ECMA-262 patterns of texts that Pydantic reads as UUIDs, times, URLs, IP addresses etc.

Each pattern only matches texts that Pydantic accepts. Rare forms, and forms whose meaning depends
on the version, are left out. Sources: docs.pydantic.dev (Standard library types, Network types),
the crates `speedate` and `url`, and Python's `ipaddress` and `uuid`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from decoding.grammar.regular.formats import IPV4, IPV6

CLOCK = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
ZONE = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"

# A timedelta has fewer than 10⁹ days.
_SPAN = r"(\d{1,6}H(\d{1,6}M)?(\d{1,6}S)?|\d{1,6}M(\d{1,6}S)?|\d{1,6}S)"
DURATION = rf"P(\d{{1,6}}D(T{_SPAN})?|T{_SPAN}|\d{{1,6}}W)"

_H16 = "[0-9a-f]{1,4}"
_WIDTH4, _WIDTH6 = r"(\d|[12]\d|3[0-2])", r"(\d|[1-9]\d|1[01]\d|12[0-8])"
# The host bits of a network's address are zero.
_BYTE = r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
_NETWORK4 = (
    rf"({IPV4}(/32)?|{_BYTE}\.{_BYTE}\.{_BYTE}\.0/24|{_BYTE}\.{_BYTE}\.0\.0/16|{_BYTE}\.0\.0\.0/8"
    r"|0\.0\.0\.0/0)"
)
_NETWORK6 = (
    rf"({IPV6}(/128)?|{_H16}(:{_H16}){{3}}::/64|{_H16}(:{_H16}){{2}}::/48|{_H16}:{_H16}::/32|::/0)"
)
_INTERFACE4, _INTERFACE6 = rf"{IPV4}(/{_WIDTH4})?", rf"{IPV6}(/{_WIDTH6})?"

# Letters of Base64, by position in a group of four, that encode ASCII bytes.
_TOP = "[A-Za-f]"
_SECOND = "[A-HQ-Xg-nw-z0-3]"
_THIRD = "[ABEFIJMNQRUVYZcdghklopstwx014589]"
_LETTER = "[A-Za-z0-9{}]"

_LABEL = "[a-z0-9]{1,16}(-[a-z0-9]{1,16}){0,2}"
_TOP_LEVEL = "([a-z]{2}|com|org|net|edu|gov|int|info|name|dev|app|museum)"
_LOCAL = "[A-Za-z0-9]{1,16}([._+-][A-Za-z0-9]{1,12}){0,3}"
EMAIL = rf"{_LOCAL}@({_LABEL}\.){{1,3}}{_TOP_LEVEL}"

BY_FORMAT = {
    "ipv4": IPV4,
    "ipv6": IPV6,
    "ipv4network": _NETWORK4,
    "ipv6network": _NETWORK6,
    "ipv4interface": _INTERFACE4,
    "ipv6interface": _INTERFACE6,
    "ipvanyaddress": f"({IPV4}|{IPV6})",
    "ipvanynetwork": f"({_NETWORK4}|{_NETWORK6})",
    "ipvanyinterface": f"({_INTERFACE4}|{_INTERFACE6})",
    "email": EMAIL,
    "name-email": EMAIL,
}
"""Patterns by the `format` that Pydantic gives to types which functions check."""

COMPLEX = r"-?\d{1,15}(\.\d{1,15})?[+-]\d{1,15}(\.\d{1,15})?j"
FRACTION = r"-?(0|[1-9]\d{0,17})(/[1-9]\d{0,17})?"
# Each key has only one spelling, so keys are never equal by value.
INTEGER_KEY = r"(0|-?[1-9]\d{0,17})"
NUMBER_KEY = r"(0|-?[1-9]\d{0,14}|-?(0|[1-9]\d{0,7})\.\d{0,6}[1-9])"


def whole(pattern: str) -> str:
    """The pattern, anchored to match whole strings."""
    return f"^({pattern})$"


def uuid(version: int | None) -> str:
    """A pattern of UUIDs of a version of RFC 9562, in lower case; `None` for any version."""
    if version is None:
        return r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return (
        rf"[0-9a-f]{{8}}-[0-9a-f]{{4}}-{version:x}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}"
    )


def base64(*, of_text: bool, url_safe: bool) -> str:
    """A pattern of padded Base64, of ASCII text or of any bytes."""
    letter = _LETTER.format("_-" if url_safe else "+/")
    if not of_text:
        # The unused bits of the last letter are zero.
        return rf"({letter}{{4}})*({letter}[AQgw]==|{letter}{{2}}[AEIMQUYcgkosw048]=)?"
    return (
        rf"({_TOP}{_SECOND}{_THIRD}{letter})*({_TOP}[AQgw]==|{_TOP}{_SECOND}[AEIMQUYcgkosw048]=)?"
    )


def urls(schemes: Sequence[str] | None) -> str:
    """A pattern of URLs with a host; `None` for any scheme."""
    host = rf"({_LABEL}\.){{0,3}}[a-z]{{2,12}}"
    free = r"([A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-F]{2})"
    behind = rf"(/{free}*)*(\?({free}|[/?])*)?(#({free}|[/?])*)?"
    ported = rf"{host}(:[1-9]\d{{0,3}})?{behind}"
    if schemes is None:
        # `file` has no port, and unknown schemes may have rules of their own.
        return rf"((https?|wss?|ftp)://{ported}|[a-z][a-z0-9]{{1,11}}://{host}(/{free}*)*)"
    found = [
        f"file:///({free}+(/{free}+)*)?" if scheme == "file" else f"{_literal(scheme)}://{ported}"
        for scheme in schemes
    ]
    return f"({'|'.join(found)})"


def connections(schemes: Sequence[str] | None) -> str:
    """A pattern of URLs of databases and brokers: user, password, host, port and a name."""
    names = "|".join(map(_literal, schemes)) if schemes else "[a-z][a-z0-9]{1,11}"
    word = "[A-Za-z0-9_]{1,20}"
    host = rf"({_LABEL}\.){{0,3}}[a-z]{{2,12}}"
    return rf"({names})://({word}(:{word})?@)?{host}(:[1-9]\d{{0,3}})?(/{word})?"


def _literal(text: str) -> str:
    return "".join(one if one.isalnum() else f"\\{one}" for one in text)


def bounded(low: str, high: str) -> str:
    """A pattern of the texts between two texts of the same form, in lexicographic order.

    low, high: have digits at the same positions and equal characters elsewhere.
    """
    if not low:
        return ""
    if low[0] == high[0]:
        return _literal(low[0]) + bounded(low[1:], high[1:])
    options = [*_above(low), *_below(high)]
    if int(low[0]) + 1 < int(high[0]):
        options.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}]{_any(low[1:])}")
    return f"({'|'.join(options)})"


def _above(low: str) -> Iterator[str]:
    """Patterns of the texts ≥ `low` with the same first digit."""
    yield _literal(low)
    for place in range(1, len(low)):
        if low[place].isdigit() and low[place] < "9":
            next_digit = int(low[place]) + 1
            yield f"{_literal(low[:place])}[{next_digit}-9]{_any(low[place + 1 :])}"


def _below(high: str) -> Iterator[str]:
    yield _literal(high)
    for place in range(1, len(high)):
        if high[place].isdigit() and high[place] > "0":
            last_digit = int(high[place]) - 1
            yield f"{_literal(high[:place])}[0-{last_digit}]{_any(high[place + 1 :])}"


def _any(form: str) -> str:
    return "".join(r"\d" if one.isdigit() else _literal(one) for one in form)
