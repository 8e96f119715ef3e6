"""Tool calls and formats of a real model, which has learned neither."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from decoding import GenerationParameters, LanguageModel, load
from decoding.chat import ChatDelta, fold, prepare
from decoding.engine import Engine

pytestmark = [pytest.mark.model, pytest.mark.slow]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 30},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "get_weather", "description": "A forecast.", "parameters": SCHEMA},
    }
]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return load("smollm2")


def answers(model: LanguageModel, messages: Any, count: int, **asked: Any) -> list[Any]:
    engine = Engine(model, max_batch_size=8)
    running = []
    for seed in range(count):
        parameters = GenerationParameters(temperature=1.2, seed=seed, max_new_tokens=200)
        prepared = prepare(model, messages, tools=TOOLS, parameters=parameters, **asked)
        running.append((engine.submit(prepared.request), prepared.reader(), list[ChatDelta]()))
    while engine.busy:
        for generation in engine.step():
            for other, reader, deltas in running:
                if other is generation:
                    for event in generation.take_events():
                        deltas.extend(reader.read(event))
    return [
        fold(deltas, reader.finish(generation.result().finish_reason))
        for generation, reader, deltas in running
    ]


def test_fifty_required_calls_parse_and_validate(model: LanguageModel) -> None:
    messages = "What is the weather in Paris for the next three days?"
    made = answers(model, messages, 50, tool_choice="required")
    for message in made:
        [call] = message.tool_calls
        assert call.name == "get_weather"
        jsonschema.validate(json.loads(call.arguments), SCHEMA)
        assert (message.finish_reason, message.content) == ("tool_calls", None)


def test_a_call_opened_by_hand_is_complete(model: LanguageModel) -> None:
    messages = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {"role": "assistant", "content": "<tool_call>\n"},
    ]
    for message in answers(model, messages, 8, continue_final_message=True):
        [call] = message.tool_calls
        if message.finish_reason != "length":
            jsonschema.validate(json.loads(call.arguments), SCHEMA)
