"""The operators and methods of chat templates, each within the budget.

Before an operation runs, it uses the steps and bytes that it needs at most. Operations without
such a bound, and those that no chat template needs, are refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from sys import getsizeof
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from jinja2 import Undefined
from jinja2.sandbox import SandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from markupsafe import Markup

from decoding.errors import ChatTemplateError
from decoding.models.template_budget import MAX_INTEGER_BITS, Budget, check_integer
from decoding.typing import Anything

MAX_WIDTH = 10_000
"""Of a field that is padded, in characters."""

Arguments: TypeAlias = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Positional and keyword arguments of a call."""

_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_T = TypeVar("_T")
_STRING = 84  # bytes of a short string and the pointer to it
_NUMBERS = (int, float, complex)


def names(written: str, value: _T) -> dict[str, _T]:
    """Map each name of a space-separated list to the same value."""
    return dict.fromkeys(written.split(), value)


def argument(given: Arguments, position: int, name: str, default: object = None) -> Anything:
    """One argument of a call, by its position or its name."""
    positional, named = given
    return positional[position] if position < len(positional) else named.get(name, default)


def binary(budget: Budget, symbol: str, left: Anything, right: Anything) -> Anything:
    """The value of `left symbol right`."""
    budget.step()
    for side in (left, right):
        if isinstance(side, int):
            check_integer(side)
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        if symbol == "**" and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * max(right, 0)
            if bits > MAX_INTEGER_BITS:
                raise ChatTemplateError(f"it makes an integer of more than {MAX_INTEGER_BITS} bits")
    elif symbol == "%" and isinstance(left, str):
        return percent_format(budget, left, right)
    elif symbol == "*":
        _take_repeated(budget, left, right)
    elif symbol == "+":
        budget.allocate(_shallow(left) + _shallow(right))
    return budget.made(_OPERATORS[symbol](left, right))


def _take_repeated(budget: Budget, left: object, right: object) -> None:
    sequence, count = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(count, int):
        budget.allocate(_shallow(sequence) * max(count, 0))


def _shallow(value: object) -> int:
    return getsizeof(value) if isinstance(value, str | list | tuple) else 0


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "//": operator.floordiv,
        "**": operator.pow,
        "%": operator.mod,
    }
)
OPERATORS = frozenset(_OPERATORS)


def contains(budget: Budget, item: Anything, container: Anything) -> bool:
    """`item in container`."""
    budget.step()
    if isinstance(container, str):
        if isinstance(item, str):
            take_search(budget, container, item)
    elif isinstance(container, Mapping):
        check_key(item)
    else:
        budget.read(item)
        budget.read(container)
    return bool(item in container)


def take_search(budget: Budget, text: str, part: str, *, reverse: bool = False) -> None:
    """Take the steps of a search, which may read the part again at every place of the text."""
    width = len(part) if reverse else min(len(part), 100)
    budget.step((getsizeof(text) >> 10) + (len(text) * width >> 12))


def check_key(key: object) -> None:
    """Refuse keys whose hashes take long, or may be made to collide."""
    if isinstance(key, str | bool | float | type(None) | Undefined) or (
        isinstance(key, int) and key.bit_length() <= 60
    ):
        return
    raise ChatTemplateError(f"a {type(key).__name__} like this cannot be a key in a chat template")


def text_of(budget: Budget, value: Anything) -> str:
    """`str(value)`."""
    if isinstance(value, str):
        return value
    take_text(budget, value)
    return str(budget.made(str(value)))


def take_text(budget: Budget, value: object) -> None:
    """Take what the text of a value needs."""
    weight = budget.read(value)
    if not isinstance(value, str):
        budget.allocate(4 * weight.size + 4 * weight.values)


def slice_of(
    budget: Budget, value: Anything, start: Anything, stop: Anything, step: Anything
) -> Anything:
    """`value[start:stop:step]`."""
    budget.step()
    part = slice(start, stop, step)
    if isinstance(value, str | list | tuple):
        try:
            count = len(range(*part.indices(len(value))))
        except OverflowError as error:
            raise ChatTemplateError("a slice's bounds are out of range") from error
        budget.allocate(getsizeof(value) * count // max(1, len(value)) + 64)
    return value[part]


_CONVERSION = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d*)(?:\.(\*|\d*))?")
_AFTER_KEY = re.compile(r"\)[#0\- +]*(\d*)(?:\.(\d*))?")


