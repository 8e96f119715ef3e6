"""JSON Schema's drafts: URI, keywords and formats of each; finds the draft of a schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from decoding.bounded_repr import shown
from decoding.errors import GrammarSyntaxError, GrammarUnsupportedError


@dataclass(frozen=True, slots=True)
class Dialect:
    """One draft of JSON Schema.

    uri: its metaschema. keywords: those that constrain values; all others are annotations.
    formats: the formats that the draft defines.
    id_keyword: the keyword that names a schema.
    ref_alone: keywords beside `$ref` are ignored.
    contains_evaluates: items that are valid under `contains` count as evaluated.
    boolean_bounds: `exclusiveMinimum` and `exclusiveMaximum` are booleans beside the bound.
    boolean_schemas: `true` and `false` are schemas wherever a schema may stand.
    list_items: `items` may be a list of schemas, one for each of the first items.
    plain_integers: a number that is written with a fraction or an exponent is no integer.
    """

    uri: str
    keywords: frozenset[str]
    formats: frozenset[str]
    id_keyword: str = "$id"
    ref_alone: bool = False
    contains_evaluates: bool = False
    boolean_bounds: bool = False
    boolean_schemas: bool = True
    list_items: bool = True
    plain_integers: bool = False


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

_FORMATS4 = frozenset(("date-time", "email", "hostname", "ipv4", "ipv6", "uri"))
_FORMATS6 = _FORMATS4 | {"uri-reference", "uri-template", "json-pointer"}
_FORMATS7 = _FORMATS6 | {
    *("date", "time", "regex", "relative-json-pointer", "idn-email", "idn-hostname"),
    *("iri", "iri-reference"),
}
_FORMATS2019 = _FORMATS7 | {"duration", "uuid"}

DRAFT4 = Dialect(
    "http://json-schema.org/draft-04/schema#",
    _DRAFT4,
    _FORMATS4,
    id_keyword="id",
    ref_alone=True,
    boolean_bounds=True,
    boolean_schemas=False,
    plain_integers=True,
)
DRAFT6 = Dialect("http://json-schema.org/draft-06/schema#", _DRAFT6, _FORMATS6, ref_alone=True)
DRAFT7 = Dialect("http://json-schema.org/draft-07/schema#", _DRAFT7, _FORMATS7, ref_alone=True)
DRAFT2019 = Dialect("https://json-schema.org/draft/2019-09/schema", _DRAFT2019, _FORMATS2019)
DRAFT2020 = Dialect(
    "https://json-schema.org/draft/2020-12/schema",
    _DRAFT2020,
    _FORMATS2019,
    contains_evaluates=True,
    list_items=False,
)
UNDECLARED = replace(
    DRAFT2020, keywords=_DRAFT2020 | {"dependencies", "$recursiveRef", "x-spelling"}
)
"""The dialect of schemas without `$schema`: 2020-12 with `dependencies`, `$recursiveRef`, and
`x-spelling`, a keyword of this library."""

_DIALECTS = {
    "json-schema.org/draft-04/schema": DRAFT4,
    "json-schema.org/draft-04/hyper-schema": DRAFT4,
    "json-schema.org/draft-06/schema": DRAFT6,
    "json-schema.org/draft-06/hyper-schema": DRAFT6,
    "json-schema.org/draft-07/schema": DRAFT7,
    "json-schema.org/draft-07/hyper-schema": DRAFT7,
    "json-schema.org/draft/2019-09/schema": DRAFT2019,
    "json-schema.org/draft/2019-09/hyper-schema": DRAFT2019,
    "json-schema.org/draft/2020-12/schema": DRAFT2020,
    "json-schema.org/draft/2020-12/hyper-schema": DRAFT2020,
    # The first two stand for the latest draft; OpenAPI 3.1 only adds annotations.
    "json-schema.org/schema": DRAFT2020,
    "json-schema.org/hyper-schema": DRAFT2020,
    "spec.openapis.org/oas/3.1/dialect/base": DRAFT2020,
}

DRAFT3_ONLY = {
    "divisibleBy": "`multipleOf`",
    "disallow": "`not`",
    "extends": "`allOf`",
}
"""Keywords that constrained values in draft 3 alone, and what later drafts write instead."""


def dialect_of(
    schema: Mapping[str, object], otherwise: Dialect = UNDECLARED, pointer: str = ""
) -> Dialect:
    """The draft that a schema declares by `$schema`, or `otherwise` if it declares none.

    The scheme (http, https or none) and an empty fragment make no difference.
    Raises `GrammarUnsupportedError` for draft 3 and for unknown drafts.
    """
    if "$schema" not in schema:
        return otherwise
    declared = schema["$schema"]
    where = f"{pointer}/$schema"
    if not isinstance(declared, str):
        raise GrammarSyntaxError(where, f"must be the URI of a draft, not {shown(declared)}")
    name = declared.strip().removesuffix("#").split("://", 1)[-1].rstrip("/")
    known = _DIALECTS.get(name)
    if known is not None:
        return known
    draft3 = "json-schema.org/draft-03/" in declared
    version = "draft 3" if draft3 else "not a known draft"
    raise GrammarUnsupportedError(
        where,
        "$schema",
        f"{shown(declared, 100)} is {version}; use draft 4, 6, 7, 2019-09 or 2020-12",
    )


def escape(token: str) -> str:
    """Escape a key or index as one token of a JSON pointer; escape lone surrogates too."""
    if not token.isascii():
        token = token.encode("utf-8", "backslashreplace").decode()
    return token.replace("~", "~0").replace("/", "~1")
