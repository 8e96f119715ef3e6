"""The server under load: streams side by side over a forward pass that does nothing for 5 ms.

The server runs in a process of its own, whose processor time is told apart from the clients'. Where
other programs use the machine too, the time of a step is theirs as well. So a step's own time, that
without the forward pass, is told with its parts: the processor time of the engine's thread, its
waiting for a core, and its waiting for Python's lock. First every answer is compared with the same
request run alone; figures of wrong answers are not taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, report
from benchmarks.logits import make_rows
from benchmarks.thread_times import (
    PARTS,
    PERCENTILES,
    Times,
    percentiles,
    times,
    times_clocks_last,
)
from decoding import Engine, Generation, GenerationParameters, LanguageModel, generate
from decoding.cli.serve import fastest_loop, let_threads_go_on
from decoding.vocabulary import Vocabulary

VOCABULARY = 49_152
FORWARD_S = 0.005
KINDS = 16
"""Different requests; each is sent many times."""
GOALS = {"cpu_us_per_token": 180.0, "own_ms_per_step_p99": 2.0, "growth_mb": 5.0}

_COLUMNS = [*(f"p{percent}" for percent in PERCENTILES), "slowest"]
_STEP = {f"{part}_{column}" for part in PARTS for column in _COLUMNS}
_MEANING = {
    "wall": "time that passes",
    "cpu": "the engine's thread on a core",
    "core": "it waits for a core",
    "lock": "it waits for Python's lock",
}

_ROWS = 64
_PORT_LINE = "listening on "


class Letters:
    """A tokenizer of as many tokens as the model has: single bytes, then words of hexadecimals."""

    def __init__(self) -> None:
        spelled = [b"", *(bytes((byte,)) for byte in range(256))]
        spelled += [f" {number:x}".encode() for number in range(len(spelled), VOCABULARY)]
        self.vocabulary = Vocabulary(spelled, frozenset({0}))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        del add_special_tokens
        # Quick: a tokenizer in Rust lets other threads run.
        found: list[int] = (np.frombuffer(text.encode(), np.uint8).astype(int) + 1).tolist()
        return found


class Waiting:
    """A `CachedModel` that waits, and whose logits are one of a few rows, by the tokens so far.

    spent: the times of all forward passes, that of the processor and waiting included.
    """

    def __init__(self, seconds: float) -> None:
        self._rows = make_rows("gaussian", _ROWS, VOCABULARY)
        self._rows[:, 0] = -1e4  # nothing ends early, unless a grammar allows nothing else
        self._seconds = seconds
        self.spent = Times(0.0, 0.0, 0.0)

    def start(self) -> list[int]:
        return [0]

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[list[int]], NDArray[np.float32]]:
        del all_positions
        began = times()
        states = [[sum(prompt)] for prompt in prompts]
        return states, self._logits(states, began)

    def extend(
        self,
        states: Sequence[list[int]],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> NDArray[np.float32]:
        del all_positions
        began = times()
        for state, new in zip(states, token_ids, strict=True):
            state[0] = 31 * state[0] % 1_000_003 + sum(new)
        return self._logits(states, began)

    def fork(self, state: list[int]) -> list[int]:
        return list(state)

    def rollback(self, state: list[int], count: int) -> None:
        raise NotImplementedError

    def release(self, state: list[int]) -> None:
        state.clear()

    def _logits(self, states: Sequence[list[int]], began: Times) -> NDArray[np.float32]:
        if self._seconds:
            time.sleep(self._seconds)
        found: NDArray[np.float32] = self._rows[[state[0] % _ROWS for state in states]]
        self.spent = self.spent.plus(times_clocks_last().minus(began))
        return found


class TimedEngine(Engine):
    """Notes the times of its steps, without those of the forward pass."""

    def __init__(self, forward: Waiting) -> None:
        super().__init__(model_of(forward))
        self._forward = forward
        self.steps: list[Times] = []

    def step(self) -> list[Generation]:
        """As an engine's."""
        before = self._forward.spent
        began = times_clocks_last()
        moved = super().step()
        self.steps.append(times().minus(began).minus(self._forward.spent.minus(before)))
        return moved


