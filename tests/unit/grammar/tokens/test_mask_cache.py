"""What is kept of grammars has a bound, and nothing that was dropped is missed."""

from __future__ import annotations

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.grammar import Machine, compile_json_schema, compile_regex, token_table
from decoding.grammar.json import automaton_store as store
from decoding.grammar.masking import byte_acceptor as grammar
from decoding.grammar.tokens.mask_cache import MaskCache
from decoding.vocabulary import Vocabulary

END = 256
TOKENS = token_table(
    Vocabulary([*(bytes([byte]) for byte in range(256)), b"<end>"], frozenset({END})), [END]
)
TEXT = b'{"name": "abc", "other": [1, 2.5, {"deep": ""}]}'


def masks(machine: Machine) -> list[bytes]:
    matcher = compile_json_schema({"type": "object"}, machine).matcher()
    found = [matcher.mask().tobytes()]
    for byte in TEXT:
        assert matcher.advance(byte)
        found.append(matcher.mask().tobytes())
    return found


def test_masks_are_dropped_by_the_time_they_were_last_asked_for() -> None:
    kept = MaskCache(8 * 100)
    first = kept.numbers()
    assert kept.numbers() != first
    for number in range(1_000):
        kept.put(first + number, np.full(25, number, np.uint32))
        assert kept.size <= 800
        assert number == 0 or kept.get(first) is not None  # asked for again and again
    assert kept.get(first + 500) is None
    newest = kept.get(first + 999)
    assert newest is not None
    assert newest[0] == 999


@pytest.mark.parametrize("memory", [0, 200, 5_000])
def test_masks_that_were_dropped_are_made_again(memory: int) -> None:
    machine = Machine(TOKENS, masks_memory=memory)
    assert masks(machine) == masks(machine) == masks(Machine(TOKENS))
    assert machine.masks.size <= memory


def test_new_grammars_are_written_elsewhere_once_a_store_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(TOKENS)
    first = machine.store()
    expected = masks(machine)
    assert machine.store() is first
    monkeypatch.setattr(store, "FULL", 1_000)
    assert masks(machine) == expected
    assert machine.store() is not first


def test_new_texts_are_followed_by_new_states_once_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammar, "_MANY_STATES", 10)
    compiled = compile_regex("[ab]{30}", Machine(TOKENS))
    old = compiled.matcher()
    assert compiled.acceptor() is compiled.acceptor()
    assert all(old.advance(ord("a")) for _ in range(20))
    new = compiled.matcher()
    assert compiled.acceptor() is compiled.acceptor()
    for matcher in (old, new):
        assert all(matcher.advance(ord("b")) for _ in range(10))
        assert matcher.mask().any()
    assert old.is_accepting
    assert not new.is_accepting


def test_no_memory_is_less_than_none() -> None:
    with pytest.raises(ParameterError, match="masks_memory"):
        Machine(TOKENS, masks_memory=-1)
