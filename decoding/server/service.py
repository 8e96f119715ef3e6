"""`Service`: the engine, permits and settings that routes share; `Account`: one request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from starlette.requests import Request as HttpRequest

from decoding.engine.front import SHORT_PROMPT, AsyncEngine, AsyncGeneration
from decoding.engine.request import Request
from decoding.errors import CancelledError, DecodingError
from decoding.models.protocol import LanguageModel
from decoding.server.bodies import decode, read_content
from decoding.server.logs import LOGGER, log
from decoding.server.metrics import Metrics
from decoding.server.problems import CLOSING, OVERLOADED, Problem, ProblemError, problem_of
from decoding.server.settings import ServerSettings, limits_of
from decoding.server.traces import RequestTrace
from decoding.typing import Anything

ACCOUNT = "decoding.account"
"""Where a request's scope holds its account."""

OPENAI = "decoding.openai"
"""Where a request's scope says that its errors have OpenAI's shape."""

PARENTS = ("traceparent", "tracestate")
"""The headers of W3C Trace Context."""

_LONG_BODY = 16_384
"""Bytes from which a body is decoded in another thread."""

_Value = TypeVar("_Value")


class Service:
    """The state that all routes share: the engine, its permits, settings and metrics.

    front: runs the requests. settings: what is allowed.
    """

    def __init__(self, front: AsyncEngine, settings: ServerSettings) -> None:
        self.front = front
        self.settings = settings
        self.metrics = Metrics()
        self.limits = limits_of(settings, front.model.context_length)
        self.started_at = int(time.time())
        self.draining = False
        self._permits = settings.max_concurrent_requests
        self._taken = 0
        front.on_step = self.metrics.step

    @property
    def model(self) -> LanguageModel:
        """The engine's model."""
        return self.front.model

    @property
    def width(self) -> int | None:
        """The number of token ids; None where it is not known."""
        model = self.model
        if model.logits_width is not None or model.tokenizer is None:
            return model.logits_width
        return len(model.tokenizer.vocabulary)

    @property
    def model_id(self) -> str:
        """The name that clients see."""
        return self.settings.model_id or self.model.name

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that requests can name."""
        found = getattr(self.model.forward, "adapters", None)
        return () if found is None else tuple(found.names())

    def adapter_of(self, model: str) -> str | None:
        """The adapter that a `model` of `/v1` names; every other name stands for the model."""
        return model if model != self.model_id and model in self.adapters else None

    @property
    def healthy(self) -> bool:
        """Whether requests are taken."""
        return self.front.healthy and not self.draining

    def open(self, http: HttpRequest) -> Account:
        """Take a permit for a request and begin its `Account`, which must be closed.

        Raises:
            ProblemError: as many requests are being served as may be, or the server is closing.
        """
        self.metrics.requests.add()
        if self.draining:
            self.refused(CLOSING)
            raise ProblemError(CLOSING)
        if self._taken >= self._permits:
            self.refused(OVERLOADED)
            raise ProblemError(OVERLOADED)
        self._taken += 1
        self.metrics.concurrent.value = float(self._taken)
        parents = {name: http.headers[name] for name in PARENTS if name in http.headers}
        name = str(http.scope.get("request_id", ""))
        account = Account(self, name, http.url.path, parents)
        http.scope[ACCOUNT] = account
        return account

    async def body(self, http: HttpRequest) -> Anything:  # JSON
        """The JSON value of a request's body; what is none is counted.

        Raises:
            ProblemError: as `read_content` and `decode`.
        """
        try:
            content = await read_content(http, self.settings.payload_limit)
            if len(content) > _LONG_BODY:
                return await self.front.in_thread(partial(decode, content))
            return decode(content)
        except ProblemError as error:
            self.refused(error.problem)
            raise

    async def beside_if_long(
        self, size: float, work: Callable[[], _Value], *, compiles: bool = False
    ) -> _Value:
        """Run work on a prompt at once where the prompt is short, else in another thread.

        size: its characters or tokens. compiles: whether a grammar is compiled with it, which is
            always done in the thread of those.
        """
        if compiles or size > SHORT_PROMPT:
            return await self.front.in_thread(work, compiles=compiles)
        return work()

    def release(self) -> None:
        """Give a permit back. For `Account.close`."""
        self._taken -= 1
        self.metrics.concurrent.value = float(self._taken)

    def refused(self, problem: Problem) -> None:
        """Count a request that never ran."""
        reason = problem.error_type
        self.metrics.failures.add(err=reason)
        self.metrics.refusals.add(status=str(problem.status), reason=reason)


@dataclass(slots=True)
class Account:
    """One HTTP request on its way: its generations, its times, and how it ended.

    parents: the headers that name the span of which the request's is a part.
    began_ns: when it came, in nanoseconds since 1970. began: the same, of `time.monotonic`.
    """

    service: Service
    request_id: str
    path: str
    parents: Mapping[str, str] = field(default_factory=dict)
    began_ns: int = field(default_factory=time.time_ns)
    began: float = field(default_factory=time.monotonic)
    handles: list[AsyncGeneration] = field(default_factory=list)
    closed: bool = False

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Turn what planning raises into a `ProblemError`, and close the account then."""
        try:
            yield
        except (DecodingError, ProblemError) as error:
            self.fail(problem_of(error, running=False), refused=True)
            raise ProblemError(problem_of(error, running=False)) from error
        except BaseException:
            self.close()
            raise

    async def submit(self, request: Request, *, streams: bool) -> AsyncGeneration:
        """Let the engine run a request for this account; no route shows what is raw."""
        request = replace(request, raw=False)
        new = self._has_new_grammar(request)
        began = time.monotonic()
        try:
            handle = await self.service.front.submit(request, streams=streams)
        finally:
            if new:
                self.service.metrics.grammar.observe(time.monotonic() - began)
        self.handles.append(handle)
        return handle

    async def results(self) -> list[AsyncGeneration]:
        """Wait until all generations are over; the account stays open.

        Raises:
            ProblemError: one of them failed.
        """
        try:
            for handle in self.handles:
                await handle.result()
        except DecodingError as error:
            problem = problem_of(error, running=True)
            self.fail(problem)
            raise ProblemError(problem) from error
        except BaseException:
            self.close()
            raise
        return self.handles

    def cancel(self) -> None:
        """End all generations."""
        for handle in self.handles:
            handle.cancel()

    def succeed(self) -> None:
        """Count a request that was answered, and close the account."""
        if self.closed:
            return
        metrics = self.service.metrics
        metrics.successes.add()
        times = self.times()
        for name, seconds in times.items():
            metrics.seconds[name].observe(seconds)
        generated = sum(item.generation.result().generated_tokens for item in self.handles)
        plan = self.handles[0].generation.plan
        metrics.lengths["input_length"].observe(len(plan.prompt))
        metrics.lengths["generated_tokens"].observe(generated)
        metrics.lengths["max_new_tokens"].observe(plan.ending.max_new_tokens)
        metrics.tokens.add(generated)
        milliseconds = {name: round(1000.0 * seconds, 3) for name, seconds in times.items()}
        log(
            logging.INFO,
            "Success",
            request_id=self.request_id,
            path=self.path,
            input_tokens=len(plan.prompt),
            generated_tokens=generated,
            seed=plan.seed,
            **{f"{name}_ms": value for name, value in milliseconds.items()},
            **self._asked(),
        )
        self._trace(None)
        self.close()

    def fail(self, problem: Problem, *, refused: bool = False) -> None:
        """Count a request that failed, and close the account."""
        if self.closed:
            return
        if refused:
            self.service.refused(problem)
        else:
            self.service.metrics.failures.add(err=problem.error_type)
        log(
            logging.ERROR if problem.status >= 424 and problem.status != 429 else logging.WARNING,
            problem.text,
            request_id=self.request_id,
            path=self.path,
            status=problem.status,
            error_type=problem.error_type,
        )
        self._trace(problem.error_type)
        self.close()

    def disconnect(self) -> None:
        """Count a request whose client has gone, and close the account."""
        if self.closed:
            return
        self.service.metrics.disconnects.add()
        log(logging.INFO, "the client has gone", request_id=self.request_id, path=self.path)
        self._trace("client_disconnected")
        self.close()

    def close(self) -> None:
        """Give the permit back, and end what still runs; harmless when it was closed."""
        if not self.closed:
            self.closed = True
            self.cancel()
            self.service.release()

    def times(self) -> dict[str, float]:
        """Seconds of the phases of a request that is over, by the names of their histograms."""
        now = time.monotonic()
        timings = [handle.generation.timing for handle in self.handles]
        planned = max(timing.submitted for timing in timings)
        started = max(planned, min(timing.started or now for timing in timings))
        finished = max(timing.finished or now for timing in timings)
        responses = [handle.generation.response for handle in self.handles]
        generated = max(0 if item is None else item.generated_tokens for item in responses)
        inference = max(0.0, finished - started)
        return {
            "duration": now - self.began,
            "validation_duration": planned - self.began,
            "queue_duration": started - planned,
            "inference_duration": inference,
            "mean_time_per_token_duration": inference / max(1, generated),
        }

    def _trace(self, error: str | None) -> None:
        """Hand over the trace of a request that ends now."""
        sink = self.service.settings.traces
        if sink is None:
            return
        ahead = self.began_ns - int(1e9 * self.began)
        stages = [] if not self.handles else self.handles[0].generation.timing.stages()
        attributes: dict[str, str | int | float] = {
            "http.request.method": "POST",
            "http.route": self.path,
            "decoding.request_id": self.request_id,
            "gen_ai.response.model": self.service.model_id,
        }
        if self.handles:
            generated = [item.generation.response for item in self.handles]
            tokens = sum(0 if item is None else item.generated_tokens for item in generated)
            attributes |= {
                "gen_ai.usage.input_tokens": len(self.handles[0].generation.plan.prompt),
                "gen_ai.usage.output_tokens": tokens,
            }
        trace = RequestTrace(
            f"POST {self.path}",
            self.parents,
            self.began_ns,
            time.time_ns(),
            tuple(
                (name, ahead + int(1e9 * began), ahead + int(1e9 * ended))
                for name, began, ended in stages
            ),
            attributes,
            error,
        )
        try:
            sink.record(trace)
        except Exception as problem:  # a request is not lost with its trace
            LOGGER.warning("a trace was lost", exc_info=problem)

    def _asked(self) -> dict[str, object]:
        if not self.service.settings.log_prompts:
            return {}
        generation = self.handles[0].generation
        request, plan = generation.request, generation.plan
        shown: object = request.inputs
        if not isinstance(shown, str):  # a prompt is encoded once
            vocabulary = plan.vocabulary
            shown = list(plan.prompt)
            if vocabulary is not None:
                shown = b"".join(map(vocabulary.bytes_of, plan.prompt)).decode("utf-8", "replace")
        return {"inputs": shown, "parameters": request.parameters.to_dict()}

    def _has_new_grammar(self, request: Request) -> bool:
        grammar, grammars = request.parameters.grammar, self.service.model.grammars
        return grammar is not None and grammars is not None and not grammars.knows(grammar)


async def drain(service: Service, limit_s: float) -> None:
    """Take no more requests; after a time end those that still run, each with a reason."""
    service.draining = True
    log(logging.INFO, "shutting down", running=service.front.count, limit_s=limit_s)
    await asyncio.sleep(limit_s)
    service.front.cancel_all(CancelledError("the server is shutting down"))
