"""The routes `/v1/chat/completions` (answers) and `/chat_tokenize` (prompts and tokens)."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import ASGIApp

from decoding.chat import ChatDelta, ChatMessage, Prepared, prepare, read_response_format
from decoding.chat.conversation import read_conversation
from decoding.server.answers import json_response, run_until_gone, times_headers
from decoding.server.problems import invalid
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
from decoding.wire.details import Response, StreamEvent
from decoding.wire.openai.answers import Chunks, Head, answer, usage
from decoding.wire.openai.logprobs import Shown, chat_logprobs, shown_tokens
from decoding.wire.openai.requests import ChatBody, read_chat_body
from decoding.wire.spans import spans_of

_MESSAGE_SIZE = 64
"""Characters that take as long to be rendered as a message without any."""


async def chat_completions(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /v1/chat/completions`: the answer to a chat."""
    return await chat(service, http, await service.body(http))


async def chat(service: Service, http: HttpRequest, given: object) -> ASGIApp:
    """Answer a chat body, from `/v1/chat/completions` or `/invocations`."""
    account = service.open(http)
    with account.checking():
        body = read_chat_body(given, most=service.settings.max_choices)
        prepared = await prepare_chat(service, body)
        for request in seeded(prepared.request, body.best_of):
            await account.submit(request, streams=body.stream)
    if body.stream:
        return _stream(service, account, prepared, body)
    await run_until_gone(http, account)
    return _whole(service, account, prepared, body)


async def prepare_chat(service: Service, body: ChatBody) -> Prepared:
    """The request of a chat; what takes long is done in another thread."""
    compiles = bool(body.tools or body.response_format or body.thinking_budget is not None)
    work = partial(_prepare, service, body)
    return await service.beside_if_long(_size(body), work, compiles=compiles)


async def chat_tokenize(service: Service, http: HttpRequest) -> HttpResponse:
    """`POST /chat_tokenize`: the prompt that a chat makes, and its tokens."""
    given = await service.body(http)
    body = read_chat_body(given, most=service.settings.max_choices)
    work = partial(_tokenized, service, body)
    return json_response(await service.beside_if_long(_size(body), work))


def _tokenized(service: Service, body: ChatBody) -> dict[str, Any]:
    chat = read_conversation(
        service.model,
        body.messages,
        tools=body.tools,
        tool_choice=body.tool_choice,
        tool_prompt=body.tool_prompt,
        variables=body.variables,
        chat_template=body.chat_template,
        add_generation_prompt=body.add_generation_prompt,
        continue_final_message=body.continue_final_message,
    )
    text = chat.text()
    assert service.model.tokenizer is not None  # or there is no conversation
    spans = spans_of(service.model.tokenizer, text, chat.token_ids())
    return {"tokenize_response": spans, "templated_text": text}


def _prepare(service: Service, body: ChatBody) -> Prepared:
    parameters = parameters_of(service, body)
    if service.limits.disable_grammar_support:
        if read_response_format(body.response_format) is not None:
            raise invalid("grammar is not supported", "response_format")
        if body.tools and body.tool_choice != "none":  # calls are held to a grammar
            raise invalid("grammar is not supported", "tools")
    prepared = prepare(
        service.model,
        body.messages,
        tools=body.tools,
        tool_choice=body.tool_choice,
        tool_prompt=body.tool_prompt,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=body.response_format,
        variables=body.variables,
        chat_template=body.chat_template,
        add_generation_prompt=body.add_generation_prompt,
        continue_final_message=body.continue_final_message,
        thinking_budget=body.thinking_budget,
        parameters=parameters,
    )
    request = prepared.request
    sized = with_length(service, request.parameters, len(request.inputs))
    return replace(prepared, request=replace(request, parameters=sized))


