"""Bearer tokens as clients write them."""

from __future__ import annotations

import httpx
import pytest
from serving import hashed, serving

from decoding.errors import ParameterError
from decoding.server import ServerSettings
from decoding.server.auth import is_allowed


@pytest.mark.parametrize("key", ["sesam", "sésam", "ключ", "a b"])
def test_a_key_may_be_any_text_in_either_encoding(key: str) -> None:
    headers = [f"{scheme}{key}{end}" for scheme in ("Bearer ", "bearer  ") for end in ("", " ")]
    for text in headers:
        assert is_allowed(text.encode().decode("latin-1"), key)
    if key.isascii() or key == "sésam":
        assert is_allowed(f"Bearer {key}", key)
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        key,
        f"Basic {key}",
        f"Bearer {key}x",
        "Bearer \0",
    ):
        assert not is_allowed(wrong, key)


def test_the_bytes_of_a_key_reach_the_server() -> None:
    with serving(hashed(), api_key="sésam") as running:
        for encoding, status in (("utf-8", 200), ("latin-1", 200), ("cp437", 401)):
            header = b"Bearer " + "sésam".encode(encoding)
            headers = [(b"authorization", header), (b"content-type", b"application/json")]
            content = b'{"inputs":"x","parameters":{"max_new_tokens":1}}'
            answer = httpx.post(f"{running.url}/generate", content=content, headers=headers)
            assert answer.status_code == status


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ParameterError, match="api_key must be a text that is not empty"):
        ServerSettings(api_key="")
