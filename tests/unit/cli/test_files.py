"""Files that the command reads: bounded, with one-line errors."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

import pytest
from speaker import code_of

from decoding import load
from decoding.cli import main as cli
from decoding.cli.files import MOST_BYTES, read_utf8
from decoding.errors import ParameterError


def test_a_pipe_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text("é" * 100_000, encoding="utf-8"))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer begins
    writer.start()
    try:
        select.select([reader], [], [])  # until there is something to read
        assert read_utf8("--text", str(path)) == "é" * 100_000
    finally:
        writer.join()
        os.close(reader)


def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ParameterError, match="a file, or a pipe that a process writes to"):
        read_utf8("--text", str(tmp_path / "pipe"))


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        read_utf8("--json-schema", str(tmp_path))
    assert caught.value.filename == str(tmp_path)


def test_what_has_no_end_or_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").touch()
    os.truncate(tmp_path / "long", MOST_BYTES + 1)
    for source in ("/dev/zero", str(tmp_path / "long")):
        with pytest.raises(ParameterError, match="a file of at most"):
            read_utf8("--text", source)


def test_a_name_with_a_null_character_is_refused() -> None:
    with pytest.raises(ParameterError, match="without null characters"):
        read_utf8("--text", "a\0b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "a", "--grammar", "[" * 100_000],
        ["generate", "a", "--max-new-tokens", "9" * 5_000],
        ["info", "--model", "x" * 100_000],
    ],
)
def test_long_arguments_get_a_short_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert code_of(arguments) == cli.WRONG_INPUT
    written = capsys.readouterr().err
    assert (written.count("\n"), len(written) < 3_000) == (1, True)


def test_a_deep_resource_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "schema").write_text("{}", encoding="utf-8")
    (tmp_path / "deep").write_text("[" * 100_000, encoding="utf-8")
    flags = ["--json-schema", str(tmp_path / "schema"), "--resource", f"urn:a={tmp_path / 'deep'}"]
    assert code_of(["grammar", "check", *flags]) == cli.WRONG_INPUT
    assert "--resource must be a file of JSON" in capsys.readouterr().err


def test_a_name_that_no_file_can_have_names_no_model() -> None:
    with pytest.raises(ParameterError, match="source must be a known model"):
        load("x" * 100_000)
