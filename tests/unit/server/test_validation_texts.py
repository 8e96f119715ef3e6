"""Every text of TGI's validation, as the routes answer it."""

from __future__ import annotations

from typing import Any

import pytest
from serving import Served, events, hashed, serving

from decoding.wire import WireLimits

PREFIX = "Input validation error: "

TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"best_of": 3, "do_sample": True}, "`best_of` must be > 0 and <= 2. Given: 3"),
    ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
    (
        {"best_of": 2, "do_sample": True, "seed": 1},
        "`seed` must not be set when `best_of` > 1",
    ),
    ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
    ({"temperature": 0.0}, "`temperature` must be strictly positive"),
    ({"repetition_penalty": 0.0}, "`repetition_penalty` must be strictly positive"),
    ({"frequency_penalty": 2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
    ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
    ({"top_k": 0}, "`top_k` must be strictly positive"),
    ({"typical_p": 1.0}, "`typical_p` must be > 0.0 and < 1.0"),
    ({"truncate": 0}, "`truncate` must be strictly positive and less than 199. Given: 0"),
    ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
    (
        {"max_new_tokens": 198},
        (
            "`inputs` tokens + `max_new_tokens` must be <= 200."
            " Given: 5 `inputs` tokens and 198 `max_new_tokens`"
        ),
    ),
    ({"stop": ["a"] * 5}, "`stop` supports up to 4 stop sequences. Given: 5"),
]


@pytest.mark.parametrize(("parameters", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_native_routes_say_it_as_tgi(served: Served, parameters: dict[str, Any], text: str) -> None:
    body = {"inputs": "hello", "parameters": parameters}
    wanted = {"error": PREFIX + text, "error_type": "validation"}
    for path in ("/", "/generate"):
        answer = served.post(path, body)
        assert (answer.status_code, answer.json()) == (422, wanted)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        *TEXTS[3:],
        (
            {"best_of": 2, "do_sample": True},
            "`best_of` != 1 is not supported when streaming tokens",
        ),
        (
            {"decoder_input_details": True},
            "`decoder_input_details` == true is not supported when streaming tokens",
        ),
    ],
)
def test_native_streams_say_it_in_an_event(
    served: Served, parameters: dict[str, Any], text: str
) -> None:
    body = {"inputs": "hello", "parameters": parameters}
    for path, extra in (("/generate_stream", {}), ("/", {"stream": True})):
        answer = served.post(path, body | extra)
        assert answer.status_code == 200
        assert events(answer.text) == [{"error": PREFIX + text, "error_type": "validation"}]


def test_inputs_are_neither_empty_nor_too_long(served: Served) -> None:
    empty = served.post("/generate", {"inputs": ""}).json()
    assert empty["error"] == PREFIX + "`inputs` cannot be empty"
    long = served.post("/generate", {"inputs": "x" * 200, "parameters": {"max_new_tokens": 1}})
    assert long.json()["error"].startswith(PREFIX + "`inputs` tokens + `max_new_tokens` must be")


def test_an_input_may_be_too_long_for_its_own_limit() -> None:
    limits = WireLimits(max_input_tokens=4, max_total_tokens=100, max_best_of=1)
    with serving(hashed(), limits=limits) as running:
        body = {"inputs": "hello", "parameters": {"max_new_tokens": 1}}
        error = running.post("/generate", body).json()["error"]
        assert error == PREFIX + "`inputs` must have less than 4 tokens. Given: 5"
        body["parameters"] = {"best_of": 2, "do_sample": True}
        error = running.post("/generate", body).json()["error"]
        assert error == PREFIX + "`best_of` != 1 is not allowed for this endpoint"


def test_grammars_can_be_switched_off_or_wrong(served: Served) -> None:
    def error(running: Served, grammar: object) -> str:
        body = {"inputs": "x", "parameters": {"grammar": grammar, "max_new_tokens": 3}}
        answer = running.post("/generate", body)
        assert answer.status_code == 422
        return str(answer.json()["error"])

    assert error(served, {"type": "regex", "value": "(("}).startswith(
        PREFIX + "grammar is not valid: "
    )
    assert error(served, {"type": "json", "value": "[]"}).startswith(
        PREFIX + "grammar is not valid: "
    )
    never = {"type": "json", "value": {"type": "integer", "minimum": 2, "maximum": 1}}
    assert error(served, never).startswith(PREFIX + "cannot compile regex from schema: ")
    with serving(hashed(), limits=WireLimits(disable_grammar_support=True)) as running:
        regex = {"type": "regex", "value": "a"}
        assert error(running, regex) == PREFIX + "grammar is not supported"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "invalid type: sequence, expected struct GenerateRequest"),
        ({}, "missing field `inputs`"),
        ({"inputs": 1}, "inputs: invalid type: integer `1`, expected a string"),
        (
            {"inputs": "x", "parameters": {"do_sample": None}},
            "parameters.do_sample: invalid type: null, expected a boolean",
        ),
        (
            {"inputs": "x", "parameters": {"top_k": "a"}},
            'parameters.top_k: invalid type: string "a", expected i32',
        ),
        (
            {"inputs": "x", "parameters": None},
            "parameters: invalid type: null, expected struct GenerateParameters",
        ),
    ],
)
def test_wrong_types_are_named_as_serde_names_them(served: Served, body: Any, text: str) -> None:
    for path in ("/generate", "/generate_stream"):
        answer = served.post(path, body)
        assert answer.status_code == 422
        assert answer.json() == {
            "error": f"Failed to deserialize the JSON body into the target type: {text}",
            "error_type": "validation",
        }


