"""`decoding watermark detect`: flags and output."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoding import LanguageModel
from decoding.cli import main as cli
from decoding.cli import watermark as cli_watermark
from decoding.vocabulary import Vocabulary
from decoding.watermark import (
    GumbelScheme,
    SynthId,
    detect,
    detect_gumbel,
    detect_synthid,
    lefthash,
    philox,
    tgi,
    transformers_selfhash,
)


class Bytes:
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)])

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        return list(text.encode())


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = cli.main(["watermark", "detect", *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    made = LanguageModel(forward=lambda _: np.zeros((1, 300)), tokenizer=Bytes(), logits_width=300)
    monkeypatch.setattr(cli_watermark, "load", lambda _: made)
    return made


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("arguments", "scheme", "options"),
    [
        ([], tgi(), {}),
        (["--gamma", "0.25", "--key", "7"], lefthash(0.25, key=7), {}),
        (["--scheme", "lefthash", "--context-width", "2"], lefthash(context_width=2), {}),
        (["--scheme", "philox", "--gamma", "0.4"], philox(0.4), {}),
        (["--scheme", "transformers-selfhash", "--key", "11"], transformers_selfhash(key=11), {}),
        (["--count-repeats"], tgi(), {"counts_repeats": True}),
        (["--window", "5", "--window", "9"], tgi(), {"window_sizes": [5, 9]}),
    ],
)
def test_it_is_detect(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    scheme: Any,
    options: dict[str, Any],
) -> None:
    text = "a text, a text of sorts\n"
    file = tmp_path / "text"
    file.write_text(text)
    code, out, err = run([str(file), "--json", *arguments], capsys)
    assert (code, err) == (0, "")
    facts = json.loads(out)
    want = detect(list(text[:-1].encode()), scheme, 300, **options)
    assert list(facts) == ["scored", "green", "fraction", "z", "p_value", "window", "colours"]
    assert (facts["scored"], facts["green"]) == (want.scored, want.green)
    assert facts["z"] == want.z
    assert facts["p_value"] == want.p_value
    assert facts["colours"] == list(want.colours)
    assert (facts["window"] is None) == (want.window is None)
    if want.window is not None:
        assert facts["window"]["p_value"] == want.window.p_value


def test_token_ids_need_no_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_watermark, "load", None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2, 3]")))
    code, out, _ = run(["-", "--token-ids", "--vocab-size", "9", "--window", "2"], capsys)
    assert code == 0
    lines = [line.split(": ")[0] for line in out.splitlines()]
    assert lines[:5] == ["scored", "green", "fraction", "z", "p_value"]
    assert lines[5:7] == ["window.start", "window.stop"]


def test_the_watermarks_without_green_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_watermark, "load", None)
    file = tmp_path / "ids"
    token_ids = np.random.default_rng(1).integers(0, 50, 40).tolist()
    file.write_text(json.dumps(token_ids))
    arguments = [str(file), "--token-ids", "--json", "--scheme"]
    code, out, _ = run([*arguments, "synthid", "--keys", "3,5", "--ngram-len", "3"], capsys)
    assert code == 0
    assert json.loads(out) == asdict(detect_synthid(token_ids, SynthId((3, 5), 3)))
    code, out, _ = run([*arguments, "gumbel", "--key", "9", "--context-width", "2"], capsys)
    assert code == 0
    want = detect_gumbel(token_ids, GumbelScheme(9, 2))
    assert json.loads(out) == {**asdict(want), "scores": list(want.scores)}
    code, out, _ = run([str(file), "--token-ids", "--scheme", "gumbel", "--key", "9"], capsys)
    assert [line.split(":")[0] for line in out.splitlines()] == ["scored", "total", "p_value"]


@pytest.mark.parametrize(
    ("arguments", "content", "complaint"),
    [
        (["--scheme", "synthid"], b"x", "--keys must be given for synthid"),
        (["--scheme", "synthid", "--keys", "a"], b"x", "'a' is not integers with commas"),
        (["--scheme", "gumbel"], b"x", "--key must be given for gumbel"),
        (["--scheme", "gumbel", "--gamma", "0.5"], b"x", "--gamma must be used with green lists"),
        (["--keys", "1,2"], b"x", "--keys must be used with synthid"),
        (["--gamma", "2"], b"x", "gamma must be in (0, 1), got 2.0"),
        (["--scheme", "none"], b"x", "argument --scheme: invalid choice: 'none'"),
        (["--context-width", "2"], b"x", "--context-width must be used with one of lefthash"),
        (["--scheme", "minhash", "--context-width", "2"], b"x", "--context-width must be used"),
        (["--token-ids"], b"x", "FILE must be a JSON array of token ids"),
        (["--token-ids"], b"[1, true]", "FILE must be a JSON array of token ids"),
        ([], b"\xff", "FILE must be UTF-8"),
        (["--window", "0"], b"x", "window_sizes must be >= 1"),
    ],
)
@pytest.mark.usefixtures("model")
def test_wrong_input_is_one_line_and_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    content: bytes,
    complaint: str,
) -> None:
    file = tmp_path / "text"
    file.write_bytes(content)
    code, out, err = run([str(file), *arguments], capsys)
    assert (code, out) == (cli.WRONG_INPUT, "")
    assert err.startswith("decoding: error: ")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_missing_file_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["/does/not/exist"], capsys)
    assert (code, out) == (cli.FAILED, "")
    assert "No such file" in err


def test_a_model_that_states_no_width(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = LanguageModel(forward=lambda _: np.zeros((1, 300)), tokenizer=Bytes())
    monkeypatch.setattr(cli_watermark, "load", lambda _: made)
    file = tmp_path / "text"
    file.write_text("a text")
    code, _, err = run([str(file)], capsys)
    assert code == cli.WRONG_INPUT
    assert "--vocab-size must be given" in err
    assert run([str(file), "--vocab-size", "300"], capsys)[0] == 0
