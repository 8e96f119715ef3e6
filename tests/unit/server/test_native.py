"""TGI's routes: shapes, headers and the bytes of streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving import Served, events, hashed, serving

from decoding import GenerationParameters, generate

PROMPT = "Once upon a time"
ASKED = {"max_new_tokens": 6, "do_sample": True, "seed": 3}


def alone(**given: Any) -> Any:
    return generate(hashed(), PROMPT, GenerationParameters(**given))


def test_root_answers_a_list_and_generate_an_object(served: Served) -> None:
    body = {"inputs": PROMPT, "parameters": ASKED}
    text = alone(**ASKED).generated_text
    assert served.post("/", body).json() == [{"generated_text": text}]
    assert served.post("/generate", body | {"stream": True}).json() == {"generated_text": text}


def test_details_are_what_the_library_writes(served: Served) -> None:
    asked = {**ASKED, "details": True, "top_n_tokens": 2, "decoder_input_details": True}
    answer = served.post("/generate", {"inputs": PROMPT, "parameters": asked})
    assert answer.text == alone(**asked).to_json()
    assert answer.json()["details"]["prefill"][0]["logprob"] is None


def test_decoder_input_details_bring_the_details(served: Served) -> None:
    asked = {**ASKED, "decoder_input_details": True}
    assert "details" in served.post("/generate", {"inputs": "a", "parameters": asked}).json()


def test_best_of_shows_the_losers(served: Served) -> None:
    asked = {"max_new_tokens": 5, "do_sample": True, "best_of": 2, "details": True}
    details = served.post("/generate", {"inputs": PROMPT, "parameters": asked}).json()["details"]
    assert len(details["best_of_sequences"]) == 1


def test_without_parameters_tokens_are_sampled_and_with_them_they_are_not(served: Served) -> None:
    sampled = served.post("/generate", {"inputs": "a" * 190})
    assert sampled.status_code == 200
    asked = {"inputs": PROMPT, "parameters": {"max_new_tokens": 5, "details": True}}
    assert served.post("/generate", asked).json()["details"]["seed"] is None


def test_headers_tell_times_and_counts(served: Served) -> None:
    headers = served.post("/generate", {"inputs": PROMPT, "parameters": ASKED}).headers
    assert headers["x-compute-characters"] == str(len(PROMPT))
    assert headers["x-prompt-tokens"] == "16"
    assert headers["x-generated-tokens"] == "6"
    assert "." in headers["x-compute-time"]
    for name in ("total", "validation", "queue", "inference"):
        assert headers[f"x-{name}-time"].isdecimal()
    assert headers["x-time-per-token"].isdecimal()
    assert headers["x-compute-type"]


@pytest.mark.parametrize(("path", "extra"), [("/generate_stream", {}), ("/", {"stream": True})])
def test_a_stream_is_an_event_a_token_in_exact_bytes(
    served: Served, path: str, extra: dict[str, Any]
) -> None:
    asked = {**ASKED, "details": True, "top_n_tokens": 1}
    answer = served.post(path, {"inputs": PROMPT, "parameters": asked, **extra})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-compute-characters"] == str(len(PROMPT))
    assert answer.content.endswith(b"}\n\n")
    assert b"[DONE]" not in answer.content
    found = events(answer.text)
    assert [event["index"] for event in found] == [1, 2, 3, 4, 5, 6]
    assert all("generated_text" in event and "details" in event for event in found)
    assert [event["details"] for event in found[:-1]] == [None] * 5
    assert found[-1]["details"] == {
        "finish_reason": "length",
        "generated_tokens": 6,
        "seed": 3,
        "input_length": 16,
    }
    assert found[-1]["generated_text"] == alone(**ASKED).generated_text
    plain = served.post(path, {"inputs": PROMPT, "parameters": ASKED, **extra})
    first = plain.text.split("\n\n")[0]
    token = alone(**ASKED).tokens[0].to_json()
    assert first == f'data: {{"index":1,"token":{token},"generated_text":null,"details":null}}'


def test_the_prompt_stands_in_front_where_it_is_asked_for(served: Served) -> None:
    body = {"inputs": PROMPT, "parameters": {**ASKED, "return_full_text": True}}
    assert served.post("/generate", body).json()["generated_text"].startswith(PROMPT)


def test_a_switch_brings_tgis_default_to_the_root_alone() -> None:
    body = {"inputs": PROMPT, "parameters": ASKED}
    with serving(hashed(), return_full_text=True) as running:
        text = alone(**ASKED).generated_text
        assert running.post("/", body).json() == [{"generated_text": PROMPT + text}]
        assert running.post("/generate", body).json() == {"generated_text": text}
        said = body | {"parameters": {**ASKED, "return_full_text": False}}
        assert running.post("/", said).json() == [{"generated_text": text}]
        streamed = events(running.post("/", body | {"stream": True}).text)
        assert streamed[-1]["generated_text"] == PROMPT + text


def test_tokenize_gives_places_in_characters(served: Served) -> None:
    tokens = served.post("/tokenize", {"inputs": "aü"}).json()
    assert tokens == [
        {"id": 99, "text": "a", "start": 0, "stop": 1},
        {"id": 197, "text": "ü", "start": 1, "stop": 2},
        {"id": 190, "text": "ü", "start": 1, "stop": 2},
    ]


def test_a_grammar_holds_the_text(served: Served) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
    }
    schema["additionalProperties"] = False
    for grammar in (
        {"type": "json", "value": schema},
        {"type": "json_object", "value": json.dumps(schema)},
        {"type": "json_schema", "value": {"name": "x", "schema": schema}},
    ):
        asked = {"max_new_tokens": 150, "grammar": grammar}
        text = served.post("/generate", {"inputs": "x", "parameters": asked}).json()
        assert isinstance(json.loads(text["generated_text"])["a"], bool)


def test_invocations_take_the_body_of_any_route(served: Served) -> None:
    native = {"inputs": PROMPT, "parameters": ASKED}
    assert served.post("/invocations", native).json() == served.post("/", native).json()
    prompt = {"prompt": "x", "max_tokens": 2, "temperature": 0}
    assert served.post("/invocations", prompt).json()["object"] == "text_completion"
    chat = {"messages": "x", "max_tokens": 2, "temperature": 0}
    assert served.post("/invocations", chat).json()["object"] == "chat.completion"


def test_vertex_takes_generations_and_chats_and_answers_their_texts(served: Served) -> None:
    chat = {"messages": "x", "max_tokens": 4, "temperature": 0}
    body = {"instances": [{"inputs": PROMPT, "parameters": ASKED}, chat, {"inputs": "a" * 190}]}
    first, second, third = served.post("/vertex", body).json()["predictions"]
    assert first == alone(**ASKED).generated_text
    said = served.post("/v1/chat/completions", chat).json()["choices"][0]["message"]["content"]
    assert second == said
    assert isinstance(third, str)
    nothing = {"instances": [{"inputs": "a" * 190, "parameters": None}]}
    assert served.post("/vertex", nothing).status_code == 200


@pytest.mark.parametrize(
    ("instances", "text"),
    [
        ([], "Input validation error: `instances` cannot be empty"),
        (3, "instances: invalid type: integer `3`, expected a sequence"),
        ([{"prompt": "x"}], "instances[0]: data did not match any variant"),
        ([{"inputs": "x", "parameters": {"temperature": -1.0}}], "`temperature` must be strictly"),
        ([{"inputs": "x"}] * 129, "exceeds the maximum allowed batch size of 128"),
    ],
)
def test_vertex_refuses_all_where_one_is_wrong(served: Served, instances: Any, text: str) -> None:
    answer = served.post("/vertex", {"instances": instances})
    assert answer.status_code == 422
    assert text in answer.json()["error"]
    assert served.idle()


def test_tokenize_reads_the_types_of_parameters(served: Served) -> None:
    answer = served.post("/tokenize", {"inputs": "a", "parameters": 3})
    assert answer.status_code == 422
    assert "expected struct GenerateParameters" in answer.json()["error"]
    asked = {"inputs": "a", "parameters": {"temperature": -1.0}}
    assert served.post("/tokenize", asked).status_code == 200


def test_headers_name_the_device() -> None:
    with serving(hashed(), compute_type="cuda:0") as running:
        for path in ("/generate", "/generate_stream"):
            answer = running.post(path, {"inputs": "a", "parameters": {"max_new_tokens": 1}})
            assert answer.headers["x-compute-type"] == "cuda:0"
