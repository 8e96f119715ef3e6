"""A server in a thread, over models whose logits are a hash of the prefix, and what it is asked."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from hashed_models import VOCAB, ByteTokenizer

from decoding import Engine, LanguageModel
from decoding.server import ServerSettings, create_app
from decoding.server.service import Service
from decoding.testing.models import hash_model

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"


def hashed(**facts: Any) -> LanguageModel:
    given: dict[str, Any] = {
        "forward": hash_model(VOCAB),
        "tokenizer": ByteTokenizer(),
        "eos_token_ids": frozenset({0}),
        "context_length": 200,
        "chat_template": TEMPLATE,
        "name": "hashed",
        **facts,
    }
    return LanguageModel(**given)


class Slow:
    """`hash_model`, which takes a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.inner = seconds, hash_model(VOCAB)

    def __call__(self, sequences: list[list[int]]) -> Any:
        time.sleep(self.seconds)
        return self.inner(sequences)


@dataclass
class Served:
    url: str
    service: Service
    server: uvicorn.Server
    client: httpx.Client

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.client.post(self.url + path, json=body, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(self.url + path, **options)

    def idle(self) -> bool:
        """Whether nothing runs, waits or holds a permit, soon."""
        front, metrics = self.service.front, self.service.metrics
        return soon(lambda: not (front.count or metrics.concurrent.value or front.engine.busy))


def soon(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something holds within half a minute, or another time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def serving(model: LanguageModel | Engine, **settings: Any) -> Iterator[Served]:
    app = create_app(model, ServerSettings(**settings))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end, "the server does not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            yield Served(f"http://127.0.0.1:{port}", app.state.service, server, client)
    finally:
        server.should_exit = True
        thread.join(60)


def events(text: str) -> list[Any]:
    """The data of Server-Sent Events, each of one JSON line; `[DONE]` as text."""
    found = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            assert block.startswith("data: ")
            assert "\n" not in block
            data = block.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found
