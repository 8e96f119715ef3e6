"""Checks that the keywords of a schema have values of the types that its draft requires.

A schema with `"required": true` or `"minimum": "3"` is invalid in its draft. It is refused wherever
in the document the keyword stands, also in definitions that nothing refers to; the draft's own
metaschema refuses it too. Annotations, such as `title`, may have any type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, TypeAlias

from decoding.bounded_repr import shown
from decoding.errors import GrammarSyntaxError
from decoding.grammar.schema.dialects import DRAFT3_ONLY, UNDECLARED, Dialect, dialect_of, escape
from decoding.grammar.schema.report import Report
from decoding.typing import Anything

Where: TypeAlias = "tuple[Where, str] | str"
"""A JSON pointer: the root's, or that of a container and a further token."""

_TYPES = frozenset(("null", "boolean", "object", "array", "number", "string", "integer"))


class _Holds(Enum):
    """How the value of a keyword contains schemas."""

    NOTHING = 0
    SCHEMA = 1
    LIST = 2
    BY_NAME = 3


@dataclass(frozen=True, slots=True)
class _Rule:
    """The type that the value of a keyword must have."""

    expected: str
    fits: Callable[[Any], bool]
    holds: _Holds = _Holds.NOTHING


def is_finite(value: object) -> bool:
    """Whether a JSON value is a finite number; `true` and `false` are none."""
    if value is None or isinstance(value, bool | str | list | Mapping):
        return False
    if isinstance(value, Decimal):
        return value.is_finite()  # its float may be infinite
    try:
        return isinstance(value, int) or isfinite(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _is_count(value: Anything) -> bool:
    return is_finite(value) and value >= 0 and value == int(value)


def _is_schema(value: object) -> bool:
    return isinstance(value, bool | Mapping)


def _are_schemas(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_schema, value))


def _are_by_name(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and fits(one) for name, one in value.items()
    )


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_type(value: object) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) and one in _TYPES for one in value)
    )


_COUNT = _Rule("a whole number of 0 or more", _is_count)
_NUMBER = _Rule("a number", is_finite)
_TEXT = _Rule("a string", lambda value: isinstance(value, str))
_TRUTH = _Rule("true or false", lambda value: isinstance(value, bool))
_SCHEMA = _Rule("a schema", _is_schema, _Holds.SCHEMA)
_SCHEMAS = _Rule("a list of schemas", _are_schemas, _Holds.LIST)
_BY_NAME = _Rule(
    "an object of schemas", lambda value: _are_by_name(value, _is_schema), _Holds.BY_NAME
)
_RULES = {
    "type": _Rule(f"one or a list of {', '.join(sorted(_TYPES))}", _is_type),
    "enum": _Rule("a list of values", lambda value: isinstance(value, list)),
    "multipleOf": _Rule("a number above 0", lambda value: is_finite(value) and value > 0),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _COUNT),
    **dict.fromkeys(("pattern", "format", "$ref", "$dynamicRef", "$recursiveRef"), _TEXT),
    "uniqueItems": _TRUTH,
    "required": _Rule("a list of names", _are_names),
    "dependentRequired": _Rule(
        "an object of lists of names", lambda value: _are_by_name(value, _are_names)
    ),
    "dependencies": _Rule(
        "an object of schemas or lists of names",
        lambda value: _are_by_name(value, lambda one: _is_schema(one) or _are_names(one)),
        _Holds.BY_NAME,
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames"), _SCHEMA),
    **dict.fromkeys(("items", "additionalItems", "additionalProperties"), _SCHEMA),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), _SCHEMA),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), _BY_NAME),
}
# Keywords that name or contain schemas. They constrain no value, but references are resolved by
# them.
_NAMES = {
    **dict.fromkeys(("$anchor", "$dynamicAnchor"), _TEXT),
    "$recursiveAnchor": _TRUTH,
    "contentSchema": _SCHEMA,
}
_ITEMS_OR_LIST = _Rule(
    "a schema or a list of schemas",
    lambda value: _is_schema(value) or _are_schemas(value),
    _Holds.LIST,
)
# Draft 4 has no boolean schemas, except as the value of these two keywords.
_BOOLEAN_IN_DRAFT4 = frozenset(("additionalItems", "additionalProperties"))


