"""The benchmarks run, and refuse to time wrong results."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from profiles import spread

from benchmarks import batching, engine, figures, hot_loop, membership, report, threads
from benchmarks.figures import Case, measure_case
from benchmarks.goals import TARGETS, change_verdict, compared, verdicts
from benchmarks.harness import measure, peak_bytes
from benchmarks.logits import HOSTILE_KINDS, KINDS
from benchmarks.ours import OURS, OurStep, UnavailableError
from benchmarks.outcomes import processed
from benchmarks.peers import PEERS
from benchmarks.workloads import MIXED, NAMES, Problem
from decoding import Sample

WIDTH = 512
KINDS_WITHOUT_MODEL = [kind for kind in KINDS + HOSTILE_KINDS if kind != "real"]


def numpy_step(problem: Problem) -> OurStep:
    return OurStep(problem, OURS["decoding-numpy"])


def rows_of(case: Case, own: Any = numpy_step, **peers: Any) -> list[dict[str, Any]]:
    rows, absent = measure_case(case, {"decoding-ours": own}, peers, seconds=0.0, rounds=1)
    assert absent == []
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_WITHOUT_MODEL)
@pytest.mark.parametrize("name", NAMES)
def test_every_workload_runs_and_passes_its_checks(name: str, kind: str) -> None:
    case = Case(name, kind, WIDTH, 6 if name == MIXED else 1, "float32")
    floor, ours = rows_of(case)
    assert (floor["implementation"], floor["x_floor"]) == ("floor", 1.0)
    assert "error" not in ours
    assert ours["us_per_row"] > 0.0
    assert ours["x_floor"] > 0.0
    assert ours["peak_bytes"] > 0


@pytest.mark.slow
def test_one_token_is_a_vocabulary() -> None:
    for name in NAMES:
        _, ours = rows_of(Case(name, "gaussian", 1, 1, "float32"))
        assert "error" not in ours


def test_bfloat16_rows_are_what_is_checked() -> None:
    pytest.importorskip("torch")
    _, ours = rows_of(Case("chain", "gaussian", WIDTH, 2, "bfloat16"))
    assert "error" not in ours


WRONG: dict[str, Callable[[Sample], Sample]] = {
    "token": lambda item: replace(item, token_id=(item.token_id + 1) % WIDTH),
    "raw_logprob": lambda item: replace(item, raw_logprob=item.raw_logprob + 1e-4),
    "processed_logprob": lambda item: replace(item, processed_logprob=item.processed_logprob - 1),
    "rank": lambda item: replace(item, rank=item.rank + 1),
    "entropy": lambda item: replace(item, entropy=item.entropy + 1e-3),
    "tokens kept": lambda item: replace(item, support_size=item.support_size + 1),
    "top tokens": lambda item: replace(item, top=item.top[:-1]),
    "top token 0": lambda item: replace(item, top=item.top[::-1]),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["temperature", "chain", "top_p"])
def test_what_is_wrong_is_an_error_and_has_no_figures(name: str, wrong: str) -> None:
    class Wrong(OurStep):
        def output(self) -> list[Any]:
            first, second = super().output()
            assert isinstance(second, Sample)
            return [first, WRONG[wrong](second)]

    _, row = rows_of(
        Case(name, "gaussian", WIDTH, 2, "float32"),
        lambda problem: Wrong(problem, OURS["decoding-numpy"]),
    )
    assert row["us_per_row"] is None
    assert row["error"].startswith("row 1: ")
    assert wrong in row["error"]


def test_a_greedy_token_that_is_not_the_likeliest_is_an_error() -> None:
    class Wrong(OurStep):
        def output(self) -> list[Any]:
            return [0]

    _, row = rows_of(
        Case("greedy", "gaussian", WIDTH, 1, "float32"),
        lambda problem: Wrong(problem, OURS["decoding-numpy"]),
    )
    assert "expected" in row["error"]


def test_one_that_raises_is_an_error_and_one_that_is_not_there_is_absent() -> None:
    def broken(problem: Problem) -> Any:
        raise RuntimeError(problem.name)

    def missing(problem: Problem) -> Any:
        raise UnavailableError("not installed")

    own = {"decoding-broken": broken, "decoding-missing": missing}
    case = Case("greedy", "gaussian", WIDTH, 1, "float32")
    rows, absent = measure_case(case, own, {}, seconds=0.0, rounds=1)
    assert rows[-1]["error"] == "raised RuntimeError: greedy"
    assert absent == [("decoding-missing", "greedy", "not installed")]


class Peer:
    """Draws from our distribution, changed."""

    change: Callable[[NDArray[np.float64]], Any] = staticmethod(lambda _: None)

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __call__(self, number: int) -> None:
        pass

    def probabilities(self, row: int) -> NDArray[np.float64]:
        logits = processed(self.problem, row)
        kept = np.exp(logits - logits.max())
        type(self).change(kept)
        return np.asarray(kept / kept.sum())


@pytest.mark.parametrize(
    "name", spread([name for name in NAMES if name not in ("greedy", MIXED)], 2)
)
def test_a_peer_with_our_distribution_is_timed(name: str) -> None:
    rows = rows_of(Case(name, "ties", WIDTH, 2, "float32"), peer=Peer)
    assert [row["implementation"] for row in rows] == ["floor", "decoding-ours", "peer"]
    assert rows[1]["faster_than"].keys() == {"peer"}


CHANGES: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "1 tokens are missing": lambda kept: kept.__setitem__(kept.argmax(), 0.0),
    "probabilities are off": lambda kept: kept.__imul__(kept),
    "too many": lambda kept: kept.__iadd__(0.01),
}


@pytest.mark.parametrize("problem", CHANGES)
def test_a_peer_with_another_distribution_is_an_error(problem: str) -> None:
    class Changed(Peer):
        change = staticmethod(CHANGES[problem])

    *_, row = rows_of(Case("chain", "zipf", WIDTH, 1, "float32"), peer=Changed)
    assert row["implementation"] == "peer"
    assert problem in row["error"]


@pytest.mark.slow
def test_the_program_writes_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results" / "hot_loop.json"
    options = ["--vocab", str(WIDTH), "--batch", "1,2", "--logits", "gaussian,flat"]
    options += ["--peers", "", "--implementations", "decoding-numpy", "--dtype", "float32"]
    options += ["--seconds", "0", "--rounds", "1", "--workloads", "greedy,chain,mixed"]
    assert hot_loop.main([*options, "--json", str(path)]) == 0
    result = json.loads(path.read_text("utf-8"))
    assert {"cpu", "cores", "python", "numpy", "date", "threads"} <= result["machine"].keys()
    # Two kinds, two batch sizes; rows of batch 1 are not mixed; the floor and ours.
    assert len(result["rows"]) == 2 * (2 + 3) * 2
    assert "gaussian, 512 tokens, float32, batch 2" in capsys.readouterr().out


def test_the_program_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OurStep, "output", lambda _: [0])
    options = ["--vocab", str(WIDTH), "--batch", "1", "--logits", "gaussian", "--peers", ""]
    options += ["--implementations", "decoding-numpy", "--dtype", "float32"]
    options += ["--seconds", "0", "--rounds", "1", "--workloads", "greedy"]
    assert hot_loop.main(options) == 1


def test_which_implementations_a_case_has() -> None:
    small, large = (Case("greedy", "gaussian", WIDTH, batch, "float32") for batch in (1, 64))
    by_default = ["decoding-numba", "decoding-numba-2-threads"]
    alone = ["decoding-numba", "decoding-numpy", "decoding-torch"]
    names = list(OURS)
    assert list(figures.own_openers(names, small, 1, every_batch=False)) == alone
    assert list(figures.own_openers(names, large, 1, every_batch=False)) == by_default
    assert list(figures.own_openers(names, large, 1, every_batch=True)) == names
    halves = large._replace(dtype="bfloat16")
    assert list(figures.peer_openers(list(PEERS), large, 1)) == list(PEERS)
    assert figures.peer_openers(list(PEERS), halves, 1) == {}


def test_every_step_has_its_turns() -> None:
    calls: list[str] = []
    steps = {name: lambda _, name=name: calls.append(name) for name in "ab"}
    timings = measure(steps, seconds=1.0, rounds=3)
    assert all(timing.calls > 3 for timing in timings.values())
    # A call to warm up, a second that says what one costs; then blocks.
    assert "".join(calls).startswith("aabbaaa")
    assert sum(left != right for left, right in itertools.pairwise(calls[4:])) == 5


def test_a_slow_step_is_called_twice_and_both_calls_count() -> None:
    calls: list[int] = []
    timing = measure({"slow": calls.append}, seconds=0.0, rounds=3)["slow"]
    assert len(calls) == timing.calls == 2


def test_a_first_call_that_compiles_does_not_count() -> None:
    ticks = iter([0, 10**12, *range(10**12, 10**12 + 10_000)])  # the first call takes 1,000 s
    timing = measure({"peer": lambda _: None}, seconds=1e-8, rounds=2, clock=lambda: next(ticks))
    assert timing["peer"].median == 1.0
    assert timing["peer"].calls >= 4


def test_memory_of_a_step() -> None:
    held = peak_bytes(lambda _: np.zeros(1 << 20, np.uint8))
    assert 1 << 20 <= held < 1.1 * (1 << 20)


def test_goals_are_met_or_not_or_not_measured() -> None:
    row = {
        "workload": "greedy",
        "batch": 1,
        "logits": "gaussian",
        "dtype": "float32",
        "vocab": 128_256,
        "implementation": "decoding-numba",
        "us_per_row": 10.0,
        "x_floor": 1.5,
        "faster_than": {"llama_cpp": 7.0},
        "peak_bytes": 2000,
    }
    flat = {**row, "logits": "flat", "us_per_row": 31.0}
    found = {(item.goal, item.logits): item for item in verdicts([row, flat])}
    assert found["greedy, × floor", "gaussian"].met is True
    assert found["greedy, × faster than llama_cpp", "gaussian"].met is False
    assert found["chain, × floor", "gaussian"].met is None
    slowest = found["slowest, × gaussian, 128,256 tokens", "flat"]
    assert (slowest.value, slowest.met) == (3.1, False)
    assert found["most memory a step, bytes a token", "gaussian"].met is True


def test_a_batch_is_measured_by_the_memory_s_floor() -> None:
    row = {
        "workload": "chain",
        "batch": 1,
        "logits": "gaussian",
        "dtype": "float32",
        "vocab": 128_256,
        "implementation": "decoding-numba",
        "us_per_row": 60.0,
        "x_floor": 10.0,
        "faster_than": {},
        "peak_bytes": 2000,
    }
    alone = [{**row, "workload": name} for name in NAMES if name != MIXED]
    together = {**row, "workload": MIXED, "batch": 64, "us_per_row": 200.0, "x_floor": 11.0}
    doubled = {**together, "implementation": "decoding-numba-2-threads", "us_per_row": 105.0}
    found = {item.goal: item for item in verdicts([*alone, together, doubled])}
    in_floors = found["mixed, batch 64, floors a row: × alone"]
    assert (in_floors.value, in_floors.met) == (pytest.approx(1.1), True)
    assert found["mixed, batch 64, two threads: × one"].met is True
    reading = "mixed, batch 64, to read a row: × alone"
    assert reading not in found, "no floor was measured"
    floors = [{**item, "implementation": "floor", "us_per_row": 6.0} for item in alone]
    floors.append({**together, "implementation": "floor", "us_per_row": 9.0})
    found = {item.goal: item for item in verdicts([*alone, together, doubled, *floors])}
    assert (found[reading].value, found[reading].met) == (pytest.approx(1.5), None)


def test_what_two_threads_gain_stands_beside_the_goal() -> None:
    gains = threads.gains(1000, 4, seconds=0.0, rounds=1)
    assert list(gains) == [threads.READ, threads.COMPUTE]
    assert all(value > 0.0 for value in gains.values())
    [line, _] = compared(gains)
    assert (line.goal, line.met, line.value) == (threads.READ, None, gains[threads.READ])
    assert report.goals([line]).splitlines()[1].endswith("for comparison")


def test_a_drawn_token_alone_is_asked_for_and_checked() -> None:
    seen: list[Any] = []

    class Spy(OurStep):
        def output(self) -> Any:
            seen.extend(super().output())
            return seen

    step = rows_of(
        Case("draw", "normal", WIDTH, 1, "float32"),
        lambda problem: Spy(problem, OURS["decoding-numpy"]),
    )
    assert [type(token) for token in seen] == [int]
    assert "error" not in step[-1]
    assert figures.peer_openers(list(PEERS), Case("draw", "normal", 9, 1, "float32"), 1) == {}


def test_a_row_that_joins_a_batch_is_timed() -> None:
    pytest.importorskip("numba")
    cost = membership.change_cost(seconds=0.0, rounds=1)
    assert cost["batch"] == 32
    assert cost["us_per_step"] > 0.0
    assert change_verdict(cost["us_per_change"]).met in (True, False)
    assert change_verdict(None).met is None


@pytest.mark.slow
def test_the_parts_of_a_step_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba")
    from benchmarks import parts

    path = tmp_path / "parts.json"
    assert parts.main(["--vocab", "3000", "--seconds", "0.001", "--json", str(path)]) == 0
    written = json.loads(path.read_text("utf-8"))
    shown = [line.partition("  ")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    first, second = shown[: shown.index("")], shown[shown.index("") + 2 :]
    assert [row["part"] for row in written["rows"]] == first
    assert all(row["us"] > 0.0 for row in written["rows"])
    assert second == [goal["workload"] for goal in written["workloads"]] == list(TARGETS)
    cost = {row["part"]: row["x_floor"] for row in written["rows"]}
    for goal in written["workloads"]:
        needed = sum(cost[part] for part in goal["needs"])
        assert goal["x_floor_of_needs"] == pytest.approx(needed)
    assert parts.parts(np.zeros(3000, np.float32))[0].is_right(0.0)


@pytest.mark.slow
def test_the_loop_is_timed_around_the_sampler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GOALS", {2: 1e9})
    path = tmp_path / "engine.json"
    assert engine.main(["--seconds", "0", "--profile", "--json", str(path)]) == 0
    rows = json.loads(path.read_text("utf-8"))["rows"]
    assert [(row["batch"], row["chain"]) for row in rows] == [(2, True), (2, False)]
    for row in rows:
        assert 0 < row["us_around_sampler"] < row["us_per_token"], "the sampler's time counts"
    printed = capsys.readouterr().out
    assert "batch 2, under a profiler" in printed
    assert "batch.py:_step" not in printed, "the profile is of the loop without the sampler"


def test_what_joining_costs_is_measured() -> None:
    measured = batching.joining(2, 2)
    assert measured["batch"] == 2
    assert measured["us_per_step"] > 0