def percent_format(budget: Budget, text: str, values: Anything) -> str:
    """`text % values`."""
    widths = [item for found in _CONVERSION.findall(text) for item in found]
    if "%(" in text:  # a key may hold parentheses, so a conversion may begin after any of them
        widths += [item for found in _AFTER_KEY.findall(text) for item in found]
    total = sum(map(_width, filter(None, widths)))
    count = text.count("%")
    size = 4 * budget.read(values).size + 400  # a float may take more than 300 digits
    budget.step(count)
    budget.allocate(4 * (getsizeof(text) + total) + count * size)
    written: str = text % values
    return written


def _width(written: str) -> int:
    if written == "*" or len(written) > 9 or int(written) > MAX_WIDTH:
        raise ChatTemplateError(f"a field is wider than {MAX_WIDTH:,} characters")
    return int(written)


def pad_width(width: object) -> int:
    """The width of a padded field, where it is within bounds."""
    if isinstance(width, int):
        return _width(str(width)) if 0 < width <= MAX_WIDTH else _width("*") if width > 0 else 0
    return 0


@dataclass(frozen=True, slots=True)
class FormatMethod:
    """The method `format` or `format_map` of a string; `brace_format` calls it."""

    text: str
    is_map: bool


class _Bounded(SandboxedFormatter):
    """Formats field by field within a budget."""

    def __init__(
        self, environment: SandboxedEnvironment, budget: Budget, **options: Anything
    ) -> None:
        super().__init__(environment, **options)
        self._budget = budget

    def convert_field(self, value: Anything, conversion: Anything) -> Anything:
        take_text(self._budget, value)
        return self._budget.made(super().convert_field(value, conversion))

    def format_field(self, value: Anything, format_spec: str) -> Anything:
        self._budget.step()
        for digits in re.findall(r"\d+", format_spec):
            self._budget.allocate(4 * _width(digits))
        take_text(self._budget, value)
        return self._budget.made(super().format_field(value, format_spec))


class _BoundedEscape(_Bounded, SandboxedEscapeFormatter):
    """The same for strings that are marked as safe."""


def brace_format(
    environment: SandboxedEnvironment, budget: Budget, method: FormatMethod, given: Arguments
) -> str:
    """`text.format(...)` or `text.format_map(...)`."""
    positional, named = given
    text = method.text
    if method.is_map:
        if named or len(positional) != 1:
            raise TypeError("format_map() takes exactly one argument")
        (named,), positional = positional, ()
    budget.allocate(4 * getsizeof(text))
    if isinstance(text, Markup):
        formatter: _Bounded = _BoundedEscape(environment, budget, escape=text.escape)
    else:
        formatter = _Bounded(environment, budget)
    return type(text)(formatter.vformat(text, positional, named))


def call_method(budget: Budget, method: Callable[..., Any], given: Arguments) -> Anything:
    """Call a method of a built-in value: one of those that chat templates may use."""
    owner: Any = getattr(method, "__self__", None)
    name = method.__name__
    for kind, takers in _METHODS.items():
        if isinstance(owner, kind) and name in takers:
            budget.step()
            takers[name](budget, owner, given)
            positional, named = given
            return budget.made(method(*positional, **named))
    owning = owner if isinstance(owner, type) else type(owner)
    raise ChatTemplateError(
        f"the method {name!r} of {owning.__name__!r} is not available in chat templates"
    )


_Taker: TypeAlias = Callable[[Budget, Any, Arguments], None]


def _take_linear(budget: Budget, owner: object, given: Arguments) -> None:
    positional, named = given
    for value in (owner, *positional, *named.values()):
        budget.read(value)


def take_nothing(budget: Budget, owner: object, given: Arguments) -> None:
    """Take nothing: the work is fixed."""
    del budget, owner, given


def _take_key(budget: Budget, owner: object, given: Arguments) -> None:
    del budget, owner
    check_key(argument(given, 0, "key"))


def _take_copy(budget: Budget, owner: object, given: Arguments) -> None:
    del given
    budget.allocate(getsizeof(owner))


def _take_padding(budget: Budget, owner: str, given: Arguments) -> None:
    budget.allocate(4 * pad_width(argument(given, 0, "width", 0)) + getsizeof(owner))


def _take_tabs(budget: Budget, owner: str, given: Arguments) -> None:
    width = pad_width(argument(given, 0, "tabsize", 8))
    budget.allocate(getsizeof(owner) + 4 * width * owner.count("\t"))


