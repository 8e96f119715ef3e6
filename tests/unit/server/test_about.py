"""What the server says of itself."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import httpx
import pytest
from serving import Served, hashed, serving

from decoding._version import __version__
from decoding.server.logs import JsonLines


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
def test_health_is_200_and_nothing(served: Served, path: str) -> None:
    answer = served.get(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_server_that_ends_is_not_healthy() -> None:
    with serving(hashed()) as running:
        running.service.draining = True
        answer = running.get("/health")
        assert answer.status_code == 503
        assert answer.json() == {"error": "unhealthy", "error_type": "healthcheck"}
        assert running.post("/generate", {"inputs": "x"}).status_code == 503


def test_info_has_tgis_fields(served: Served) -> None:
    assert served.get("/info").json() == {
        "model_id": "hashed",
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": 128,
        "max_best_of": 2,
        "max_stop_sequences": 4,
        "max_input_tokens": 199,
        "max_total_tokens": 200,
        "validation_workers": 2,
        "max_client_batch_size": 4,
        "router": "decoding-engine",
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


def test_models_are_listed(served: Served) -> None:
    model = {"id": "hashed", "object": "model", "created": 0, "owned_by": "hashed"}
    assert served.get("/v1/models").json() == {"object": "list", "data": [model]}
    assert served.get("/v1/models/hashed").json() == model
    for name in ("other", "some/body"):
        missing = served.get(f"/v1/models/{name}")
        assert missing.status_code == 404
        assert missing.json()["error"]["message"] == f"The model `{name}` does not exist"


def test_a_page_may_send_headers_of_its_own(served: Served) -> None:
    asked = {
        "origin": "https://page",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    answer = served.client.options(served.url + "/v1/chat/completions", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-stainless-os" in answer.headers["access-control-allow-headers"]


def value(text: str, name: str) -> float:
    return float(re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])


def test_metrics_count_under_tgis_names() -> None:
    with serving(hashed()) as running:
        body = {"inputs": "abc", "parameters": {"max_new_tokens": 4}}
        running.post("/generate", body)
        running.post("/generate_stream", body)
        running.post("/generate", {"inputs": ""})
        regex = {"type": "regex", "value": "[ab]{3}"}
        running.post("/generate", {"inputs": "x", "parameters": {"grammar": regex}})
        httpx.post(
            running.url + "/generate", content="{", headers={"content-type": "application/json"}
        )
        answer = running.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.text
        assert value(text, "tgi_request_count") == 4
        assert value(text, 'decoding_request_refused{status="400",reason="validation"}') == 1
        assert value(text, "tgi_request_success") == 3
        assert value(text, 'tgi_request_failure{err="validation"}') == 2
        assert value(text, 'decoding_request_refused{status="422",reason="validation"}') == 1
        assert value(text, "tgi_request_input_length_count") == 3
        assert value(text, "tgi_request_input_length_sum") == 7
        assert value(text, 'tgi_request_generated_tokens_bucket{le="4"}') == 3
        assert value(text, "tgi_queue_size") == 0
        assert value(text, "decoding_grammar_compile_duration_count") == 1
        for name in (
            "duration",
            "validation_duration",
            "queue_duration",
            "inference_duration",
            "mean_time_per_token_duration",
        ):
            assert value(text, f"tgi_request_{name}_count") == 3
        assert "tgi_batch_current_size" in text
        for line in text.splitlines():
            assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|\w+(\{[^{}]*\})? [\d.e+-]+", line), line


def test_documents_describe_every_route(served: Served) -> None:
    document = served.get("/openapi.json").json()
    assert document == served.get("/api-doc/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/", "/generate", "/generate_stream", "/v1/chat/completions"} <= set(document["paths"])
    text = json.dumps(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    page = served.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/generate_stream" in page.text


def test_other_paths_and_methods_are_refused(served: Served) -> None:
    answer = served.get("/nothing")
    assert (answer.status_code, answer.content) == (404, b"")
    assert served.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    answer = served.get("/generate")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    for path in ("/nothing", "/v1/nothing"):
        answer = served.get(path, headers={"x-request-id": "abc-2"})
        assert answer.headers["x-request-id"] == "abc-2"


def test_options_lists_the_methods_of_a_route(served: Served) -> None:
    for path, methods in (
        ("/", "GET, HEAD, POST, OPTIONS"),
        ("/generate", "POST, OPTIONS"),
        ("/info", "GET, HEAD, OPTIONS"),
    ):
        answer = served.client.options(served.url + path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["allow"] == methods


def test_requests_have_ids_and_pages_of_others_may_ask(served: Served) -> None:
    assert (
        served.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    assert re.fullmatch(r"[0-9a-f]{32}", served.get("/health").headers["x-request-id"])
    forged = served.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"]
    assert forged != "a b"
    answer = served.get("/health", headers={"origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    with serving(hashed(), cors_allow_origin=["https://b.example"]) as running:
        for origin, allowed in (("https://a.example", None), ("https://b.example",) * 2):
            answer = running.get("/health", headers={"origin": str(origin)})
            assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("log_prompts", [False, True])
def test_logs_are_json_lines_with_ids_and_prompts_only_where_asked(
    caplog: pytest.LogCaptureFixture, log_prompts: bool
) -> None:
    caplog.set_level(logging.INFO, "decoding.server")
    with serving(hashed(), log_prompts=log_prompts) as running:
        body: dict[str, Any] = {"inputs": "a secret", "parameters": {"max_new_tokens": 2}}
        running.post("/generate", body, headers={"x-request-id": "my-id"})
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    [line] = [line for line in lines if line.get("request_id") == "my-id"]
    assert line["message"] == "Success"
    assert line["generated_tokens"] == 2
    assert line.get("inputs") == ("a secret" if log_prompts else None)
    assert ("secret" in json.dumps(lines)) is log_prompts
    assert str([c + 2 for c in b"a secret"]) not in str(lines)
