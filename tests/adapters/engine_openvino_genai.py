"""OpenVINO GenAI's own configuration takes the exports."""

from __future__ import annotations

import json

import openvino_genai
from tiny_llama import SCHEMA

from decoding import Grammar
from decoding.adapters.openvino_genai import export


def test_its_configuration_holds_the_exports() -> None:
    made = export(Grammar("json", SCHEMA))
    assert isinstance(made, openvino_genai.StructuredOutputConfig)
    assert json.loads(made.json_schema) == SCHEMA
    assert made.grammar is None
    other = export(Grammar("regex", "[0-9]{4}"))
    assert other.grammar == "root ::= ([0-9]){4}\n"
    assert other.json_schema is None
    config = openvino_genai.GenerationConfig()
    config.structured_output_config = other
    assert config.structured_output_config.grammar == other.grammar
