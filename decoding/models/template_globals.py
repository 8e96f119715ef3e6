"""The global functions of chat templates, as in transformers, each within the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.utils import Cycler, Joiner, Namespace

from decoding.errors import ChatTemplateError
from decoding.models.template_operations import check_key
from decoding.typing import Anything

MAX_RANGE = 100_000
"""Items of a range, as in Jinja's sandbox."""

_MAX_PATTERN = 1_000  # characters of a pattern of dates: one may give 256 times as many


class _Dict:
    """The function `dict`, without the type's other attributes."""

    def __call__(self, *pairs: Anything, **named: Anything) -> dict[Any, Any]:
        return dict(*map(_checked_pairs, pairs), **named)

    @staticmethod
    def fromkeys(keys: Anything, value: object = None) -> dict[Any, Any]:
        """`dict.fromkeys`."""
        if isinstance(keys, Sized) and len(keys) > MAX_RANGE:
            raise ChatTemplateError(f"fromkeys takes at most {MAX_RANGE:,} keys")
        listed = list(keys)
        for key in listed:
            check_key(key)
        return dict.fromkeys(listed, value)


def _checked_pairs(given: Anything) -> Anything:
    """A dictionary, or the pairs that make one."""
    if isinstance(given, dict):
        return given
    pairs = []
    for pair in given:
        if not isinstance(pair, str | list | tuple) or len(pair) != 2:
            raise TypeError("dict takes a mapping or pairs of keys and values")
        check_key(pair[0])
        pairs.append(tuple(pair))
    return pairs


class _Namespace(Namespace):
    """Jinja's `namespace`, without attributes that begin with an underscore."""

    def __init__(*given: Anything, **named: Anything) -> None:  # `self` may be a name
        attributes = _Dict()(*given[1:], **named)
        for name in attributes:
            _check_attribute(name)
        Namespace.__init__(given[0], attributes)

    def __setitem__(self, name: str, value: Anything) -> None:
        _check_attribute(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<Namespace>"


def _check_attribute(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace has no attribute {name!r}")


def _range(*bounds: int) -> range:
    items = range(*bounds)
    large = any(abs(bound) > 10**9 for bound in bounds)
    if large or len(items) > MAX_RANGE:
        raise OverflowError(f"a range has {MAX_RANGE:,} items at most")
    return items


def _raise_exception(message: object) -> NoReturn:
    raise TemplateError(message if isinstance(message, str) else type(message).__name__)


def _strftime_now(pattern: str) -> str:
    if len(pattern) > _MAX_PATTERN:
        raise ChatTemplateError(f"strftime_now takes at most {_MAX_PATTERN} characters")
    return datetime.now().astimezone().replace(tzinfo=None).strftime(pattern)


GLOBALS: Mapping[str, Any] = MappingProxyType(
    {
        "cycler": Cycler,
        "dict": _Dict(),
        "joiner": Joiner,
        "namespace": _Namespace,
        "raise_exception": _raise_exception,
        "range": _range,
        "strftime_now": _strftime_now,
    }
)
"""The global names of chat templates."""
