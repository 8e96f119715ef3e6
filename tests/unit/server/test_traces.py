"""A trace a request: its stages, what it belongs to, how it ended, and nothing of what was said."""

from __future__ import annotations

from typing import Any

import pytest
from serving import hashed, serving

from decoding.server.traces import RequestTrace

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ASKED = {"inputs": "a secret", "parameters": {"max_new_tokens": 4}}


class Traces(list[RequestTrace]):
    """A sink that keeps what it gets."""

    def record(self, trace: RequestTrace, /) -> None:
        self.append(trace)


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_a_request_leaves_one_trace(path: str) -> None:
    traces = Traces()
    with serving(hashed(), traces=traces) as running:
        headers = {"x-request-id": "my-id", "traceparent": PARENT, "tracestate": "a=b"}
        assert running.post(path, ASKED, headers=headers).status_code == 200
        running.get("/health")
        assert running.idle()
    [trace] = traces
    assert trace.name == f"POST {path}"
    assert trace.error is None
    assert trace.parents == {"traceparent": PARENT, "tracestate": "a=b"}
    assert trace.attributes == {
        "http.request.method": "POST",
        "http.route": path,
        "decoding.request_id": "my-id",
        "gen_ai.response.model": "hashed",
        "gen_ai.usage.input_tokens": 8,
        "gen_ai.usage.output_tokens": 4,
    }
    assert [name for name, _, _ in trace.stages] == ["queue", "prefill", "decode"]
    times = [time for _, *both in trace.stages for time in both]
    assert times == sorted(times)
    assert trace.began_ns <= times[0] + 1000
    assert times[-1] <= trace.ended_ns + 1000
    assert "secret" not in repr(trace)


def test_a_trace_says_what_ended_a_request() -> None:
    def failing(_: list[list[int]]) -> Any:
        raise MemoryError("no room")

    traces = Traces()
    with serving(hashed(forward=failing), traces=traces) as running:
        running.post("/generate", ASKED)
        running.post("/generate", {"inputs": ""})
        assert running.idle()
    assert [trace.error for trace in traces] == ["generation", "validation"]
    assert traces[1].stages == ()


def test_a_sink_that_fails_loses_its_trace_alone() -> None:
    class Broken:
        def record(self, _: RequestTrace, /) -> None:
            raise OSError("no collector")

    with serving(hashed(), traces=Broken()) as running:
        assert running.post("/generate", ASKED).status_code == 200
        assert running.idle()


def test_opentelemetry_gets_spans() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from decoding.server.spans import OpenTelemetrySpans

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with serving(hashed(), traces=OpenTelemetrySpans(provider.get_tracer("test"))) as running:
        running.post("/generate", ASKED, headers={"traceparent": PARENT})
        running.post("/generate", {"inputs": ""})
        assert running.idle()
    *stages, span, refused = exporter.get_finished_spans()
    assert [stage.name for stage in stages] == ["queue", "prefill", "decode"]
    assert span.name == "POST /generate"
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    assert {stage.parent.span_id for stage in stages} == {span.context.span_id}
    assert span.attributes["gen_ai.usage.output_tokens"] == 4
    assert span.status.is_ok
    assert (refused.parent, refused.status.description) == (None, "validation")
    assert "secret" not in span.to_json()
