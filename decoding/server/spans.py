"""Exports request traces as OpenTelemetry spans; needs the extra `otel`."""

from __future__ import annotations

from decoding.errors import MissingDependencyError
from decoding.server.traces import RequestTrace
from decoding.typing import Anything


class OpenTelemetrySpans:
    """OpenTelemetry spans of requests: one a request, with a child a stage; a `TraceSink`.

    tracer: of OpenTelemetry, from the caller's `TracerProvider`.

    Raises MissingDependencyError where OpenTelemetry is not installed.
    """

    def __init__(self, tracer: Anything) -> None:  # its package may not be there
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise MissingDependencyError("opentelemetry-sdk", "otel") from error
        self._tracer, self._api = tracer, trace
        self._propagator = TraceContextTextMapPropagator()

    def record(self, trace: RequestTrace, /) -> None:
        """See `TraceSink.record`."""
        api = self._api
        span = self._tracer.start_span(
            trace.name,
            context=self._propagator.extract(dict(trace.parents)),
            kind=api.SpanKind.SERVER,
            attributes=dict(trace.attributes),
            start_time=trace.began_ns,
        )
        inside = api.set_span_in_context(span)
        for name, began, ended in trace.stages:
            stage = self._tracer.start_span(name, context=inside, start_time=began)
            stage.end(end_time=ended)
        if trace.error is not None:
            span.set_status(api.Status(api.StatusCode.ERROR, trace.error))
        span.end(end_time=trace.ended_ns)


def spans_to(endpoint: str, service_name: str) -> tuple[OpenTelemetrySpans, Anything]:
    """Make a sink that sends spans to a collector by OTLP over gRPC, and its `TracerProvider`.

    endpoint: as http://localhost:4317. service_name: the resource's `service.name`.

    Raises:
        MissingDependencyError: OpenTelemetry's SDK or exporter is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingDependencyError("opentelemetry-sdk and its OTLP exporter", "otel") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return OpenTelemetrySpans(provider.get_tracer("decoding")), provider
