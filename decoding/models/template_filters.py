"""Jinja's filters and tests for chat templates, each within the budget.

A filter is of one of three kinds: Jinja's own with a fixed amount of work; Jinja's own, called
after it has used the budget; or written here. Filters of the last two kinds take the
context, so that Jinja does not evaluate them at compile time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from sys import getsizeof
from types import MappingProxyType
from typing import Any, TypeAlias

import jinja2
from jinja2 import pass_context
from jinja2.exceptions import FilterArgumentError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import _PassArg

from decoding.errors import ChatTemplateError
from decoding.models.template_budget import Budget, check_integer
from decoding.models.template_operations import (
    Arguments,
    argument,
    binary,
    check_key,
    contains,
    names,
    pad_width,
    percent_format,
    slice_of,
    take_joined,
    take_lines,
    take_nothing,
    take_replaced,
    take_strip,
    take_text,
    text_of,
)
from decoding.typing import Anything

BUDGET = "(budget)"
"""The variable that holds the budget of a rendering; no template can spell its name."""

_MAX_INDENT = 64
_Taker: TypeAlias = Callable[[Budget, Any, Arguments], None]


def budget_of(context: Context) -> Budget:
    """The budget of a Jinja context's rendering."""
    budget = context.resolve(BUDGET)
    assert isinstance(budget, Budget)  # ours: `render` puts it there
    return budget


# What Jinja's filters need, given the piped value and the other arguments.


def _take_text(budget: Budget, value: object, given: Arguments) -> None:
    take_text(budget, value)
    positional, named = given
    for other in (*positional, *named.values()):
        budget.read(other)


