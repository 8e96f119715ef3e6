"""The drafts of JSON Schema: which keywords each of them knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One draft.

    uri: its metaschema. keywords: those that constrain values; all others are annotations.
    ref_alone: what stands beside `$ref` is ignored.
    contains_evaluates: an item that `contains` counts is no unevaluated item.
    """

    uri: str
    keywords: frozenset[str]
    ref_alone: bool = False
    contains_evaluates: bool = False


_DRAFT4 = frozenset(
    (  # noqa: SIM905 -- one list of words reads better than fifty strings
        "$ref type enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum"
        " maxLength minLength pattern format items additionalItems maxItems minItems uniqueItems"
        " maxProperties minProperties required properties patternProperties additionalProperties"
        " dependencies allOf anyOf oneOf not"
    ).split()
)
_DRAFT6 = _DRAFT4 | {"const", "contains", "propertyNames"}
_DRAFT7 = _DRAFT6 | {"if", "then", "else"}
_DRAFT2019 = (_DRAFT7 - {"dependencies"}) | {
    *("$recursiveRef", "dependentRequired", "dependentSchemas", "minContains", "maxContains"),
    *("unevaluatedItems", "unevaluatedProperties"),
}
_DRAFT2020 = (_DRAFT2019 - {"$recursiveRef", "additionalItems"}) | {"$dynamicRef", "prefixItems"}

_DIALECTS = {
    "json-schema.org/draft-03/schema": Dialect(
        "http://json-schema.org/draft-04/schema#", _DRAFT4, ref_alone=True
    ),
    "json-schema.org/draft-04/schema": Dialect(
        "http://json-schema.org/draft-04/schema#", _DRAFT4, ref_alone=True
    ),
    "json-schema.org/draft-06/schema": Dialect(
        "http://json-schema.org/draft-06/schema#", _DRAFT6, ref_alone=True
    ),
    "json-schema.org/draft-07/schema": Dialect(
        "http://json-schema.org/draft-07/schema#", _DRAFT7, ref_alone=True
    ),
    "json-schema.org/draft/2019-09/schema": Dialect(
        "https://json-schema.org/draft/2019-09/schema", _DRAFT2019
    ),
    "json-schema.org/draft/2020-12/schema": Dialect(
        "https://json-schema.org/draft/2020-12/schema", _DRAFT2020, contains_evaluates=True
    ),
}

# A schema that names no draft is read as 2020-12, older spellings included, and may use this
# library's own keyword.
UNDECLARED = Dialect(
    "https://json-schema.org/draft/2020-12/schema",
    _DRAFT2020 | _DRAFT7 | {"x-spelling"},
    contains_evaluates=True,
)


def dialect_of(schema: Mapping[str, object], otherwise: Dialect = UNDECLARED) -> Dialect:
    """The draft that a schema declares."""
    declared = schema.get("$schema")
    if not isinstance(declared, str):
        return otherwise
    name = declared.rstrip("#").split("://", 1)[-1]
    return _DIALECTS.get(name, otherwise)


def escape(token: str) -> str:
    """A key or an index as one token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")
