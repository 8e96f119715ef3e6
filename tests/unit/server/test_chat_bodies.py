"""What clients of chats send beside the plain case: old and new names, histories, defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Served, hashed, serving

from decoding.wire.rules import WireLimits

CHAT = "/v1/chat/completions"
STRICT = "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] }}{% endfor %}[assistant]"
SWITCH: dict[str, Any] = {
    "name": "switch",
    "parameters": {
        "type": "object",
        "properties": {"on": {"type": "boolean"}},
        "required": ["on"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": SWITCH}]
CALL = {"id": "1", "type": "function", "function": {"name": "switch", "arguments": '{"on": true}'}}
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "On!"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "done"}]},
    {"role": "assistant", "content": None, "refusal": "no"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No!"}]},
    {"role": "user", "content": "<|end|> and?"},
]


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """A server of a model whose template wants a text in every message, and knows no tools."""
    with serving(hashed(chat_template=STRICT, context_length=2000)) as running:
        yield running


@pytest.mark.parametrize(
    "more",
    [
        {"messages": "Say it"},
        {"messages": "Say it", "tools": TOOLS},
        {"messages": "Say it", "tools": TOOLS, "tool_choice": "none"},
        {"messages": HISTORY},
        {"messages": HISTORY, "tools": TOOLS},
        {"messages": [*HISTORY[:1], {"role": "assistant", "content": "W"}],
         "continue_final_message": True},
    ],
)  # fmt: skip
def test_chat_tokenize_shows_the_prompt_that_a_chat_sends(
    strict: Served, more: dict[str, Any]
) -> None:
    shown = strict.post("/chat_tokenize", more).json()
    answer = strict.post(CHAT, {**more, "max_tokens": 1})
    assert answer.status_code == 200, answer.text
    tokens = shown["tokenize_response"]
    assert answer.json()["usage"]["prompt_tokens"] == len(tokens)
    text = shown["templated_text"]
    assert [text[item["start"] : item["stop"]] for item in tokens] == [t["text"] for t in tokens]
    assert "".join(item["text"] for item in tokens) == text
    assert ("You may call functions" in text) == ("tools" in more and "tool_choice" not in more)


def test_a_history_of_calls_is_told_also_where_no_tools_are_offered(strict: Served) -> None:
    text = strict.post("/chat_tokenize", {"messages": HISTORY}).json()["templated_text"]
    call = '<tool_call>\n{"name": "switch", "arguments": {"on": true}}\n</tool_call>'
    result = "<tool_response>\ndone\n</tool_response>"
    expected = f"[user]On![assistant]{call}[user]{result}[assistant][assistant]No![user]<|end|> and?[assistant]"
    assert text == expected


def test_tool_prompt_stands_before_the_list_of_tools(strict: Served) -> None:
    body = {"messages": "Hi", "tools": TOOLS, "tool_prompt": "Pull a lever."}
    text = strict.post("/chat_tokenize", body).json()["templated_text"]
    assert text.startswith("[system]Pull a lever. They are listed here")
    answer = strict.post(CHAT, {**body, "max_tokens": 1})
    assert answer.json()["usage"]["prompt_tokens"] == len(text)
    assert strict.post(CHAT, {**body, "tool_prompt": 5}).status_code == 422


def test_a_user_who_says_nothing_is_refused(strict: Served) -> None:
    answer = strict.post(CHAT, {"messages": [{"role": "user", "content": None}]})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "template_error"


@pytest.mark.parametrize("knows", [False, True])
def test_developer_is_another_name_of_system(knows: bool) -> None:
    said = [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    template = STRICT + ("{% if false %}developer{% endif %}" if knows else "")
    with serving(hashed(chat_template=template)) as running:
        text = running.post("/chat_tokenize", {"messages": said}).json()["templated_text"]
    role = "developer" if knows else "system"
    assert text == f"[{role}]Be brief[user]Hi[assistant]"


def calls_of(served: Served, **given: Any) -> list[tuple[str, Any]]:
    body = {"messages": "x", "tools": TOOLS, "tool_choice": "required", "max_tokens": 300, **given}
    answer = served.post(CHAT, body)
    assert answer.status_code == 200, answer.text
    calls = answer.json()["choices"][0]["message"]["tool_calls"]
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls]


def test_the_format_says_how_many_calls_there_are_where_the_request_does_not(
    strict: Served,
) -> None:
    seed = next(
        seed for seed in range(20) if len(calls_of(strict, seed=seed, parallel_tool_calls=True)) > 1
    )
    one = calls_of(strict, seed=seed, parallel_tool_calls=False)
    assert len(one) == 1
    assert calls_of(strict, seed=seed) == one
    assert calls_of(strict, seed=seed, parallel_tool_calls=None) == one


def test_arguments_is_the_name_of_a_tools_schema_in_tgi(strict: Served) -> None:
    older = {"name": "switch", "parameters": None, "arguments": SWITCH["parameters"]}
    found = calls_of(strict, tools=[{"type": "function", "function": older}], seed=1)
    assert isinstance(json.loads(found[0][1])["on"], bool)
    wrong = {**older, "arguments": 5}
    body = {"messages": "x", "tools": [{"type": "function", "function": wrong}]}
    answer = strict.post(CHAT, body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "tools[0].function.arguments"


def test_a_schema_that_is_refused_is_named_as_the_client_wrote_it(strict: Served) -> None:
    wrong = {"type": "object", "properties": {"a": {"$ref": "#/nope"}}, "required": ["a"]}
    tools = [*TOOLS, {"type": "function", "function": {"name": "bad", "parameters": wrong}}]
    for choice in ("auto", "required", "bad"):
        body = {"messages": "x", "tools": tools, "tool_choice": choice}
        for _ in range(2):
            answer = strict.post(CHAT, body)
            assert answer.status_code == 422
            error = answer.json()["error"]
            assert "schema: tool bad, /properties/a/$ref: $ref is not supported" in error["message"]
            assert error["param"] == "tools"
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": wrong}}
    error = strict.post(CHAT, {"messages": "x", "response_format": shape}).json()["error"]
    assert "schema: /properties/a/$ref: $ref is not supported" in error["message"]
    assert error["param"] == "response_format"


def test_no_grammar_is_compiled_where_they_are_not_supported() -> None:
    limits = WireLimits(disable_grammar_support=True, max_input_tokens=1900, max_total_tokens=2000)
    with serving(hashed(chat_template=STRICT, context_length=2000), limits=limits) as running:
        for given, param in (
            ({"response_format": {"type": "json_object"}}, "response_format"),
            ({"tools": TOOLS}, "tools"),
            ({"tools": TOOLS, "tool_choice": "required"}, "tools"),
            ({"response_format": {"type": "text"}}, None),
            ({"tools": TOOLS, "tool_choice": "none"}, None),
            ({"tools": []}, None),
        ):
            answer = running.post(CHAT, {"messages": "x", "max_tokens": 2, **given})
            if param is None:
                assert answer.status_code == 200
                continue
            assert answer.status_code == 422
            text = "Input validation error: grammar is not supported"
            assert (answer.json()["message"], answer.json()["error"]["param"]) == (text, param)


def test_logit_bias_may_be_a_list_as_in_tgi(served: Served) -> None:
    def said(bias: Any) -> Any:
        body = {"messages": "x", "max_tokens": 4, "temperature": 0, "logit_bias": bias}
        return served.post(CHAT, body).json()["choices"][0]["message"]["content"]

    assert said([0.0] * 67 + [100.0]) == "AAAA"
    assert said([]) == said([0.0]) == said(None)
    answer = served.post(CHAT, {"messages": "x", "logit_bias": [0, "x"]})
    assert answer.json()["error"]["param"] == "logit_bias.1"


@pytest.mark.parametrize(("field", "value"), [("min_p", 2), ("min_tokens", 9)])
def test_an_error_in_the_librarys_words_names_its_field(
    served: Served, field: str, value: Any
) -> None:
    answer = served.post(CHAT, {"messages": "x", "max_tokens": 5, field: value})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == field


def test_compressed_bodies_are_refused_as_such(served: Served) -> None:
    for coding, status in (("gzip", 415), ("br", 415), ("identity", 200)):
        body = {"inputs": "x", "parameters": {"max_new_tokens": 1}}
        answer = served.post("/generate", body, headers={"content-encoding": coding})
        assert answer.status_code == status
        if status == 415:
            said = f"Expected request without `Content-Encoding`, got `{coding}`"
            assert answer.json() == {"error": said, "error_type": "validation"}


def test_the_list_of_models_may_have_a_slash_behind_it(served: Served) -> None:
    assert served.get("/v1/models/").json() == served.get("/v1/models").json()
