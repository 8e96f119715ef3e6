"""Random schemas and values, and what `jsonschema` says of them."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.errors import (
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar.schema import SchemaGraph, compile_graph

# A schema that refers to itself for the same value is an error of syntax.
REFUSED = (GrammarUnsupportedError, GrammarLimitError, GrammarSyntaxError)
NAMES = ["a", "b", "ab", "x"]
PATTERNS = ["^a", "b$", "^a$|^b$", "a", "^[ab]*$", "^x", "^.$"]
SCALARS = [None, True, False, -1, 0, 1, 2, 2.5, 3, 4, 6, "", *NAMES, "abb"]

scalars = st.sampled_from(SCALARS)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=5,
)
counts = st.integers(0, 3)
names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
patterns = st.sampled_from(PATTERNS)
types = st.sampled_from(["null", "boolean", "string", "number", "integer", "array", "object"])
bounds = st.sampled_from([-1, 0, 1, 2, 2.5, 3])


def keywords(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """The values that each keyword may have."""
    some = st.lists(inner, min_size=1, max_size=3)
    return {
        "type": st.one_of(types, st.lists(types, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(values, min_size=1, max_size=3),
        "const": values,
        "minimum": bounds,
        "maximum": bounds,
        "exclusiveMinimum": bounds,
        "exclusiveMaximum": bounds,
        "multipleOf": st.sampled_from([0.5, 1, 2, 3]),
        "minLength": counts,
        "maxLength": counts,
        "pattern": patterns,
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        "required": names,
        "patternProperties": st.dictionaries(patterns, inner, max_size=2),
        "additionalProperties": inner,
        "propertyNames": inner,
        "minProperties": counts,
        "maxProperties": counts,
        "minItems": counts,
        "maxItems": counts,
        "contains": inner,
        "uniqueItems": st.booleans(),
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
    }


def newer(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """The keywords of 2020-12."""
    by_name = st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)
    return keywords(inner) | {
        "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#"]),
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "items": inner,
        "minContains": counts,
        "maxContains": counts,
        "dependentRequired": st.dictionaries(st.sampled_from(NAMES), names, max_size=2),
        "dependentSchemas": by_name,
        "unevaluatedProperties": inner,
        "unevaluatedItems": inner,
    }


def older(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """The keywords of draft 7."""
    return keywords(inner) | {
        "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#"]),
        "items": st.one_of(inner, st.lists(inner, min_size=1, max_size=2)),
        "additionalItems": inner,
        "dependencies": st.dictionaries(
            st.sampled_from(NAMES), st.one_of(names, inner), max_size=2
        ),
    }


@st.composite
def objects(draw: st.DrawFn, known: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=4, unique=True))
    return {keyword: draw(known[keyword]) for keyword in chosen}


def schemas_of(known: Any) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(st.booleans(), types.map(lambda name: {"type": name})),
        lambda inner: objects(known(inner)),
        max_leaves=8,
    )


newer_schemas, older_schemas = schemas_of(newer), schemas_of(older)
quick = settings(
    max_examples=amount(check=15, full=150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def compiled(schema: Any) -> SchemaGraph | None:
    """The graph; `None` where nothing at all is valid. Raises where it is refused."""
    try:
        return compile_graph(schema)
    except GrammarUnsatisfiableError:
        return None


def verdict(validator: Any, value: Any) -> bool | None:
    """Whether a value is valid; `None` where that is what decides whether it is valid."""
    try:
        return bool(validator.is_valid(value))
    except BaseException as error:
        # Out of stack, `jsonschema` raises RecursionError, or the panic of an extension module.
        if isinstance(error, RecursionError) or "Panic" in type(error).__name__:
            return None
        # Its `additionalItems` takes `items` for a list even where that is true or false.
        if isinstance(error, TypeError) and "'bool' has no len()" in str(error):
            return None
        raise
