"""Context-free grammars behind a matcher: masks by definition, tokens that are named, limits."""

from __future__ import annotations

import random

import numpy as np
import pytest
from profiles import spread

from decoding.errors import (
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar import Machine, compile_gbnf, compile_lark, token_table
from decoding.grammar.masking.matcher import Matcher
from decoding.vocabulary import Vocabulary

# fmt: off
PIECES = [
    "aa", "ab", "ba", "abc", "((", "))", "()", "a+", "+a", "*a)", "if", " then", " else", "if a",
    '"', '"a', 'a"', '",', '\\"', "é", "😀", "a😀", "😀b", " ", "  ", "\n", "<a>", "</a>", "12",
    "1 + 2", "x=", "; x", "[]", "[[", "]]", "]",
]
# fmt: on
SPELLED = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES]
SPELLED += ["😀".encode()[:2], b"ab", b"<think>", b"</think>", b"<end>", b"<stop>"]
THINK, CLOSE, END, STOP = range(len(SPELLED) - 4, len(SPELLED))
WIDTH = len(SPELLED) + 9


@pytest.fixture(scope="module")
def machine() -> Machine:
    vocabulary = Vocabulary(SPELLED, frozenset({THINK, CLOSE, END}))
    return Machine(token_table(vocabulary, [END, STOP], WIDTH))


def allowed(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).tolist()


def by_definition(matcher: Matcher) -> list[int]:
    taken = [token for token in range(WIDTH) if matcher.count_allowed([token])]
    return [*taken, END, STOP] if matcher.is_accepting else taken


GRAMMARS = [
    'root ::= "a" root "b" | "a" "a" root "b" | "c"',
    'root ::= root "+" root | root "*" root | "(" root ")" | "a"',
    'root ::= none root "a" | "b"\nnone ::= "" | "a"',
    'root ::= root root | "" | "a" root "b"',
    'root ::= "if a" " then" root (" else" root)? | "x=" [0-9]+',
    'root ::= "a" root "a" | "b" root "b" | "😀" root? | ""',
    r'root ::= "[" (root ("," root)*)? "]" | "\"" ([^"\\] | "\\" ["\\])* "\""',
    "root ::= . root . | [^a-z]{2,3}",
    'root ::= "<a>" (root | [^<])* "</a>"',
    'root ::= ("a" | "aa" | "ab" | "b"){1,3} (" " root)?',
    'root ::= "x=" sum ("; x=" sum)*\nsum ::= sum " "* "+" " "* [0-9]+ | [0-9]+',
    'root ::= "a"* <think> !<[97]>* </think> "b"',
]


@pytest.mark.parametrize("number", spread(range(len(GRAMMARS)), 4))
def test_masks_equal_the_definition_along_random_texts(machine: Machine, number: int) -> None:
    rng = random.Random(number)
    grammar = compile_gbnf(GRAMMARS[number], machine)
    for _ in range(3):
        matcher = grammar.matcher()
        for _ in range(12):
            tokens = allowed(matcher)
            assert tokens == by_definition(matcher)
            texts = [token for token in tokens if token not in (END, STOP)]
            if not texts:
                assert matcher.is_accepting
                break
            assert matcher.advance(rng.choice(texts))


def test_a_larklike_grammar_is_the_same_language(machine: Machine) -> None:
    lark = compile_lark('start: start "+" start | "(" start ")" | "a"', machine)
    gbnf = compile_gbnf('root ::= root "+" root | "(" root ")" | "a"', machine)
    for text in (b"a", b"(a+a", b"(a)+", b"((a)+a)"):
        pair = lark.matcher(), gbnf.matcher()
        for matcher in pair:
            assert all(matcher.advance(byte) for byte in text)
        assert allowed(pair[0]) == allowed(pair[1])


def test_named_tokens_are_no_text_and_no_text_is_a_named_token(machine: Machine) -> None:
    matcher = compile_gbnf('root ::= <think> "ab" </think> | "<" root', machine).matcher()
    assert allowed(matcher) == [ord("<"), THINK]
    assert matcher.forced_bytes() == b""
    assert not matcher.fork().count_allowed([ord("<"), *b"think>"]) > 1
    assert matcher.advance(THINK)
    assert matcher.forced_bytes() == b"ab"
    assert matcher.advance(SPELLED.index(b"ab"))
    assert allowed(matcher) == [CLOSE]
    assert matcher.advance(CLOSE)
    assert allowed(matcher) == [END, STOP]


def test_a_token_that_fits_as_itself_and_as_text_goes_on_either_way(machine: Machine) -> None:
    matcher = compile_gbnf('root ::= <[97]> "x" | "a" "y"', machine).matcher()
    assert matcher.advance(97)
    assert allowed(matcher) == [ord("x"), ord("y")]


def test_any_other_token_is_one_that_spells_text(machine: Machine) -> None:
    matcher = compile_gbnf("root ::= !<[97]>", machine).matcher()
    others = [token for token in range(len(SPELLED)) if token not in (97, THINK, CLOSE, END, STOP)]
    assert allowed(matcher) == others
    assert matcher.advance(0xFF)
    assert allowed(matcher) == [END, STOP]


@pytest.mark.parametrize("name", ["<end>", f"<[{STOP}]>", "<nowhere>", f"<[{len(SPELLED)}]>"])
def test_a_token_that_cannot_come_is_refused_at_its_rule(machine: Machine, name: str) -> None:
    with pytest.raises(GrammarUnsupportedError) as raised:
        compile_gbnf(f'root ::= "a" other\nother ::= ("b" {name})?', machine)
    assert raised.value.where == "2:11"


def test_errors_say_where(machine: Machine) -> None:
    with pytest.raises(GrammarSyntaxError, match="2:7"):
        compile_gbnf('root ::= "a"\nb ::= ~', machine)
    with pytest.raises(GrammarUnsatisfiableError, match="1:1: rule root derives no text"):
        compile_gbnf('root ::= "a" root', machine)


def test_a_text_goes_on_with_hardly_any_memory(machine: Machine) -> None:
    matcher = compile_gbnf('root ::= "(" root ")" | "a"', machine, memory=1).matcher()
    assert all(matcher.advance(ord("(")) for _ in range(3_000))
    before = matcher.state
    assert not matcher.advance(ord(")"))
    assert matcher.state == before
    assert allowed(matcher) == [ord("("), ord("a"), SPELLED.index(b"((")]


@pytest.mark.parametrize("memory", [0, 4])
def test_a_mask_that_was_dropped_is_made_again(machine: Machine, memory: int) -> None:
    forgetful = Machine(machine.tokens, memory * 4 * machine.tokens.words)
    matcher = compile_gbnf('root ::= "a" root "b" | "a"', forgetful).matcher()
    masks = []
    for _ in range(9):
        masks.append(matcher.mask().copy())
        assert matcher.advance(ord("a"))
    for mask in reversed(masks):
        matcher.rollback(1)
        assert (matcher.mask() == mask).all()
    assert forgetful.masks.size <= memory * 4 * machine.tokens.words
