"""Benchmark of the whole generation loop around the sampler.

The forward pass returns logits that exist beforehand, so that it costs nothing. What the batch
sampler takes is measured inside the loop, on the same calls, and subtracted.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine, report
from benchmarks.logits import make_rows
from decoding import Engine, GenerationParameters, History, LanguageModel, Request
from decoding.cache import cache_folder
from decoding.engine import drawing
from decoding.models.fetch import KNOWN_MODELS
from decoding.sampling.batch import BatchSampler
from decoding.vocabulary import Tokenizer, Vocabulary

VOCABULARY = 49_152
PROMPT_LENGTH = 64
GOALS = {1: 150.0, 32: 50.0}
"""Microseconds a token around the sampler, at most, by batch size."""

_PLAIN = GenerationParameters(
    max_new_tokens=64, details=True, top_n_tokens=5, stop=["<|never|>", "\n\n\n\n"]
)
_CHAIN = GenerationParameters(
    max_new_tokens=64,
    details=True,
    top_n_tokens=5,
    stop=["<|never|>", "\n\n\n\n"],
    seed=7,
    repetition_penalty=1.1,
    temperature=0.8,
    top_k=50,
    top_p=0.9,
)


class Precomputed:
    """A `CachedModel` that gives the next of a few arrays of logits at every call."""

    def __init__(self, batch: int) -> None:
        rows = make_rows("gaussian", 4 * batch, VOCABULARY)
        self._logits = [rows[start : start + batch] for start in range(0, 4 * batch, batch)]
        self._calls = 0

    def start(self) -> Any:  # opaque
        """A state that holds nothing, as all do."""
        return object()

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool = False
    ) -> tuple[list[Any], NDArray[np.float32]]:
        """States that hold nothing, each an object of its own."""
        del all_positions
        states = [self.start() for _ in prompts]
        return states, self.extend(states, prompts)

    def extend(
        self,
        states: Sequence[Any],
        token_ids: Sequence[Sequence[int]],
        *,
        all_positions: bool = False,
    ) -> NDArray[np.float32]:
        """A row a sequence."""
        del token_ids, all_positions
        self._calls += 1
        return self._logits[self._calls % len(self._logits)][: len(states)]

    def fork(self, state: Any) -> Any:  # opaque
        """Another state that holds nothing."""
        del state
        return self.start()

    def rollback(self, state: Any, count: int) -> None:
        """Nothing to forget."""

    def release(self, state: Any) -> None:
        """Nothing to give back."""


class TimedSampler(BatchSampler):
    """Adds up the time of its calls."""

    spent = 0

    def __call__(self, logits: Any, history: History, states: Any = None) -> Any:
        """As a batch sampler's."""
        start = time.thread_time_ns()
        drawn = super().__call__(logits, history, states)
        TimedSampler.spent += time.thread_time_ns() - start
        return drawn


class RecordedSampler(BatchSampler):
    """Gives again what was drawn before: the loop without the sampler, for the profiler."""

    drawn: ClassVar[list[Any]] = []
    number = 0

    def __call__(self, logits: Any, history: History, states: Any = None) -> Any:
        """The next of the recorded draws; a new one after the last."""
        RecordedSampler.number += 1
        if RecordedSampler.number > len(self.drawn):
            self.drawn.append(super().__call__(logits, history, states))
        return self.drawn[RecordedSampler.number - 1]


class Words:
    """A tokenizer for a machine without the model: every token is a short word."""

    vocabulary = Vocabulary([b" w%x" % token_id for token_id in range(VOCABULARY)])

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """A token a character."""
        del add_special_tokens
        return [ord(character) % VOCABULARY for character in text]


def load_tokenizer() -> tuple[str, Tokenizer]:
    """SmolLM2's where its file is in the cache, which is not asked for it; and its name."""
    path = cache_folder() / KNOWN_MODELS["smollm2"].file_name
    if not path.exists():
        return "words", Words()
    from decoding.models.gguf import GGUFFile
    from decoding.models.tokenizer import HuggingFaceTokenizer

    return "smollm2", HuggingFaceTokenizer.from_gguf(GGUFFile.open(path).metadata, path)


