"""The laws of processors over every backend and format, for as many examples as are wanted.

    python -m benchmarks.law_run --examples 1000000 --seed 0 --json FILE

Each documented truncation, penalty and chain is run by each backend's kernel as `check_processor`
runs a stranger's function: rows of all kinds, aimed at the claim's own cuts, judged in float64. The
examples are divided among backends, formats and claims. FILE gets one JSON object a line: what was
run, with which seed, how many examples, how long, and the counterexample where a law was broken.
Each line can be run again by its own seed and count. The exit status is 1 after a violation.

Triton's kernels edit no rows by themselves; `tests/property/triton` compares their tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decoding import compilation
from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.program import Batch, assemble
from decoding.logits import as_rows
from decoding.pipeline import chain
from decoding.processors import (
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.testing import CheckFailedError, check_processor
from decoding.testing.cases import FORMATS

BACKENDS = (Backend.NUMPY, Backend.NUMBA, Backend.TORCH)
CLAIMS: tuple[tuple[Any, ...], ...] = (
    (Temperature(0.7),),
    (TopK(5),),
    (TopK(40, keep_ties=False),),
    (TopP(0.9),),
    (MinP(0.05),),
    (TypicalP(0.7),),
    (EpsilonCutoff(0.003),),
    (EtaCutoff(0.003),),
    (TopNSigma(1.0),),
    (TopH(0.4),),
    (RepetitionPenalty(1.3),),
    (FrequencyPenalty(0.7),),
    (PresencePenalty(0.7),),
    (Temperature(0.7), TopK(40)),
    (Temperature(0.7), TopP(0.9)),
    (Temperature(1.3), MinP(0.1)),
    (RepetitionPenalty(1.1), Temperature(0.8), TopK(40), TopP(0.95)),
)
"""The claims, each a pipeline."""


@dataclass(frozen=True, slots=True)
class Run:
    """One claim on one backend and format. broken: the counterexample, empty for none."""

    backend: str
    format: str
    claim: str
    seed: int
    examples: int
    seconds: float
    broken: str


def candidate_of(processors: Sequence[Any], backend: Backend) -> Callable[..., Any]:
    """A backend's kernel as a function of logits and a history."""
    lowered = tuple(item for processor in processors for item in processor.lower())

    def kernel(logits: Any, history: History) -> Any:
        count = len(logits)
        batch = Batch(
            assemble([lowered] * count),
            np.zeros(count, np.uint64),
            np.zeros(count, np.bool_),
            np.zeros(count, np.int64),
        )
        rows = as_rows(logits)
        if backend is Backend.TORCH:
            import torch

            rows = logits if hasattr(logits, "detach") else torch.from_numpy(logits.copy())
        values, _ = open_kernel(batch, backend).edit(
            rows,
            np.zeros((0, -(-logits.shape[1] // 32)), np.int32),
            history.token_ids,
            history.lengths,
            history.prompt_lengths,
        )
        if hasattr(logits, "detach"):
            import torch

            return torch.from_numpy(np.array(values)).to(logits.dtype)
        return values.astype(logits.dtype)

    return kernel


def run_one(
    processors: Sequence[Any], backend: Backend, name: str, seed: int, examples: int
) -> Run:
    """Check one claim."""
    claim = processors[0] if len(processors) == 1 else chain(*processors)
    started, broken = time.monotonic(), ""
    try:
        check_processor(
            candidate_of(processors, backend), claim, examples=examples, seed=seed, format=name
        )
    except CheckFailedError as error:
        broken = str(error)
    seconds = round(time.monotonic() - started, 2)
    return Run(backend, name, repr(claim), seed, examples, seconds, broken)


def runs(
    examples: int, seed: int, backends: Sequence[Backend], formats: Sequence[str]
) -> Iterator[Run]:
    """All runs; the seeds count up from `seed`."""
    each = max(1, -(-examples // (len(backends) * len(formats) * len(CLAIMS))))
    for backend in backends:
        if backend is Backend.NUMBA:
            compilation.loader().wait(GROUPS["float32"])
        for name in formats:
            for processors in CLAIMS:
                yield run_one(processors, backend, name, seed, each)
                seed += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", action="append", choices=[*BACKENDS])
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    backends = [Backend(item) for item in given.backend or BACKENDS]
    total = broken = 0
    for run in runs(given.examples, given.seed, backends, given.format or FORMATS):
        total += run.examples
        broken += bool(run.broken)
        line = json.dumps(asdict(run), ensure_ascii=False)
        print(line, flush=True)
        if given.json:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
    print(f"{total:,} examples, {broken} violations")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
