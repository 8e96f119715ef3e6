"""The laws of processors over every backend and format, for as many rows as are wanted.

    python -m benchmarks.law_run --examples 1000000 --seed 0 --json FILE

An example is a row of logits with its history. Each documented truncation, penalty and chain is run
by each backend's kernel as `check_processor` runs a stranger's function: rows of all kinds in
batches of up to 128, aimed at the claim's own cuts, judged in float64. A kernel is a function of
logits in two ways, and both are run:

    edit   the rows that the kernel's program makes of the logits
    step   the logprobs of the tokens that stay, as the description of a draw lists them

The examples are divided among ways, backends, formats and claims. Every run ends with rows of
2,000 to 200,000 tokens, one a batch. FILE gets one JSON object a line: what was run, with which
seed, how many batches and rows, how long, and the counterexample where a law was broken. Each line
can be run again by its own seed and counts. The exit status is 1 after a violation.

Triton edits no rows by itself, so that only its steps are run, of the claims that it has kernels
for. Without a CUDA device its kernels are interpreted, which is slow: it gets `INTERPRETED` times
fewer examples, and no wide rows. Steps of NumPy and torch get `SLOW` times fewer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from decoding import compilation
from decoding.history import History
from decoding.kernels.backends import Backend, open_kernel
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.program import Batch, assemble
from decoding.kernels.result import EMPTY_SUPPORT, OK
from decoding.logits import as_rows
from decoding.pipeline import chain
from decoding.processors import (
    Dry,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    MinP,
    NoRepeatNgram,
    PLess,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopA,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.testing import CheckFailedError, check_processor
from decoding.testing.cases import FORMATS, WIDEST
from decoding.testing.laws import log_softmax

CLAIMS: tuple[tuple[Any, ...], ...] = (
    (Temperature(0.7),),
    (TopK(5),),
    (TopK(40, keep_ties=False),),
    (TopP(0.9),),
    (MinP(0.05),),
    (TypicalP(0.7),),
    (EpsilonCutoff(0.003),),
    (EtaCutoff(0.003),),
    (TopA(0.3),),
    (PLess(),),
    (TopNSigma(1.0),),
    (TopH(0.4),),
    (DynamicTemperature(1.0, 0.5),),
    (RepetitionPenalty(1.3),),
    (FrequencyPenalty(0.7),),
    (PresencePenalty(0.7),),
    (Dry(0.8, dry_allowed_length=1),),
    (NoRepeatNgram(2),),
    (Temperature(0.7), TopK(40)),
    (Temperature(0.7), TopP(0.9)),
    (Temperature(1.3), MinP(0.1)),
    (RepetitionPenalty(1.1), Temperature(0.8), TopK(40), TopP(0.95)),
)
"""The claims, each a pipeline."""

ROWS = 128
"""The largest batch; half as many rows on average."""
NOISY = 16
"""One row in so many is drawn with noise, the others greedily: noise takes NumPy long."""
LISTED = 1000
"""The most tokens that a step is asked to list."""
INTERPRETED = 4000
"""How many examples compiled kernels get where Triton's interpreter gets one."""
SLOW = 8
"""The same for steps of NumPy and torch, which draw with array operations row by row."""
WIDE = (2000, 20_000, 100_000, WIDEST - 8)
"""The least widths of wide rows, one after the other."""

Way = Literal["edit", "step"]
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Place:
    """What runs a claim: a backend in one of its ways, on logits of a format."""

    backend: Backend
    way: Way
    format: str

    @property
    def is_interpreted(self) -> bool:
        return self.backend is Backend.TRITON and not has_device()

    @property
    def share(self) -> float:
        """How many examples it gets; 1 for the quick ones."""
        if self.is_interpreted:
            return 1.0 / INTERPRETED
        return 1.0 / SLOW if self.way == "step" and self.backend is not Backend.NUMBA else 1.0


PLACES = tuple(
    Place(backend, way, name)
    for backend in Backend
    for way in ("edit", "step")
    for name in FORMATS
    if backend is not Backend.TRITON or (way == "step" and name != "float64")
)
"""Everything that runs claims."""