@lru_cache(maxsize=16)
def _rules(dialect: Dialect) -> Mapping[str, _Rule]:
    rules = {key: rule for key, rule in _RULES.items() if key in dialect.keywords}
    if dialect.list_items:
        rules["items"] = _ITEMS_OR_LIST
    if dialect.boolean_bounds:
        rules["exclusiveMinimum"] = rules["exclusiveMaximum"] = _TRUTH
    rules[dialect.id_keyword] = _TEXT
    rules["definitions"] = _BY_NAME
    if "$recursiveRef" in dialect.keywords or "$dynamicRef" in dialect.keywords:
        rules |= {**_NAMES, "$defs": _BY_NAME}
    return rules


class KeywordChecker:
    """Checks the types of keywords in schemas, each schema once a draft.

    What reads a schema relies on it: every schema is checked before it is read, those that
    references lead to when they are followed.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        # Keeps each schema alive, so that its `id` is not used again.
        self._checked: dict[tuple[int, Dialect], object] = {}

    def check(self, schema: object, dialect: Dialect, pointer: str) -> None:
        """Raise `GrammarSyntaxError` with a pointer for the first keyword of a wrong type.

        Checks all subschemas too; a subschema with `$schema` is checked by its own draft.
        """
        stack: list[tuple[object, Dialect, Where]] = [(schema, dialect, pointer)]
        while stack:
            schema, dialect, where = stack.pop()
            if not isinstance(schema, dict | Mapping):
                continue
            if "$schema" in schema:
                dialect = dialect_of(schema, dialect, _pointer(where))
            if (id(schema), dialect) in self._checked:
                continue
            self._checked[id(schema), dialect] = schema
            stack.extend(self._inside(schema, dialect, where))

    def _inside(
        self, schema: Mapping[str, Any], dialect: Dialect, where: Where
    ) -> Iterator[tuple[object, Dialect, Where]]:
        """Check the keywords of one schema; yield its direct subschemas."""
        self._report.count(1 + len(schema))
        rules = _rules(dialect)
        alone = dialect.ref_alone and "$ref" in schema
        for keyword, value in schema.items():
            rule = rules.get(keyword)
            if rule is None:
                if keyword == "$defs" and isinstance(value, Mapping):
                    # References may point there even in drafts without this keyword.
                    below = where, keyword
                    yield from ((one, dialect, (below, name)) for name, one in value.items())
                elif keyword in DRAFT3_ONLY and dialect is UNDECLARED and not alone:
                    reason = f"draft 3 alone has it: write {DRAFT3_ONLY[keyword]}"
                    self._report.unsupported(_pointer(where), keyword, reason)
                continue
            if alone and keyword not in ("$ref", "definitions"):
                continue
            if not rule.fits(value):
                raise _wrong(where, keyword, value, rule)
            if rule.holds is not _Holds.NOTHING:
                if rule.holds is _Holds.SCHEMA or (_is_schema(value) and rule is _ITEMS_OR_LIST):
                    inside: list[tuple[Where, object]] = [((where, keyword), value)]
                else:
                    pairs = enumerate(value) if isinstance(value, list) else value.items()
                    inside = [(((where, keyword), str(token)), one) for token, one in pairs]
                for place, one in inside:
                    plain = not dialect.boolean_schemas and keyword not in _BOOLEAN_IN_DRAFT4
                    if plain and isinstance(one, bool):
                        reason = 'draft 4 has no boolean schemas: write {} or {"not": {}}'
                        raise GrammarSyntaxError(_pointer(place), reason)
                    yield one, dialect, place


def _wrong(where: Where, keyword: str, value: object, rule: _Rule) -> GrammarSyntaxError:
    """The error for a keyword of a wrong type, with the draft in which it would be valid."""
    came = f"{keyword} must be {rule.expected}, not {shown(value)}"
    hint = ""
    if keyword == "required" and isinstance(value, bool):
        hint = ": only draft 3 has this form; list the required names beside `properties`"
    elif keyword in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
        hint = ": only draft 4 has this form; write the bound itself, or declare draft 4"
    elif keyword in ("exclusiveMinimum", "exclusiveMaximum") and rule is _TRUTH:
        hint = ": in draft 4 it is a boolean beside the bound; numbers are allowed from draft 6 on"
    elif keyword == "items" and isinstance(value, list):
        hint = ": 2020-12 has `prefixItems` for this; for the older meaning declare its draft"
    return GrammarSyntaxError(_pointer((where, keyword)), came + hint)


def _pointer(where: Where) -> str:
    tokens = []
    while not isinstance(where, str):
        where, token = where
        tokens.append(escape(token))
    return "/".join((where, *reversed(tokens)))
