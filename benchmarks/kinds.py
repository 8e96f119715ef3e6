"""Benchmark of every lowered processor, relative to the basic one of its kind.

A truncation should take at most twice as long as top-p, an edit of some tokens leave the chain of
penalty, temperature, top-k and top-p at one and a half times its time or less. Each is checked
against its definition first.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.harness import Step, measure
from benchmarks.logits import make_rows
from benchmarks.workloads import histories_of
from decoding import BatchSampler, History, Pipeline, Sample, Sampler, chain
from decoding.kernels.backends import Backend
from decoding.processors import (
    AllowedTokens,
    BadWords,
    Dry,
    DynamicTemperature,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    EtaCutoff,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    FrequencyPenalty,
    MinP,
    MinTokens,
    NoRepeatNgram,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Xtc,
)
from decoding.typing import Processor

VOCABULARY = 128_256
# Short turns: a machine that others use changes its speed from second to second.
ROUNDS = 300
HOT = Temperature(0.8)
TRUNCATIONS: dict[str, tuple[Processor, ...]] = {
    "top_p": (HOT, TopP(0.9)),
    "typical_p": (HOT, TypicalP(0.9)),
    "min_p": (HOT, MinP(0.05)),
    "epsilon_cutoff": (HOT, EpsilonCutoff(3e-4)),
    "eta_cutoff": (HOT, EtaCutoff(3e-4)),
    "top_n_sigma": (HOT, TopNSigma(1.0)),
    "top_h": (HOT, TopH(0.4)),
    "top_h of 100": (HOT, TopH(0.4, 100)),
    "xtc": (HOT, Xtc(1.0, 1e-4)),
    "min_p, xtc": (HOT, MinP(0.05), Xtc(1.0, 0.01)),
    "dynamic temperature, min_p": (DynamicTemperature(0.8, 0.5), MinP(0.05)),
}
EDITS: dict[str, Processor] = {
    "scoped repetition, last 64": Scoped(RepetitionPenalty(1.1), "all", 64),
    "scoped frequency, all": Scoped(FrequencyPenalty(0.1), "all"),
    "dry": Dry(0.8),
    "no_repeat_ngram": NoRepeatNgram(3),
    "bad_words": BadWords([(5, 1), (7,)]),
    "sequence_bias": SequenceBias({(5, 1): 2.0, (7,): 1.0}),
    "min_tokens": MinTokens(10_000, (2,)),
    "encoder_repetition_penalty": EncoderRepetitionPenalty(1.1),
    "length_decay": ExponentialLengthDecay(10, 1.001, (2,)),
    "forced_first": ForcedFirstToken(2),
    "forced_last": ForcedLastToken((2,), 10_000),
    "suppress_tokens": SuppressTokens((2, 5)),
    "allowed_tokens": AllowedTokens(tuple(range(0, VOCABULARY, 2))),
}
CHAIN = (RepetitionPenalty(1.1), HOT, TopK(50), TopP(0.9))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kinds", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--vocab", type=int, default=VOCABULARY, help="tokens of a row")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure")
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    edits = {name: chain(CHAIN[0], edit, *CHAIN[1:]) for name, edit in EDITS.items()}
    for scale in (1.0, 3.0):
        logits = make_rows("gaussian", 1, options.vocab) * np.float32(scale)
        truncations = {name: chain(*members) for name, members in TRUNCATIONS.items()}
        for kind, yardstick, pipelines in (
            ("truncation", "top_p", truncations),
            ("edit", "chain", {"chain": chain(*CHAIN), **edits}),
        ):
            steps = {name: _step(pipeline, logits) for name, pipeline in pipelines.items()}
            timings = measure(steps, seconds=options.seconds, rounds=ROUNDS)
            for name, timing in timings.items():
                row = {
                    "kind": kind,
                    "name": name,
                    "deviation": scale,
                    "us": timing.median / 1e3,
                    f"x_{yardstick}": timing.median / timings[yardstick].median,
                    "spread": timing.spread,
                }
                print(*(f"{v:.2f}" if isinstance(v, float) else v for v in row.values()))
                rows.append(row)
    if options.json is not None:
        result = {"machine": machine.describe(1), "vocabulary": options.vocab, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


def _step(pipeline: Pipeline, logits: Any) -> Step:  # an array
    """Draws from the row, at another place of the history each time."""
    histories = histories_of(logits)
    sampler = BatchSampler([Sampler(pipeline, 7, 5)], backend=Backend.NUMBA)
    _check(pipeline, sampler, logits, histories[0])
    return lambda number: sampler(logits, histories[number % len(histories)])


def _check(pipeline: Pipeline, sampler: BatchSampler, logits: Any, history: History) -> None:
    [drawn] = sampler(logits, history)
    wanted = pipeline(logits, history)[0].astype(np.float64)
    total = np.log(np.exp(wanted - wanted.max()).sum()) + wanted.max()
    if not isinstance(drawn, Sample) or not (
        drawn.support_size == (wanted > -np.inf).sum()
        and abs(drawn.processed_logprob - (wanted[drawn.token_id] - total)) < 1e-4
    ):
        raise ValueError(f"{pipeline!r}: not what it is by definition: {drawn!r}")


if __name__ == "__main__":
    sys.exit(main())
