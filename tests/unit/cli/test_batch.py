"""`decoding batch`: rows, errors, seeds, and a run that goes on where a killed one stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from profiles import spread
from speaker import ByteTokenizer, code_of, model_of

from decoding.cli import main as cli
from decoding.cli.files import open_results
from decoding.testing.models import hash_model

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}>"


def write(path: Path, rows: list[Any]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every model one of random logits."""
    made = model_of(hash_model(257), tokenizer=ByteTokenizer(), chat_template=TEMPLATE)
    monkeypatch.setattr(cli, "load", lambda source: made)


def run(tmp_path: Path, rows: list[Any], *flags: str, name: str = "out.jsonl") -> list[Any]:
    source = write(tmp_path / "in.jsonl", rows)
    target = tmp_path / name
    assert code_of(["batch", str(source), str(target), *flags]) == 0
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


ROWS: list[Any] = [
    {"inputs": "one", "parameters": {"max_new_tokens": 5, "temperature": 1.0}},
    {"prompt": "two", "id": "b"},
    {"messages": [{"role": "user", "content": "three"}], "id": 7},
    {"inputs": [116, 52], "parameters": {"max_new_tokens": 3, "details": True, "seed": 1}},
]


@pytest.mark.usefixtures("model")
def test_rows_are_answered_in_their_order(tmp_path: Path) -> None:
    results = run(tmp_path, ROWS, "--max-new-tokens", "8")
    assert [item["index"] for item in results] == [0, 1, 2, 3]
    assert [item.get("id") for item in results] == [None, "b", 7, None]
    assert [item["generated_tokens"] for item in results] == [5, 8, 8, 3]
    assert results[1]["seed"] is None
    assert results[3]["seed"] == 1
    assert results[2]["message"]["role"] == "assistant"
    assert len(results[3]["details"]["tokens"]) == 3
    assert results[0]["input_length"] == 3


def test_a_row_names_its_chat_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = {"rag": "rag: {{ messages[0].content }}"}
    made = model_of(
        hash_model(257), tokenizer=ByteTokenizer(), chat_template=TEMPLATE, chat_templates=templates
    )
    monkeypatch.setattr(cli, "load", lambda source: made)
    rows = [{"messages": "Hi", "chat_template": name} for name in ("default", "rag", "none")]
    plain, named, unknown = run(tmp_path, rows, "--max-new-tokens", "2")
    assert (plain["input_length"], named["input_length"]) == (len("<user>Hi>"), len("rag: Hi"))
    assert "chat_template" in unknown["error"]


@pytest.mark.usefixtures("model")
def test_a_bad_row_is_an_error_and_the_others_go_on(tmp_path: Path) -> None:
    bad: list[Any] = [
        "{", "[]", "{}", '"x"', {"inputs": ""}, {"inputs": "x", "prompt": "y"},
        {"inputs": {"a": 1}},
        {"inputs": "x", "parameters": {"top_p": 7}}, {"inputs": "x", "parameters": {"top_q": 1}},
        {"inputs": "x", "parameters": 3}, {"inputs": "x", "id": [1]}, {"inputs": "x", "tools": []},
        {"inputs": "x", "nonsense": 1}, {"messages": []}, {"messages": [1]},
        {"messages": "x", "tool_choice": "required"}, "\udcff",
        {"inputs": "x", "id": "\ud800", "parameters": {"temperature": 1.0, "max_new_tokens": 1}},
        {"inputs": "x", "parameters": []}, {"inputs": "x", "parameters": False},
        {"inputs": "x", "parameters": {"grammar": {"type": "regex", "value": "("}}},
    ]  # fmt: skip
    source = tmp_path / "in.jsonl"
    lines = [item if isinstance(item, str) else json.dumps(item) for item in [*bad, ROWS[0]]]
    source.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    target = tmp_path / "out.jsonl"
    assert code_of(["batch", str(source), str(target)]) == 0
    results = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert [item["index"] for item in results] == list(range(len(bad) + 1))
    *failed, last = results
    assert all(item["error"] and item["error_type"].endswith("Error") for item in failed)
    assert last["generated_tokens"] == 5


@pytest.mark.usefixtures("model")
def test_seeds_do_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = [{"inputs": "same", "id": f"r{index}"} for index in range(12)]
    flags = ("--temperature", "1", "--max-new-tokens", "6", "--seed", "3")
    first = {item["id"]: item for item in run(tmp_path, rows, *flags)}
    assert len({item["generated_text"] for item in first.values()}) > 6
    for index, size in enumerate(("1", "5")):
        random.Random(index).shuffle(rows)
        again = run(tmp_path, rows, *flags, "--batch-size", size, name=f"{index}.jsonl")
        for item in again:
            assert item["seed"] == first[item["id"]]["seed"]
            assert item["generated_text"] == first[item["id"]]["generated_text"]
    flags = (*flags[:-1], "4")
    other = run(tmp_path, rows, *flags, name="other.jsonl")
    assert all(item["seed"] != first[item["id"]]["seed"] for item in other)


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("left", spread([0, 1, 50, 300, 700, 100_000], 3))
def test_a_run_goes_on_behind_what_is_written(tmp_path: Path, left: int) -> None:
    rows = [{"inputs": f"row {index}"} for index in range(20)]
    flags = ("--temperature", "1", "--max-new-tokens", "4", "--batch-size", "1")
    run(tmp_path, rows, *flags)
    whole = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(whole[:left])
    run(tmp_path, rows, *flags, name="cut.jsonl")
    assert (tmp_path / "cut.jsonl").read_bytes() == whole