@dataclass(frozen=True, slots=True)
class Run:
    """One claim at one place. widths: the least and the largest. broken: the counterexample."""

    backend: str
    way: str
    format: str
    claim: str
    seed: int
    batches: int
    largest: int
    widths: tuple[int, int] | None
    rows: int
    seconds: float
    broken: str


def has_device() -> bool:
    """Whether Triton compiles for a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())


def batch_of(processors: Sequence[Any], rows: int, described: int) -> Batch:
    """The program of a batch whose rows all have the same processors; most draw greedily."""
    lowered = tuple(item for processor in processors for item in processor.lower())
    return Batch(
        assemble([lowered] * rows),
        np.arange(rows, dtype=np.uint64),
        np.arange(rows) % NOISY != 0,
        np.full(rows, described, np.int64),
    )


def edited(processors: Sequence[Any], backend: Backend, logits: Any, history: History) -> Any:
    """The rows that a kernel's program makes of logits; −inf in those that it empties."""
    values, emptied = open_kernel(batch_of(processors, len(logits), 0), backend).edit(
        _rows(logits, backend), _no_masks(logits), *_arrays(history)
    )
    values = np.array(values, np.float64)
    values[np.asarray(emptied) >= 0] = -np.inf
    return values


def described(processors: Sequence[Any], backend: Backend, logits: Any, history: History) -> Any:
    """The logprobs of the tokens that stay, as a step lists them; −inf in rows that it empties.

    Of tokens beyond `LISTED` the logits are those that the program makes of them. The largest logit
    is added to each row, so that a narrow format holds what stays.
    """
    count, width = logits.shape
    kernel = open_kernel(batch_of(processors, count, min(width, LISTED)), backend)
    rows = _rows(logits, backend)
    result = kernel.step(rows, rows, _no_masks(logits), *_arrays(history), describe=True)
    outcomes, top = result.rows.copy(), result.top.copy()
    values = np.full((count, width), -np.inf)
    beyond = outcomes["support_size"] > LISTED
    if beyond.any():
        whole = edited(processors, backend, logits, history)
        values[beyond] = log_softmax(whole[beyond])
    for row, outcome in enumerate(outcomes):
        if outcome["status"] == EMPTY_SUPPORT:
            continue
        listed = top[outcome["top_start"] :][: outcome["top_count"]]
        _agree(values[row], listed, outcome, is_greedy=row % NOISY != 0)
        values[row, listed["token_id"]] = listed["processed_logprob"]
    return values + np.max(_float64(logits), axis=1, keepdims=True)


def _agree(unlisted: Any, listed: Any, outcome: Any, *, is_greedy: bool) -> None:
    """Raise `AssertionError` where parts of one row's description contradict each other."""
    drawn, size = outcome["token_id"], outcome["support_size"]
    if outcome["status"] != OK or not len(listed):
        raise AssertionError(f"status {outcome['status']}, {len(listed)} tokens listed")
    if size <= LISTED and len(listed) != size:
        raise AssertionError(f"{len(listed)} tokens are listed, {size} stay")
    if len(listed) < size:
        others = np.delete(unlisted, listed["token_id"])
        if int((unlisted > -np.inf).sum()) != size:
            raise AssertionError(f"{int((unlisted > -np.inf).sum())} tokens stay, not {size}")
        if others.max() > listed["processed_logprob"][-1] + 1e-4:
            raise AssertionError(f"a token of logprob {others.max()} is not listed")
    elif drawn not in listed["token_id"]:
        raise AssertionError(f"token {drawn} is drawn and does not stay")
    if is_greedy and drawn != listed["token_id"][0]:
        raise AssertionError(f"token {drawn} is drawn, {listed['token_id'][0]} is the likeliest")


def candidate_of(processors: Sequence[Any], backend: Backend, way: Way) -> Function:
    """A backend's kernel as a function of logits, and of a history where a processor reads one."""
    made = edited if way == "edit" else described

    def with_history(logits: Any, history: History) -> Any:
        values = made(processors, backend, logits, history)
        return _like(values, logits)

    def without(logits: Any) -> Any:
        return with_history(logits, History.empty(len(logits)))

    reads = any(processor.facts.needs_history for processor in processors)
    return with_history if reads else without


