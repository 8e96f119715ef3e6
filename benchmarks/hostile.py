"""Plain streams beside hostile structured requests: what these add to the time between tokens.

The same streams run alone and beside ten requests whose grammars are as large as a body allows, in
turns. The figure is the 99th percentile of the times between two tokens of a plain stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.server import KINDS, Server, alone, parameters_of

GOAL = 1.2
"""Most that hostile requests may multiply the 99th percentile by."""

_EVENT = b"\n\ndata: "


def hostile() -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Requests by name: the path and the body."""
    schemas: dict[str, dict[str, Any]] = {
        "huge schema": _huge(),
        "enum of 5,000 words": {"enum": [f"{7919 * i % 100_003:x}-{i}" for i in range(5000)]},
        "unsatisfiable": {"type": "string", "pattern": "^a{5,}$", "maxLength": 3},
        "deep": _deep(40),
        "many anyOf": {"anyOf": [_variant(index) for index in range(400)]},
        "long const": {"const": "x" * 100_000},
        "recursive": _TREE,
        "unique items": {"type": "array", "items": {"enum": [*range(300)]}, "uniqueItems": True},
    }
    words = "|".join(f"w{index:05d}x" for index in range(12_000))
    grammars = {name: {"type": "json", "value": schema} for name, schema in schemas.items()}
    grammars["regex of 100,000 characters"] = {"type": "regex", "value": words}
    bodies = {
        name: ("/generate", {"inputs": "x", "parameters": {"max_new_tokens": 64, "grammar": item}})
        for name, item in grammars.items()
    }
    tools = [_tool(index) for index in range(128)]
    asked = {"messages": "call", "tools": tools, "tool_choice": "required", "max_tokens": 64}
    return {**bodies, "128 tools": ("/v1/chat/completions", asked)}


_TREE: dict[str, Any] = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "left": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
                "right": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            },
            "required": ["left", "right"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/tree",
}


def _huge() -> dict[str, Any]:
    words = {"type": ["string", "null"], "minLength": 1, "maxLength": 50}
    patterns = [{**words, "pattern": f"^[a-z]{{1,{most}}}$"} for most in range(2, 12)]
    properties = {f"p{index}": pattern for index, pattern in enumerate(patterns)}
    inner = {"type": "object", "properties": properties}
    return {"type": "object", "properties": {f"field_{index}": inner for index in range(500)}}


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def _variant(index: int) -> dict[str, Any]:
    properties = {"kind": {"const": f"v{index}"}, f"k{index}": {"type": "integer"}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _tool(index: int) -> dict[str, Any]:
    words = {"enum": [f"a{item}" for item in range(10)]}
    arguments = {"type": "object", "properties": {f"x{item}": words for item in range(8)}}
    return {"type": "function", "function": {"name": f"tool_{index}", "parameters": arguments}}


async def stream(port: int, kind: int, tokens: int) -> tuple[str, list[float]]:
    """One plain stream: its text, and when each of its events came."""
    reader, writer = await _asked(port, "/generate_stream", f"request {kind}", kind, tokens)
    times: list[float] = []
    received = bytearray()
    while part := await reader.read(65_536):
        received += part
        times += [time.perf_counter()] * part.count(b"data: ")
    writer.close()
    text = received.decode()
    start = text.rindex('"generated_text":') + len('"generated_text":')
    return str(json.JSONDecoder().raw_decode(text, start)[0]), times


async def _asked(
    port: int, path: str, inputs: str, kind: int, tokens: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = json.dumps({"inputs": inputs, "parameters": parameters_of(kind, tokens)}).encode()
    return await _sent(port, path, body)


async def _sent(
    port: int, path: str, body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return reader, writer


async def attack(port: int, path: str, body: bytes) -> tuple[int, float]:
    """One hostile request: the status of its answer, and seconds until it came."""
    began = time.perf_counter()
    reader, writer = await _sent(port, path, body)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), time.perf_counter() - began


async def round_of(
    port: int, streams: int, tokens: int, bodies: Mapping[str, tuple[str, bytes]]
) -> tuple[list[float], list[str], dict[str, tuple[int, float]]]:
    """Streams, and hostile requests a fifth of the way: times between tokens, texts, answers."""

    async def attacks() -> dict[str, tuple[int, float]]:
        await asyncio.sleep(0.5)
        found = await asyncio.gather(*(attack(port, *item) for item in bodies.values()))
        return dict(zip(bodies, found, strict=True))

    plain = [stream(port, number % KINDS, tokens) for number in range(streams)]
    attacking = asyncio.ensure_future(attacks())
    came = await asyncio.gather(*plain)
    gaps = [gap for _, times in came for gap in np.diff(times).tolist()]
    return gaps, [text for text, _ in came], await attacking


def measure(*, streams: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Rounds without and with hostile requests, each of these with grammars that are new."""
    server = Server()
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    engine: dict[str, list[float]] = {"alone": [], "beside": []}
    answers: dict[str, tuple[int, float]] = {}
    wrong = 0
    try:
        expected = alone(tokens)
        asyncio.run(round_of(server.port, streams, 20, {}))
        server.report()
        for number in range(rounds):
            for name, p99s in found.items():
                bodies = _bodies(number) if name == "beside" else {}
                gaps, texts, came = asyncio.run(round_of(server.port, streams, tokens, bodies))
                p99s.append(1000.0 * float(np.percentile(gaps, 99)))
                engine[name].append(server.report()["cpu_p99"])
                wrong += sum(text != expected[i % KINDS] for i, text in enumerate(texts))
                answers |= came
    finally:
        server.close()
    p99 = {name: float(np.median(values)) for name, values in found.items()}
    return {
        "streams": streams,
        "tokens": tokens,
        "wrong": wrong,
        "p99_ms": found,
        "engine_cpu_ms_per_step_p99": engine,
        "ratio": p99["beside"] / p99["alone"],
        "answers": {name: {"status": status, "s": s} for name, (status, s) in answers.items()},
    }


def _bodies(number: int) -> dict[str, tuple[str, bytes]]:
    """The hostile bodies of a round; no grammar of them has been compiled in another."""
    text = {name: (path, json.dumps(body)) for name, (path, body) in hostile().items()}
    return {
        name: (path, body.replace('"x', f'"x{number}').replace("|w", f"|{number}w").encode())
        for name, (path, body) in text.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--streams", type=int, default=32, help="plain streams")
    parser.add_argument("--tokens", type=int, default=400, help="of each stream")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    options = parser.parse_args(arguments)
    measured_on = machine.describe(1)
    row = measure(streams=options.streams, tokens=options.tokens, rounds=options.rounds)
    print(report.table(("hostile request", "status", "s"), [
        (name, str(item["status"]), f"{item['s']:.2f}") for name, item in row["answers"].items()
    ]))  # fmt: skip
    print(f"99th percentile between tokens, ms: {row['p99_ms']}")
    print("processor time of the engine's thread a step, 99th percentile, ms:")
    print(f"  {row['engine_cpu_ms_per_step_p99']}")
    print(f"ratio {row['ratio']:.2f}, goal <= {GOAL}; wrong texts: {row['wrong']}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": measured_on, "rows": [row]}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 1 if row["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
