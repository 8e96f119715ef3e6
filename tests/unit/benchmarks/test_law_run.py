"""The long run of laws: right kernels pass, and a wrong one is found and written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import law_run
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.processors import FrequencyPenalty, NoRepeatNgram, Temperature, TopK, TopP

QUICK = law_run.Place(Backend.NUMPY, "step", "float16")


def test_every_backend_and_format_has_a_place() -> None:
    assert {(place.backend, place.format) for place in law_run.PLACES} >= {
        (backend, name)
        for backend in (Backend.NUMPY, Backend.NUMBA, Backend.TORCH)
        for name in law_run.FORMATS
    }
    assert any(place.backend is Backend.TRITON for place in law_run.PLACES)
    assert all(place.way == "step" for place in law_run.PLACES if place.backend == "triton")


@pytest.mark.parametrize("processors", [(TopP(0.9),), (Temperature(0.7), TopK(40))], ids=repr)
def test_right_kernels_break_no_law(processors: Any) -> None:
    for way in ("edit", "step"):
        run = law_run.run_one(processors, law_run.Place(Backend.NUMPY, way, "float32"), 3, 6, 16)
        assert not run.broken
        assert run.rows > 6


@pytest.mark.parametrize("way", ["edit", "step"])
def test_a_row_that_is_emptied_has_no_token(way: law_run.Way) -> None:
    candidate = law_run.candidate_of((NoRepeatNgram(2),), Backend.NUMPY, way)
    found = candidate(np.zeros((2, 1), np.float32), History.of([[0, 0], [0]]))
    assert found.tolist() == [[-np.inf], [0.0]]


@pytest.mark.parametrize("way", ["edit", "step"])
def test_tokens_beyond_those_listed_are_compared_too(
    way: law_run.Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(law_run, "LISTED", 5)
    place = law_run.Place(Backend.NUMPY, way, "float32")
    assert not law_run.run_one((TopK(20),), place, 1, 4, 8, (30, 60)).broken
    assert not law_run.run_one((FrequencyPenalty(0.7),), place, 1, 4, 8, (30, 60)).broken


@pytest.mark.slow
def test_a_kernel_of_another_claim_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(law_run, "claim_of", lambda processors, way: TopP(0.8))
    run = law_run.run_one((TopP(0.9),), QUICK, 0, 20, 8)
    assert "is not TopP(top_p=0.8)" in run.broken
    assert run.rows == 0


def test_a_description_that_contradicts_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = law_run.open_kernel

    class OneTooFew:
        def __init__(self, batch: Any, backend: Any) -> None:
            self._kernel = right(batch, backend)

        def step(self, *arguments: Any, describe: bool) -> Any:
            result = self._kernel.step(*arguments, describe=describe)
            result.rows["support_size"] += 1
            return result

    monkeypatch.setattr(law_run, "open_kernel", OneTooFew)
    assert "tokens are listed" in law_run.run_one((TopP(0.9),), QUICK, 0, 1, 1, (2, 6)).broken


def test_the_program_writes_a_line_for_each_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(law_run, "CLAIMS", law_run.CLAIMS[:2])
    path = tmp_path / "laws.jsonl"
    monkeypatch.setattr("sys.argv", [
        "law_run", "--examples", "50", "--backend", "numpy", "--format", "float32",
        "--json", str(path),
    ])  # fmt: skip
    assert law_run.main() == 0
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["seed"] for line in lines] == list(range(8))
    assert {line["way"] for line in lines} == {"edit", "step"}
    assert sum(line["rows"] for line in lines) >= 50
    assert "0 violations" in capsys.readouterr().out