def _rows(logits: Any, backend: Backend) -> Any:
    if backend not in (Backend.TORCH, Backend.TRITON):
        return as_rows(logits)
    import torch

    return logits if hasattr(logits, "detach") else torch.from_numpy(logits.copy())


def _float64(logits: Any) -> Any:
    return logits.double().numpy() if hasattr(logits, "detach") else logits.astype(np.float64)


def _no_masks(logits: Any) -> Any:
    return np.zeros((0, -(-logits.shape[1] // 32)), np.int32)


def _arrays(history: History) -> tuple[Any, Any, Any]:
    return history.token_ids, history.lengths, history.prompt_lengths


def _like(values: Any, logits: Any) -> Any:
    """Values in the format of logits; what is finite stays finite."""
    if hasattr(logits, "detach"):
        import torch

        least = torch.finfo(logits.dtype).min
        values = np.where(values > -np.inf, np.maximum(values, least), values)
        return torch.from_numpy(values).to(logits.dtype)
    values = np.where(values > -np.inf, np.maximum(values, np.finfo(logits.dtype).min), values)
    return values.astype(logits.dtype)


def claim_of(processors: Sequence[Any], way: Way) -> Any:
    """What a candidate claims to be.

    Logprobs are logits but for a constant, which truncations and pipelines may add and edits not.
    """
    alone = len(processors) == 1 and (way == "edit" or processors[0].facts.only_removes)
    return processors[0] if alone else chain(*processors)


def run_one(
    processors: Sequence[Any],
    place: Place,
    seed: int,
    batches: int,
    largest: int = ROWS,
    widths: tuple[int, int] | None = None,
) -> Run:
    """Check one claim. largest: of the batches."""
    started, broken, rows = time.monotonic(), "", 0
    claim = claim_of(processors, place.way)
    try:
        report = check_processor(
            candidate_of(processors, place.backend, place.way),
            claim,
            examples=batches,
            rows=largest,
            seed=seed,
            widths=widths,
            format=place.format,
        )
        rows = report.rows
    except CheckFailedError as error:
        broken = str(error)
    seconds = round(time.monotonic() - started, 2)
    return Run(
        place.backend,
        place.way,
        place.format,
        repr(claim),
        seed,
        batches,
        largest,
        widths,
        rows,
        seconds,
        broken,
    )


def has_kernel(processors: Sequence[Any], backend: Backend) -> bool:
    """Whether a backend runs a claim by its own kernels."""
    if backend is not Backend.TRITON:
        return True
    from decoding.kernels.gpu.plans import plan

    return plan(batch_of(processors, 1, 0)) is not None


def runs(examples: int, seed: int, places: Sequence[Place]) -> Iterator[Run]:
    """All runs; the seeds count up from `seed`."""
    work = [
        (processors, place)
        for place in places
        for processors in CLAIMS
        if has_kernel(processors, place.backend)
    ]
    each = examples / sum(place.share for _, place in work)
    if any(place.backend is Backend.NUMBA for place in places):
        compilation.loader().wait(GROUPS["float32"])
    for processors, place in work:
        largest = 4 if place.is_interpreted else ROWS
        # Wide rows come alone, so that the mean of a batch is a little less than half the largest.
        batches = max(1, math.ceil(each * place.share / (0.48 * largest)))
        yield run_one(processors, place, seed, batches, largest)
        if not place.is_interpreted:
            widths = (WIDE[seed // 2 % len(WIDE)], WIDEST)
            yield run_one(processors, place, seed + 1, 1, 1, widths)
        seed += 2


def main() -> int:
    # What Triton is told when it is imported.
    os.environ.setdefault("TRITON_INTERPRET", "0" if has_device() else "1")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", action="append", choices=[*Backend])
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    places = [
        place
        for place in PLACES
        if place.backend in (given.backend or Backend) and place.format in (given.format or FORMATS)
    ]
    total: Counter[str] = Counter()
    broken = 0
    for run in runs(given.examples, given.seed, places):
        total[f"{run.backend} {run.way} {run.format}"] += run.rows
        broken += bool(run.broken)
        line = json.dumps(asdict(run), ensure_ascii=False)
        if given.json:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        if run.broken:
            print(line, flush=True)
    for name, rows in total.items():
        print(f"{rows:>10,} {name}")
    print(f"{total.total():,} examples, {broken} violations")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