def _take_items(budget: Budget, value: object, given: Arguments) -> None:
    budget.items(value)
    positional, named = given
    # One of them may be an attribute of many parts, each of which is looked up in every item.
    parts = sum(len(name) for name in (*positional, *named.values()) if isinstance(name, str))
    if hasattr(value, "__len__") and isinstance(value, str | list | tuple | dict | range):
        budget.step(len(value) * (1 + parts // 8))


def _take_ordered(budget: Budget, value: object, given: Arguments) -> None:
    _take_items(budget, value, given)
    weight = budget.read(value)
    rounds = weight.values.bit_length()
    budget.step(rounds * (weight.values // 8 + (weight.size >> 10)))


def _take_unique(budget: Budget, value: object, given: Arguments) -> None:
    _take_ordered(budget, value, given)
    for item in value if isinstance(value, list | tuple | range) else ():
        check_key(item)


def _take_sum(budget: Budget, value: object, given: Arguments) -> None:
    _take_items(budget, value, given)
    weight = budget.read(value)
    start = argument(given, 1, "start", 0)
    if not isinstance(start, int | float):  # lists are copied at every addition
        budget.step(weight.values * weight.values >> 6)
        budget.allocate(weight.size)


def _take_slow(budget: Budget, value: object, given: Arguments) -> None:
    """Use the steps of filters that copy a text repeatedly or search it by slow patterns."""
    _take_text(budget, value, given)
    size = getsizeof(text_of(budget, value))
    budget.allocate(32 * size)
    budget.step(size * size >> 12)


def _take_words(budget: Budget, value: object, given: Arguments) -> None:
    _take_text(budget, value, given)
    size = getsizeof(text_of(budget, value))
    budget.allocate(32 * size)
    budget.step(size >> 4)


def _take_wrapped(budget: Budget, value: object, given: Arguments) -> None:
    _take_slow(budget, value, given)
    between = argument(given, 2, "wrapstring")
    if isinstance(between, str):
        budget.allocate(getsizeof(between) * (len(text_of(budget, value)) + 1))


def _take_center(budget: Budget, value: object, given: Arguments) -> None:
    _take_text(budget, value, given)
    budget.allocate(4 * pad_width(argument(given, 0, "width", 80)))


def _take_trim(budget: Budget, value: object, given: Arguments) -> None:
    _take_text(budget, value, given)
    take_strip(budget, text_of(budget, value), argument(given, 0, "chars"))


def _take_replace(budget: Budget, value: object, given: Arguments) -> None:
    take_text(budget, value)
    old, new = (text_of(budget, argument(given, *where)) for where in ((0, "old"), (1, "new")))
    most = argument(given, 2, "count")
    take_replaced(budget, text_of(budget, value), old, new, -1 if most is None else most)


def _take_indent(budget: Budget, value: object, given: Arguments) -> None:
    _take_text(budget, value, given)
    width = argument(given, 0, "width", 4)
    size = getsizeof(width) if isinstance(width, str) else 4 * pad_width(width)
    budget.allocate(2 * size * (take_lines(budget, text_of(budget, value)) + 1))


def _take_batch(budget: Budget, value: object, given: Arguments) -> None:
    _take_items(budget, value, given)
    if argument(given, 1, "fill_with") is not None:
        budget.allocate(8 * pad_width(argument(given, 0, "linecount", 0)))


def _take_round(budget: Budget, value: object, given: Arguments) -> None:
    del budget
    digits = argument(given, 0, "precision", 0)
    if isinstance(value, str) or not isinstance(digits, int) or abs(digits) > 400:
        raise ChatTemplateError("round takes a number and at most 400 digits")
    if isinstance(value, int):
        check_integer(value)


_TAKERS: Mapping[str, _Taker] = MappingProxyType(
    {
        **names(
            "capitalize e escape filesizeformat float forceescape int lower safe string truncate"
            " upper",
            _take_text,
        ),
        **names("list map reject rejectattr reverse select selectattr slice", _take_items),
        **names("dictsort groupby max min sort", _take_ordered),
        **names("pprint striptags urlize xmlattr", _take_slow),
        **names("title urlencode wordcount", _take_words),
        "batch": _take_batch,
        "center": _take_center,
        "indent": _take_indent,
        "items": take_nothing,
        "replace": _take_replace,
        "round": _take_round,
        "sum": _take_sum,
        "trim": _take_trim,
        "unique": _take_unique,
        "wordwrap": _take_wrapped,
    }
)
_EAGER = names("batch dictsort groupby max min slice sort sum unique", None)
_AS_THEY_ARE = names("abs attr count d default first last length random", None)


def _function(table: Mapping[str, Any], name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = table[name]
    return function


def _bounded(name: str, function: Callable[..., Any], take: _Taker) -> Callable[..., Any]:
    """Wrap a Jinja function so that it uses the budget before it runs."""
    kind = _PassArg.from_obj(function)

    @pass_context
    def call(
        context: Context, value: Anything, *positional: Anything, **named: Anything
    ) -> Anything:
        budget = budget_of(context)
        budget.step()
        if name in _EAGER and hasattr(value, "__next__"):
            value = list(value)
        take(budget, value, (positional, named))
        match kind:
            case _PassArg.context:
                front: tuple[Any, ...] = (context,)
            case _PassArg.eval_context:
                front = (context.eval_ctx,)
            case _PassArg.environment:
                front = (context.environment,)
            case _:
                front = ()
        return budget.made(function(*front, value, *positional, **named))

    call.__name__ = name
    return call


@pass_context
def _format(context: Context, value: Anything, *positional: Anything, **named: Anything) -> str:
    if positional and named:
        raise FilterArgumentError("can't handle positional and keyword arguments at the same time")
    budget = budget_of(context)
    text = text_of(budget, value)
    return str(budget.made(percent_format(budget, text, named or positional)))


@pass_context
def _join(context: Context, value: Anything, d: Anything = "", attribute: Anything = None) -> str:
    budget = budget_of(context)
    if attribute is not None:
        value = context.environment.call_filter(
            "map", value, (), {"attribute": attribute}, context=context
        )
    budget.items(value)
    texts = [text_of(budget, item) for item in value]
    separator = text_of(budget, d)
    take_joined(budget, separator, texts)
    return separator.join(texts)


@pass_context
def _to_json(  # noqa: PLR0917 -- as in transformers
    context: Context,
    value: Anything,
    ensure_ascii: bool = False,  # templates pass it by position too
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    budget = budget_of(context)
    weight = budget.read(value)
    step = len(indent) if isinstance(indent, str) else indent or 0
    if step > _MAX_INDENT:
        raise ChatTemplateError(f"tojson indents by {_MAX_INDENT} at most")
    marks = 8 if separators is None else 4 * sum(map(len, separators))
    budget.allocate(6 * weight.size + weight.values * (4 * step * (weight.depth + 1) + marks))
    text = json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    return str(budget.made(text))


# What templates are rewritten to call; the names cannot be spelled in a template.


@pass_context
def _steps(context: Context, count: int) -> bool:
    budget_of(context).step(count)
    return True


@pass_context
def _compared(context: Context, value: Anything) -> Anything:
    budget_of(context).read(value)
    return value


@pass_context
def _made(context: Context, value: Anything) -> Anything:
    return budget_of(context).made(value)


@pass_context
def _key(context: Context, value: Anything) -> Anything:
    del context
    check_key(value)
    return value


@pass_context
def _unpacked(context: Context, value: Anything) -> Anything:
    budget_of(context).items(value)
    return value


@pass_context
def _concatenated(context: Context, values: list[Any]) -> str:
    budget = budget_of(context)
    budget.step()
    texts = [text_of(budget, value) for value in values]
    take_joined(budget, "", texts)
    return jinja2.runtime.markup_join(texts)


@pass_context
def _contained(context: Context, item: Anything, container: Anything) -> bool:
    return contains(budget_of(context), item, container)


@pass_context
def _sliced(context: Context, value: Anything, *bounds: Anything) -> Anything:
    return slice_of(budget_of(context), value, *bounds)


@pass_context
def shown(context: Context, value: Anything) -> str:
    """The text that `{{ value }}` writes."""
    budget = budget_of(context)
    text = text_of(budget, value)
    budget.allocate(getsizeof(text))
    return text


FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{name: _function(JINJA_FILTERS, name) for name in _AS_THEY_ARE},
        **{name: _bounded(name, _function(JINJA_FILTERS, name), _TAKERS[name]) for name in _TAKERS},
        "format": _format,
        "join": _join,
        "tojson": _to_json,
        "(compared)": _compared,
        "(concatenated)": _concatenated,
        "(contained)": _contained,
        "(key)": _key,
        "(made)": _made,
        "(sliced)": _sliced,
        "(steps)": _steps,
        "(unpacked)": _unpacked,
    }
)
"""The filters of chat templates, and those that templates are rewritten to call."""


# Tests.


def _take_compared(budget: Budget, value: object, given: Arguments) -> None:
    budget.read(value)
    for other in given[0]:
        budget.read(other)


@pass_context
def _is_divisible(context: Context, value: Anything, num: Anything) -> bool:
    return bool(binary(budget_of(context), "%", value, num) == 0)


@pass_context
def _is_odd(context: Context, value: Anything) -> bool:
    return bool(binary(budget_of(context), "%", value, 2) == 1)


@pass_context
def _is_even(context: Context, value: Anything) -> bool:
    return bool(binary(budget_of(context), "%", value, 2) == 0)


_COMPARISONS = names(
    "== eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le lower upper", None
)

TESTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{name: _function(JINJA_TESTS, name) for name in JINJA_TESTS},
        **{
            name: _bounded(name, _function(JINJA_TESTS, name), _take_compared)
            for name in _COMPARISONS
        },
        "divisibleby": _is_divisible,
        "even": _is_even,
        "in": _contained,
        "odd": _is_odd,
    }
)
"""The tests of chat templates."""
