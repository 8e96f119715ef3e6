"""The benchmark of masks: correct cases, detection of wrong masks, time limits."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.mask_cases import BUILT_IN, Case
from benchmarks.mask_scores import ratios, render, summary
from benchmarks.mask_worker import Worker, compile_case, walk_case
from benchmarks.masks import Engine

CASE = Case("case", {}, (("ab", True), ("b", False)))


class Bytes:
    """A vocabulary of single bytes."""

    eos = 0

    def __init__(self) -> None:
        self.bytes: list[bytes | None] = [bytes([byte]) for byte in range(256)]

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


class Allows:
    """An engine whose masks allow some bytes, and which takes others."""

    def __init__(self, allowed: bytes, taken: bytes, accepting: bool) -> None:
        self.taken, self.accepting = taken, accepting
        bits = np.isin(np.arange(256), list(allowed))
        self.bits: NDArray[np.uint32] = np.packbits(bits, bitorder="little").view(np.uint32)

    def compile(self, schema: object) -> Allows:
        if schema is None:
            raise ValueError("no schema")
        return self

    def reset(self) -> None:
        pass

    def mask(self) -> NDArray[np.uint32]:
        return self.bits

    def advance(self, token_id: int) -> bool:
        return token_id in self.taken


@pytest.mark.parametrize("case", BUILT_IN, ids=lambda case: case.name)
def test_texts_of_built_in_cases_are_as_valid_as_said(case: Case) -> None:
    validator = jsonschema.Draft202012Validator(
        case.schema, format_checker=jsonschema.FormatChecker()
    )
    assert case.texts
    for text, valid in case.texts:
        assert validator.is_valid(json.loads(text)) == valid, text


@pytest.mark.slow
def test_our_engine_is_right_about_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(
        gc, "freeze", lambda: None
    )  # a process of its own is the engine's to freeze
    tokens = Bytes()
    engine = Engine(tokens)
    for case in BUILT_IN:
        compiled, _ = compile_case(engine, case)
        assert compiled is not None, case.name
        found = walk_case(compiled, tokens, case)
        assert (found["mismatches"], found["wrong"]) == (0, 0), case.name


@pytest.mark.parametrize(
    ("engine", "mismatches", "wrong"),
    [
        (Allows(b"ab", b"ab", accepting=True), 0, 1),  # the second text is accepted too
        (Allows(b"ab", b"ab", accepting=False), 0, 1),  # the first text is refused
        (Allows(b"a", b"ab", accepting=False), 4, 1),  # b is taken, and no mask allows it
        (Allows(b"a", b"a", accepting=True), 0, 1),
    ],
)
def test_what_is_wrong_is_seen(engine: Allows, mismatches: int, wrong: int) -> None:
    compiled, said = compile_case(engine, CASE)
    assert compiled is not None
    assert said.keys() == {"compile_ns"}
    found = walk_case(compiled, Bytes(), CASE)
    assert (found["mismatches"], found["wrong"]) == (mismatches, wrong)
    assert len(found["mask_ns"]) == len(found["again_ns"])


def test_a_refusal_says_why() -> None:
    compiled, said = compile_case(Allows(b"", b"", accepting=True), Case("none", None, ()))
    assert compiled is None
    assert said["refused"] == "ValueError: no schema"


SCRIPT = """
import json, signal, sys, time
print(json.dumps({"tokens": 1}), flush=True)
for line in sys.stdin:
    name = json.loads(line)["name"]
    if name == "ends":
        sys.exit(1)
    print(json.dumps({"compile_ns": 1}), flush=True)
    time.sleep(60 * (name == "hangs"))
    if name == "works":
        signal.setitimer(signal.ITIMER_PROF, 0.01)
        while True:
            pass
    print(json.dumps({"wrong": 0}), flush=True)
