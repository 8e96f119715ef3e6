"""`/v1/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp

from decoding.engine.front import AsyncGeneration
from decoding.engine.request import Request
from decoding.parameters import GenerationParameters
from decoding.server.answers import json_response, run_until_gone, times_headers
from decoding.server.bodies import read_json
from decoding.server.problems import Problem, ProblemError, invalid
from decoding.server.service import Account, Service
from decoding.server.sse import EventStream
from decoding.server.v1.choices import best, head, parameters_of, seeded, with_length
from decoding.server.v1.stream import event_stream
from decoding.wire.details import Response, StreamEvent
from decoding.wire.openai.answers import Chunks, Head, answer, finish_of, usage
from decoding.wire.openai.logprobs import Shown, completion_logprobs, shown_tokens
from decoding.wire.openai.requests import CompletionBody, Prompt, read_completion_body

_LONG = 4096
"""Characters or tokens of a prompt from which it is encoded in another thread."""


async def completions(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /v1/completions`."""
    return await complete(service, http, await read_json(http, service.settings.payload_limit))


async def complete(service: Service, http: HttpRequest, given: object) -> ASGIApp:
    """A body of a completion, wherever it came to."""
    account = service.open(http)
    with account.checking():
        _refuse_suffix(given)
        body = read_completion_body(given, most=service.settings.max_choices)
        most = service.settings.max_client_batch_size
        if len(body.prompts) > most:
            text = f"Number of prompts exceeds the maximum allowed batch size of {most}"
            raise ProblemError(Problem(422, "batch size exceeded", text, "prompt"))
        work = partial(_requests, service, body)
        long = sum(map(len, body.prompts)) > _LONG
        requests = await service.front.in_thread(work) if long else work()
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
        _choice(index * body.n + place, response, body, group[place])
        for index, group in enumerate(groups)
        for place, response in enumerate(best(group, body.n))
    ]
    used = usage(*_used(body, account.handles))
    headers = times_headers(account, _characters(body))
    account.succeed()
    said = head(service, body, "text_completion", "cmpl")
    return json_response(answer(said, choices, used), headers=headers)


def _choice(
    index: int, response: Response, body: CompletionBody, handle: AsyncGeneration
) -> dict[str, Any]:
    logprobs = None
    if body.logprobs is not None:
        before = len(handle.generation.plan.prompt_text)
        text = response.generated_text[before:]
        shown = shown_tokens(response.tokens, response.top_tokens, text)
        logprobs = completion_logprobs(
            shown,
            body.logprobs,
            offset=0 if response.prefill else before,
            prompt=response.prefill,
        )
    return {
        "index": index,
        "text": response.generated_text,
        "logprobs": logprobs,
        "finish_reason": finish_of(response.finish_reason),
    }


def _stream(service: Service, account: Account, body: CompletionBody) -> EventStream:
    said = head(service, body, "text_completion", "cmpl")
    prompts = [handle.generation.plan.prompt_text for handle in account.handles]
    writer = _TextWriter(said, prompts, body)
    used = partial(_used, body) if body.include_usage else None
    return event_stream(service, account, writer, used, characters=_characters(body))


class _TextWriter:
    """Turns the events of completions into chunks.

    prompts: the text in front of each choice, where the request echoes it.
    """

    def __init__(self, said: Head, prompts: Sequence[str], body: CompletionBody) -> None:
        self.chunks = Chunks(said, include_usage=body.include_usage)
        self._prompts = prompts
        self._offsets = [len(text) for text in prompts]
        self._shown = [Shown() for _ in prompts]
        self._logprobs = body.logprobs

    def first(self) -> str:
        """The chunks that echo the prompts."""
        return "".join(
            self.chunks.text(index, text) for index, text in enumerate(self._prompts) if text
        )

    def write(self, index: int, item: StreamEvent) -> str:
        """The chunk of one event; none where it adds nothing."""
        logprobs = None
        if self._logprobs is not None:
            shown = self._shown[index].push(item.token, item.top_tokens, item.text)
            if shown:
                offset = self._offsets[index]
                logprobs = completion_logprobs(shown, self._logprobs, offset=offset)
                self._offsets[index] += sum(map(len, logprobs["tokens"]))
        if item.details is None and logprobs is None:
            return self.chunks.text(index, item.text) if item.text else ""
        finish = None if item.details is None else finish_of(item.details.finish_reason)
        return self.chunks.choice(
            {"index": index, "text": item.text, "logprobs": logprobs, "finish_reason": finish}
        )


def _groups(
    handles: Sequence[AsyncGeneration], body: CompletionBody
) -> list[Sequence[AsyncGeneration]]:
    """The generations of each prompt."""
    size = body.best_of
    return [handles[start : start + size] for start in range(0, len(handles), size)]


def _used(body: CompletionBody, handles: Sequence[AsyncGeneration]) -> tuple[int, int]:
    responses = [item.generation.result() for item in handles]
    prompts = sum(item.input_length for item in responses[:: body.best_of])
    return prompts, sum(item.generated_tokens for item in responses)


def _characters(body: CompletionBody) -> int:
    return sum(len(prompt) for prompt in body.prompts if isinstance(prompt, str))
