"""`Grammar`: which grammar a request's text must match, as an immutable, hashable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from decoding.errors import GrammarUnsupportedError, ParameterError, require
from decoding.json_steps import compact, loads
from decoding.typing import Anything

if TYPE_CHECKING:  # most processes see no grammar, and should not wait for their compilers
    from decoding.grammar.json_style import JsonStyle

GrammarType: TypeAlias = Literal["regex", "json", "json_object", "json_schema", "gbnf", "lark"]
"""TGI's names of the kinds of grammar, `json_object` its alias of `json`; and two notations of
context-free grammars, which are not TGI's."""

OnUnsupported: TypeAlias = Literal["raise", "ignore"]
Formats: TypeAlias = Literal["known", "strict", "annotation"]

_TEXTS = ("regex", "gbnf", "lark")


@dataclass(frozen=True, slots=True)
class Grammar:
    """The grammar that generated text must match: its kind, its source and options.

    type: `regex`, `json` (alias `json_object`), `json_schema`, `gbnf` or `lark`.
    value: the expression of a `regex`, which the whole text matches; the rules of a `gbnf` or
        `lark`; for the others a mapping or JSON text of an object: the JSON Schema itself, or for
        `json_schema` an object with a `schema` and optionally a `name`. Objects are kept as compact
        JSON text, which makes a grammar immutable and hashable and, unlike a dict, tells apart two
        orders of the same keys.
    on_unsupported: "ignore" drops what masks cannot hold of a schema, "raise" refuses the schema.
    formats: of a schema: "known" formats are enforced, every format must be known ("strict"), or
        formats say nothing ("annotation").
    style: how JSON is written where a schema leaves it open, a `decoding.grammar.JsonStyle`; `None`
        is its default.
    resources: the documents that a schema's `$ref` may lead to besides itself, by URI: a mapping or
        the JSON text of one, kept as JSON text; `None` for none.

    What stands below `value` belongs to JSON Schemas and has its default for other types. Whether
    the expression compiles, and whether the schema is one, is found out by the compiler.
    Raises ParameterError at construction. Source: TGI 3.3.6, router/src/lib.rs, `GrammarType`.

    >>> Grammar("json", {"type": "integer"}).value
    '{"type":"integer"}'
    """

    type: GrammarType
    value: str | Mapping[str, object]
    on_unsupported: OnUnsupported = "raise"
    formats: Formats = "known"
    style: JsonStyle | None = None
    resources: str | Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        kinds = get_args(GrammarType)
        if not isinstance(self.type, str) or self.type not in kinds:
            raise ParameterError("grammar.type", self.type, f"one of {', '.join(kinds)}")
        self._check_options()
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

    def _check_options(self) -> None:
        for name, values in (("on_unsupported", OnUnsupported), ("formats", Formats)):
            value, allowed = getattr(self, name), get_args(values)
            known = isinstance(value, str) and value in allowed
            require(f"grammar.{name}", value, known, f"one of {', '.join(allowed)}")
        for name, neutral in GRAMMAR_OPTIONS.items() if self.type in _TEXTS else ():
            value = getattr(self, name)
            legal = value is neutral or (isinstance(value, str) and value == neutral)
            require(f"grammar.{name}", value, legal, f"left out for a {self.type}")
        if self.style is not None:
            from decoding.grammar.json_style import JsonStyle

            legal = isinstance(self.style, JsonStyle)
            require("grammar.style", self.style, legal, "a JsonStyle or None")
        if self.resources is not None:
            try:
                object.__setattr__(self, "resources", json_object_text(self.resources))
            except ValueError as error:
                expected = f"a mapping of URIs to schemas ({error})"
                raise ParameterError("grammar.resources", self.resources, expected) from error

    @property
    def schema(self) -> dict[str, Any] | None:
        """A copy of the JSON Schema; None for another kind of grammar."""
        if self.type in _TEXTS:
            return None
        return dict(self._object["schema"] if self.type == "json_schema" else self._object)

    @property
    def documents(self) -> dict[str, Any] | None:
        """A copy of `resources`."""
        return None if self.resources is None else dict(loads(str(self.resources)))

    @classmethod
    def of_type(
        cls, python_type: Anything, *, style: JsonStyle | None = None
    ) -> Grammar:  # any type, also `list[int]`
        """Make the grammar of the JSON texts that Pydantic reads as a Python type.

        python_type: a Pydantic model, a dataclass, or any other type that Pydantic reads from JSON;
            `TypeAdapter(python_type).validate_json` reads whatever is generated, see
            `decoding.grammar.python_types`. Fields that a type does not have are not generated.
        style: how the JSON is written, see `JsonStyle`.
        Validators in Python (`AfterValidator`, `@field_validator`, `@model_validator`) cannot be
        seen and may still reject a value; a type that says what else it takes before a validator
        runs is described as if there were none.

        Raises:
            MissingDependencyError: Pydantic is not installed.
            ParameterError: Pydantic does not read the type, or masks cannot hold what it reads; the
                message names the type, the field and the reason.
        """
        from decoding.grammar.python_types import schema_of_type

        return cls("json", schema_of_type(python_type), style=style)

    def to_gbnf(self, *, names_tokens: bool = True) -> str:
        r"""Write a grammar of the kind regex, gbnf or lark as GBNF of exactly its texts.

        names_tokens: whether the reader knows references to tokens, `<[id]>` and `<text>`, as
            llama.cpp does.

        >>> print(Grammar("regex", r"[0-9]{4}(-\w+)?").to_gbnf(), end="")
        root ::= ([0-9]){4} ("-" ([0-9A-Z_a-z])+)?

        Raises:
            GrammarUnsupportedError: it is a JSON Schema, or says what GBNF cannot: look-arounds,
                intersections, complements. Such a grammar runs by masks.
            GrammarError: it is malformed.
        """
        from decoding.grammar.ebnf.gbnf import parse_gbnf
        from decoding.grammar.ebnf.gbnf_text import gbnf_of_expression, gbnf_text
        from decoding.grammar.ebnf.larklike import parse_larklike
        from decoding.grammar.regular.regex import parse_full
        from decoding.grammar.regular.work import WORK_SECONDS, Work, counting

        text = str(self.value)
        with counting(Work(WORK_SECONDS)):
            match self.type:
                case "regex":
                    return gbnf_of_expression(parse_full(text))
                case "gbnf":
                    return gbnf_text(parse_gbnf(text, "root"), names_tokens=names_tokens)
                case "lark":
                    return gbnf_text(parse_larklike(text, "start"), names_tokens=names_tokens)
        reason = "keys in any order and counts of items have no short form in GBNF"
        raise GrammarUnsupportedError("", self.type, f"{reason}; use masks")

    @property
    def _object(self) -> dict[str, Any]:
        return dict(loads(str(self.value)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Grammar:
        """The inverse of `to_dict`: the keys `type`, `value`, and options that are set."""
        if not isinstance(mapping, Mapping) or not {"type", "value"} <= set(mapping):
            raise ParameterError("grammar", mapping, "a mapping of `type` and `value`")
        if not set(mapping) <= {"type", "value", *GRAMMAR_OPTIONS}:
            options = ", ".join(GRAMMAR_OPTIONS)
            expected = f"a mapping of `type` and `value`, and else of none but {options}"
            raise ParameterError("grammar", mapping, expected)
        given = dict(mapping)
        if given.get("style") is not None:
            from decoding.grammar.json_style import JsonStyle

            given["style"] = JsonStyle.from_dict(given["style"])
        return cls(**given)

    def to_dict(self) -> dict[str, object]:
        """TGI's form: an object where the grammar is one, text where it is an expression.

        Options of this library follow where they are set.
        """
        value: object = self.value if self.type in _TEXTS else self._object
        found: dict[str, object] = {"type": self.type, "value": value}
        if self.on_unsupported != "raise":
            found["on_unsupported"] = self.on_unsupported
        if self.formats != "known":
            found["formats"] = self.formats
        if self.style is not None:
            found["style"] = self.style.to_dict()
        if self.resources is not None:
            found["resources"] = self.documents
        return found


GRAMMAR_OPTIONS: dict[str, object] = {
    "on_unsupported": "raise",
    "formats": "known",
    "style": None,
    "resources": None,
}
"""Beyond TGI's form, each with its neutral value."""


def json_object_text(value: object) -> str:
    """Convert a mapping or a JSON text of an object to compact JSON.

    Raises ValueError where `value` is neither, or holds what JSON cannot.
    """
    try:
        decoded = loads(value) if isinstance(value, str) else value
        text = compact(decoded)
        text.encode()
    except RecursionError as error:
        raise ValueError("recursion limit exceeded") from error
    if not isinstance(decoded, Mapping):
        raise ValueError(f'{text} is not of type "object"')  # noqa: TRY004 -- one error for the caller
    return text
