"""What a row costs that joins or leaves a batch.

A step of narrow rows in which one row leaves and another joins, less a step in which nobody does:
what drawing costs is in both.
"""

from __future__ import annotations

from typing import Any

from benchmarks.harness import ROUNDS, measure
from benchmarks.logits import make_rows
from benchmarks.workloads import POSITIONS, WORKLOADS, histories_of, seed_of, token_lists
from decoding import Backend, BatchSampler, Sampler

BATCH = 32
WIDTH = 1_024


def change_cost(*, seconds: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Microseconds a joining or leaving row adds to a step, and what a step costs without."""
    pipeline = WORKLOADS["chain"].pipeline(token_lists(WIDTH))
    rows = make_rows("gaussian", BATCH, WIDTH)
    histories = histories_of(rows)
    samplers = [Sampler(pipeline, seed_of(row)) for row in range(BATCH)]
    still = BatchSampler(samplers, backend=Backend.NUMBA, threads=1)
    moving = [BatchSampler(samplers, backend=Backend.NUMBA, threads=1)]

    def change(number: int) -> None:
        moving[0] = replaced(moving[0], Sampler(pipeline, seed_of(BATCH + number)))
        moving[0].draw(rows, histories[number % POSITIONS])

    # The newcomer draws its own token, and nobody else another.
    change(0)
    told = moving[0].draw(rows, histories[0])
    if told[:-1] != still.draw(rows, histories[0])[:-1]:
        raise ValueError("a row that joined changed what others draw")
    timings = measure(
        {
            "still": lambda number: still.draw(rows, histories[number % POSITIONS]),
            "moving": change,
        },
        seconds=seconds,
        rounds=rounds,
    )
    step, moved = timings["still"].median / 1e3, timings["moving"].median / 1e3
    return {
        "batch": BATCH,
        "us_per_step": round(step, 1),
        "us_per_change": round((moved - step) / 2, 1),
    }


def replaced(batch: BatchSampler, newcomer: Sampler) -> BatchSampler:
    """The batch with another row instead of its last."""
    last = BATCH - 1
    if hasattr(batch, "add"):
        batch.remove(last)  # type: ignore[attr-defined]
        batch.add(newcomer)
        return batch
    others = batch.selected(range(last))
    return BatchSampler.joined([others, BatchSampler([newcomer], backend=Backend.NUMBA)])
