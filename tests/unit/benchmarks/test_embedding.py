"""`benchmarks.embedding` refuses to time what is wrong, and names what is absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import embedding
from benchmarks.embedding import ITS_OWN, OURS, cells, measure_engine
from benchmarks.embedding_engines import ENGINES
from benchmarks.embedding_given import AbsentError, Engine, Given, Side
from benchmarks.workloads import histories_of
from decoding import BatchSampler, TopK, chain

VOCAB, BATCH = 300, 2
NEEDS = {"transformers": "transformers", "vllm": "torch", "sglang": "torch", "mlx_lm": "mlx.core"}
"""What an adapter cannot be called without."""


def engine(ours: Any, its_own: Any) -> Engine:
    return Engine("sampler", lambda: chain(TopK(3)), ours, its_own)


def right(given: Given) -> Side:
    def draw(number: int) -> list[int]:
        del number
        alone = BatchSampler(given.samplers)
        return [int(token) for token in alone.draw(given.rows, histories_of(given.rows)[0])]

    return Side(draw, lambda: given.drawn_fault(draw(0)))


def wrong(given: Given) -> Side:
    least = given.rows.argmin(axis=1).tolist()
    return Side(lambda _: least, lambda: given.drawn_fault(least))


def stray(given: Given) -> Side:
    least = given.rows.argmin(axis=1).tolist()
    return Side(lambda _: least, lambda: given.member_fault(lambda: least))


def missing(given: Given) -> Side:
    raise AbsentError("not installed")


def measured(ours: Any, its_own: Any) -> tuple[list[dict[str, Any]], str | None]:
    return measure_engine("one", engine(ours, its_own), BATCH, VOCAB, seconds=0.0, rounds=1)


def test_ours_is_timed_and_an_engine_that_is_not_there_is_named() -> None:
    [row], absent = measured(right, missing)
    assert (row["implementation"], row["batch"], row["vocab"]) == (OURS, BATCH, VOCAB)
    assert row["us_per_step"] > 0.0
    assert row["x_floor"] > 0.0
    assert "error" not in row
    assert absent == "its own: not installed"


def test_other_tokens_than_those_of_the_batch_sampler_are_an_error() -> None:
    rows, absent = measured(wrong, right)
    assert absent is None
    assert [row["implementation"] for row in rows] == [OURS, ITS_OWN]
    assert "expected" in rows[0]["error"]
    assert rows[0]["us_per_step"] is None
    assert rows[1]["us_per_step"] > 0.0


def test_tokens_that_the_parameters_remove_are_an_error() -> None:
    rows, _ = measured(right, stray)
    assert "remove" in rows[1]["error"]
    assert rows[1]["us_per_step"] is None


def test_a_support_is_right_up_to_the_rounding_of_its_ends() -> None:
    given = Given(np.array([[0.0, 3.0, 1.0, 2.0]], np.float32), chain(TopK(2)))
    assert given.support_fault(np.array([[False, True, False, True]])) is None
    assert "kept" in str(given.support_fault(np.array([[False, True, False, False]])))
    assert "kept" in str(given.support_fault(np.array([[True, True, True, True]])))


def test_a_ratio_stands_where_both_sides_were_timed() -> None:
    def row(batch: int, side: str, cost: float | None) -> dict[str, Any]:
        return {
            "engine": "one", "batch": batch, "implementation": side, "us_per_step": cost,
            "x_floor": cost,
        }  # fmt: skip

    rows = [row(1, OURS, 50.0), row(1, ITS_OWN, 200.0), row(8, OURS, 10.0), row(32, OURS, None)]
    assert cells(rows) == [
        ["one", "1", "50.0", "200", "4.0", "50.0"],
        ["one", "8", "10.0", "–", "–", "10.0"],
        ["one", "32", "–", "–", "–", "–"],
    ]


@pytest.mark.parametrize("name", ENGINES)
def test_every_adapter_leaves_the_tokens_of_the_batch_sampler(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    side = ENGINES[name].ours(ENGINES[name].given(BATCH, VOCAB))
    assert side.fault() is None
    for number in (0, 1, 2, 63, 64):
        side.step(number)
    assert side.fault() is None


def test_the_program_prints_and_writes_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results" / "embedding.json"
    options = ["--vocab", str(VOCAB), "--batch", "1,2", "--engines", "llama_cpp,sglang"]
    assert embedding.main([*options, "--seconds", "0", "--rounds", "1", "--json", str(path)]) == 0
    result = json.loads(path.read_text("utf-8"))
    assert {"cpu", "vllm", "date"} <= result["machine"].keys()
    sides = [
        (row["engine"], row["batch"]) for row in result["rows"] if row["implementation"] == OURS
    ]
    assert sides == [("llama_cpp", 1), ("llama_cpp", 2), ("sglang", 1), ("sglang", 2)]
    assert {"engine": "sglang", "reason": "its own: it has no build for CPUs"} in result["absent"]
    assert "absent: sglang, its own: it has no build for CPUs" in capsys.readouterr().out


def test_the_program_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "ENGINES", {"llama_cpp": engine(wrong, missing)})
    options = ["--engines", "llama_cpp", "--vocab", str(VOCAB), "--batch", "1", "--seconds", "0"]
    assert embedding.main(options) == 1
