"""Derives the JSON Schema of a Python type from Pydantic's core schema of the type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from typing import NoReturn

from decoding.errors import GrammarError, MissingDependencyError, ParameterError
from decoding.grammar.python_types import (
    containers,
    functions,
    numbers,
    object_types,
    strings,
    times,
    value_patterns,
)
from decoding.grammar.python_types.core import (
    BOUNDS,
    CONDITIONS,
    LENGTHS,
    LIMITS,
    Core,
    Describe,
    Describer,
    Json,
    RefusalError,
    TypePath,
    constants_of,
    read_branch,
)
from decoding.grammar.regular.work import counting
from decoding.grammar.schema import compile_graph
from decoding.grammar.schema.reachable import check_reachable
from decoding.typing import Anything


def schema_of_type(python_type: Anything) -> Json:  # any type, also `list[int]`
    """A JSON Schema, all of whose texts `TypeAdapter(python_type).validate_json` accepts.

    Raises:
        MissingDependencyError: Pydantic is not installed.
        ParameterError: Pydantic does not support the type, or masks cannot enforce its conditions.
    """
    try:
        from pydantic import TypeAdapter
    except ImportError as error:
        raise MissingDependencyError("pydantic", "grammar") from error
    try:
        adapter = TypeAdapter(python_type)
        core: Core = adapter.core_schema
        _ = core["type"], adapter.validator  # a type whose definition was deferred is built now
    except Exception as error:  # a type's own hooks may raise anything
        _refuse(python_type, f"a type that Pydantic reads from JSON ({error})", error)
    try:
        schema = _Describer().document(core)
        graph = compile_graph(schema)
        with counting(graph.work):
            check_reachable(graph)
    except (RefusalError, GrammarError) as reason:
        _refuse(python_type, f"a type whose conditions masks can enforce; {reason}", reason)
    return schema


def _refuse(python_type: object, expected: str, cause: Exception) -> NoReturn:
    raise ParameterError("python_type", python_type, expected) from cause


class _Describer:
    """Derives the schema of one type; see `core.Describer`."""

    def __init__(self) -> None:
        self._cores: dict[str, Core] = {}
        self._names: dict[str, str] = {}
        self._found: Json = {}

    def document(self, core: Core) -> Json:
        """The whole schema, with the definitions that it refers to."""
        if core["type"] == "definitions":
            self._cores.update({one["ref"]: one for one in core["definitions"]})
            core = core["schema"]
        schema = self.of(core, TypePath())
        return {**schema, "$defs": self._found} if self._found else schema

    def of(self, core: Core, place: TypePath) -> Json:
        """The JSON Schema of a core schema."""
        kind = core["type"]
        if kind == "definition-ref":
            return self._reference(core["schema_ref"], place)
        known = functions.by_format(core, place) if kind in functions.NAMED else None
        if known is not None:
            return known
        describe = _KINDS.get(kind)
        if describe is None:
            place.refuse(kind, "this type of core schema is not supported")
        for name in CONDITIONS.difference(_ENFORCED.get(kind, ())):
            if core.get(name) is not None:
                place.refuse(name, f"masks cannot enforce it for this type ({kind})")
        return describe(self, core, place)

    def target(self, core: Core) -> Core:
        """The core schema that a reference leads to."""
        return self._cores[core["schema_ref"]]

    def _reference(self, target: str, place: TypePath) -> Json:
        name = self._names.get(target)
        if name is None:
            last = target.split(":", maxsplit=1)[0].rpartition(".")[2]
            word = "".join(takewhile(str.isidentifier, last)) or "type"
            name = self._names[target] = f"{word}_{len(self._names)}"
            self._found[name] = self.of(self._cores[target], replace(place, config={}))
        return {"$ref": f"#/$defs/{name}"}


def _inner(describer: Describer, core: Core, place: TypePath) -> Json:
    return describer.of(core["schema"], place)


def _branch(describer: Describer, core: Core, place: TypePath) -> Json:
    return describer.of(read_branch(core), place)


def _integer(_: Describer, core: Core, __: TypePath) -> Json:
    return numbers.integer(core)


def _constants(_: Describer, core: Core, place: TypePath) -> Json:
    return numbers.constants(constants_of(core), place)


def _uuid(_: Describer, core: Core, __: TypePath) -> Json:
    return strings.string_of(value_patterns.uuid(core.get("version")))


def _always(schema: Json) -> Describe:
    """A function that returns the same schema for every core schema."""

    def describe(_: Describer, __: Core, ___: TypePath, /) -> Json:
        return dict(schema)

    return describe


def _chain(describer: Describer, core: Core, place: TypePath) -> Json:
    """The schema of a chain: the first step reads JSON, others are functions or alike."""
    first, *others = core["steps"]
    alike = [first]
    for step in others:
        if step["type"] == first["type"]:
            alike.append(step)
        elif not functions.is_harmless(step):
            place.refuse("chain", f"{step['type']} after {first['type']} is not supported")
    found = [describer.of(step, place) for step in alike]
    return found[0] if len(found) == 1 else {"allOf": found}


_ENFORCED: Mapping[str, frozenset[str]] = {
    "int": BOUNDS,
    "float": BOUNDS,
    "decimal": BOUNDS,
    "str": LENGTHS | {"pattern"},
    "url": frozenset(("max_length",)),
    "multi-host-url": frozenset(("max_length",)),
    **dict.fromkeys(("date", "time", "datetime", "timedelta"), LIMITS),
    **dict.fromkeys(("bytes", "list", "deque", "generator", "set", "frozenset", "tuple"), LENGTHS),
    **dict.fromkeys(("dict", "ordered-dict", "counter"), LENGTHS),
}
"""The conditions that the functions below enforce, by the type of the core schema."""

_KINDS: Mapping[str, Describe] = {
    "any": _always({}),
    "none": _always({"type": "null"}),
    "bool": _always({"type": "boolean"}),
    "int": _integer,
    "float": numbers.number,
    "decimal": numbers.decimal,
    "complex": _always(strings.string_of(value_patterns.COMPLEX)),
    "fraction": _always(strings.string_of(value_patterns.FRACTION)),
    "str": strings.string,
    "bytes": strings.octets,
    "uuid": _uuid,
    "url": strings.url,
    "multi-host-url": strings.url,
    "json": strings.json_text,
    "date": times.date,
    "time": times.time_of_day,
    "datetime": times.date_time,
    "timedelta": times.time_span,
    "literal": _constants,
    "enum": _constants,
    "list": containers.array,
    "deque": containers.array,
    "generator": containers.array,
    "set": containers.distinct,
    "frozenset": containers.distinct,
    "tuple": containers.row,
    "named-tuple": containers.named_tuple,
    "call": containers.call,
    "dict": containers.mapping,
    "ordered-dict": containers.mapping,
    "counter": containers.mapping,
    "model": object_types.whole_class,
    "model-fields": object_types.model_fields,
    "dataclass": object_types.whole_class,
    "dataclass-args": object_types.dataclass_fields,
    "typed-dict": object_types.typed_dict,
    "nullable": object_types.nullable,
    "union": object_types.union,
    "tagged-union": object_types.tagged_union,
    "chain": _chain,
    "default": _inner,
    "custom-error": _inner,
    "json-or-python": _branch,
    "lax-or-strict": _branch,
    "function-plain": functions.function_alone,
    "function-after": functions.function_around,
    "function-before": functions.function_around,
    "function-wrap": functions.function_around,
}
