from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.network import compile_rules
from decoding.grammar.tokens.trie import build_trie
from decoding.kernels.grammar import earley_surveys
from decoding.kernels.grammar.earley import EarleyMachine, MachineLimitError
from decoding.kernels.grammar.earley_arrays import new_chart, size_of


def machine_of(text: str, **options: int) -> EarleyMachine:
    return EarleyMachine(compile_rules(parse_gbnf(text)).network, **options)


def test_states_are_the_same_where_the_same_may_follow() -> None:
    machine = machine_of('root ::= "a" root "b" | "c"')
    assert machine.steps(machine.start, b"aacb") == machine.steps(machine.start, b"ac")
    assert machine.steps(machine.start, b"a") != machine.steps(machine.start, b"aa")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ('root ::= root "+" root | root "*" root | "(" root ")" | "a"', b"a+a*"),
        ('root ::= root root | "a"', b"a"),
        ('root ::= root "a" | "a"', b"a"),
        ('root ::= "a" root | "a"', b"a"),
        ('root ::= s "+" root | s\ns ::= s "*" t | t\nt ::= "(" root ")" | "a"', b"a+a*"),
    ],
)
def test_flat_texts_need_no_more_states_the_longer_they_are(text: str, unit: bytes) -> None:
    machine = machine_of(text)
    machine.steps(machine.start, unit * 3)
    known = machine.states
    assert machine.steps(machine.start, unit * 2_000) >= 0
    assert machine.states == known


def test_dead_states_stay_dead() -> None:
    machine = machine_of('root ::= "a"')
    dead = machine.step(machine.start, ord("b"))
    assert dead == -1
    assert machine.step(dead, ord("a")) == -1
    assert not machine.accepting(dead)
    mask = np.zeros(1, np.uint32)
    trie = build_trie([(0, b"a")])
    machine.mask(dead, trie.nodes, trie.twins, mask)
    assert mask.tolist() == [0]


