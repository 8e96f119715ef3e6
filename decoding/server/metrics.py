"""Counters, gauges and histograms under TGI's names, in the text format of Prometheus.

`prometheus-client` appends `_total` to a counter's name, and TGI's counters have no such ending.
Source: TGI 3.3.6, router/src/server.rs; Prometheus, "Exposition formats", version 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = tuple(0.0001 * 1.5**power for power in range(36))
_TOKENS = tuple(float(2**power) for power in range(18))


@dataclass(slots=True)
class Counter:
    """A number that grows, for each set of labels."""

    name: str
    help: str
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Add to the counter of some labels."""
        key = tuple(labels.items())
        self.values[key] = self.values.get(key, 0.0) + amount

    def lines(self) -> Iterator[str]:
        """The metric's text."""
        yield from _head(self.name, self.help, "counter")
        for labels, value in (self.values or {(): 0.0}).items():
            yield f"{self.name}{_shown(labels)} {value:g}"


@dataclass(slots=True)
class Gauge:
    """A number that is set."""

    name: str
    help: str
    value: float = 0.0

    def lines(self) -> Iterator[str]:
        """The metric's text."""
        yield from _head(self.name, self.help, "gauge")
        yield f"{self.name} {self.value:g}"


@dataclass(slots=True)
class Histogram:
    """A histogram: how many values were observed in each bucket, and their sum.

    bounds: upper bounds of the buckets, ascending; one without a bound follows.
    """

    name: str
    help: str
    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self) -> Iterator[str]:
        """The metric's text."""
        yield from _head(self.name, self.help, "histogram")
        sofar = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            sofar += count
            shown = bound if isinstance(bound, str) else f"{bound:.6g}"
            yield f'{self.name}_bucket{{le="{shown}"}} {sofar}'
        yield f"{self.name}_sum {self.total:.9g}"
        yield f"{self.name}_count {sofar}"


class Metrics:
    """All that a server counts. Event loop and engine thread each write their own metrics."""

    def __init__(self) -> None:
        self.requests = Counter("tgi_request_count", "Requests for generation that have come.")
        self.successes = Counter("tgi_request_success", "Requests that were answered.")
        self.failures = Counter("tgi_request_failure", "Requests that failed, by kind.")
        self.refusals = Counter(
            "decoding_request_refused", "Requests that never ran, by status and reason."
        )
        self.disconnects = Counter(
            "decoding_request_disconnected", "Requests whose client went before the end."
        )
        self.tokens = Counter("decoding_generated_tokens", "Tokens generated in all.")
        seconds = {
            "duration": "From arrival to the end of a request.",
            "validation_duration": "Checking a request, its grammar's compilation included.",
            "queue_duration": "Waiting for the first step.",
            "inference_duration": "From the first step to the last token.",
            "mean_time_per_token_duration": "Inference over generated tokens.",
        }
        self.seconds = {
            name: Histogram(f"tgi_request_{name}", f"Seconds. {text}", _SECONDS)
            for name, text in seconds.items()
        }
        tokens = {
            "input_length": "Tokens of a prompt.",
            "generated_tokens": "Tokens generated for a request.",
            "max_new_tokens": "Tokens that a request may generate.",
        }
        self.lengths = {
            name: Histogram(f"tgi_request_{name}", text, _TOKENS) for name, text in tokens.items()
        }
        self.grammar = Histogram(
            "decoding_grammar_compile_duration", "Seconds. Compiling a new grammar.", _SECONDS
        )
        self.steps = Histogram(
            "tgi_batch_decode_duration", "Seconds. A step of all that run.", _SECONDS
        )
        self.batch_size = Gauge("tgi_batch_current_size", "Requests that run.")
        self.next_size = Gauge("tgi_batch_next_size", "Requests of the last step.")
        self.queue_size = Gauge("tgi_queue_size", "Requests that wait for a step.")
        self.concurrent = Gauge("decoding_concurrent_requests", "Requests that are being served.")

    def step(self, seconds: float, running: int, waiting: int) -> None:
        """Note a step of the engine. For the engine's thread."""
        self.steps.observe(seconds)
        self.batch_size.value = self.next_size.value = float(running)
        self.queue_size.value = float(waiting)

    def text(self) -> str:
        """All metrics in the text format of Prometheus."""
        metrics: list[Counter | Gauge | Histogram] = [
            self.requests,
            self.successes,
            self.failures,
            self.refusals,
            self.disconnects,
            self.tokens,
            *self.seconds.values(),
            *self.lengths.values(),
            self.grammar,
            self.steps,
            self.batch_size,
            self.next_size,
            self.queue_size,
            self.concurrent,
        ]
        return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for name, value in labels
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