def run(model: LanguageModel, parameters: GenerationParameters, batch: int) -> tuple[int, int, int]:
    """Answer a batch of requests: nanoseconds in all, those in the sampler, and tokens."""
    prompt = list(range(100, 100 + PROMPT_LENGTH))
    TimedSampler.spent = 0
    start = time.thread_time_ns()
    engine = Engine(model)
    generations = [engine.submit(Request([*prompt, row], parameters)) for row in range(batch)]
    while engine.busy:
        for generation in engine.step():
            generation.take_events()
    responses = [generation.result() for generation in generations]
    total = time.thread_time_ns() - start
    return total, TimedSampler.spent, sum(len(item.tokens) for item in responses)


def measure(
    name: str, tokenizer: Tokenizer, batch: int, *, chain: bool, seconds: float
) -> dict[str, Any]:
    """One row of the JSON file: medians over several batches of requests."""
    model = LanguageModel(forward=Precomputed(batch), tokenizer=tokenizer)
    parameters = _CHAIN if chain else _PLAIN
    run(model, parameters, batch)
    totals: list[float] = []
    around: list[float] = []
    start = time.perf_counter()
    while len(totals) < 3 or time.perf_counter() - start < seconds:
        total, sampler, tokens = run(model, parameters, batch)
        totals.append(total / 1000 / tokens)
        around.append((total - sampler) / 1000 / tokens)
    low, median, high = np.quantile(around, (0.25, 0.5, 0.75))
    return {
        "batch": batch,
        "chain": chain,
        "tokenizer": name,
        "vocab": VOCABULARY,
        "us_per_token": round(float(np.median(totals)), 2),
        "us_around_sampler": round(float(median), 2),
        "spread": round(float((high - low) / median), 3),
        "runs": len(totals),
        "goal": GOALS.get(batch),
    }


def profile(model: LanguageModel, batch: int) -> str:
    """Where the loop spends its time, but for the sampler's calls."""
    profiler = cProfile.Profile(time.thread_time)
    RecordedSampler.drawn.clear()
    with mock.patch.object(drawing, "BatchSampler", RecordedSampler):
        RecordedSampler.number = 0
        run(model, _CHAIN, batch)
        RecordedSampler.number = 0
        with profiler:
            run(model, _CHAIN, batch)
    places: Any = pstats.Stats(profiler).stats
    tokens = batch * (_CHAIN.max_new_tokens or 1)
    lines = sorted(
        (
            (own / tokens * 1e6, total / tokens * 1e6, calls / tokens, f"{Path(file).name}:{name}")
            for (file, _, name), (_, calls, own, total, _) in places.items()
        ),
        reverse=True,
    )
    cells = ((f"{a:.2f}", f"{b:.2f}", f"{c:.2f}", name) for a, b, c, name in lines[:30])
    return report.table(("own µs/token", "with callees", "calls/token", "function"), cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args(arguments)
    measured_on = machine.describe(1)
    name, tokenizer = load_tokenizer()
    with mock.patch.object(drawing, "BatchSampler", TimedSampler):
        rows = [
            measure(name, tokenizer, batch, chain=chain, seconds=options.seconds)
            for batch in GOALS
            for chain in (True, False)
        ]
    print(table(rows))
    if options.profile:
        for batch in GOALS:
            model = LanguageModel(forward=Precomputed(batch), tokenizer=tokenizer)
            print(f"\nbatch {batch}, under a profiler\n{profile(model, batch)}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": measured_on, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row, with its goal."""
    header = ("batch", "chain", "µs/token", "around the sampler", "spread", "goal", "")
    cells = (
        (
            str(row["batch"]),
            "sampling" if row["chain"] else "greedy",
            f"{row['us_per_token']:,.1f}",
            f"{row['us_around_sampler']:.1f}",
            f"{row['spread']:.0%}",
            f"≤ {row['goal']:g}",
            "met" if row["us_around_sampler"] <= row["goal"] else "NOT met",
        )
        for row in rows
    )
    return report.table(header, cells)


if __name__ == "__main__":
    sys.exit(main())
