"""What a request wants its text to match."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from decoding.errors import MissingDependencyError, ParameterError, shown

GrammarType: TypeAlias = Literal["regex", "json", "json_object", "json_schema", "gbnf", "lark"]
"""TGI's names of the kinds of grammar, `json_object` its alias of `json`; and two notations of
context-free grammars, which are not TGI's."""

_TEXTS = ("regex", "gbnf", "lark")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the generated text must match; checked for form only.

    type: `regex`, `json` (alias `json_object`), `json_schema`, `gbnf` or `lark`.
    value: the expression of a `regex`, which the whole text matches; the rules of a `gbnf` or
        `lark`; for the others a mapping or JSON text of an object: the JSON Schema itself, or for
        `json_schema` an object with a `schema` and optionally a `name`. Objects are kept as compact
        JSON text, which makes a grammar immutable and hashable and, unlike a dict, tells apart two
        orders of the same keys.

    Whether the expression compiles, and whether the schema is one, is found out by the compiler.
    Raises ParameterError at construction. Source: TGI 3.3.6, router/src/lib.rs, `GrammarType`.

    >>> Grammar("json", {"type": "integer"})
    Grammar(type='json', value='{"type":"integer"}')
    """

    type: GrammarType
    value: str | Mapping[str, object]

    def __post_init__(self) -> None:
        kinds = get_args(GrammarType)
        if self.type not in kinds:
            raise ParameterError("grammar.type", self.type, f"one of {', '.join(kinds)}")
        if self.type in _TEXTS:
            if not isinstance(self.value, str):
                raise ParameterError("grammar.value", self.value, f"the text of a {self.type}")
            return
        try:
            object.__setattr__(self, "value", json_object_text(self.value))
        except ValueError as error:
            expected = f"an object or the JSON text of one ({error})"
            raise ParameterError("grammar.value", self.value, expected) from error
        if self.type == "json_schema" and not isinstance(self._object.get("schema"), dict):
            raise ParameterError("grammar.value", self.value, "an object with an object `schema`")

    @property
    def schema(self) -> dict[str, Any] | None:
        """A fresh copy of the JSON Schema; None for a grammar that is none."""
        if self.type in _TEXTS:
            return None
        return dict(self._object["schema"] if self.type == "json_schema" else self._object)

    @classmethod
    def of_type(cls, python_type: Any) -> Grammar:  # noqa: ANN401 -- any type, also `list[int]`
        """JSON texts that a Python type can be read from.

        python_type: a Pydantic model, a dataclass, or any other type that Pydantic can describe;
            `TypeAdapter(python_type).validate_json` reads what is generated. Fields that it does
            not have are not generated.

        Raises:
            MissingDependencyError: Pydantic is not installed.
            ParameterError: Pydantic cannot describe the type, or what describes it is no object.
        """
        try:
            from pydantic import TypeAdapter
            from pydantic.errors import PydanticUserError
        except ImportError as error:
            raise MissingDependencyError("pydantic", "grammar") from error
        try:
            return cls("json", _closed(TypeAdapter(python_type).json_schema()))
        except PydanticUserError as error:
            expected = f"a type with a JSON Schema ({error})"
            raise ParameterError("python_type", python_type, expected) from error

    @property
    def _object(self) -> dict[str, Any]:
        return dict(json.loads(str(self.value)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Grammar:
        """The inverse of `to_dict`: exactly the keys `type` and `value`."""
        if not isinstance(mapping, Mapping) or set(mapping) != {"type", "value"}:
            raise ParameterError("grammar", mapping, "a mapping of `type` and `value`")
        return cls(**mapping)

    def to_dict(self) -> dict[str, object]:
        """TGI's form: an object where the grammar is one, text where it is an expression."""
        return {
            "type": self.type,
            "value": self.value if self.type in _TEXTS else self._object,
        }


_HOLDING_SCHEMAS = ("items", "additionalProperties")
_HOLDING_LISTS = ("anyOf", "oneOf", "prefixItems")
_HOLDING_NAMED = ("$defs", "properties")


def _closed(schema: Any) -> Any:  # noqa: ANN401 -- JSON
    """A schema whose objects have no properties but those that it names.

    Branches of an `allOf` stay open: together they may name what each alone does not.
    """
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False, **schema} if "properties" in schema else dict(schema)
    for key in closed.keys() & set(_HOLDING_SCHEMAS):
        closed[key] = _closed(closed[key])
    for key in closed.keys() & set(_HOLDING_LISTS):
        closed[key] = [_closed(item) for item in closed[key]]
    for key in closed.keys() & set(_HOLDING_NAMED):
        closed[key] = {name: _closed(item) for name, item in closed[key].items()}
    return closed


def json_object_text(value: object) -> str:
    """The compact JSON text of an object given as a mapping or as JSON text.

    Raises ValueError where `value` is neither, or holds what JSON cannot.
    """
    try:
        decoded = json.loads(value) if isinstance(value, str) else _plain(value)
        text = json.dumps(decoded, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except RecursionError as error:
        raise ValueError("recursion limit exceeded") from error
    if not isinstance(decoded, dict):
        raise ValueError(f'{text} is not of type "object"')  # noqa: TRY004  # one error for the caller
    return text


def _plain(value: object) -> object:
    """The builtin form of a JSON value; `json.dumps` alone would turn a key 1 into "1"."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _plain(item) for key, item in value.items()}
    raise ValueError(f"{shown(value)} has no JSON form")