def _whole(service: Service, account: Account, prepared: Prepared, body: ChatBody) -> HttpResponse:
    responses = best(account.handles, body.n)
    choices = [
        _choice(index, prepared.message(response), response, body)
        for index, response in enumerate(responses)
    ]
    used = usage(*used_tokens(account.handles, body.best_of))
    headers = times_headers(account, _characters(body))
    account.succeed()
    said = head(service, body, "chat.completion", "chatcmpl")
    return json_response(answer(said, choices, used), headers=headers)


def _choice(index: int, message: ChatMessage, response: Response, body: ChatBody) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": message.content}
    if message.reasoning_content is not None:
        said["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    logprobs = None
    if body.logprobs is not None:
        shown = shown_tokens(response.tokens, response.top_tokens, response.generated_text)
        logprobs = chat_logprobs(shown, body.logprobs)
    return {
        "index": index,
        "message": said,
        "logprobs": logprobs,
        "finish_reason": message.finish_reason,
    }


def _stream(service: Service, account: Account, prepared: Prepared, body: ChatBody) -> EventStream:
    said = head(service, body, "chat.completion.chunk", "chatcmpl")
    writer = _ChatWriter(said, prepared, body)
    used = partial(used_tokens, each=body.best_of) if body.include_usage else None
    form = ChunkFormat(writer, used)
    return event_stream(service, account, form, characters=_characters(body))


class _ChatWriter:
    """Turns the events of a chat's choices into chunks."""

    def __init__(self, said: Head, prepared: Prepared, body: ChatBody) -> None:
        self.chunks = Chunks(said, include_usage=body.include_usage)
        self._readers = [prepared.reader() for _ in range(body.n)]
        self._shown = [Shown() for _ in range(body.n)]
        self._logprobs = body.logprobs

    def first(self) -> str:
        """The chunks that say who speaks."""
        opening = {"role": "assistant", "content": ""}
        return "".join(
            self.chunks.choice(_piece(index, opening)) for index in range(len(self._readers))
        )

    def write(self, index: int, item: StreamEvent) -> str:
        """The chunks of one event."""
        reader = self._readers[index]
        deltas = list(reader.read(item))
        finish = None
        if item.details is not None:
            end = reader.finish(item.details.finish_reason)
            deltas += end.deltas
            finish = end.finish_reason
        logprobs = None
        if self._logprobs is not None:
            shown = self._shown[index].push(item.token, item.top_tokens, item.text)
            if shown:
                logprobs = chat_logprobs(shown, self._logprobs)
        if finish is None and logprobs is None:
            return "".join([self._delta(index, delta) for delta in deltas])
        pieces = [_piece(index, _fields(delta)) for delta in deltas]
        if logprobs is not None:
            pieces = pieces or [_piece(index, {})]
            pieces[0]["logprobs"] = logprobs
        if finish is not None:
            pieces.append({**_piece(index, {}), "finish_reason": finish})
        return "".join([self.chunks.choice(piece) for piece in pieces])

    def _delta(self, index: int, delta: ChatDelta) -> str:
        if delta.content is not None:
            return self.chunks.content(index, delta.content)
        return self.chunks.choice(_piece(index, _fields(delta)))


def _piece(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _fields(delta: ChatDelta) -> dict[str, Any]:
    if delta.reasoning_content is not None:
        return {"reasoning_content": delta.reasoning_content}
    call = delta.tool_call
    if call is None:
        return {"content": delta.content}
    function: dict[str, Any] = {"arguments": call.arguments}
    said: dict[str, Any] = {"index": call.index, "function": function}
    if call.id is not None:
        said = {"index": call.index, "id": call.id, "type": "function", "function": function}
    if call.name is not None:
        said["function"] = {"name": call.name, **function}
    return {"tool_calls": [said]}


def _characters(body: ChatBody) -> int:
    """The characters of what is said."""
    if isinstance(body.messages, str):
        return len(body.messages)
    contents = [message.get("content") for message in body.messages]
    return sum(len(item) for item in contents if isinstance(item, str))


def _size(body: ChatBody) -> float:
    """The characters that take as long as a body's messages and tools to be rendered."""
    return math.inf if body.tools else _characters(body) + _MESSAGE_SIZE * len(body.messages)
