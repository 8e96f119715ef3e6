"""`Timing`: when a request was submitted, started, gave its first token and finished."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Timing:
    """Seconds of `time.monotonic`; None for a stage that has not been reached.

    submitted: the engine accepted the request.
    started: the model was first given a part of its prompt. Between `submitted` and this the
        request waited in the queue.
    first_token: the first token of its first sequence was written.
    finished: the last token was written, or an error ended the request.
    """

    submitted: float
    started: float | None = None
    first_token: float | None = None
    finished: float | None = None

    @classmethod
    def submit(cls) -> Timing:
        """Start the timing of a request that is accepted now."""
        return cls(time.monotonic())

    def start(self) -> None:
        """Note that the prefill begins, unless it began before."""
        if self.started is None:
            self.started = time.monotonic()

    def write_token(self) -> None:
        """Note that a token was written, unless one was written before."""
        if self.first_token is None:
            self.first_token = time.monotonic()

    def finish(self) -> None:
        """Note that the request is done."""
        self.finished = time.monotonic()

    def stages(self) -> list[tuple[str, float, float]]:
        """Name, start and end of each stage that has ended: queue, prefill and decode."""
        times = (self.submitted, self.started, self.first_token, self.finished)
        names = ("queue", "prefill", "decode")
        return [
            (name, began, ended)
            for name, began, ended in zip(names, times[:-1], times[1:], strict=True)
            if began is not None and ended is not None
        ]
