"""What two threads of this machine gain at most: figures beside the goal for two threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.harness import ROUNDS, measure
from benchmarks.logits import make_rows

READ = "two threads read the batch: × one"
COMPUTE = "two threads compute in their caches: × one"
_CACHED = 4096
"""So many numbers stay in the first cache of a core."""
_TURNS = 100


def gains(vocab: int, batch: int, *, seconds: float, rounds: int = ROUNDS) -> dict[str, float]:
    """How many times as fast two threads are as one, at work that NumPy does without Python's lock.

    `READ`: the largest logit of every row of a batch, float32. `COMPUTE`: exp, of few numbers
    again and again. No sampler on this machine can gain more than between the two.
    """
    rows = list(make_rows("gaussian", batch, vocab))
    few = rows[0][:_CACHED].copy()
    outs = [np.empty_like(few) for _ in range(2)]
    half = len(rows) // 2

    def read(first: int, last: int) -> None:
        for row in rows[first:last]:
            row.max()

    def compute(thread: int) -> None:
        for _ in range(_TURNS):
            np.exp(few, out=outs[thread])

    with ThreadPoolExecutor(1) as other:

        def together(work: Callable[..., None], mine: Any, others: Any) -> None:
            waiting = other.submit(work, *others)
            work(*mine)
            waiting.result()

        steps = {
            "read": lambda _: read(0, batch),
            "read by two": lambda _: together(read, (0, half), (half, batch)),
            "compute": lambda _: (compute(0), compute(1)),
            "compute by two": lambda _: together(compute, (0,), (1,)),
        }
        timings = measure(steps, seconds=seconds, rounds=rounds)
    cost = {name: timing.median for name, timing in timings.items()}
    return {
        READ: cost["read"] / cost["read by two"],
        COMPUTE: cost["compute"] / cost["compute by two"],
    }
