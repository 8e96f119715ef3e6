"""`--adapters` reaches the loader of every command that has a model of its own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from speaker import ByteTokenizer, code_of, model_of

from decoding import LanguageModel
from decoding.cli import main as cli
from decoding.cli.batch_rows import Settings
from decoding.parameters import GenerationParameters
from decoding.testing.models import hash_model


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The loads that a command asks for, of a model without adapters."""
    calls: list[dict[str, Any]] = []

    def load(source: str | None, **options: Any) -> LanguageModel:
        calls.append({"source": source, **options})
        return model_of(
            hash_model(257), tokenizer=ByteTokenizer(), chat_template="{{ messages[-1].content }}"
        )

    monkeypatch.setattr(cli, "load", load)
    return calls


def test_the_folder_of_adapters_reaches_the_loader(
    asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps({"inputs": "a"}), "utf-8")
    short = ["--max-new-tokens", "1", "--model", "x"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n")))
    commands = [
        ["generate", "a", *short],
        ["batch", str(source), str(target), "--no-progress", *short],
        ["chat", *short],
    ]
    for command in commands:
        assert code_of([*command, "--adapters", "folder"]) == 0
    assert asked == [{"source": "x", "adapters": "folder"}] * 3
    asked.clear()
    assert code_of(commands[0]) == 0
    assert asked == [{"source": "x"}]


def test_adapters_of_another_model_are_refused(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(["chat", "--url", "http://127.0.0.1:9", "--adapters", "folder"]) == 2
    assert "--adapters must be used without --url" in capsys.readouterr().err
    assert asked == []
    assert code_of(["info", "--adapters", "folder"]) == 2


def test_results_with_other_adapters_are_other_results() -> None:
    settings = [
        Settings(GenerationParameters(), 8, adapters, None) for adapters in (None, "a", "b")
    ]
    assert len({item.key_of(b"{}") for item in settings}) == 3