@pytest.mark.parametrize(
    ("given", "text", "param"),
    [
        ({"max_tokens": 0}, "`max_new_tokens` must be strictly positive", "max_new_tokens"),
        ({"top_p": 2}, "`top_p` must be > 0.0 and < 1.0", "top_p"),
        ({"temperature": -1}, "`temperature` must be strictly positive", "temperature"),
        ({"presence_penalty": 3}, "`presence_penalty` must be >= -2.0 and <= 2.0", None),
        ({"stop": ["a"] * 5}, "`stop` supports up to 4 stop sequences. Given: 5", "stop"),
        ({"n": 0}, "`n` must be > 0 and <= 128. Given: 0", "n"),
        (
            {"n": 2, "best_of": 3, "stream": True},
            "`best_of` != 1 is not supported when streaming tokens",
            "best_of",
        ),
        (
            {"max_tokens": 500},
            (
                "`inputs` tokens + `max_new_tokens` must be <= 200."
                " Given: {} `inputs` tokens and 500 `max_new_tokens`"
            ),
            "inputs",
        ),
    ],
)
def test_openai_routes_say_it_in_an_object(
    served: Served, given: dict[str, Any], text: str, param: str | None
) -> None:
    for path, body, length in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}, 22),
        ("/v1/completions", {"prompt": "hello"}, 5),
    ):
        for stream in {False, given.get("stream", True)}:
            if given.get("stream") and not stream:
                continue
            answer = served.post(path, body | given | {"stream": stream})
            message = PREFIX + text.format(length)
            found = answer.json()
            assert answer.status_code == 422
            assert found["error"]["message"] == found["message"] == message
            assert found["error"]["type"] == "invalid_request_error"
            assert found["error_type"] == "validation"
            assert set(found["error"]) == {"message", "type", "param", "code"}
            assert param is None or found["error"]["param"] == param


def test_openai_routes_name_a_field_of_the_wrong_type(served: Served) -> None:
    answer = served.post("/v1/chat/completions", {"messages": "x", "max_tokens": "many"})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "max_tokens"
    assert "max_tokens: invalid type" in answer.json()["error"]["message"]


def test_completions_refuse_a_suffix_and_too_many_prompts(served: Served) -> None:
    answer = served.post("/v1/completions", {"prompt": "x", "suffix": "y"})
    text = "Suffix is not supported and can be achieved by preprocessing the prompt."
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == text
    assert answer.json()["error_type"] == "suffix not supported"
    answer = served.post("/v1/completions", {"prompt": ["x"] * 5})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "batch size exceeded"