def model_of(forward: Waiting) -> LanguageModel:
    """The model that is served."""
    return LanguageModel(
        forward=forward,
        tokenizer=Letters(),
        eos_token_ids=frozenset({0}),
        logits_width=VOCABULARY,
        context_length=200_000,
        name="waiting",
        chat_template="{% for m in messages %}{{ m.content }}{% endfor %}",
    )


def parameters_of(kind: int, tokens: int) -> dict[str, Any]:
    """The parameters of one of `KINDS` requests: a sampling chain, each with its own seed."""
    return {
        "max_new_tokens": tokens,
        "do_sample": True,
        "seed": kind,
        "temperature": 0.8,
        "top_k": 50,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
    }


async def worker() -> None:
    """The server's process: it listens, and reports when a line comes on stdin."""
    import uvicorn

    from decoding.engine.front import AsyncEngine
    from decoding.server import ServerSettings, create_app

    forward = Waiting(FORWARD_S)
    engine = TimedEngine(forward)
    front = AsyncEngine(engine)
    app = create_app(front, ServerSettings(max_concurrent_requests=1024))
    logging.getLogger("decoding.server").setLevel(logging.CRITICAL)
    engine_s = 0.0

    def on_step(_seconds: float, _running: int, _waiting: int) -> None:
        nonlocal engine_s
        engine_s = time.thread_time() - forward.spent.cpu

    front.on_step = on_step
    let_threads_go_on()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"{_PORT_LINE}{port}", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        told = {
            "process_s": time.process_time(),
            "cpu_s": time.process_time() - forward.spent.cpu,
            "engine_s": engine_s,
            "loop_s": time.thread_time(),
            **percentiles(engine.steps),
            "steps": len(engine.steps),
            "rss_mb": _resident_mb(),
        }
        engine.steps.clear()
        print(json.dumps(told), flush=True)
    server.should_exit = True
    await serving
    await front.aclose()


def _resident_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Server:
    """The server's process, as the clients see it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.server", "--worker"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the server's process has no pipes")
        self._stdin, self._stdout = stdin, stdout
        self.port = int(self._line().removeprefix(_PORT_LINE))

    def report(self) -> dict[str, float]:
        """What has happened since the last report."""
        self._stdin.write("report\n")
        self._stdin.flush()
        told: dict[str, float] = json.loads(self._line())
        return told

    def close(self) -> None:
        self._stdin.close()
        self._process.wait(60)

    def _line(self) -> str:
        return self._stdout.readline()


class _Client(asyncio.Protocol):
    """Sends a request and collects the answer: the clients use the server's cores, so no more."""

    def __init__(self, request: bytes, answer: asyncio.Future[str]) -> None:
        self._request, self._answer = request, answer
        self._came: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._came.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._answer.done():
            self._answer.set_result(b"".join(self._came).decode())


async def ask(port: int, kind: int, tokens: int, *, stream: bool) -> str:
    """One request over a connection of its own; the generated text."""
    inputs = f"request {kind}"
    body = json.dumps({"inputs": inputs, "parameters": parameters_of(kind, tokens)})
    path = "/generate_stream" if stream else "/generate"
    answer = asyncio.get_running_loop().create_future()
    request = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    await asyncio.get_running_loop().create_connection(
        lambda: _Client(request.encode(), answer), "127.0.0.1", port
    )
    text = await answer
    start = text.rindex('"generated_text":') + len('"generated_text":')
    return str(json.JSONDecoder().raw_decode(text, start)[0])


async def load(
    port: int, count: int, tokens: int, concurrent: int, alone: Sequence[str], *, stream: bool
) -> int:
    """Send `count` requests, `concurrent` at a time; how many answers are not the right ones."""
    wrong = 0
    numbers = iter(range(count))

    async def client() -> None:
        nonlocal wrong
        for number in numbers:
            kind = number % KINDS
            wrong += await ask(port, kind, tokens, stream=stream) != alone[kind]

    await asyncio.gather(*(client() for _ in range(concurrent)))
    return wrong


