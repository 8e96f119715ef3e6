"""Requests that are over leave nothing for Python's collector of circular garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Served, soon

from decoding import Request
from decoding.engine.generation import Generation
from decoding.server.service import Account

CHAT = {"messages": "say", "max_tokens": 3}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/generate", {"inputs": "x", "parameters": {"max_new_tokens": 3}}),
    ("/generate", {"inputs": "x", "parameters": {"max_new_tokens": 1}}),
    ("/generate_stream", {"inputs": "x", "parameters": {"max_new_tokens": 3, "best_of": 1}}),
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True, "n": 2}),
    ("/v1/completions", {"prompt": "x", "max_tokens": 3}),
    ("/v1/completions", {"prompt": ["x", "y"], "max_tokens": 3, "stream": True}),
]


@pytest.fixture
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize(("path", "body"), BODIES, ids=range(len(BODIES)))
def test_a_request_that_is_over_is_freed_without_the_collector(
    served: Served, path: str, body: dict[str, Any]
) -> None:
    assert served.post(path, body).status_code == 200
    assert served.idle()
    assert soon(lambda: not _alive(), 5)


def _alive() -> list[Any]:
    kinds = (Account, Generation, Request)
    # Not `isinstance`, which asks for the class of what a dead weak proxy stands for.
    return [item for item in gc.get_objects() if issubclass(type(item), kinds)]
