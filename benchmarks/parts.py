"""Benchmark of the parts of a step: each compiled pass over a row by itself.

Every pass is checked against NumPy before it is timed. What a workload costs is about the sum of
its passes and of the call from Python, so the table says what bounds it on a machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.harness import measure
from benchmarks.logits import make_rows
from benchmarks.report import table
from decoding import BatchSampler, History, Sampler
from decoding.kernels.backends import Backend
from decoding.kernels.compiled import draw, passes, step, truncation
from decoding.kernels.compiled.formats import FLOAT32, FLOAT64
from decoding.kernels.compiled.memory import RAW_END, RAW_MAX, WORK_END, Memory, allocate
from decoding.kernels.compiled.rows import Sums
from decoding.pipeline import chain
from decoding.sampling.backends import warmup

VOCABULARY = 128_256
_SEED = 7
_njit = njit(nogil=True, error_model="numpy")


class Part(NamedTuple):
    """A pass: what it is, one call of it, and whether a call's result is right."""

    name: str
    call: Callable[[], Any]
    is_right: Callable[[Any], bool]


@_njit
def _row_of(row: Any, format_: Any, end: Any) -> Any:
    return step.row_of(row.ctypes.data, format_, len(row), end)


@_njit
def _scan(row: Any, block_max: Any) -> Any:
    return passes.scan(row, block_max)


@_njit
def _survey(row: Any, block_max: Any) -> Any:
    return passes.survey(row, block_max)


@_njit
def _weigh(row: Any, largest: Any, scale: Any) -> Any:
    return passes.weigh(row, largest, scale)


@_njit
def _draw(row: Any, shadow: Any, patched: Any, block_max: Any, seed: Any, memory: Any) -> Any:
    final = draw.Final(row, shadow, patched, block_max, 1.0, passes.everything(row.width))
    return draw.draw_from_row(final, 0, seed, memory)


@_njit
def _search(row: Any, block_max: Any, memory: Any) -> Any:
    unknown = Sums(known=False, total=1.0, moment=0.0)
    is_typical = False
    found = truncation.search_by_mass(row, block_max, 1.0, unknown, 0.9, is_typical, memory)
    return found.support


@_njit
def _rank(row: Any, block_max: Any, bound: Any) -> Any:
    return passes.count_above(row, block_max, bound)


@_njit
def _copy(row: Any, shadow: Any, block_max: Any) -> Any:
    return passes.copy_row(row, passes.everything(row.width), 1.0, shadow, block_max)


@_njit
def _edit(shadow: Any, bitmask: Any) -> Any:
    passes.edit_row(shadow, bitmask, 0.0, 0.0)


def parts(row: NDArray[np.float32]) -> list[Part]:
    """The passes over a row, and the calls from Python around them."""
    *arrays, shadow = allocate(len(row))
    memory = Memory(*arrays, np.zeros((0, 1), np.int32))
    block_max = memory.doubles[RAW_MAX]
    stored = _row_of(row, FLOAT32, memory.doubles[RAW_END])
    shadow_row = _row_of(shadow, FLOAT64, memory.doubles[WORK_END])
    start = len(row) // passes.BLOCK * passes.BLOCK
    shadow[start : len(row)] = row[start:]
    patched = np.zeros(-(-len(row) // passes.BLOCK), np.int32)
    patched[start // passes.BLOCK :] = 1
    wide = row.astype(np.float64)
    largest, middle = float(wide.max()), float(np.median(wide))
    weights = np.exp(wide - largest)
    scaled = np.exp((wide - largest) * 1.25)
    reached = np.cumsum(np.sort(weights)[::-1]) < 0.9 * weights.sum()
    nucleus = 1 + int(reached.sum())
    _scan(stored, block_max)
    history = History.empty(1)
    by_numpy = BatchSampler([Sampler(chain(), _SEED)], backend=Backend.NUMPY)
    [token_id] = by_numpy.draw(row[None], history)
    bitmask = np.full(-(-len(row) // 32), -1, np.int32)
    pair = row[None, :2].copy()
    greedy, described = BatchSampler([Sampler(chain())]), BatchSampler([Sampler(chain(), None, 5)])
    return [
        Part("largest logit of every block", lambda: _scan(stored, block_max), largest.__eq__),
        Part(
            "the same, Σ exp and Σ z · exp",
            lambda: _survey(stored, block_max),
            lambda found: bool(np.allclose(found[:2], (largest, weights.sum()), rtol=1e-6)),
        ),
        Part(
            "Σ exp and Σ z · exp alone",
            lambda: _weigh(stored, largest, 1.25),
            lambda found: bool(np.isclose(found[0], scaled.sum(), rtol=1e-6)),
        ),
        Part(
            "a draw from all tokens, whose blocks' largest logits are known",
            lambda: _draw(stored, shadow_row, patched, block_max, np.uint64(_SEED), memory),
            lambda found: bool(found[0] == token_id),
        ),
        Part(
            "the boundary of top-p 0.9",
            lambda: _search(stored, block_max, memory),
            lambda found: abs(found - nucleus) <= 1,
        ),
        Part(
            "rank of a logit in the middle",
            lambda: _rank(stored, block_max, middle),
            (wide > middle).sum().__eq__,
        ),
        Part(
            "copy to a row that may be edited",
            lambda: _copy(stored, shadow, block_max),
            lambda found: found == largest and bool((shadow[: len(row)] == row).all()),
        ),
        Part(
            "add a mask's words to it",
            lambda: _edit(shadow, bitmask),
            lambda _: bool((shadow[: len(row)] == row).all()),
        ),
        Part(
            "draw from Python, of two tokens",
            lambda: greedy.draw(pair, history),
            lambda found: found == [int(pair.argmax())],
        ),
        Part(
            "describe the draw as well",
            lambda: described(pair, history),
            lambda found: found[0].token_id == int(pair.argmax()),
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="F", help="where to write the results")
    parser.add_argument("--vocab", type=int, default=VOCABULARY)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    options = parser.parse_args(arguments)
    warmup()
    [row] = make_rows("gaussian", 1, options.vocab)
    all_parts = parts(row)
    wrong = [part.name for part in all_parts if not part.is_right(part.call())]
    if wrong:
        print(f"wrong results: {', '.join(wrong)}", file=sys.stderr)
        return 1
    steps = {part.name: (lambda _, call=part.call: call()) for part in all_parts}
    timings = measure({"floor": lambda _: row.max(), **steps}, seconds=options.seconds)
    floor = timings["floor"].median
    rows = [
        {"part": name, "us": timing.median / 1e3, "spread": timing.spread,
         "x_floor": timing.median / floor}
        for name, timing in timings.items()
    ]  # fmt: skip
    cells = ([row["part"], f"{row['us']:.1f}", f"{row['x_floor']:.1f}"] for row in rows)
    print(table(("part", "µs", "× floor"), cells))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": machine.describe(1), "vocab": options.vocab, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