def _run(clients: Coroutine[Any, Any, int]) -> int:
    """Run clients to their end, on the fastest loop there is."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(clients)


def alone(tokens: int) -> list[str]:
    """What each request answers when nothing runs beside it."""
    model = model_of(Waiting(0.0))
    return [
        generate(
            model, f"request {kind}", GenerationParameters(**parameters_of(kind, tokens))
        ).generated_text
        for kind in range(KINDS)
    ]


def measure(*, requests: int, tokens: int, concurrent: int, short: int) -> dict[str, Any]:
    """Streams under load, then short requests, whose memory is watched."""
    server = Server()
    try:
        expected = alone(tokens)
        warm = _run(load(server.port, concurrent, tokens, concurrent, expected, stream=True))
        before, busy, clients = server.report(), machine.busy_seconds(), time.process_time()
        began = time.perf_counter()
        wrong = _run(load(server.port, requests, tokens, concurrent, expected, stream=True))
        seconds = time.perf_counter() - began
        after = server.report()
        others = None
        if busy is not None:
            ours = after["process_s"] - before["process_s"] + time.process_time() - clients
            others = ((machine.busy_seconds() or busy) - busy - ours) / seconds
        brief = alone(1)
        _run(load(server.port, short // 10, 1, concurrent, brief, stream=False))
        settled = server.report()
        wrong += _run(load(server.port, short, 1, concurrent, brief, stream=False))
        last = server.report()
    finally:
        server.close()
    streamed = requests * tokens
    return {
        "requests": requests,
        "tokens": tokens,
        "concurrent": concurrent,
        "wrong": wrong + warm,
        "tokens_per_s": streamed / seconds,
        "cores_of_other_programs": others,
        "cpu_us_per_token": 1e6 * (after["cpu_s"] - before["cpu_s"]) / streamed,
        "engine_us_per_token": 1e6 * (after["engine_s"] - before["engine_s"]) / streamed,
        "loop_us_per_token": 1e6 * (after["loop_s"] - before["loop_s"]) / streamed,
        "own_ms_per_step_p99": after["wall_p99"],
        "own_ms_per_step": {name: value for name, value in after.items() if name in _STEP},
        "short_requests": short,
        "growth_mb": last["rss_mb"] - settled["rss_mb"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--requests", type=int, default=10_000, help="that are streamed")
    parser.add_argument("--tokens", type=int, default=32, help="of each")
    parser.add_argument("--concurrent", type=int, default=64, help="streams at once")
    parser.add_argument("--short", type=int, default=100_000, help="requests of one token")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(worker())
        return 0
    measured_on = machine.describe(1)
    row = measure(
        requests=options.requests,
        tokens=options.tokens,
        concurrent=options.concurrent,
        short=options.short,
    )
    print(table(row))
    print(steps_table(row["own_ms_per_step"]))
    if row["cores_of_other_programs"] is not None:
        print(f"other programs had {row['cores_of_other_programs']:.2f} of {os.cpu_count()} cores")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": measured_on, "rows": [row]}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 1 if row["wrong"] else 0


def steps_table(found: Mapping[str, float]) -> str:
    """What a step's own time consists of: percentiles of each part, and the slowest hundredth."""
    cells = (
        (_MEANING[part], *(f"{found[f'{part}_{column}']:.2f}" for column in _COLUMNS))
        for part in PARTS
    )
    return report.table(("a step without the forward pass, ms", *_COLUMNS), cells)


def table(row: dict[str, Any]) -> str:
    """The figures, each with its goal; none of a run that answered wrongly."""
    if row["wrong"]:
        return f"{row['wrong']} answers differ from the same requests run alone: no figures"
    cells = (
        (name, f"{row[name]:.2f}", f"≤ {goal:g}", "met" if row[name] <= goal else "NOT met")
        for name, goal in GOALS.items()
    )
    return report.table(("figure", "value", "goal", ""), cells)


if __name__ == "__main__":
    sys.exit(main())
