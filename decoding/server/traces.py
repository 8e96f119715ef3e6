"""`RequestTrace`: what the span of a finished request says; `TraceSink`: its exporter.

No trace has a prompt or a text. The spans of OpenTelemetry are made in `decoding.server.spans`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """One request that is over.

    name: method and route. parents: the headers `traceparent` and `tracestate` of the request, as
    far as it has them (W3C Trace Context).
    began_ns, ended_ns: nanoseconds since 1970.
    stages: name, start and end of the stages that it has reached: queue, prefill and decode.
    attributes: of the span. error: the kind of the problem that ended it; None for none.
    """

    name: str
    parents: Mapping[str, str]
    began_ns: int
    ended_ns: int
    stages: tuple[tuple[str, int, int], ...] = ()
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    error: str | None = None


class TraceSink(Protocol):
    """Protocol of an exporter of finished requests' traces."""

    def record(self, trace: RequestTrace, /) -> None:
        """Take the trace of a request that is over. Called in the event loop; must not block."""
