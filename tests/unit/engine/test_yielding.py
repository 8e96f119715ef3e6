"""Work beside the engine sleeps while others are busy, and is otherwise what it was."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from decoding.engine import yielding
from decoding.engine.yielding import REST_S, RUN_S, Pace, run_yielding


def in_thread(work: Callable[[], Any]) -> Any:
    """What work returns or raises in a thread of its own."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:
            found.append(error)
        found.append(sys.gettrace())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found.pop() is None  # the thread is traced no longer
    return found[0]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every sleep, on a clock that goes on by a tenth of a run with every look."""
    seconds: list[float] = []
    now = 0.0

    def look() -> float:
        nonlocal now
        now += yielding.RUN_S / 10
        return now

    def sleep(duration: float) -> None:
        nonlocal now
        seconds.append(duration)
        now += duration

    monkeypatch.setattr(yielding.time, "sleep", sleep)
    monkeypatch.setattr(yielding.time, "perf_counter", look)
    return seconds


def add(count: int) -> int:
    def one() -> int:
        return 1

    return sum(one() for _ in range(count))


@pytest.mark.parametrize("busy", [True, False])
def test_work_sleeps_where_others_are_busy(slept: list[float], busy: bool) -> None:
    assert in_thread(lambda: run_yielding(lambda: add(1000), lambda: busy, Pace())) == 1000
    assert (len(slept) > 50) is busy
    assert slept == pytest.approx([REST_S] * len(slept))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_of_one_pace_run_one_after_the_other(threads: int) -> None:
    pace, now = Pace(), [1.0] * threads
    turns: list[float] = []
    for _ in range(200):
        thread = now.index(min(now))
        begin = now[thread] + pace.rest(now[thread])
        turns.append(begin)
        now[thread] = begin + RUN_S
    assert turns == sorted(turns)
    between = [after - before for before, after in pairwise(turns)]
    assert min(between) >= RUN_S + REST_S - 1e-9
    assert sum(between) <= 200 * (RUN_S + REST_S)


def test_errors_are_those_of_the_work() -> None:
    def fail() -> int:
        raise ValueError("no")

    assert str(in_thread(lambda: run_yielding(fail, lambda: True, Pace()))) == "no"


def test_a_traced_thread_keeps_its_tracer(slept: list[float]) -> None:
    calls: list[str] = []

    def work() -> int:
        sys.settrace(lambda frame, _event, _argument: calls.append(frame.f_code.co_name))
        try:
            return run_yielding(lambda: add(3), lambda: True, Pace())
        finally:
            sys.settrace(None)

    assert in_thread(work) == 3
    assert "add" in calls
    assert not slept
