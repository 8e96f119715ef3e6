"""Samplers, caches and locks work in a forked child process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from case_marks import needs_fork

from decoding.history import History
from decoding.kernels import forks
from decoding.kernels.backends import Backend
from decoding.kernels.compiled.loading import GROUPS
from decoding.kernels.forks import free_after_fork
from decoding.kernels.loader import Loader
from decoding.pipeline import chain
from decoding.processors import TopP
from decoding.sampling.batch import BatchSampler, Sampler

pytestmark = [
    needs_fork,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
]

PATIENCE_SECONDS = 60.0


def in_a_child(run: Callable[[], bool]) -> bool:
    """Whether it is true in a forked child; False where the child hangs or fails."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if run() else 1
        finally:
            os._exit(code)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def test_a_sampler_that_has_drawn_with_threads_draws_in_a_child() -> None:
    pytest.importorskip("numba")
    rows = np.random.default_rng(0).normal(size=(32, 300)).astype(np.float32)
    samplers = [Sampler(chain(TopP(0.9)), seed) for seed in range(32)]
    sampler = BatchSampler(samplers, backend=Backend.NUMBA, threads=2)
    history = History.empty(32)
    first = sampler.draw(rows, history)
    assert in_a_child(lambda: sampler.draw(rows, history) == first)
    assert sampler.draw(rows, history) == first


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
@pytest.mark.parametrize("seconds", [0.02, 0.4])
def test_a_lock_that_another_thread_held_is_free_in_a_child(
    kind: Callable[[], threading.Lock], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_PATIENCE_SECONDS", 0.1)
    lock, held = free_after_fork(kind()), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert in_a_child(lambda: lock.acquire(timeout=1.0))
    thread.join()
    assert lock.acquire(timeout=1.0)
    lock.release()


def test_locks_taken_in_another_order_do_not_hang_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_PATIENCE_SECONDS", 0.5)
    first, second = free_after_fork(threading.Lock()), free_after_fork(threading.Lock())
    ends = threading.Event()

    def keep_taking() -> None:
        while not ends.is_set():
            with first, second:
                pass
            with second:
                pass

    threads = [threading.Thread(target=keep_taking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert all(in_a_child(lambda: first.acquire(timeout=1.0)) for _ in range(3))
    finally:
        ends.set()
        for thread in threads:
            thread.join()


def test_what_was_loading_at_the_fork_is_loaded_anew_in_the_child(tmp_path: object) -> None:
    pytest.importorskip("numba")
    loader = Loader(tmp_path)
    group = GROUPS["float32"]
    begun, goes_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        goes_on.wait()
        loader._ready.add(group)

    loader._load = slow
    loader.begin(group)
    begun.wait()

    def loads() -> bool:
        def quick(*_: object) -> None:
            loader._ready.add(group)

        loader._load = quick
        loader.wait(group)
        return loader.is_ready(group)

    assert in_a_child(loads)
    goes_on.set()
    loader.wait(group)
    assert loader.is_ready(group)
