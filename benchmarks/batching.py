"""Continuous batching: tokens a second by batch size, and what a joining request costs.

Throughput is that of SmolLM2 in torch. Its tokens in a batch are checked to be those of each
request alone before anything is timed. What a joining request costs is measured over logits that
exist beforehand, so that the model costs nothing: the time of a step in which one request joins and
one leaves, less that of a step in which nobody does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.engine import Precomputed
from decoding import Engine, GenerationParameters, LanguageModel, Request
from decoding.models import load
from decoding.sampling.backends import warmup

BATCHES = (1, 2, 4, 8, 16)
PROMPT_LENGTH = 64
NEW_TOKENS = 16
GOALS = {2: 1.0, 4: 1.0, 8: 3.0, 16: 1.0}
"""Tokens a second over those of batch 1, at least, by batch size."""
JOIN_GOAL = 0.1
"""Of a step of 5 milliseconds: most that a joining request delays others."""


def prompts(count: int) -> list[list[int]]:
    """Prompts of token ids that have nothing in common."""
    return [
        [(7919 * (row + 1) + 31 * place) % 49_000 + 100 for place in range(PROMPT_LENGTH)]
        for row in range(count)
    ]


def answer(model: LanguageModel, batch: int) -> tuple[float, list[list[int]]]:
    """The fewest seconds per step while a whole batch decodes, and each request's tokens."""
    engine = Engine(model, prefill_chunk=None)
    asked = GenerationParameters(max_new_tokens=NEW_TOKENS)
    generations = [engine.submit(Request(prompt, asked)) for prompt in prompts(batch)]
    engine.step()
    steps: list[float] = []
    while engine.busy:
        start = time.perf_counter()
        engine.step()
        steps.append(time.perf_counter() - start)
    tokens = [[token.id for token in item.result().tokens] for item in generations]
    return min(steps), tokens


def throughput(model: LanguageModel, rounds: int) -> list[dict[str, Any]]:
    """A row a batch size: tokens a second, and their ratio to those of batch 1.

    Raises:
        SystemExit: a batch gives other tokens than its requests alone.
    """
    no_eos = LanguageModel(forward=model.forward, logits_width=model.logits_width)
    if answer(no_eos, max(BATCHES))[1][0] != answer(no_eos, 1)[1][0]:
        raise SystemExit("a request's tokens in a batch are not those that it has alone")
    least = dict.fromkeys(BATCHES, np.inf)
    for _ in range(rounds):
        for batch in BATCHES:
            least[batch] = min(least[batch], answer(no_eos, batch)[0])
    single = 1 / least[1]
    return [
        {
            "batch": batch,
            "ms_per_step": round(least[batch] * 1000, 2),
            "tokens_per_second": round(batch / least[batch], 1),
            "ratio": round(batch / least[batch] / single, 2),
            "goal": GOALS.get(batch),
        }
        for batch in BATCHES
    ]


def joining(batch: int, rounds: int) -> dict[str, Any]:
    """Microseconds by which a joining and a leaving request delay a step, the median."""
    engine = Engine(LanguageModel(forward=Precomputed(batch + 1)))
    asked = GenerationParameters(
        max_new_tokens=4 * rounds + batch, seed=7, repetition_penalty=1.1, temperature=0.8, top_k=50
    )
    for row in range(batch):
        engine.submit(Request([100 + row] * PROMPT_LENGTH, asked))
    while engine.waiting:
        engine.step()
    short = GenerationParameters(max_new_tokens=1, seed=3, temperature=0.8, top_p=0.9)
    still: list[float] = []
    moving: list[float] = []
    for number in range(rounds):
        for times, joins in ((still, False), (moving, True)):
            start = time.perf_counter()
            if joins:
                engine.submit(Request([number % 100 + 100] * PROMPT_LENGTH, short))
            engine.step()
            times.append((time.perf_counter() - start) * 1e6)
    cost = float(np.median(moving) - np.median(still))
    return {
        "batch": batch,
        "us_per_step": round(float(np.median(still)), 1),
        "us_joining": round(cost, 1),
        "share_of_5_ms": round(cost / 5000, 3),
        "goal": JOIN_GOAL,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--rounds", type=int, default=3, help="of every batch size")
    options = parser.parse_args(arguments)
    measured_on = machine.describe(1)
    warmup()
    joined = [joining(batch, 50 * options.rounds) for batch in (1, 8, 64)]
    print(report.table(tuple(joined[0]), ([str(cell) for cell in row.values()] for row in joined)))
    rows = throughput(load("smollm2"), options.rounds)
    print(report.table(tuple(rows[0]), ([str(cell) for cell in row.values()] for row in rows)))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": measured_on, "throughput": rows, "joining": joined}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
