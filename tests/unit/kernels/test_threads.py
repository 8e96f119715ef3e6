"""`Workers` and the rows that several threads take from one count."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest

from decoding.history import History
from decoding.pipeline import chain
from decoding.processors import Temperature, TopP
from decoding.sampling.batch import BatchSampler, Sampler

pytestmark = pytest.mark.kernels

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def workers(count: int = 1) -> Any:
    from decoding.kernels.compiled.threads import Workers

    return Workers(count)


@pytest.mark.skipif(CORES < 2, reason="threads cannot be kept off the only core")
def test_a_worker_is_kept_off_the_callers_core(monkeypatch: pytest.MonkeyPatch) -> None:
    from decoding.kernels.compiled import threads

    usable, pool = os.sched_getaffinity(0), workers()
    for core in sorted(usable)[:2]:
        monkeypatch.setattr(threads, "_core_of_caller", lambda core=core: core)
        assert pool.submit(lambda: os.sched_getaffinity(0)).result() == usable - {core}
    assert os.sched_getaffinity(0) == usable


def test_where_cores_cannot_be_chosen_work_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from decoding.kernels.compiled import threads

    def refuse(_thread: int, _cores: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    assert workers().submit(lambda: 5).result() == 5
    monkeypatch.setattr(threads, "_get_core", None)
    assert workers().submit(lambda: 6).result() == 6


def test_a_thread_that_begins_late_finds_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from decoding.kernels.compiled import kernel

    late: list[Any] = []
    held = threading.Event()
    real = kernel._run

    def waiting(*arguments: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            late.append(arguments)
            held.wait(60)
        real(*arguments)

    monkeypatch.setattr(kernel, "_run", waiting)
    logits = np.random.default_rng(0).standard_normal((8, 500)).astype(np.float32)
    samplers = [Sampler(chain(Temperature(0.8), TopP(0.9)), seed) for seed in range(8)]
    batch, history = BatchSampler(samplers, backend="numba", threads=2), History.empty(8)
    drawn = batch(logits, history)
    again = batch(-logits, history)
    held.set()
    assert drawn == BatchSampler(samplers, backend="numba")(logits, history)
    assert again == BatchSampler(samplers, backend="numba")(-logits, history)
    for arguments in late:
        before = arguments[-1].copy()
        real(*arguments)  # once more, when all is over
        assert (arguments[-1][1:] == before[1:]).all()


@pytest.mark.parametrize("rows", [1, 40])
def test_a_thread_that_begins_late_finds_no_row_of_another_batch(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from decoding.kernels.compiled import kernel

    calls: list[Any] = []
    real = kernel._run

    def noted(*arguments: Any) -> None:
        calls.append(arguments)
        real(*arguments)

    monkeypatch.setattr(kernel, "_run", noted)
    memory = np.random.default_rng(0).standard_normal((40, 500)).astype(np.float32)
    batch = BatchSampler([Sampler(seed=seed) for seed in range(4)], backend="numba", threads=2)
    batch(memory[:4], History.empty(4))
    late = list(calls)
    batch.remove_all([0] * 4)
    for seed in range(rows):
        batch.add(Sampler(seed=seed))
    drawn = batch(memory[:rows], History.empty(rows))
    for arguments in late:
        before = arguments[-1].copy()
        real(*arguments)  # when its own call is over, and another is
        assert (arguments[-1][1:] == before[1:]).all()
    assert drawn == batch(memory[:rows], History.empty(rows))


@pytest.mark.parametrize("threads", [2, 3, 5, 64])
def test_rows_are_the_same_over_any_number_of_threads(threads: int) -> None:
    logits = np.random.default_rng(1).standard_normal((23, 3_000)).astype(np.float32)
    logits[5, 7] = np.nan
    samplers = [Sampler(chain(TopP(0.8)), seed, 2) for seed in range(23)]
    history = History.empty(23)
    [one, many] = (BatchSampler(samplers, backend="numba", threads=count) for count in (1, threads))
    for _ in range(20):
        alone, spread = one(logits, history), many(logits, history)
        assert str(alone[5]) == str(spread[5])
        assert alone[:5] + alone[6:] == spread[:5] + spread[6:]
