"""`decoding serve` as a process, with the model, and with signals."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from huggingface_hub import InferenceClient
from serving import events

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PROMPT = "The capital of France is"


@contextmanager
def process(
    log: Path, *flags: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command, once it listens, and its URL."""
    program = "import sys; from decoding.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "serve", "--port", "0", *flags]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    with log.open("wb") as file:
        running = subprocess.Popen(command, stderr=file, env=variables)
    try:
        end = time.monotonic() + 240
        while not (found := re.search(r"listens on http://\S+:(\d+):", log.read_text())):
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield running, f"http://127.0.0.1:{found[1]}"
    finally:
        running.kill()
        running.wait()


def test_clients_reach_the_model(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with process(log, "--json-output", MAX_BEST_OF="3", API_KEY="sesam") as (running, url):
        greeting = log.read_text().splitlines()[0]
        assert "smollm2" in greeting.lower()
        assert "cpu float32" in greeting
        assert "8191 input and 8192 total tokens" in greeting
        assert httpx.get(f"{url}/info").json()["max_best_of"] == 3
        hub = InferenceClient(model=url, token="sesam")
        text = hub.text_generation(PROMPT, max_new_tokens=5)
        assert text.startswith(" Paris")
        assert "".join(hub.text_generation(PROMPT, max_new_tokens=5, stream=True)) == text
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="sesam", max_retries=0)
        said: Any = [{"role": "user", "content": "Give a JSON object."}]
        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
        shape: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        found = client.chat.completions.create(
            model="m", messages=said, response_format=shape, max_tokens=100, temperature=0
        )
        choice = found.choices[0]
        assert choice.finish_reason == "length" or "a" in json.loads(choice.message.content or "")
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    assert [line["message"] for line in lines].count("Success") == 3
    assert "capital" not in log.read_text()


def test_a_connection_outlives_the_pauses_of_clients(tmp_path: Path) -> None:
    with process(tmp_path / "log") as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            for pause in (0, 6, 16):  # longer than httpx and aiohttp keep a connection
                time.sleep(pause)
                connection.sendall(b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n")
                assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def stream(url: str, tokens: int, found: list[str]) -> None:
    asked = {"max_new_tokens": tokens, "do_sample": True, "seed": 1, "min_tokens": tokens - 1}
    body = {"inputs": PROMPT, "parameters": asked}
    text = ""
    try:
        with httpx.stream("POST", f"{url}/generate_stream", json=body, timeout=300) as answer:
            for part in answer.iter_text():
                text += part
        found.append(text)
    except httpx.TransportError:
        found.append(text + "(broken)")


def streams(url: str, tokens: int, count: int) -> tuple[list[threading.Thread], list[str]]:
    found: list[str] = []
    threads = [threading.Thread(target=stream, args=(url, tokens, found)) for _ in range(count)]
    for thread in threads:
        thread.start()
    while f"decoding_concurrent_requests {count}" not in httpx.get(f"{url}/metrics").text:
        time.sleep(0.05)
    return threads, found


def test_sigterm_lets_32_streams_finish(tmp_path: Path) -> None:
    with process(tmp_path / "log", "--shutdown-timeout", "300") as (running, url):
        threads, found = streams(url, 8, 32)
        running.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(300)
        assert running.wait(60) == 0
    assert len(found) == 32
    assert {events(text)[-1]["generated_text"] is not None for text in found} == {True}


def test_what_does_not_finish_after_sigterm_says_why(tmp_path: Path) -> None:
    with process(tmp_path / "log", "--shutdown-timeout", "0.5") as (running, url):
        threads, found = streams(url, 4000, 2)
        running.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(120)
        assert running.wait(60) == 0
    assert len(found) == 2
    for text in found:
        last = events(text)[-1]
        assert last["error_type"] == "incomplete_generation"
        assert "shutting down" in last["error"]


def test_a_killed_server_gives_broken_streams_and_starts_again(tmp_path: Path) -> None:
    with process(tmp_path / "log") as (running, url):
        threads, found = streams(url, 4000, 2)
        running.kill()
        for thread in threads:
            thread.join(60)
        assert len(found) == 2
        for text in found:
            assert text.endswith("(broken)")
            assert "finish_reason" not in text
    with process(tmp_path / "log again") as (_, url):
        assert httpx.get(f"{url}/health").status_code == 200
