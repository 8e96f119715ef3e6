"""`/v1/completions`: completions of prompts, whole or streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp

from decoding.engine.front import AsyncGeneration
from decoding.engine.request import Request
from decoding.parameters import GenerationParameters
from decoding.server.answers import json_response, run_until_gone, times_headers
from decoding.server.problems import Problem, ProblemError, invalid
from decoding.server.service import Account, Service
from decoding.server.sse import EventStream
from decoding.server.streams import event_stream
from decoding.server.v1.choices import (
    best,
    head,
    parameters_of,
    seeded,
    used_tokens,
    with_length,
)
from decoding.server.v1.stream import ChunkFormat
from decoding.wire.details import Response
from decoding.wire.openai.answers import answer, usage
from decoding.wire.openai.completions import CompletionChunks, completion_choice
from decoding.wire.openai.requests import CompletionBody, Prompt, read_completion_body


async def completions(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /v1/completions`: completions of one or several prompts."""
    return await complete(service, http, await service.body(http))


async def complete(service: Service, http: HttpRequest, given: object) -> ASGIApp:
    """Answer a completion body, from `/v1/completions` or `/invocations`."""
    account = service.open(http)
    with account.checking():
        _refuse_suffix(given)
        body = read_completion_body(given, most=service.settings.max_choices)
        most = service.settings.max_client_batch_size
        if len(body.prompts) > most:
            text = f"Number of prompts exceeds the maximum allowed batch size of {most}"
            raise ProblemError(Problem(422, "batch size exceeded", text, "prompt"))
        size = sum(map(len, body.prompts))
        requests = await service.beside_if_long(size, partial(_requests, service, body))
        for request in requests:
            for one in seeded(request, body.best_of):
                await account.submit(one, streams=body.stream)
    if body.stream:
        return _stream(service, account, body)
    await run_until_gone(http, account)
    return _whole(service, account, body)


def _refuse_suffix(given: object) -> None:
    if isinstance(given, dict) and given.get("suffix") is not None:
        text = "Suffix is not supported and can be achieved by preprocessing the prompt."
        raise ProblemError(Problem(422, "suffix not supported", text, "suffix"))


def _requests(service: Service, body: CompletionBody) -> list[Request]:
    more: dict[str, Any] = {}
    if body.echo:
        more["return_full_text"] = True
        # A stream shows no logprobs of the prompt, as TGI's does not.
        more["decoder_input_details"] = body.logprobs is not None and not body.stream
    if body.only_echoes:
        more["max_new_tokens"] = 1  # no request has none; it is not shown
    parameters = parameters_of(service, body, more)
    return [_request(service, prompt, parameters) for prompt in body.prompts]


def _request(service: Service, prompt: Prompt, parameters: GenerationParameters) -> Request:
    if not prompt:
        raise invalid("`inputs` cannot be empty", "prompt")
    token_ids: Sequence[int]
    if isinstance(prompt, str):
        tokenizer = service.model.tokenizer
        if tokenizer is None:
            raise invalid("the model has no tokenizer", "prompt")
        token_ids = tokenizer.encode(prompt)
    else:
        token_ids = prompt
        width = service.width
        if width is not None and max(token_ids) >= width:
            text = f"`prompt` must hold token ids below {width}. Given: {max(token_ids)}"
            raise invalid(text, "prompt")
    inputs = prompt if parameters.return_full_text else token_ids
    return Request(inputs, with_length(service, parameters, len(token_ids)), keep_stop=False)


def _whole(service: Service, account: Account, body: CompletionBody) -> HttpResponse:
    groups = _groups(account.handles, body)
    choices = [
        completion_choice(
            index * body.n + place,
            _prompt_of(response, group[place]) if body.only_echoes else response,
            logprobs=body.logprobs,
            prompt_text=group[place].generation.plan.prompt_text,
        )
        for index, group in enumerate(groups)
        for place, response in enumerate(best(group, body.n))
    ]
    prompt_tokens, generated = used_tokens(account.handles, body.best_of)
    used = usage(prompt_tokens, 0 if body.only_echoes else generated)
    headers = times_headers(account, _characters(body))
    account.succeed()
    said = head(service, body, "text_completion", "cmpl")
    return json_response(answer(said, choices, used), headers=headers)


def _prompt_of(response: Response, handle: AsyncGeneration) -> Response:
    """The response with the prompt alone: its text and its tokens, and no generated token."""
    details = replace(response.details, tokens=(), top_tokens=())
    text = handle.generation.plan.prompt_text
    return replace(response, generated_text=text, details=details)


def _stream(service: Service, account: Account, body: CompletionBody) -> EventStream:
    said = head(service, body, "text_completion", "cmpl")
    prompts = [handle.generation.plan.prompt_text for handle in account.handles]
    writer = CompletionChunks(
        said, prompts, logprobs=body.logprobs, include_usage=body.include_usage
    )
    used = partial(used_tokens, each=body.best_of) if body.include_usage else None
    form = ChunkFormat(writer, used)
    return event_stream(service, account, form, characters=_characters(body))


def _groups(
    handles: Sequence[AsyncGeneration], body: CompletionBody
) -> list[Sequence[AsyncGeneration]]:
    """The generations of each prompt."""
    size = body.best_of
    return [handles[start : start + size] for start in range(0, len(handles), size)]


def _characters(body: CompletionBody) -> int:
    return sum(len(prompt) for prompt in body.prompts if isinstance(prompt, str))
