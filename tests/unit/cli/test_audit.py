"""`decoding score`, `replay` and `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hashed_models import MODEL
from speaker import code_of

from decoding import GenerationParameters, generate
from decoding.cli import main as cli

ASKED = GenerationParameters(max_new_tokens=40, temperature=0.9, top_p=0.9, seed=3, details=True)


@pytest.fixture(autouse=True)
def _hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", lambda source: MODEL)


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = tmp_path / "record.json"
    response = generate(MODEL, "abc", ASKED)
    path.write_text(json.dumps(response.to_record()), encoding="utf-8")
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert code_of(arguments) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_score(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "score", record).splitlines()
    assert lines[0].split() == [
        "#",
        "id",
        "token",
        "raw",
        "logprob",
        "rank",
        "entropy",
        "kept",
        "removed",
    ]
    assert len(lines) == 41
    assert "TopP(top_p=0.9): " in lines[1]
    tokens = json.loads(said(capsys, "score", record, "--json"))["tokens"]
    assert [item["logprob"] for item in tokens] == pytest.approx(
        [item["claimed_logprob"] for item in tokens], abs=1e-6
    )
    # Under another pipeline.
    colder = json.loads(said(capsys, "score", record, "--json", "--top-k", "1"))["tokens"]
    assert any(item["removed_by"] for item in colder)
    assert all(item["support_size"] == 1 for item in colder)


def test_verify(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "verify", record).startswith("claim not rejected")
    report = said(capsys, "verify", record, "--seed", "9")
    assert report.startswith("claim rejected at token")
    assert "seed 3" not in report  # 9 is far from 3
    assert "another seed, or none explains the tokens" in report


@pytest.mark.slow
def test_verify_names_the_alternative(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(said(capsys, "verify", record, "--json", "--temperature", "1.6"))
    assert facts["accepted"] is False
    assert facts["alternative"] in ("temperature 0.8", "temperature 0.9")  # the text is short
    assert len(facts["tokens"]) == 40
    assert json.loads(said(capsys, "verify", record, "--json", "--by-distribution"))["accepted"]
    assert "claim rejected" in said(capsys, "verify", record, "--law", "vllm")


def test_replay(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "replay", record) == "all 40 tokens stay the same\n"
    facts = json.loads(said(capsys, "replay", record, "--json", "--top-p", "0.5"))
    assert facts["change"]["stage"] == "TopP(top_p=0.5)"
    assert facts["tokens"] == facts["change"]["position"]
    report = said(capsys, "replay", record, "--other-seed", "4")
    assert "changes from" in report


def test_tgi_json_and_openai_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    response = generate(MODEL, "abc", ASKED)
    path = tmp_path / "tgi.json"
    path.write_text(response.to_json(), encoding="utf-8")
    flags = ["--temperature", "0.9", "--top-p", "0.9"]
    assert "not rejected" in said(capsys, "verify", str(path), "--prompt", "abc", *flags)
    assert code_of(["verify", str(path), *flags]) == 2
    assert "says nothing of a prompt" in capsys.readouterr().err
    ids = [token.id for token in response.tokens]
    openai = {"choices": [{"token_ids": ids}], "prompt_token_ids": MODEL_PROMPT}
    path.write_text(json.dumps(openai), encoding="utf-8")
    assert "not rejected" in said(capsys, "verify", str(path), *flags, "--seed", "3")
    arguments = ["--prompt-ids", ",".join(map(str, MODEL_PROMPT)), *flags, "--seed", "3"]
    assert "not rejected" in said(capsys, "verify", str(path), *arguments)


MODEL_PROMPT = [99, 100, 101]


def test_the_results_of_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row: dict[str, Any] = {"prompt": "ab", "parameters": {"max_new_tokens": 12, "details": True}}
    rows = [row, {**row, "parameters": {**row["parameters"], "temperature": 0.7}}]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said(capsys, "batch", str(source), str(target), "--no-progress")
    reports = said(capsys, "verify", str(target)).splitlines()
    assert reports[0] == "text 0"
    assert sum(line.startswith("claim not rejected") for line in reports) == 2


def test_generate_writes_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.json"
    arguments = ["--record", str(path), "--max-new-tokens", "8", "--seed", "5"]
    said(capsys, "generate", "abc", *arguments)
    assert "not rejected" in said(capsys, "verify", str(path))
    assert code_of(["generate", "abc", "--stream", *arguments]) == 2


@pytest.mark.parametrize(
    "text", ["", "{}", "[1, 2", '{"choices": []}', '{"details": 1}', "{}\nnot json"]
)
def test_bad_files_are_wrong_input(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    assert code_of(["score", str(path), "--prompt", "a"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("decoding: error: ")
    assert error.count("\n") == 1
