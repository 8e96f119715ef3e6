"""JSON Schemas of Python types, such that Pydantic reads every text that is valid under them.

What Pydantic says of a type in JSON Schema is wider than what it reads: `format` is an annotation,
patterns are read by another engine, integers may be spelled `1E53`. So the schema here is made of
what Pydantic compiles a type to, its core schema. Every kind of it has an exact description, or the
type is refused, with the field and the reason. Sources: docs.pydantic.dev, `pydantic_core`.

Python functions that check or change values cannot be looked into. Those of Pydantic are known by
name or refused. Those of a type's author are passed over: what stands before, behind or around a
value is described as if there were none, and a function alone describes nothing.
"""

from decoding.grammar.python_types.type_schema import schema_of_type

__all__ = ["schema_of_type"]
