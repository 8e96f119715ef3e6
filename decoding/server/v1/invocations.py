"""The route `/invocations` of SageMaker: answers a chat, a completion or a `/` body."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.types import ASGIApp

from decoding.server.native import compat_generate
from decoding.server.service import OPENAI, Service
from decoding.server.v1.chat import chat
from decoding.server.v1.completions import complete


async def invocations(service: Service, http: HttpRequest) -> ASGIApp:
    """`POST /invocations`: a chat of messages, a completion of a prompt, else as `/`."""
    body = await service.body(http)
    if isinstance(body, dict) and "inputs" not in body:
        if "messages" in body:
            http.scope[OPENAI] = True
            return await chat(service, http, body)
        if "prompt" in body:
            http.scope[OPENAI] = True
            return await complete(service, http, body)
    return await compat_generate(service, http, body)
