"""Masks made ahead are the masks, and are not made again."""

from __future__ import annotations

import threading

import pytest

from decoding.errors import GrammarLimitError, ParameterError
from decoding.grammar import (
    JsonStyle,
    Machine,
    Matcher,
    compile_gbnf,
    compile_json_schema,
    compile_regex,
    precompute,
    prefetch,
    token_table,
)
from decoding.grammar.masking.byte_acceptor import ByteAcceptor
from decoding.vocabulary import Vocabulary

END = 256
BYTES = Vocabulary([*(bytes([byte]) for byte in range(256)), b"<end>"], frozenset({END}))
TOKENS = token_table(BYTES, [END])


STYLE = JsonStyle(whitespace="free", longest=1)


@pytest.fixture
def machine() -> Machine:
    return Machine(TOKENS)


def masks(matcher: Matcher, text: bytes) -> list[bytes]:
    found = [matcher.mask().tobytes()]
    for byte in text:
        assert matcher.advance(byte)
        found.append(matcher.mask().tobytes())
    return found


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object) -> None:
        pytest.fail("a mask that is known was made again")

    monkeypatch.setattr(ByteAcceptor, "_mask", made)


def test_all_places_that_follow(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"a": [true, null]}'
    items = {"type": "array", "items": {"enum": [True, None]}, "maxItems": 2}
    schema = {
        "type": "object",
        "properties": {"a": items},
        "required": ["a"],
        "additionalProperties": False,
    }
    expected = masks(
        compile_json_schema(schema, machine, style=STYLE).matcher(),
        text,
    )
    matcher = compile_json_schema(schema, machine, style=STYLE).matcher()
    made = precompute(matcher, 60.0)
    assert made > len(text)
    assert precompute(matcher, 60.0) == made
    forbid(monkeypatch)
    assert masks(matcher, text) == expected


def test_places_near_by_come_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = compile_regex("[ab]{9}[c-z]{9}", machine).matcher()
    assert precompute(matcher, 0.0) == 0
    moments = iter(range(100))
    monkeypatch.setattr("decoding.grammar.masking.prefetch.time.monotonic", lambda: next(moments))
    assert precompute(matcher, 4.5) == 4
    forbid(monkeypatch)
    masks(matcher, b"aba")


def test_places_of_a_context_free_grammar(machine: Machine) -> None:
    matcher = compile_gbnf('root ::= "a" ("b" | "c") "d"', machine).matcher()
    assert precompute(matcher, 60.0) == 4  # what follows b is what follows c


def test_a_batch_is_prefetched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = compile_regex("[ab]{9}", machine)
    matchers = [grammar.matcher() for _ in range(3)]
    for count, matcher in enumerate(matchers):
        assert all(matcher.advance(ord("a")) for _ in range(count))
    made: list[tuple[int, str]] = []
    make = ByteAcceptor._mask

    def watched(automaton: ByteAcceptor, state: int) -> object:
        made.append((state, threading.current_thread().name))
        return make(automaton, state)

    monkeypatch.setattr(ByteAcceptor, "_mask", watched)
    prefetch(matchers).join()
    assert made == [(matcher.state, "masks") for matcher in matchers]
    assert all(matcher.mask().any() for matcher in matchers)
    assert len(made) == len(matchers)


def test_an_error_waits_for_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    matchers = [compile_regex("[ab]{9}", Machine(TOKENS)).matcher() for _ in range(2)]
    make = ByteAcceptor._mask  # what the second one still does
    broken = matchers[0].acceptor._generation.inner  # as no acceptor of this library is

    def limited(automaton: ByteAcceptor, state: int) -> object:
        if automaton is broken:
            raise GrammarLimitError("", "steps", 1)
        return make(automaton, state)

    monkeypatch.setattr(ByteAcceptor, "_mask", limited)
    prefetch(matchers).join()
    with pytest.raises(GrammarLimitError):
        matchers[0].mask()
    forbid(monkeypatch)
    assert matchers[1].mask().any()


def test_no_time_is_less_than_none(machine: Machine) -> None:
    with pytest.raises(ParameterError, match="seconds"):
        precompute(compile_regex("a", machine).matcher(), -1.0)
