"""`decoding chat`: conversations with a model of this process and with a server."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from speaker import Speaker, code_of

from decoding.cli.files import MOST_BYTES

pty = pytest.importorskip("pty", reason="there are no terminals here")


def say(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    feed(monkeypatch, text.encode())


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


def test_lines_are_answered_with_what_was_said_before(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = []
    inner = type(speaker).__call__

    def spy(self: Speaker, sequences: list[list[int]]) -> Any:
        text = bytes(sequences[0]).decode("utf-8", "replace")
        if text.endswith(">"):
            prompts.append(text)
            self.prompt = None
        return inner(self, sequences)

    monkeypatch.setattr(type(speaker), "__call__", spy)
    say(monkeypatch, "Hi", "", "And?", "/clear", "New", "/exit", "never")
    assert code_of(["chat", "--system", "Brief"]) == 0
    assert capsys.readouterr() == ("Bonjour, ça va?\n" * 3, "")
    assert prompts == [
        "<system>Brief<user>Hi>",
        "<system>Brief<user>Hi<assistant>Bonjour, ça va?<user>And?>",
        "<system>Brief<user>New>",
    ]


@pytest.mark.usefixtures("speaker")
def test_the_end_of_the_input_ends_it_and_errors_have_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "Hi")
    assert code_of(["chat"]) == 0
    say(monkeypatch, "x" * 5000)
    assert code_of(["chat"]) == 2
    assert "4096" in capsys.readouterr().err
    assert code_of(["chat", "--top-p", "7"]) == 2
    assert code_of(["chat", "--url", "ftp://x"]) == 2


class Handler(BaseHTTPRequestHandler):
    """Answers with what the test has put into `events`."""

    events: tuple[Any, ...] = ()
    status = 200
    asked: list[Any] = []  # noqa: RUF012 -- the server makes the handlers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.asked.append((self.path, self.headers.get("Authorization"), json.loads(body)))
        self.send_response(Handler.status)
        if Handler.status in (302, 307):
            self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
        self.end_headers()
        for event in Handler.events:
            data = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(
                f"data: {data}\n\n".encode() if Handler.status == 200 else data.encode()
            )

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    Handler.asked, Handler.status = [], 200
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def chunk(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_a_server_answers(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.events = (
        chunk(role="assistant"), chunk(reasoning_content="hm"), chunk(content="Sal"),
        chunk(content="ut é"), chunk("stop"), {"choices": [], "usage": {}}, "[DONE]",
    )  # fmt: skip
    say(monkeypatch, "Hi", "More")
    flags = ["--url", server, "--api-key", "k", "--temperature", "0.5", "--max-new-tokens", "9"]
    assert code_of(["chat", *flags, "--chat-template", "rag"]) == 0
    assert capsys.readouterr() == ("Salut é\nSalut é\n", "hmhm")
    path, authorization, body = Handler.asked[1]
    assert (path, authorization) == ("/v1/chat/completions", "Bearer k")
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (True, 0.5, 9)
    assert body["chat_template"] == "rag"
    said = [(message["role"], message["content"]) for message in body["messages"]]
    assert said == [("user", "Hi"), ("assistant", "Salut é"), ("user", "More")]


@pytest.mark.parametrize(
    ("status", "events", "told"),
    [
        (422, [{"error": {"message": "too long"}}], "422: too long"),
        (500, ["oops"], "500: oops"),
        (200, [chunk(content="a")], "without finishing"),
        (200, [chunk(content="a"), {"error": {"message": "broke"}}], "broke"),
        (200, [chunk(content="a"), {"error": "broke", "error_type": "generation"}], "broke"),
        (200, ["{"], "must send JSON"),
        (200, [[]], "must send dict here"),
        (200, [{"choices": 5}], "must send list here"),
        (200, [{"choices": [[]]}], "must send dict here"),
        (200, [{"choices": [{"delta": "x"}]}], "must send dict here"),
        (200, [chunk(content=["x"])], "must send str here"),  # type: ignore[arg-type]
        (200, [chunk(reasoning_content=1)], "must send str here"),  # type: ignore[arg-type]
        (200, [chunk(content="\ud83d")], "without finishing"),
        (302, [], "answers 302"),
        (307, [], "answers 307"),
    ],
)
def test_a_server_that_fails_ends_it_with_code_1(
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    status: int,
    events: list[Any],
    told: str,
) -> None:
    Handler.events, Handler.status = tuple(events), status
    say(monkeypatch, "Hi")
    assert code_of(["chat", "--url", f"{server}/v1"]) == 1
    assert told in capsys.readouterr().err


def test_what_is_no_server_ends_it_with_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 9)

        threading.Thread(target=answer, daemon=True).start()
        say(monkeypatch, "Hi")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert code_of(["chat", "--url", url]) == 1
    assert "must speak HTTP" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        *(["--url", url] for url in (
            "http://", "http://[", "http://x:y", "http://x:99999", "http://x:0", "http://a b",
            "http://é", "http://x/\x7f", "http:///v1", "//x",
        )),
        ["--url", "http://x", "--api-key", "a\nHost: b"],
        ["--url", "http://x", "--api-key", "é"],
    ],
)  # fmt: skip
def test_what_is_no_url_and_no_key_is_refused(flags: list[str]) -> None:
    assert code_of(["chat", *flags]) == 2


@pytest.mark.usefixtures("speaker")
@pytest.mark.parametrize("data", [b"\xff\n", b"Hi\n\xed\xa0\x80", b"x" * (MOST_BYTES + 2)])
def test_messages_are_bounded_utf8(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    feed(monkeypatch, data)
    assert code_of(["chat"]) == 2
    assert "error: stdin must be" in capsys.readouterr().err


def test_a_server_that_is_not_there_ends_it_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "Hi")
    assert code_of(["chat", "--url", "http://127.0.0.1:9"]) == 1


CHILD = """
    import sys, time
    sys.path.insert(0, {folder!r})
    from speaker import Speaker, model_of
    from decoding.cli import main
    class Slow(Speaker):
        def __call__(self, sequences):
            time.sleep(0.02)
            self.prompt = bytes(sequences[0]).decode().rpartition(">")[0] + ">"
            return super().__call__(sequences)
    main.load = lambda source: model_of(Slow("abc" * 400))
    sys.exit(main.main(["chat"]))
"""


@pytest.mark.slow
def test_an_interrupt_ends_the_answer_and_not_the_program() -> None:
    child = textwrap.dedent(CHILD.format(folder=str(Path(__file__).parents[1])))
    mine, its = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", child], stdin=its, stdout=its, stderr=subprocess.DEVNULL
    )
    os.close(its)
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        while text not in shown:
            assert select.select([mine], [], [], 120)[0], shown  # it hangs
            shown += os.read(mine, 1024)

    try:
        until(b"> ")
        for _ in range(2):
            shown = b""
            os.write(mine, b"go on\n")
            until(b"abcabc")
            running.send_signal(signal.SIGINT)
            until(b"\r\n> ")
            assert running.poll() is None
        shown = b""
        # At the prompt. Python's readline misses a signal that comes just before it waits for a key.
        while b"> " not in shown:
            running.send_signal(signal.SIGINT)
            # No second one while the first is answered: two in a row end the program.
            while b"> " not in shown and select.select([mine], [], [], 2)[0]:
                shown += os.read(mine, 1024)
            assert running.poll() is None
        os.write(mine, b"/exit\n")
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
        os.close(mine)
