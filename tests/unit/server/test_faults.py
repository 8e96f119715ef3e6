"""Malformed bodies, limits, clients that go, models that fail, and a server that ends."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import amount
from serving import VOCAB, Served, Slow, events, hashed, serving, soon

from decoding.server import ServerSettings, create_app
from decoding.testing.models import hash_model

POSTS = (
    "/",
    "/generate",
    "/generate_stream",
    "/tokenize",
    "/chat_tokenize",
    "/invocations",
    "/vertex",
    "/v1/chat/completions",
    "/v1/completions",
)
JSON = {"content-type": "application/json"}
LONG = {"inputs": "x", "parameters": {"max_new_tokens": 150, "do_sample": True, "seed": 1}}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "Failed to parse the request body as JSON: "),
        (b"{", 400, "Failed to parse the request body as JSON: "),
        (b'{"inputs": NaN}', 400, "Failed to parse the request body as JSON: "),
        (b'{"inputs": "\\ud800"}', 400, "Failed to parse the request body as JSON: "),
        (b'{"inputs": "\xff"}', 400, "Failed to parse the request body as JSON: "),
        (b"[" * 100_000, 400, "Failed to parse the request body as JSON: "),
        (b"[" * 500 + b"]" * 500, 400, "Failed to parse the request body as JSON: "),
        (
            b'{"inputs": ' + b"9" * 5000 + b"}",
            400,
            "Failed to parse the request body as JSON: number out of range",
        ),
        (b" " * 2_000_001, 413, "Failed to buffer the request body: length limit exceeded"),
        (b"null", 422, "Failed to deserialize the JSON body into the target type: "),
        (b"3", 422, "Failed to deserialize the JSON body into the target type: "),
        (b"{}", 422, "Failed to deserialize the JSON body into the target type: "),
    ],
    ids=range(12),
)
def test_what_is_no_body_is_refused_by_name(
    served: Served, path: str, body: bytes, status: int, text: str
) -> None:
    answer = served.client.post(served.url + path, content=body, headers=JSON, timeout=60)
    assert answer.status_code == status
    found = answer.json()
    assert found["error_type"] == "validation"
    message = found["error"]["message"] if path.startswith("/v1") else found["error"]
    assert message.startswith(text)


def test_a_body_of_10_mb_is_refused_and_its_client_told(served: Served) -> None:
    url = served.url + "/generate"
    whole = b'{"inputs": "' + b"x" * 10_000_000 + b'"}'
    for body in (whole, (b"x" * 100_000 for _ in range(100))):
        answer = served.client.post(url, content=body, headers=JSON, timeout=60)
        assert answer.status_code == 413
        assert answer.json()["error"].endswith("length limit exceeded")
    assert served.get("/health").status_code == 200


@pytest.mark.parametrize(
    "header", ["content-length: 100000000", "content-length: 3000000\r\nexpect: 100-continue"]
)
def test_a_body_that_need_not_be_sent_is_refused_before_it_is(served: Served, header: str) -> None:
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), 10) as client:
        start = "POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        client.sendall(f"{start}{header}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_bodies_say_that_they_are_json(served: Served) -> None:
    for headers in ({}, {"content-type": "text/plain"}):
        answer = served.client.post(served.url + "/generate", content=b"{}", headers=headers)
        assert answer.status_code == 415
        text = "Expected request with `Content-Type: application/json`"
        assert answer.json() == {"error": text, "error_type": "validation"}
    for kind in ("application/json; charset=utf-8", "application/problem+json", "APPLICATION/JSON"):
        answer = served.client.post(
            served.url + "/tokenize", content=b'{"inputs":"a"}', headers={"content-type": kind}
        )
        assert answer.status_code == 200


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["json", "regex", "auto", "required", "function", "((", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "value", "1", "name"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "best_of",
        "grammar",
        "max_new_tokens",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_n_tokens",
        "top_p",
        "truncate",
        "logit_bias",
        "bad_words",
        "bad_words_ids",
        "allowed_token_ids",
        "min_tokens",
        "mirostat",
        "adapter_id",
    ]
)
CHAT_NAMES = st.sampled_from(
    [
        "n",
        "best_of",
        "logprobs",
        "top_logprobs",
        "max_tokens",
        "seed",
        "stop",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "response_format",
        "stream_options",
        "logit_bias",
        "chat_template",
        "chat_template_kwargs",
        "model",
        "thinking_budget",
        "continue_final_message",
        "reasoning_effort",
        "suffix",
        "echo",
    ]
)


@settings(suppress_health_check=list(HealthCheck), max_examples=amount(check=12, full=500))
@given(
    path=st.sampled_from(POSTS),
    inputs=VALUES | st.just("x"),
    parameters=VALUES | st.dictionaries(NAMES, VALUES, max_size=3),
    fields=st.dictionaries(CHAT_NAMES, VALUES, max_size=3),
    stream=st.booleans(),
)
def test_no_body_is_the_servers_fault(
    served: Served, path: str, inputs: Any, parameters: Any, fields: Any, stream: bool
) -> None:
    body = {"inputs": inputs, "parameters": parameters, "stream": stream}
    if path.startswith("/v1") or path == "/chat_tokenize":
        body = {"max_tokens": 2, "prompt": inputs, "messages": inputs, "stream": stream, **fields}
    if path == "/vertex":
        body = {"instances": [body, {"messages": inputs, **fields}]}
    answer = served.post(path, body)
    assert answer.status_code < 500
    if "json" in answer.headers.get("content-type", ""):
        json.loads(answer.text)


def test_the_token_is_needed_where_something_is_generated() -> None:
    with serving(hashed(), api_key="sesam") as running:
        body = {"inputs": "x", "parameters": {"max_new_tokens": 1}}
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Bearer SESAM"},
            {"authorization": "Basic sesam"},
            {"authorization": "sesam"},
        ):
            for path in POSTS:
                if path == "/chat_tokenize":
                    continue
                answer = running.post(path, body, headers=headers)
                assert (answer.status_code, answer.content) == (401, b"")
        right = {"authorization": "Bearer sesam"}
        assert running.post("/generate", body, headers=right).status_code == 200
        for path in ("/", "/health", "/ping", "/info", "/metrics", "/v1/models", "/docs"):
            assert running.get(path).status_code == 200
        assert running.post("/chat_tokenize", {"messages": "x"}).status_code == 200


def test_more_requests_than_may_be_are_refused_and_not_kept_waiting() -> None:
    model = hashed(forward=Slow(0.01), context_length=10_000, eos_token_ids=frozenset())
    with serving(model, max_concurrent_requests=2) as running:
        endless = {"max_new_tokens": 9_000}
        body = {"inputs": "x", "parameters": endless, "stream": True}
        with httpx.Client(timeout=60) as client:
            opened = [client.stream("POST", running.url, json=body) for _ in range(2)]
            streams = [item.__enter__() for item in opened]
            parts = [item.iter_raw() for item in streams]  # held: one that goes closes its stream
            assert all(next(item) for item in parts)
            refused = running.post("/generate", LONG)
            assert refused.status_code == 429
            wanted = {"error": "Model is overloaded", "error_type": "overloaded"}
            assert refused.json() == wanted
            chat = running.post("/v1/chat/completions", {"messages": "x"})
            assert chat.status_code == 429
            assert chat.json()["error"]["message"] == "Model is overloaded"
            for item in opened:
                item.__exit__(None, None, None)
        assert running.idle()
        assert running.post("/generate", LONG).status_code == 200


def disconnect(url: str, path: str, body: Any, *, read: int) -> None:
    """Send a request, read some bytes of the answer, and go."""
    host, _, port = url.removeprefix("http://").partition(":")
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode() + content)
        if read:
            connection.recv(read)


@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_clients_that_go_leave_nothing_behind(count: int) -> None:
    with serving(hashed(forward=Slow(0.002), context_length=10_000)) as running:
        body = {**LONG, "parameters": {**LONG["parameters"], "max_new_tokens": 9_000}}
        chat = {"messages": "x", "max_tokens": 9_000, "stream": True, "n": 2}
        for number in range(count):
            match number % 4:
                case 0:
                    disconnect(running.url, "/generate_stream", body, read=200)
                case 1:
                    disconnect(running.url, "/generate", body, read=0)
                case 2:
                    disconnect(running.url, "/v1/chat/completions", chat, read=200)
                case _:
                    disconnect(
                        running.url, "/v1/chat/completions", chat | {"stream": False}, read=0
                    )
        # The server may still read a request whose client has gone: it begins and ends later.
        assert soon(lambda: "decoding_concurrent_requests 0\n" in running.get("/metrics").text)
        assert running.idle()


def test_a_slow_reader_loses_nothing_and_delays_nobody() -> None:
    with serving(hashed()) as running:
        body = LONG | {"stream": True}
        with httpx.stream("POST", running.url, json=body, timeout=60) as slow:
            fast = running.post("/generate", LONG).json()["generated_text"]
            time.sleep(0.2)
            found = events(slow.read().decode())
        assert found[-1]["generated_text"] == fast


def test_a_row_of_nan_fails_alone_and_says_so() -> None:
    inner = hash_model(VOCAB)

    def forward(sequences: list[list[int]]) -> Any:
        logits = np.array(inner(sequences))
        for row, sequence in zip(logits, sequences, strict=True):
            if sequence[0] == ord("!") + 2 and len(sequence) > 5:
                row[3] = np.nan
        return logits

    with serving(hashed(forward=forward)) as running:
        answers: dict[str, httpx.Response] = {}

        def ask(name: str, path: str, body: Any) -> None:
            answers[name] = running.post(path, body)

        asked = {"max_new_tokens": 100, "do_sample": True, "seed": 1}
        threads = [
            threading.Thread(target=ask, args=(name, path, {"inputs": text, "parameters": asked}))
            for name, path, text in (
                ("bad", "/generate", "!"),
                ("bad stream", "/generate_stream", "!"),
                ("good", "/generate", "x"),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers["good"].status_code == 200
        assert answers["bad"].status_code == 424
        assert answers["bad"].json()["error_type"] == "generation"
        assert answers["bad"].json()["error"].startswith("Request failed during generation: ")
        last = events(answers["bad stream"].text)[-1]
        assert last["error_type"] == "generation"
        assert running.idle()


def test_an_error_within_a_v1_stream_is_an_object_and_no_done_follows() -> None:
    def forward(sequences: list[list[int]]) -> Any:
        if max(map(len, sequences)) > 30:
            raise MemoryError("no room")
        return hash_model(VOCAB)(sequences)

    with serving(hashed(forward=forward)) as running:
        answer = running.post(
            "/v1/chat/completions",
            {"messages": "x", "stream": True, "max_tokens": 50, "seed": 1},
        )
        found = events(answer.text)
        assert found[-1]["error"]["http_status_code"] == 424
        assert "no room" in found[-1]["error"]["message"]
        assert "[DONE]" not in answer.text
        assert not any(choice["finish_reason"] for item in found[:-1] for choice in item["choices"])


@pytest.mark.slow
def test_a_silent_stream_sends_comments() -> None:
    with serving(hashed(forward=Slow(0.3)), keep_alive_s=0.05) as running:
        body = {"inputs": "x", "parameters": {"max_new_tokens": 3}}
        text = running.post("/generate_stream", body).text
        assert ":\n\n" in text
        assert len(events(text)) == 3


@pytest.mark.slow
def test_a_closing_server_finishes_its_streams() -> None:
    with serving(hashed(forward=Slow(0.005))) as running:
        body = LONG | {"stream": True}
        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda: texts.append(running.post("/", body).text))
            for _ in range(32)
        ]
        for thread in threads:
            thread.start()
        while running.service.metrics.concurrent.value < 32:
            time.sleep(0.01)
        running.server.should_exit = True
        for thread in threads:
            thread.join(60)
        assert len(texts) == 32
        assert len({events(text)[-1]["generated_text"] for text in texts}) == 1


def test_settings_are_checked() -> None:
    for name in ("max_concurrent_requests", "payload_limit", "max_choices"):
        with pytest.raises(ValueError, match=name):
            ServerSettings(**{name: 0})
    with pytest.raises(ValueError, match="keep_alive_s"):
        ServerSettings(keep_alive_s=0.0)


def test_the_app_is_mounted_by_another() -> None:
    import asyncio

    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/llm", create_app(hashed()))])

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            asked = {"inputs": "x", "parameters": {"max_new_tokens": 2}}
            chat = await client.post("/llm/v1/chat/completions", json={"messages": 3})
            assert chat.json()["error"]["type"] == "invalid_request_error"
            return await client.post("/llm/generate", json=asked)

    assert asyncio.run(ask()).status_code == 200


def test_the_gauges_of_an_idle_server_are_0_where_its_last_client_has_gone() -> None:
    with serving(hashed(forward=Slow(0.02))) as running:
        with running.client.stream("POST", running.url + "/generate_stream", json=LONG) as answer:
            next(answer.iter_bytes())
        assert running.idle()
        text = running.get("/metrics").text
        for name in ("tgi_batch_current_size", "tgi_queue_size", "decoding_concurrent_requests"):
            assert f"\n{name} 0\n" in text
