"""Derives JSON Schemas from Python types; Pydantic can read every text that is valid under them.

The JSON Schema that Pydantic itself generates allows texts that Pydantic refuses: there `format` is
an annotation, patterns have another syntax, and integers may be written `1E53`. So the schema is
derived from Pydantic's core schema of the type. A type with a part that cannot be described exactly
is refused, with the field and the reason. Sources: docs.pydantic.dev, `pydantic_core`.

Python functions that check or change values cannot be analysed. Those of Pydantic are known by name
or refused. Validators of the type's author before, after or around a value are ignored; a value
that only a function of the author reads is refused.
"""

from decoding.grammar.python_types.type_schema import schema_of_type

__all__ = ["schema_of_type"]
