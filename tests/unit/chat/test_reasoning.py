"""Reasoning: what comes out as such, what applies behind it, and its budget."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_models import (
    CHATML,
    HERMES,
    OPENED,
    REASONING,
    Scripted,
    answer,
    ids_of,
    model_of,
    sampled,
    without_ids,
)
from profiles import spread

from decoding import GenerationParameters
from decoding.chat import prepare
from decoding.errors import ParameterError

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
TOOLS = [{"type": "function", "function": {"name": "go", "parameters": SCHEMA}}]
LONG = GenerationParameters(max_new_tokens=300)


def read(template: str, *script: str | bytes, **asked: Any) -> tuple[Any, ...]:
    model = model_of(template, Scripted(ids_of(*script)))
    prepared = prepare(model, "x", **{"parameters": LONG, **asked})
    return without_ids(answer(prepared, model)[1])


def test_reasoning_is_told_apart() -> None:
    for opening in ("<think>", b"<think>"):
        said = read(REASONING, opening, "\nhm <b>\n</thin </think>\n\nyes </think>")
        assert said == ("yes </think>", "hm <b>\n</thin", [], "stop")
    assert read(REASONING, "no <think>a</think>") == ("no <think>a</think>", None, [], "stop")
    assert read(CHATML, "<think>a</think>b") == ("<think>a</think>b", None, [], "stop")
    named = read(CHATML, "<think>a</think>b", reasoning_name="think")
    assert named == ("b", "a", [], "stop")
    assert read(REASONING, "<think>a</think>b", reasoning_name="none")[1] is None
    assert read(CHATML, "[THINK]a[/THINK]b", reasoning_name="mistral") == ("b", "a", [], "stop")


def test_a_template_may_open_or_close_the_reasoning() -> None:
    assert read(OPENED, "so\n</think>\n\nyes") == ("yes", "so", [], "stop")
    assert read(OPENED, "so it ends") == (None, "so it ends", [], "stop")
    closed = read(OPENED, "<think>yes", variables={"enable_thinking": False})
    assert closed == ("<think>yes", None, [], "stop")
    # What a user writes opens nothing.
    model = model_of(REASONING, Scripted(ids_of("a")))
    prepared = prepare(model, "<think>", add_generation_prompt=True, parameters=LONG)
    assert without_ids(answer(prepared, model)[1])[0] == "a"


@pytest.mark.parametrize("template", [REASONING, OPENED])
def test_a_format_applies_behind_the_reasoning(template: str) -> None:
    reasoned = 0
    for seed in range(4):
        model = model_of(template)
        prepared = prepare(
            model, "x", response_format=FORMAT, thinking_budget=20, parameters=sampled(seed)
        )
        _, message = answer(prepared, model)
        reasoned += message.reasoning_content is not None
        assert set(json.loads(message.content or "")) == {"a"}
        assert message.finish_reason == "stop"
    assert reasoned > 0


def test_a_tag_in_the_reasoning_calls_nothing() -> None:
    script = (
        '<think>\n<tool_call>{"no": 1}</think>\n'
        '<tool_call>{"name": "go", "arguments": {"a": true}}</tool_call>'
    )
    said = read(REASONING, script, tools=TOOLS)
    assert said == (None, '<tool_call>{"no": 1}', [("go", '{"a": true}')], "tool_calls")


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("template", [REASONING, OPENED + "{{ tools }}"])
def test_calls_behind_reasoning_parse(template: str, choice: Any) -> None:
    for seed in range(2):
        model = model_of(template)
        prepared = prepare(
            model,
            "x",
            tools=TOOLS,
            tool_choice=choice,
            thinking_budget=10,
            parameters=sampled(seed),
        )
        _, message = answer(prepared, model)
        if message.finish_reason != "length":
            assert message.tool_calls or choice == "auto"
            assert all(set(json.loads(call.arguments)) == {"a"} for call in message.tool_calls)


@pytest.mark.parametrize("budget", spread([0, 1, 5, 30], 2))
@pytest.mark.parametrize("template", [REASONING, OPENED])
def test_a_budget_ends_the_reasoning(budget: int, template: str) -> None:
    opening = "" if template is OPENED else "<think>"
    said = read(template, opening, "a" * 100, thinking_budget=budget)
    assert said[1] == ("a" * budget or None)
    left = 100 - budget - len("</think>")
    assert said[0] == "a" * left
    short = read(template, opening, "ab</think>c", thinking_budget=30)
    assert short == ("c", "ab", [], "stop")


def test_a_budget_without_reasoning_changes_nothing() -> None:
    assert read(CHATML, "abc", thinking_budget=1) == ("abc", None, [], "stop")
    closed = read(OPENED, "abc", thinking_budget=1, variables={"enable_thinking": False})
    assert closed == ("abc", None, [], "stop")
    for budget in (-1, 1.5, True, "3"):
        with pytest.raises(ParameterError, match="thinking_budget"):
            read(HERMES, "a", thinking_budget=budget)


@pytest.mark.slow
def test_tools_and_a_format_are_one_or_the_other() -> None:
    kinds = set()
    for seed in range(8):
        model = model_of(HERMES)
        prepared = prepare(
            model, "x", tools=TOOLS, response_format=FORMAT, parameters=sampled(seed)
        )
        _, message = answer(prepared, model)
        kinds.add(bool(message.tool_calls))
        if not message.tool_calls:
            assert set(json.loads(message.content or "")) == {"a"}
    assert kinds == {True, False}


@pytest.mark.parametrize("text", ["<think>because", "<think>x</think>", "Sure: "])
def test_a_final_message_is_continued_where_it_is(text: str) -> None:
    model = model_of(REASONING, Scripted(ids_of("a</think>\n{", "x" * 30)))
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
    prepared = prepare(
        model, messages, continue_final_message=True, response_format=FORMAT, thinking_budget=9,
        parameters=GenerationParameters(max_new_tokens=400),
    )  # fmt: skip
    _, message = answer(prepared, model)
    if text != "Sure: ":  # text in front of an answer that may still reason
        assert message.reasoning_content == ("a" if text == "<think>because" else None)
    assert set(json.loads(message.content or "")) == {"a"}