@pytest.mark.usefixtures("model")
def test_results_of_another_run_are_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"inputs": "a"}, {"inputs": "b"}]
    run(tmp_path, rows, "--max-new-tokens", "2")
    source, target = str(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    before = target.read_bytes()
    for flags in (["--max-new-tokens", "3"], ["--max-new-tokens", "2", "--seed", "1"]):
        assert code_of(["batch", source, str(target), *flags]) == 2
        assert "line 1" in capsys.readouterr().err
        assert target.read_bytes() == before
    write(tmp_path / "in.jsonl", rows[:1])
    assert code_of(["batch", source, str(target), "--max-new-tokens", "2"]) == 2
    run(tmp_path, [{"inputs": "c"}], "--max-new-tokens", "2", "--overwrite")
    assert len(target.read_bytes().splitlines()) == 1


def _edited(line: bytes, number: int) -> bytes:
    """A line that somebody has changed: its text, its order, a key twice, its spaces."""
    said = json.loads(line)
    changed = (
        {**said, "generated_text": "by hand"},
        {**said, "seed": 1},
        {**said, "index": True},
        dict(reversed(said.items())),
        {"error": "by hand", **said},
    )
    if number < len(changed):
        return json.dumps(changed[number], ensure_ascii=False).encode() + b"\n"
    return (line.replace(b'"seed"', b'"seed": 5, "seed"'), line[:-1] + b" \n", b"\n", line * 2)[
        number - len(changed)
    ]


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("number", range(9))
def test_a_result_that_was_edited_is_not_gone_on_with(tmp_path: Path, number: int) -> None:
    rows = [{"inputs": f"row {index}"} for index in range(5)]
    flags = ("--max-new-tokens", "2", "--batch-size", "1")
    run(tmp_path, rows, *flags)
    target = tmp_path / "out.jsonl"
    first, second, *_ = target.read_bytes().splitlines(keepends=True)
    before = first + _edited(second, number)
    target.write_bytes(before)
    assert code_of(["batch", str(tmp_path / "in.jsonl"), str(target), *flags]) == 2
    assert target.read_bytes() == before


def says_another(sequences: list[list[int]]) -> Any:
    return hash_model(257)([[*token_ids, 1] for token_ids in sequences])


def test_results_of_another_model_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (
        model_of(forward, chat_template=TEMPLATE, fingerprint=name)
        for forward, name in ((hash_model(257), "a"), (says_another, "b"))
    )
    unnamed = model_of(says_another, chat_template=TEMPLATE, fingerprint="a")
    rows = [{"inputs": f"row {index}"} for index in range(5)]
    flags = ("--max-new-tokens", "4", "--batch-size", "1")
    monkeypatch.setattr(cli, "load", lambda source: one)
    run(tmp_path, rows, *flags)
    target = tmp_path / "out.jsonl"
    half = b"".join(target.read_bytes().splitlines(keepends=True)[:3])
    # By the name of its files, and by what it says to rows that have been answered.
    for model, line in ((other, 1), (unnamed, 1)):
        monkeypatch.setattr(cli, "load", lambda source, model=model: model)
        target.write_bytes(half)
        assert code_of(["batch", str(tmp_path / "in.jsonl"), str(target), *flags]) == 2
        assert f"line {line} must be" in capsys.readouterr().err
        assert target.read_bytes() == half


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("link", [False, True])
def test_the_input_is_never_the_output(tmp_path: Path, *, link: bool) -> None:
    source = write(tmp_path / "in.jsonl", [{"inputs": "a"}])
    before, target = source.read_bytes(), source
    if link:
        target = tmp_path / "link"
        target.symlink_to(source)
    assert code_of(["batch", str(source), str(target), "--overwrite"]) == 2
    assert source.read_bytes() == before


@pytest.mark.usefixtures("model")
def test_two_runs_do_not_write_to_one_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.jsonl"
    arguments = ["batch", str(write(tmp_path / "in.jsonl", ROWS)), str(target), "--overwrite"]
    with open_results("OUT.jsonl", str(target)) as held:
        held.write(b"of the other\n")
        held.flush()
        assert code_of(arguments) == 2
        assert "no other process writes to" in capsys.readouterr().err
        assert target.read_bytes() == b"of the other\n"
    assert code_of(arguments) == 0


@pytest.mark.usefixtures("model")
def test_pipes_and_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, pipe = str(write(tmp_path / "in.jsonl", [{"inputs": "a"}])), str(tmp_path / "pipe")
    os.mkfifo(pipe)
    flags = ("--max-new-tokens", "2", "--no-progress", "--overwrite")
    assert code_of(["batch", pipe, str(tmp_path / "out"), *flags]) == 2  # that nobody writes to
    assert code_of(["batch", source, pipe, *flags]) == 1  # that nobody reads
    assert code_of(["batch", "/dev/zero", str(tmp_path / "out"), *flags]) == 2
    assert code_of(["batch", source, "/dev/full", *flags]) == 1
    assert "No space left" in capsys.readouterr().err
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert code_of(["batch", source, pipe, *flags]) == 0
        assert json.loads(os.read(reader, 10_000))["generated_tokens"] == 2
    finally:
        os.close(reader)


@pytest.mark.usefixtures("model")
def test_a_seed_of_all_means_sampling(tmp_path: Path) -> None:
    rows: list[Any] = [{"inputs": "same"} for _ in range(6)]
    rows += [{"inputs": "same", "parameters": {"temperature": 0.0}}]
    rows += [{"inputs": "same", "parameters": {"do_sample": False}}]
    results = run(tmp_path, rows, "--seed", "3", "--max-new-tokens", "8")
    assert len({item["generated_text"] for item in results[:6]}) > 4
    assert [item["seed"] for item in results[6:]] == [None, None]
    source = str(tmp_path / "in.jsonl")
    for seed in ("-1", str(2**64)):
        assert code_of(["batch", source, str(tmp_path / "other"), "--seed", seed]) == 2


@pytest.mark.usefixtures("model")
def test_an_input_without_rows_and_one_that_is_not_there(tmp_path: Path) -> None:
    assert run(tmp_path, [""]) == []
    assert code_of(["batch", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert (
        code_of(["batch", str(tmp_path / "none"), str(tmp_path / "out"), "--batch-size", "0"]) == 2
    )


@pytest.mark.usefixtures("model")
def test_progress_is_told_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, ROWS, "--max-new-tokens", "2")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1] == "decoding: 4 of 4 rows"
    run(tmp_path, ROWS, "--max-new-tokens", "2", "--no-progress", name="other.jsonl")
    assert capsys.readouterr().err == ""


CHILD = """
    import sys, time
    sys.path.insert(0, {folder!r})
    from speaker import model_of
    from decoding.cli import main
    from decoding.testing.models import hash_model
    inner = hash_model(257)
    def forward(sequences):
        time.sleep(0.002)
        return inner(sequences)
    main.load = lambda source: model_of(forward)
    sys.exit(main.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"inputs": f"row {index}", "parameters": {"max_new_tokens": 1 + index % 9}}
        for index in range(150)
    ]
    rows[11] = "no row"
    rows[77] = {"messages": "x", "response_format": {"type": "regex", "value": "[ab]{3}"}}
    source = write(tmp_path / "in.jsonl", rows)
    child = textwrap.dedent(CHILD.format(folder=str(Path(__file__).parents[1])))

    def command(name: str) -> list[str]:
        flags = ["--temperature", "1", "--batch-size", "2", "--details", "--no-progress"]
        return [sys.executable, "-c", child, "batch", str(source), str(tmp_path / name), *flags]

    subprocess.run(command("whole"), check=True, timeout=300)
    whole = (tmp_path / "whole").read_bytes()
    assert len(whole.splitlines()) == len(rows)
    target, choice = tmp_path / "killed", random.Random(5)
    for part in (0.3, 0.7):
        running = subprocess.Popen(command("killed"))
        enough = len(whole) * part * choice.uniform(0.7, 1.2)
        while running.poll() is None and (not target.exists() or target.stat().st_size < enough):
            os.sched_yield()
        assert running.poll() is None
        running.send_signal(signal.SIGKILL)
        assert running.wait(60) == -signal.SIGKILL
        assert whole.startswith(target.read_bytes())
        with target.open("ab") as stream:  # a line that the kill has cut
            stream.write(whole.splitlines(keepends=True)[-1][:40])
    subprocess.run(command("killed"), check=True, timeout=300)
    assert target.read_bytes() == whole


@pytest.mark.usefixtures("model")
def test_a_line_that_is_too_long_is_named_by_its_number_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("decoding.cli.batch.MOST_BYTES", 20)
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"inputs": "a"}\n\n\n' + b"x" * 21 + b"\n")
    assert code_of(["batch", str(source), str(tmp_path / "out.jsonl")]) == 2
    assert "line 4 must be a line of at most 20 bytes" in capsys.readouterr().err
