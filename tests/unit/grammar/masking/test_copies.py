"""Grammars, matchers and pipelines pass through pickle, copies and forks."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_marks import needs_fork

from decoding import GrammarMask, chain
from decoding.grammar import (
    CompiledGrammar,
    JsonStyle,
    Machine,
    Matcher,
    compile_choices,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
    prefetch,
    token_table,
)
from decoding.grammar.tokens import trie_files
from decoding.history import History
from decoding.vocabulary import Vocabulary

SPELLED = [*(bytes([byte]) for byte in range(256)), b'{"', b"ab", b"</s>"]
END = len(SPELLED) - 1


def new_machine() -> Machine:
    return Machine(token_table(Vocabulary(SPELLED, frozenset({END})), [END], END + 6), 1 << 20)


SOURCES: list[Callable[[Machine], CompiledGrammar]] = [
    lambda machine: compile_regex("(ab|c)+", machine),
    lambda machine: compile_choices(["abc", "abd"], machine),
    lambda machine: compile_json_schema(
        {"properties": {"a": {"type": "integer"}}, "x": 1},
        machine,
        style=JsonStyle(whitespace="free", longest=1),
    ),
    lambda machine: compile_gbnf('top ::= "a" top "b" | "c"', machine, start="top", memory=1 << 20),
    lambda machine: compile_lark('start: "a" start | "b"', machine),
]
BEGIN = [b"ab", b"ab", b'{"', b"a", b"a"]


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # written here


def mask_of(matcher: Any) -> list[int]:
    found: list[int] = matcher.mask().tolist()
    return found


@pytest.mark.parametrize("number", range(len(SOURCES)))
def test_a_pickle_holds_the_source_and_the_tokens(number: int) -> None:
    grammar = SOURCES[number](new_machine())
    matcher = grammar.matcher()
    assert matcher.advance(SPELLED.index(BEGIN[number]))
    loaded, again = through_pickle((grammar, matcher))
    assert mask_of(loaded.matcher()) == mask_of(grammar.matcher())
    assert mask_of(again) == mask_of(matcher)
    again.rollback(1)
    assert mask_of(again) == mask_of(grammar.matcher())
    assert loaded.restrictions == grammar.restrictions
    assert loaded.recipe.keywords == grammar.recipe.keywords


def test_grammars_of_one_machine_share_one_after_loading() -> None:
    machine = new_machine()
    pair = through_pickle([make(machine) for make in SOURCES[:2]])
    (_, one), (_, other) = (grammar.recipe.args for grammar in pair)
    assert one is other
    assert one.masks.memory == 1 << 20
    assert one.tokens.width == END + 6


def test_a_schema_that_is_changed_later_is_not_what_was_compiled() -> None:
    schema: dict[str, Any] = {"enum": ["a"]}
    grammar = compile_json_schema(schema, new_machine())
    schema["enum"].append("b")
    assert mask_of(through_pickle(grammar).matcher()) == mask_of(grammar.matcher())
    matcher = through_pickle(grammar).matcher()
    assert matcher.advance(ord('"'))
    assert not matcher.advance(ord("b"))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_matcher_is_a_fork(copied: Callable[[Any], Any]) -> None:
    grammar = SOURCES[0](new_machine())
    assert copied(grammar) is grammar
    matcher = grammar.matcher()
    assert matcher.advance(ord("a"))
    other: Matcher = copied(matcher)
    assert other.advance(ord("b"))
    assert not matcher.is_accepting
    assert other.is_accepting
    assert len({grammar, copied(grammar)}) == 1


@pytest.mark.parametrize("copied", [through_pickle, copy.deepcopy])
def test_a_pipeline_with_a_grammar_is_copied(copied: Callable[[Any], Any]) -> None:
    pipeline = chain(GrammarMask(SOURCES[0](new_machine())))
    logits = np.zeros((1, END + 6), np.float32)
    expected = pipeline(logits, History.empty(1))
    np.testing.assert_array_equal(copied(pipeline)(logits, History.empty(1)), expected)


@pytest.mark.slow
@pytest.mark.kernels
def test_a_matcher_works_in_a_process_that_has_never_seen_the_grammar() -> None:
    matcher = SOURCES[2](new_machine()).matcher()
    assert matcher.advance(SPELLED.index(b'{"'))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).mask().tolist())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=pickle.dumps(matcher), capture_output=True, check=True)
    assert json.loads(done.stdout) == mask_of(matcher)


@needs_fork
def test_a_matcher_works_in_a_forked_process() -> None:
    matcher = SOURCES[2](new_machine()).matcher()
    assert matcher.advance(SPELLED.index(b'{"'))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        other = matcher.fork()
        taken = other.advance(ord("a"))
        os.write(writing, json.dumps([taken, mask_of(other)]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = json.loads(file.read())
    os.waitpid(child, 0)
    assert matcher.advance(ord("a"))
    assert said == [True, mask_of(matcher)]


@needs_fork
def test_a_fork_waits_for_the_thread_that_makes_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = SOURCES[0](new_machine())
    matcher = grammar.matcher()
    store = matcher.acceptor._generation.inner.store  # its lock is what a mask is made under
    making, going_on = threading.Event(), threading.Event()
    before = type(matcher.acceptor._generation.inner)._mask

    def slow(automaton: Any, state: int) -> Any:
        making.set()
        going_on.wait(1)
        return before(automaton, state)

    with monkeypatch.context() as patch:
        patch.setattr(type(matcher.acceptor._generation.inner), "_mask", slow)
        thread = prefetch([matcher])
        assert making.wait(10)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child
            taken = store.lock.acquire(timeout=5)
            os.write(writing, b"free" if taken else b"held")
            os._exit(0)
        assert os.read(reading, 4) == b"free"
        os.waitpid(child, 0)
        thread.join()


def test_a_damaged_or_foreign_trie_is_not_read_but_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECODING_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(trie_files, "_LARGE", 1)
    monkeypatch.setattr(trie_files, "cache_folder", lambda: tmp_path)
    expected, _ = trie_files.tries(SPELLED)
    (path,) = tmp_path.glob("tries/*.npz")
    whole = path.read_bytes()
    fields = dict(np.load(path))
    pickled, short = tmp_path / "pickled.npz", tmp_path / "short.npz"
    np.savez(pickled, **{**fields, "bare": np.array([{}], object)})
    np.savez(short, **{**fields, "bare": fields["bare"][:7], "bare_twins": fields["bare"][:1]})
    damaged = [
        b"",
        b"PK",
        whole[: len(whole) // 2],
        whole[:-9],
        pickled.read_bytes(),
        short.read_bytes(),
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.warns(RuntimeWarning, match="damaged"):
            found, _ = trie_files.tries(SPELLED)
        np.testing.assert_array_equal(found.nodes, expected.nodes)
        with zipfile.ZipFile(path) as healed:
            assert healed.testzip() is None
        np.testing.assert_array_equal(np.load(path)["bare"], fields["bare"])


@pytest.mark.parametrize(
    "compiled",
    [
        lambda machine: compile_regex("(ab)*c?", machine),
        lambda machine: compile_gbnf('root ::= "ab" root | "c"', machine),
        lambda machine: compile_json_schema({"type": "array", "items": {"const": 1}}, machine),
    ],
)
def test_no_bytes_and_many_bytes_are_followed(
    compiled: Callable[[Machine], CompiledGrammar],
) -> None:
    matcher = compiled(new_machine()).matcher()
    assert matcher.follow(b"")
    long = b"[" + b"1," * 4_000 if not matcher.follow(b"a") else b"b" + b"ab" * 4_000
    before = matcher.state
    assert not matcher.follow(long + b"?")
    assert matcher.state == before
    assert matcher.follow(long)
    again = copy.deepcopy(matcher)
    assert np.array_equal(again.mask(), matcher.mask())
    matcher.rollback(1)
    assert matcher.state == before
