"""Benchmark of the parts of a step: each compiled pass over a row by itself.

Every pass is checked against NumPy before it is timed. The workloads of `benchmarks.hot_loop` are
timed beside them, in the same rounds: what one costs is about the sum of the passes that it cannot
do without and of the call from Python. So the second table says what keeps one from its goal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.checks import Expected
from benchmarks.goals import TARGETS
from benchmarks.harness import measure
from benchmarks.logits import make_rows
from benchmarks.ours import OURS, OurStep
from benchmarks.report import GOAL_HEADER, goal_cells, table
from benchmarks.workloads import POSITIONS, make_problem
from decoding import BatchSampler, History, Sampler
from decoding.kernels.backends import Backend
from decoding.kernels.compiled import draw, final, masks, passes, step, survey, truncation
from decoding.kernels.compiled.formats import BFLOAT16, FLOAT32
from decoding.kernels.compiled.masks import add_mask
from decoding.kernels.compiled.memory import RAW_END, RAW_MAX, WORK_END, Memory, allocate
from decoding.kernels.compiled.state import Step, begin
from decoding.kernels.rows import widen
from decoding.pipeline import chain
from decoding.sampling.backends import warmup

VOCABULARY = 128_256
_SEED = 7
_njit = njit(nogil=True, error_model="numpy")

SCAN = "largest logit of every block"
SURVEY = "the same and Σ exp"
SUMS = "the same, Σ exp and Σ z · exp"
TWICE = "the same, Σ exp, and both at another temperature"
WEIGH = "Σ exp and Σ z · exp alone"
DRAW = "a draw from all tokens, whose blocks' largest logits are known"
TOP_P = "the boundary of top-p 0.9, Σ exp with it"
TYPICAL = "the boundary of typical-p 0.9, of known Σ exp"
MASK = "largest logit of every block after a mask"
CALL, DESCRIBED_CALL = "draw from Python, of two tokens", "describe the draw as well"
NARROW = "of bfloat16: "
"""What a row costs in half precision, beside the same in float32 in a NumPy array."""
NEEDS = {
    "greedy": (SCAN, CALL),
    "draw": (SCAN, DRAW, CALL),
    "temperature": (TWICE, DRAW, DESCRIBED_CALL),
    "min_p": (SURVEY, DESCRIBED_CALL),
    "chain": (SURVEY, DESCRIBED_CALL),
    "top_p": (SURVEY, TOP_P, DESCRIBED_CALL),
    "typical": (SUMS, TYPICAL, DESCRIBED_CALL),
    "everything": (SURVEY, MASK, DESCRIBED_CALL),
}
"""The passes over the whole row that a workload cannot do without, and the call around them."""


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
def _survey(row: Any, block_max: Any, temperature: Any) -> Any:
    found = survey.survey(row, block_max, temperature)
    return found.largest, found.total, found.scaled, found.moment


@_njit
def _weigh(row: Any, largest: Any, scale: Any) -> Any:
    return passes.weigh(row, largest, scale)


@_njit
def _nothing(row: Any, block_max: Any) -> Any:
    return block_max[row.width // passes.BLOCK]


@njit(inline="always")
def _begun(row: Any, memory: Any, arrays: Any) -> Any:
    nothing = np.zeros(0, np.int32)
    begun = Step(nothing, 0, nothing, nothing, 0, row.width, 0, arrays[0], memory, arrays[1][0])
    begin(begun, row, RAW_MAX, 0.0)
    return begun


@_njit
def _draw(row: Any, arrays: Any, memory: Any, seed: Any) -> Any:
    begun = _begun(row, memory, arrays)
    final.bound_blocks(begun)
    return draw.draw_from_row(begun, seed)


@_njit
def _search(row: Any, arrays: Any, memory: Any) -> Any:
    is_typical = False
    return truncation.search_by_mass(_begun(row, memory, arrays), 0.9, is_typical).support


@_njit
def _search_typical(row: Any, arrays: Any, memory: Any, total: Any, moment: Any) -> Any:
    begun = _begun(row, memory, arrays)
    is_typical, state = True, begun.state
    state.sums_temperature, state.total, state.moment = 1.0, total, moment
    return truncation.search_by_mass(begun, 0.9, is_typical).support


@_njit
def _rank(row: Any, block_max: Any, bound: Any) -> Any:
    return passes.count_above(row, block_max, bound)


@_njit
def _mask(row: Any, arrays: Any, memory: Any) -> Any:
    begun = _begun(row, memory, arrays)
    is_ban = True
    add_mask(begun, memory.bitmasks[0], 2.0, not is_ban)
    add_mask(begun, memory.bitmasks[0], 0.0, is_ban)
    return masks.scan_edited(begun)


def parts(row: NDArray[np.float32]) -> list[Part]:
    """The passes over a row, and the calls from Python around them."""
    doubles, integers, *arrays = allocate(len(row))
    rest = tuple(arrays)
    bitmask = np.full((1, -(-len(row) // 32)), -1, np.int32)
    memory = Memory(doubles, integers, bitmask)
    block_max = memory.doubles[RAW_MAX]
    stored = _row_of(row, FLOAT32, memory.doubles[RAW_END])
    wide = row.astype(np.float64)
    largest, middle = float(wide.max()), float(np.median(wide))
    weights = np.exp(wide - largest)
    scaled = np.exp((wide - largest) * 1.25)
    mass = weights / weights.sum()
    sums = float(weights.sum()), float((weights * (wide - largest)).sum())
    typical = np.argsort(np.abs(np.log(mass) - (mass * np.log(mass)).sum()), kind="stable")
    _scan(stored, block_max)
    history = History.empty(1)
    by_numpy = BatchSampler([Sampler(chain(), _SEED)], backend=Backend.NUMPY)
    [token_id] = by_numpy.draw(row[None], history)
    # As in a text, where no two steps have the same noise.
    seeds = cycle(np.uint64(_SEED + number) for number in range(POSITIONS))
    pair = row[None, :2].copy()
    bits = (row.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    rounded = widen(bits).astype(np.float64)
    narrow, narrow_max = _row_of(bits, BFLOAT16, memory.doubles[WORK_END]), float(rounded.max())
    narrow_total = float(np.exp(rounded - narrow_max).sum())
    greedy, described = BatchSampler([Sampler(chain())]), BatchSampler([Sampler(chain(), None, 5)])
    return [
        Part(SCAN, lambda: _scan(stored, block_max), largest.__eq__),
        Part(
            SURVEY,
            lambda: _survey(stored, block_max, 0.0),
            lambda found: bool(np.allclose(found[:2], (largest, sums[0]), rtol=1e-6)),
        ),
        Part(
            SUMS,
            lambda: _survey(stored, block_max, 1.0),
            lambda found: bool(np.allclose(found[1:], (sums[0], *sums), rtol=1e-6)),
        ),
        Part(
            TWICE,
            lambda: _survey(stored, block_max, 0.8),
            lambda found: bool(np.allclose(found[1:3], (sums[0], scaled.sum()), rtol=1e-6)),
        ),
        Part(
            WEIGH,
            lambda: _weigh(stored, largest, 1.25),
            lambda found: bool(np.isclose(found[0], scaled.sum(), rtol=1e-6)),
        ),
        Part(
            DRAW,
            lambda: _draw(stored, rest, memory, next(seeds)),
            lambda found: bool(found[0] == token_id),
        ),
        Part(
            TOP_P,
            lambda: _search(stored, rest, memory),
            lambda found: abs(found - _shortest(np.sort(mass)[::-1])) <= 1,
        ),
        Part(
            TYPICAL,
            lambda: _search_typical(stored, rest, memory, *sums),
            lambda found: abs(found - _shortest(mass[typical])) <= 1,
        ),
        Part(
            "rank of a logit in the middle",
            lambda: _rank(stored, block_max, middle),
            (wide > middle).sum().__eq__,
        ),
        Part(
            MASK,
            lambda: _mask(stored, rest, memory),
            lambda found: largest + 2.0 <= found <= largest + 2.0 + 1e-5 * (abs(largest) + 2.0),
        ),
        Part(
            CALL,
            lambda: greedy.draw(pair, history),
            lambda found: found == [int(pair.argmax())],
        ),
        Part(
            DESCRIBED_CALL,
            lambda: described(pair, history),
            lambda found: found[0].token_id == int(pair.argmax()),
        ),
        # A row is an address: its bits are kept.
        Part(NARROW + SCAN, lambda _=bits: _scan(narrow, block_max), narrow_max.__eq__),
        Part(
            NARROW + SURVEY,
            lambda _=bits: _survey(narrow, block_max, 0.0),
            lambda found: bool(np.allclose(found[:2], (narrow_max, narrow_total), rtol=1e-6)),
        ),
        *_tensor_call(greedy, pair, history),
    ]


def _tensor_call(greedy: BatchSampler, pair: NDArray[np.float32], history: History) -> list[Part]:
    """`CALL` with a torch tensor of bfloat16, where torch is installed."""
    try:
        import torch
    except ImportError:
        return []
    tensor = torch.from_numpy(pair).to(torch.bfloat16)
    wanted = [int(tensor.float().argmax())]
    return [
        Part(
            f"{NARROW}{CALL}, in a torch tensor",
            lambda: greedy.draw(tensor, history),
            wanted.__eq__,
        )
    ]


def _shortest(mass: NDArray[np.float64]) -> int:
    """How many of the first weigh 0.9."""
    return 1 + int((np.cumsum(mass) < 0.9).sum())


def _workloads(vocab: int) -> tuple[dict[str, OurStep], list[str]]:
    """One step of each workload that has a goal, and what is wrong with their outputs."""
    steps: dict[str, OurStep] = {}
    wrong: list[str] = []
    for name in NEEDS:
        problem = make_problem(name, kind="gaussian", batch=1, width=vocab)
        steps[name] = OurStep(problem, OURS["decoding-numba"])
        error = Expected(problem).difference(steps[name].output())
        if error is not None:
            wrong.append(f"{name}: {error}")
    return steps, wrong


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
    workloads, wrong = _workloads(options.vocab)
    wrong += [part.name for part in all_parts if not part.is_right(part.call())]
    if wrong:
        print(f"wrong results: {', '.join(wrong)}", file=sys.stderr)
        return 1
    steps = {part.name: (lambda _, call=part.call: call()) for part in all_parts}
    timings = measure({"floor": lambda _: row.max(), **steps, **workloads}, seconds=options.seconds)
    floor = timings["floor"].median
    rows = [
        {"part": name, "us": timing.median / 1e3, "spread": timing.spread,
         "x_floor": timing.median / floor}
        for name, timing in timings.items() if name not in workloads
    ]  # fmt: skip
    goals = []
    for name, needs in NEEDS.items():
        needed = sum(timings[part].median for part in needs) / floor
        goal = {"workload": name, "goal": TARGETS[name].x_floor, "needs": list(needs)}
        goal["x_floor"], goal["x_floor_of_needs"] = timings[name].median / floor, needed
        goals.append(goal)
    cells = ([row["part"], f"{row['us']:.1f}", f"{row['x_floor']:.1f}"] for row in rows)
    print(table(("part", "µs", "× floor"), cells))
    print()
    print(table(GOAL_HEADER, goal_cells(goals)))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": machine.describe(1), "vocab": options.vocab, "rows": rows}
        result["workloads"] = goals
        options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
