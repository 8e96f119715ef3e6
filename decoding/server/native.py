"""TGI's routes: `/`, `/generate`, `/generate_stream` and `/tokenize`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp

from decoding.engine.front import AsyncGeneration
from decoding.engine.request import Request
from decoding.server.answers import (
    json_response,
    refusal_stream,
    run_until_gone,
    times_headers,
)
from decoding.server.problems import Problem, ProblemError, problem_of
from decoding.server.service import Service
from decoding.server.streams import event_stream
from decoding.wire.details import StreamEvent
from decoding.wire.json_text import dumps, float32_text, quote
from decoding.wire.rules import validate
from decoding.wire.spans import token_spans
from decoding.wire.sse import event
from decoding.wire.types import check_body, parse_parameters, read_flag, read_text


async def generate_root(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /`: a list of one response, or a stream."""
    body = await service.body(http)
    return await compat_generate(service, http, body)


async def compat_generate(service: Service, http: HttpRequest, body: object) -> ASGIApp:
    """Answer a body of `/`, from there or from `/invocations`."""
    fields = check_body(body, "CompatGenerateRequest", ("inputs",))
    streams = read_flag("stream", fields.get("stream", False))
    full = service.settings.return_full_text
    if streams:
        return await _stream(service, http, fields, full_text=full)
    return await _generate(service, http, fields, full_text=full, as_list=True)


async def generate(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /generate`: one response; `stream` is ignored."""
    body = await service.body(http)
    fields = check_body(body, "GenerateRequest", ("inputs",))
    return await _generate(service, http, fields, full_text=False, as_list=False)


async def generate_stream(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /generate_stream`: streams one Server-Sent Event for each token."""
    body = await service.body(http)
    fields = check_body(body, "GenerateRequest", ("inputs",))
    return await _stream(service, http, fields, full_text=False)


async def tokenize(service: Service, http: HttpRequest) -> HttpResponse:
    """`POST /tokenize`: the prompt's tokens with their places in it."""
    body = await service.body(http)
    fields = check_body(body, "GenerateRequest", ("inputs",))
    text = read_text("inputs", fields["inputs"])
    if "parameters" in fields:
        parse_parameters(fields["parameters"])  # raises; no range is checked
    tokenizer = service.model.tokenizer
    if tokenizer is None:
        raise ProblemError(problem_of(ValueError("the model has no tokenizer"), running=False))
    if not text:
        return json_response([])
    spans = await service.front.in_thread(partial(token_spans, tokenizer, text))
    return json_response(spans)


async def _generate(
    service: Service,
    http: HttpRequest,
    fields: Mapping[str, Any],
    *,
    full_text: bool,
    as_list: bool,
) -> HttpResponse:
    account = service.open(http)
    with account.checking():
        request = await read_request(service, fields, stream=False, full_text=full_text)
        await account.submit(request, streams=False)
    [handle] = await run_until_gone(http, account)
    response = handle.generation.result()
    headers = times_headers(account, len(str(fields["inputs"])))
    account.succeed()
    text = response.to_json()
    return HttpResponse(
        f"[{text}]" if as_list else text, media_type="application/json", headers=headers
    )


async def _stream(
    service: Service, http: HttpRequest, fields: Mapping[str, Any], *, full_text: bool
) -> ASGIApp:
    account = service.open(http)
    try:
        with account.checking():
            request = await read_request(service, fields, stream=True, full_text=full_text)
            await account.submit(request, streams=True)
    except ProblemError as error:
        if error.problem.text.startswith("Failed to deserialize"):
            raise  # TGI's framework refuses these before the stream begins
        return refusal_stream(error.problem)
    return event_stream(service, account, _EventFormat(), characters=len(str(fields["inputs"])))


class _EventFormat:
    """The `Format` of TGI's routes: an event a token, or one that says what failed."""

    def first(self) -> str:
        """Nothing."""
        return ""

    def write(self, _index: int, item: StreamEvent) -> str:
        """The event; there is one generation."""
        return _event_text(item)

    def failed(self, problem: Problem) -> bytes:
        """An event that says what failed."""
        return event(dumps(problem.native_event()))

    def last(self, _handles: Sequence[AsyncGeneration]) -> bytes:
        """Nothing."""
        return b""


def _event_text(item: StreamEvent) -> str:
    """An event as it is sent. Most have no more than a token, and are written without a dict."""
    if item.top_tokens or item.generated_text is not None:
        return f"data: {item.to_json()}\n\n"
    token = item.token
    return (
        f'data: {{"index":{item.index},"token":{{"id":{token.id},"text":{quote(token.text)},'
        f'"logprob":{float32_text(token.logprob)},"special":{"true" if token.special else "false"}'
        '},"generated_text":null,"details":null}\n\n'
    )


async def read_request(
    service: Service, fields: Mapping[str, Any], *, stream: bool, full_text: bool
) -> Request:
    """The request of a body; long prompts and grammars are read in another thread."""
    work = partial(_read, service, fields, stream=stream, full_text=full_text)
    inputs, parameters = fields["inputs"], fields.get("parameters")
    has_grammar = isinstance(parameters, dict) and parameters.get("grammar") is not None
    size = len(inputs) if isinstance(inputs, str) else 0
    return await service.beside_if_long(math.inf if has_grammar else size, work)


def _read(service: Service, fields: Mapping[str, Any], *, stream: bool, full_text: bool) -> Request:
    """The request of a body, checked by TGI's rules; the prompt is encoded once."""
    inputs = fields["inputs"]
    encoded: list[int] = []

    def count_tokens(text: str) -> int:
        tokenizer = service.model.tokenizer
        if tokenizer is None:
            raise ValueError("the model has no tokenizer")
        encoded[:] = tokenizer.encode(text)
        return len(encoded)

    given = fields.get("parameters")
    if given is None and "parameters" in fields:
        parse_parameters(given)  # raises: no `parameters` at all means something else than null
    parameters = validate(
        inputs, given, limits=service.limits, stream=stream, count_tokens=count_tokens
    )
    shows = parameters.return_full_text
    if shows is None and full_text:
        parameters = replace(parameters, return_full_text=True)
        shows = True
    # The prompt's text is needed where it is shown. Else it is not encoded a second time.
    return Request(inputs if shows or not encoded else encoded, parameters)