def _take_search(budget: Budget, owner: str, given: Arguments, *, reverse: bool = False) -> None:
    part = argument(given, 0, "sub", "")
    if isinstance(part, str):
        take_search(budget, owner, part, reverse=reverse)


def _take_reverse_search(budget: Budget, owner: str, given: Arguments) -> None:
    _take_search(budget, owner, given, reverse=True)
    budget.allocate(getsizeof(owner))


def take_replaced(budget: Budget, text: str, old: object, new: object, count: object = -1) -> None:
    """Take what `text.replace(old, new, count)` needs."""
    if not isinstance(old, str) or not isinstance(new, str):
        return
    take_search(budget, text, old)
    found = text.count(old)
    if isinstance(count, int) and count >= 0:
        found = min(found, count)
    width = 1 if text.isascii() and new.isascii() else 4
    budget.allocate(width * (len(text) + found * len(new)) + 64)


def _take_replace(budget: Budget, owner: str, given: Arguments) -> None:
    old, new = argument(given, 0, "old"), argument(given, 1, "new")
    take_replaced(budget, owner, old, new, argument(given, 2, "count", -1))


def take_strip(budget: Budget, text: str, characters: object) -> None:
    """Take the steps of `text.strip(characters)`, which looks each character up in all of them."""
    width = len(characters) if isinstance(characters, str) else 1
    budget.step((len(text) * width >> 12) + (getsizeof(text) >> 10))


def _take_strip(budget: Budget, owner: str, given: Arguments) -> None:
    take_strip(budget, owner, argument(given, 0, "chars"))


def _take_split(budget: Budget, owner: str, given: Arguments, *, reverse: bool = False) -> None:
    separator = argument(given, 0, "sep")
    if isinstance(separator, str):
        take_search(budget, owner, separator, reverse=reverse)
        found = owner.count(separator) if separator else 0
    else:
        take_search(budget, owner, _SPACES)
        found = sum(map(owner.count, _SPACES))
    most = argument(given, 1, "maxsplit", -1)
    if isinstance(most, int) and most >= 0:
        found = min(found, most)
    budget.allocate(getsizeof(owner) + _STRING * (found + 1))


def take_lines(budget: Budget, text: str) -> int:
    """Take what `text.splitlines()` needs; returns how many lines there are at most."""
    lines = sum(map(text.count, _LINE_ENDS)) + 1
    budget.step(getsizeof(text) >> 8)
    budget.allocate(getsizeof(text) + _STRING * lines)
    return lines


def _take_lines(budget: Budget, owner: str, given: Arguments) -> None:
    del given
    take_lines(budget, owner)


def take_joined(budget: Budget, separator: str, texts: Sequence[object]) -> None:
    """Take what `separator.join(texts)` needs."""
    characters = len(separator) * len(texts) + sum(
        len(text) for text in texts if isinstance(text, str)
    )
    plain = separator.isascii() and all(text.isascii() for text in texts if isinstance(text, str))
    budget.step(len(texts) >> 2)
    budget.allocate((1 if plain else 4) * characters + 64)


def _take_join(budget: Budget, owner: str, given: Arguments) -> None:
    items = argument(given, 0, "iterable", ())
    if not isinstance(items, str | list | tuple | dict):
        raise ChatTemplateError("join takes a list: pass an iterator through the filter 'list'")
    budget.items(items)
    take_joined(budget, owner, list(items))


_METHODS: Mapping[type | tuple[type, ...], Mapping[str, _Taker]] = MappingProxyType(
    {
        str: {
            **names(
                "capitalize casefold endswith isalnum isalpha isascii isdecimal isdigit"
                " isidentifier islower isnumeric isprintable isspace istitle isupper lower"
                " removeprefix removesuffix startswith swapcase title upper",
                _take_linear,
            ),
            **names("center ljust rjust zfill", _take_padding),
            **names("count find index partition", _take_search),
            **names("rfind rindex rpartition", _take_reverse_search),
            **names("lstrip rstrip strip", _take_strip),
            "expandtabs": _take_tabs,
            "join": _take_join,
            "replace": _take_replace,
            "rsplit": partial(_take_split, reverse=True),
            "split": _take_split,
            "splitlines": _take_lines,
        },
        (list, tuple, range): {
            "copy": _take_copy,
            "count": _take_linear,
            "index": _take_linear,
        },
        dict: {
            "copy": _take_copy,
            "get": _take_key,
            "items": take_nothing,
            "keys": take_nothing,
            "values": take_nothing,
        },
        int: {"bit_length": take_nothing},
        float: {"is_integer": take_nothing},
    }
)