"""


@pytest.mark.slow
def test_a_worker_that_hangs_or_ends_is_started_anew() -> None:
    worker = Worker([sys.executable, "-c", SCRIPT], limit_s=3.0)
    try:
        assert worker.start() == {"tokens": 1}
        right = {"compile_ns": 1, "wrong": 0}
        assert worker.run(CASE) == right
        for name in ("hangs", "works"):
            late = worker.run(Case(name, {}, ()))
            assert late == {"compile_ns": 1, "failed": "time", "stage": "texts"}
        assert worker.run(Case("ends", {}, ())) == {"failed": "ended", "stage": "compile"}
        assert worker.run(CASE) == right
    finally:
        worker.stop()


def test_an_engine_that_is_not_there_is_an_error() -> None:
    script = 'print(\'{"failed": "no such package"}\')'
    with pytest.raises(RuntimeError, match="no such package"):
        Worker([sys.executable, "-c", script], limit_s=1.0).start()


def answer(compile_ms: float, masks_us: list[float], wrong: int = 0) -> dict[str, Any]:
    masks = [int(1e3 * mask) for mask in masks_us]
    return {
        "compile_ns": int(1e6 * compile_ms), "mask_ns": masks, "again_ns": [1000] * len(masks),
        "advance_ns": masks, "mismatches": 0, "wrong": wrong,
    }  # fmt: skip


CASES = [Case(name, {}, texts) for name, texts in (("a", CASE.texts), ("b", CASE.texts), ("c", ()))]
OURS = {"a": answer(1, [2.0, 4.0]), "b": answer(3, [30.0]), "c": answer(2, [])}
THEIRS = {
    "a": answer(10, [8.0, 16.0], wrong=1),
    "b": {"refused": "ValueError: not", "compile_ns": 5_000_000},
    "c": {"failed": "time", "stage": "compile"},
}


def test_the_figures_of_an_engine() -> None:
    ours, theirs = summary(OURS, CASES, 20.0), summary(THEIRS, CASES, 20.0)
    assert (ours["schemas"], ours["compiled"], ours["tested"], ours["passing"]) == (3, 3, 2, 2)
    assert ours["mask_us"] == pytest.approx(
        {"mean": 12.0, "p50": 4.0, "p90": 24.8, "p99": 29.48, "max": 30.0}
    )
    assert ours["cold_s"] == pytest.approx(0.006036)
    assert (theirs["compiled"], theirs["passing"], theirs["wrong"]) == (1, 0, ["a"])
    assert theirs["refused"] == {"b": "ValueError: not"}
    assert theirs["failed"] == {"c": "compile: time"}
    assert theirs["compile_ms"]["max"] == 20_000.0
    assert theirs["cold_s"] == pytest.approx(20.015024)
    found = ratios(OURS, THEIRS)
    assert found["schemas"] == 1
    assert found["mask mean"] == pytest.approx(4.0)
    assert found["mask again p99"] == pytest.approx(1.0)
    assert found["compile p50"] == pytest.approx(10.0)


def test_the_table_of_readme() -> None:
    results = {
        "machine": {
            "date": "2026-01-02", "commit": "abcdef0", "cpu": "A processor", "python": "3.11.7",
            "numba": "0.68.1", "llguidance": "1.9.1", "xgrammar": None,
        },
        "schemas": 3, "cases": "some", "tokens": 128256,
        "floor": {"copy_us": 0.3, "clock_us": 0.88},
        "engines": {"ours": summary(OURS, CASES, 20.0), "peer": summary(THEIRS, CASES, 20.0)},
    }  # fmt: skip
    assert render(results) == EXPECTED


EXPECTED = """\
Measured on 2026-01-02 at abcdef0: A processor, one thread; Python 3.11.7, numba 0.68.1,\
 llguidance 1.9.1. 3 schemas (some), 128,256 tokens. Times are of the thread's processor; asking\
 the clock takes 0.9 µs of each, and copying a mask takes 0.3 µs, below which no engine can be.

|  | ours | peer |
| --- | ---: | ---: |
| schemas that compile | 100.0 % | 33.3 % |
| schemas that pass, of those with texts | 100.0 % | 0.0 % |
| schemas with a wrong verdict | 0 | 1 |
| mask, schema never seen: mean / p50 / p99 µs | 12 / 4.0 / 29 | 12 / 12 / 16 |
| mask, same schema again: mean / p50 / p99 µs | 1.0 / 1.0 / 1.0 | 1.0 / 1.0 / 1.0 |
| compile: p50 / p99 / max ms | 2.0 / 3.0 / 3.0 | 10,005 / 19,800 / 20,000 |
| all schemas, cold: compile and masks, s | 0.0 | 20 |
"""
