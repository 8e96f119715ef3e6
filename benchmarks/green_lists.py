"""Benchmark of green lists: computed anew, and cached over real texts.

Texts of SmolLM2, watermarked as TGI does: a list depends on the last token alone, so that texts ask
for many lists again. The lists are of a vocabulary of 128,256; every list is checked first against
the definition. The goal is 20 µs a step for TGI's scheme, ten floors for Philox's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks import machine
from decoding import Engine, GenerationParameters, Request, load
from decoding.watermark.presets import philox, tgi
from decoding.watermark.scheme import LISTS_KEPT, Scheme, packed_green

VOCABULARY = 128_256
SUBJECTS = (
    "the sea",
    "a lost letter",
    "how bread is made",
    "an old railway",
    "the history of glass",
    "a garden in winter",
    "learning to play chess",
    "why leaves turn red",
    "a mountain village",
    "the first telephone",
    "what birds eat",
    "a detective in London",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.green_lists", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--tokens", type=int, default=500, help="of a text")
    parser.add_argument("--texts", type=int, default=len(SUBJECTS))
    options = parser.parse_args(arguments)
    texts = _texts(options.texts, options.tokens)
    clock = median(_asked() for _ in range(1000))
    rows = []
    for name, scheme in (("tgi", tgi()), ("philox", philox())):
        _check(scheme)
        fresh = [_cost(scheme, [token]) - clock for token in range(1000, 1100)]
        packed_green.__globals__["_packed"].cache_clear()
        by_text = [mean(_cost(scheme, context) - clock for context in text) for text in texts]
        again = [mean(_cost(scheme, context) - clock for context in text) for text in texts]
        rows.append(
            {
                "scheme": name,
                "us_fresh": median(fresh),
                "us_a_step_first_text": by_text[0],
                "us_a_step_last_text": by_text[-1],
                "us_a_step_all_texts": mean(by_text),
                "us_a_step_all_kept": mean(again),
                "distinct_share_of_a_text": mean(
                    len({tuple(context) for context in text}) / len(text) for text in texts
                ),
            }
        )
        print(rows[-1])
    if options.json is not None:
        result: dict[str, Any] = {
            "machine": machine.describe(1),
            "vocabulary": VOCABULARY,
            "lists_kept": LISTS_KEPT,
            "texts": len(texts),
            "tokens_a_text": options.tokens,
            "us_clock": clock,
            "rows": rows,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


def _texts(count: int, length: int) -> list[list[list[int]]]:
    """Of every text the contexts of its steps: the token before."""
    engine = Engine(load())
    asked = GenerationParameters(max_new_tokens=length, temperature=0.9, seed=1, watermark=True)
    started = [
        engine.submit(Request(f"A long story about {subject}.\n\n", asked))
        for subject in SUBJECTS[:count]
    ]
    while engine.busy:
        engine.step()
    every = [[token.id for token in item.result().tokens] for item in started]
    return [[[before] for before, _ in pairwise(text)] for text in every]


def _check(scheme: Scheme) -> None:
    words = packed_green(scheme, [7], VOCABULARY)
    green = scheme.green([7], VOCABULARY)
    for token_id in range(0, VOCABULARY, 997):
        bit = bool(words[token_id // 32] >> np.int32(token_id % 32) & 1)
        if not bit == green[token_id] == scheme.is_green([7], token_id, VOCABULARY):
            raise ValueError(f"{scheme!r}: the lists differ at token {token_id}")


def _asked() -> float:
    """What it takes to ask the clock, which is no part of a list."""
    start = time.thread_time_ns()
    return (time.thread_time_ns() - start) / 1e3


def _cost(scheme: Scheme, context: Sequence[int]) -> float:
    # The thread's own time: a mean over a text should not hold what other processes take.
    start = time.thread_time_ns()
    packed_green(scheme, context, VOCABULARY)
    return (time.thread_time_ns() - start) / 1e3


if __name__ == "__main__":
    sys.exit(main())