def test_characters_are_whole() -> None:
    machine = machine_of("root ::= [^a]")
    emoji = "😀".encode()
    for length in range(1, 4):
        assert not machine.accepting(machine.steps(machine.start, emoji[:length]))
    assert machine.accepting(machine.steps(machine.start, emoji))
    for wrong in (b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xff", b"\x80"):
        assert machine.steps(machine.start, wrong) == -1


def test_nesting_is_as_deep_as_the_text() -> None:
    machine = machine_of('root ::= "(" root ")" | "x"')
    depth = 20_000
    state = machine.steps(machine.start, b"(" * depth + b"x")
    state = machine.steps(state, b")" * (depth - 1))
    assert not machine.accepting(state)
    assert machine.accepting(machine.step(state, ord(")")))
    assert machine.memory_used <= 64 << 20


def test_several_ways_to_nest() -> None:
    machine = machine_of('root ::= "a" root "b" | "a" "a" root "b" | "c"')
    state = machine.steps(machine.start, b"a" * 199 + b"c")
    ends = []
    for closed in range(202):
        if machine.accepting(state):
            ends.append(closed)
        state = machine.step(state, ord("b"))
    assert ends == list(range(100, 200))
    assert machine.memory_used <= 1 << 18


def test_ambiguity_costs_work_and_meets_no_bound_but_memory() -> None:
    names = ["root", *(f"s{number}" for number in range(3))]
    machine = machine_of(
        "\n".join(f"{s} ::= {s} {s} {s} | {t}" for s, t in itertools.pairwise([*names, '"a"']))
    )
    state = machine.start
    for length in range(1, 301):
        state = machine.step(state, ord("a"))
        assert machine.accepting(state) == (length % 2 == 1)


def test_memory_is_bounded() -> None:
    machine = machine_of('root ::= "(" root ")" | "x"', memory=1 << 20)
    with pytest.raises(MachineLimitError, match="bytes of states"):
        machine.steps(machine.start, b"(" * 100_000)
    assert machine.memory_used <= 1 << 20


def test_a_mask_makes_as_many_new_steps_as_it_needs() -> None:
    machine = machine_of('root ::= "a" root "b" | "x" root "y" | "c"')
    words = ["".join(letters).encode() for letters in itertools.product("ax", repeat=11)]
    trie = build_trie(list(enumerate(words)))
    mask = np.zeros(64, np.uint32)
    machine.mask(machine.start, trie.nodes, trie.twins, mask)
    assert (mask == 0xFFFFFFFF).all()


def test_what_stays_in_a_string_is_surveyed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earley_surveys, "_MANY", 100)
    machine = machine_of(r"""
        root ::= "[" root "]" | "\"" ( [^"\\] | "\\" ["n] )* "\"" end?
        end ::= "!" root
    """)
    pairs = ["".join(pair).encode() for pair in itertools.product("abcdefghijkl", repeat=2)]
    tokens = [*pairs, b'"', b'a"', b'"]', b'"]]', b'"!', b'"![', b'"x', b"\\", b'\\"]', b"\\x"]
    trie = build_trie(list(enumerate(tokens)))
    mask = np.zeros(8, np.uint32)
    for prefix in (b'"', b'"ab\\', b'["', b'[["', b'[["n"!"', b"[", b'[""'):
        state = machine.steps(machine.start, prefix)
        mask[:] = 0
        machine.mask(state, trie.nodes, trie.twins, mask)
        for token, spelled in enumerate(tokens):
            expected = machine.steps(state, spelled) >= 0
            assert bool(mask[token // 32] >> (token % 32) & 1) == expected, (prefix, spelled)


def test_tokens_that_spell_the_same_are_allowed_together() -> None:
    machine = machine_of('root ::= "ab"')
    trie = build_trie([(40, b"ab"), (3, b"ab"), (5, b"b"), (33, b"a")])
    mask = np.zeros(2, np.uint32)
    machine.mask(machine.start, trie.nodes, trie.twins, mask)
    assert mask.tolist() == [1 << 3, 1 << 8 | 1 << 1]


def test_joined_states_go_on_where_either_does() -> None:
    machine = machine_of('root ::= "a" ("x" | "y" "z") | "b" ("x" "w")?')
    one, other = machine.steps(machine.start, b"a"), machine.steps(machine.start, b"b")
    both = machine.join(one, other)
    assert machine.join(both, one) == both
    assert machine.join(-1, one) == one
    assert machine.accepting(both)
    assert machine.accepting(machine.steps(both, b"x"))
    assert machine.accepting(machine.steps(both, b"xw"))
    assert machine.accepting(machine.steps(both, b"yz"))
    assert machine.step(both, ord("w")) == -1


def test_arenas_grow_and_keep_their_numbers() -> None:
    machine = machine_of('root ::= "a" root "b" | "a" "a" root "c" | "d"')
    state = machine.steps(machine.start, b"a" * 20)
    seen = [machine.step(state, symbol) for symbol in b"abcd"]
    machine.steps(state, b"a" * 3_000)
    assert [machine.step(state, symbol) for symbol in b"abcd"] == seen
    assert machine.steps(machine.start, b"a" * 20) == state


def test_without_numba_everything_is_the_same() -> None:
    program = """
import sys
sys.modules["numba"] = None
import numpy as np
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.network import compile_rules
from decoding.grammar.tokens.trie import build_trie
from decoding.kernels.grammar.earley import EarleyMachine
network = compile_rules(parse_gbnf('root ::= root "+" root | "(" root ")" | [0-9]+')).network
machine = EarleyMachine(network)
state = machine.steps(machine.start, b"(12+(3")
trie = build_trie(list(enumerate([b"1", b")", b"))", b")))", b")+(", b"x"])))
mask = np.zeros(1, np.uint32)
machine.mask(state, trie.nodes, trie.twins, mask)
print(machine.accepting(state), machine.accepting(machine.steps(state, b"))")), mask[0])
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", str(0b010111)]


def test_sizes_are_those_of_the_arrays() -> None:
    network = compile_rules(parse_gbnf('root ::= "a"')).network
    room = np.array([100, 200, 300, 400, 1, 1])
    chart = new_chart(network, room)
    fixed = new_chart(network, np.ones(6, np.int64))
    held = sum(new.nbytes - old.nbytes for new, old in zip(chart, fixed, strict=True))
    columns = int(network.column_of.max()) + 1
    assert held <= size_of(room, columns) * 1.7
