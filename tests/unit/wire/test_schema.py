"""The JSON Schemas of a request's fields follow from the declarations of these fields."""

from __future__ import annotations

from typing import Any

import jsonschema
import numpy as np
import pytest

from decoding.parameters import REQUEST_FIELDS, GenerationParameters
from decoding.server.openapi import document
from decoding.server.settings import ServerSettings
from decoding.wire.openai.fields import read_sampling
from decoding.wire.rules import WireLimits
from decoding.wire.schema import parameter_schemas
from decoding.wire.types import parse_parameters

SCHEMAS = parameter_schemas(width=1000)


def bodies() -> dict[str, Any]:
    found: dict[str, Any] = document(WireLimits(), ServerSettings(), 1000)["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", REQUEST_FIELDS)
def test_the_document_describes_every_field_and_what_it_does(name: str) -> None:
    described = bodies()["GenerateParameters"]["properties"][name]
    if name != "grammar":
        assert described["description"] == REQUEST_FIELDS[name].description


@pytest.mark.parametrize("kind", ["ChatRequest", "CompletionRequest"])
def test_openai_bodies_describe_every_field_that_they_read(kind: str) -> None:
    described = bodies()[kind]["properties"]
    of_tgi = {"details", "decoder_input_details", "return_full_text", "top_n_tokens", "grammar"}
    assert set(REQUEST_FIELDS) - of_tgi <= set(described)
    assert not of_tgi & set(described)
    read = read_sampling({"top_a": 0.5, "details": True})
    assert read["top_a"] == 0.5
    assert "details" not in read


@pytest.mark.parametrize("name", [n for n, field in REQUEST_FIELDS.items() if field.type.is_number])
def test_the_ends_of_a_range_are_legal_and_what_lies_beyond_is_not(name: str) -> None:
    schema = SCHEMAS[name]
    for end, outward in ((schema["minimum"], -1), (schema["maximum"], 1)):
        GenerationParameters(**parse_parameters({name: end}))
        beyond = end + outward if isinstance(end, int) else float(np.nextafter(end, outward * 9e99))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(beyond, schema, jsonschema.Draft202012Validator)
