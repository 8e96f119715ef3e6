"""`decoding generate` with a grammar, and `decoding grammar check`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from byte_tokenizer import END, ByteTokenizer
from profiles import spread

from decoding import LanguageModel
from decoding.cli import main as cli
from decoding.testing.models import hash_model

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
RULES = {
    "--json-schema": (json.dumps(SCHEMA), '{"ok": true}', '{"ok": 1}'),
    "--regex": ("(ab)+", "abab", "aba"),
    "--ebnf": ('root ::= "(" root? ")"', "(())", "(()"),
    "--lark": ('start: "(" start? ")"', "(())", "())"),
}


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is one of random bytes."""
    model = LanguageModel(
        forward=hash_model(257),
        tokenizer=ByteTokenizer(),
        eos_token_ids=frozenset({END}),
        context_length=2000,
    )
    monkeypatch.setattr(cli, "load", lambda source: model)


def rules_of(flag: str, folder: Path) -> list[str]:
    """The arguments of a grammar: its text, or a file of it."""
    text = RULES[flag][0]
    if flag == "--regex":
        return [flag, text]
    path = folder / "rules"
    path.write_text(text)
    return [flag, str(path)]


@pytest.mark.parametrize("flag", RULES)
def test_generate_and_check_agree(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = rules_of(flag, tmp_path)
    drawn = ["generate", "x", "--do-sample", "--seed", "5", "--top-k", "9", *rules]
    assert cli.main([*drawn, "--max-new-tokens", "400"]) == 0
    text = capsys.readouterr().out[:-1]
    path = tmp_path / "text"
    path.write_text(text)
    assert cli.main(["grammar", "check", *rules, "--text", str(path)]) == 0
    assert "text: fits\n" in capsys.readouterr().out


@pytest.mark.parametrize("flag", RULES)
def test_a_text_is_tested(flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, good, bad = RULES[flag]
    for text, code in ((good, 0), (bad, 1)):
        path = tmp_path / "text"
        path.write_text(text)
        asked = ["grammar", "check", *rules_of(flag, tmp_path), "--text", str(path), "--json"]
        assert cli.main(asked) == code
        printed = capsys.readouterr()
        told = json.loads(printed.out)["text"]
        assert told["fits"] is (code == 0)
        assert told["bytes_that_fit"] <= len(text)
        assert ("the text does not fit the grammar" in printed.err) is (code == 1)


def test_what_could_stand_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"ok": nul')))
    asked = ["grammar", "check", *rules_of("--json-schema", tmp_path), "--text", "-"]
    assert cli.main(asked) == 1
    assert "fits for 7 bytes; then expected 'f' 't'" in capsys.readouterr().out


def test_restrictions_and_what_is_dropped_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema"
    path.write_text(json.dumps({"type": "string", "pattern": r"^(a)\1$"}))
    asked = ["grammar", "check", "--json-schema", str(path)]
    assert cli.main(asked) == cli.WRONG_INPUT
    assert "/pattern" in capsys.readouterr().err
    assert cli.main([*asked, "--ignore-unsupported", "--json"]) == 0
    [dropped] = json.loads(capsys.readouterr().out)["dropped"]
    assert dropped["keyword"] == "pattern"


@pytest.mark.parametrize(
    ("flags", "good", "bad"),
    spread(
        [
            ([], '{\n "b": 1, "a": 2}', '{\t"a": 1}'),
            (["--indent", "2"], '{\n  "b": 1\n}', '{"b": 1}'),
            (["--whitespace", "compact"], '{"b":1}', '{"b": 1}'),
            (["--key-order", "declared"], '{"a": 1, "b": 2}', '{"b": 1, "a": 2}'),
            (["--digits", "20"], '{"a": 12345678901234567890}', '{"a": 123456789012345678901}'),
            (["--digits", "any"], '{"a": ' + "9" * 5000 + "}", '{"a": "9"}'),
            (["--nesting", "2"], '{"c": [1]}', '{"c": [[1]]}'),
            (["--nesting", "any"], '{"c": ' + "[" * 300 + "]" * 300 + "}", '{"a": []}'),
        ],
        3,
    ),
)
def test_how_json_is_written(tmp_path: Path, flags: list[str], good: str, bad: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    (tmp_path / "schema").write_text(json.dumps(schema))
    for text, code in ((good, 0), (bad, 1)):
        (tmp_path / "text").write_text(text)
        asked = ["grammar", "check", "--json-schema", str(tmp_path / "schema"), *flags]
        assert cli.main([*asked, "--text", str(tmp_path / "text")]) == code


def test_a_text_is_generated_in_a_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schema"
    asked = ["generate", "x", "--do-sample", "--seed", "5", "--json-schema", str(path)]
    flags = ["--on-unsupported", "ignore", "--indent", "2", "--key-order", "declared"]
    path.write_text(json.dumps(SCHEMA))
    assert cli.main([*asked, *flags, "--max-new-tokens", "100"]) == 0
    assert capsys.readouterr().out[:-1] in ('{\n  "ok": true\n}', '{\n  "ok": false\n}')


@pytest.mark.parametrize("flags", [["--indent", "2"], ["--on-unsupported", "ignore"]])
def test_flags_of_schemas_stand_beside_a_schema(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["grammar", "check", "--regex", "a", *flags]) == cli.WRONG_INPUT
    assert "--json-schema" in capsys.readouterr().err


@pytest.mark.parametrize("resource", ["nowhere", "=x", "urn:a="])
def test_a_resource_is_an_address_and_a_file(
    tmp_path: Path, resource: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema"
    path.write_text(json.dumps(SCHEMA))
    asked = ["grammar", "check", "--json-schema", str(path), "--resource", resource]
    assert cli.main(asked) == cli.WRONG_INPUT
    assert "URI=FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "grammar.value must be an object or the JSON text of one"),
        ('{"type": "strin"}', "/type"),
        ('{"type": "integer", "enum": ["a"]}', "/enum: enum allows no value beside type"),
    ],
)
def test_a_wrong_schema_is_wrong_input(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema"
    path.write_text(text)
    for command in (["grammar", "check"], ["generate", "x"]):
        assert cli.main([*command, "--json-schema", str(path)]) == cli.WRONG_INPUT
        assert complaint in capsys.readouterr().err
