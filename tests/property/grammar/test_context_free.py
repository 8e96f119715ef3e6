"""The context-free machine against two oracles written from the definitions, and against Lark."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass

import numpy as np
import pytest
from profiles import spread

from decoding.errors import GrammarUnsatisfiableError
from decoding.grammar import (
    CompiledGrammar,
    Machine,
    compile_gbnf,
    compile_lark,
    token_table,
)
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.network import compile_rules
from decoding.grammar.tokens.trie import build_trie
from decoding.kernels.grammar import earley_surveys
from decoding.kernels.grammar.earley import EarleyMachine
from decoding.vocabulary import Vocabulary

DEPTH = 6
"""Words and prefixes up to this length are compared, all of them."""

Grammar = dict[str, list[list[str]]]
"""By rule, its alternatives: rules by their names, characters as themselves."""
Place = tuple[str, int, int, int]
"""A rule, one of its alternatives, how much of it is read, and where it began."""

KNOWN: dict[str, Grammar] = {
    "left": {"s": [["s", "a"], ["b"]]},
    "right": {"s": [["a", "s"], ["b"]]},
    "middle": {"s": [["a", "s", "b"], ["a", "a", "s", "b"], ["c"]]},
    "hidden": {"s": [["n", "s", "a"], ["b"]], "n": [[], ["a"]]},
    "both ways": {"s": [["s", "s"], ["a"]]},
    "three ways": {"s": [["s", "s", "s"], ["a"], []]},
    "unit circle": {"s": [["t"], ["a"]], "t": [["s"], ["t"], ["b", "t"]]},
    "nullable circle": {"s": [["s", "s"], [], ["a", "s", "b"]]},
    "mutual": {"s": [["t", "a"], ["a"]], "t": [["s", "b"], ["n", "t", "c"]], "n": [[], ["s"]]},
    "operators": {"s": [["s", "+", "s"], ["s", "*", "s"], ["(", "s", ")"], ["a"]]},
    "expression": {
        "s": [["s", "+", "t"], ["t"]],
        "t": [["t", "*", "u"], ["u"]],
        "u": [["(", "s", ")"], ["a"]],
    },
    "palindromes": {"s": [["a", "s", "a"], ["b", "s", "b"], ["a"], ["b"], []]},
    "equal counts": {"s": [["a", "s", "b", "s"], ["b", "s", "a", "s"], []]},
    "ambiguous tails": {"s": [["a", "t"], ["a", "s"]], "t": [["s"], ["b"], ["t", "b"]]},
    "empty": {"s": [[], ["n"]], "n": [["n"], ["n", "a"], [], ["s", "s"]]},
}


def random_grammar(source: random.Random) -> Grammar:
    names = ["s", "t", "u", "v"][: source.randint(1, 4)]
    symbols = [*names, "a", "b"]
    return {
        name: [
            [source.choice(symbols) for _ in range(source.choice([0, 1, 1, 2, 2, 3]))]
            for _ in range(source.randint(2, 3))
        ]
        for name in names
    }


@dataclass(frozen=True)
class Truncated:
    """A language by its words cut after `DEPTH + 1` characters, so that longer ones show."""

    words: frozenset[str]

    def contains(self, word: str) -> bool:
        return word in self.words

    def begins(self, word: str) -> bool:
        return any(known.startswith(word) for known in self.words)


def truncated(grammar: Grammar, start: str = "s") -> Truncated:
    """The least fixed point of the rules, over words cut short."""
    known: dict[str, frozenset[str]] = dict.fromkeys(grammar, frozenset())
    while True:
        new = {}
        for name, alternatives in grammar.items():
            found: set[str] = set()
            for alternative in alternatives:
                words = {""}
                for symbol in alternative:
                    tails = known.get(symbol, frozenset({symbol}))
                    words = {(word + tail)[: DEPTH + 1] for word in words for tail in tails}
                found |= words
            new[name] = frozenset(found)
        if new == known:
            return Truncated(known[start])
        known = new


def recognises(grammar: Grammar, text: str, start: str = "s") -> bool:
    """J. Earley 1970, items (rule, alternative, dot, origin), run to a fixed point per column."""
    columns: list[set[Place]] = [{(start, i, 0, 0) for i in range(len(grammar[start]))}]
    for at in range(len(text) + 1):
        while True:
            new: set[Place] = set()
            for name, index, dot, origin in columns[at]:
                body = grammar[name][index]
                if dot == len(body):
                    for other, number, place, begun in columns[origin]:
                        other_body = grammar[other][number]
                        if place < len(other_body) and other_body[place] == name:
                            new.add((other, number, place + 1, begun))
                elif body[dot] in grammar:
                    new |= {(body[dot], i, 0, at) for i in range(len(grammar[body[dot]]))}
            if new <= columns[at]:
                break
            columns[at] |= new
        if at < len(text):
            columns.append(
                {
                    (name, index, dot + 1, origin)
                    for name, index, dot, origin in columns[at]
                    if dot < len(grammar[name][index]) and grammar[name][index][dot] == text[at]
                }
            )
    return any(
        name == start and dot == len(grammar[name][index]) and origin == 0
        for name, index, dot, origin in columns[-1]
    )


def quoted(grammar: Grammar, symbol: str) -> str:
    return symbol if symbol in grammar else f'"{symbol}"'


def as_gbnf(grammar: Grammar) -> str:
    lines = []
    for name, alternatives in grammar.items():
        right = " | ".join(
            " ".join(quoted(grammar, symbol) for symbol in alternative) or '""'
            for alternative in alternatives
        )
        lines.append(f"{name} ::= {right}")
    return "\n".join(lines)


def as_lark(grammar: Grammar) -> str:
    lines = []
    for name, alternatives in grammar.items():
        # Lark knows no alternative twice.
        right = dict.fromkeys(
            " ".join(quoted(grammar, symbol) for symbol in alternative)
            for alternative in alternatives
        )
        lines.append(f"{name}: {' | '.join(right)}")
    return "\n".join(lines) + "\n"


def machine_of(grammar: Grammar) -> EarleyMachine:
    return EarleyMachine(compile_rules(parse_gbnf(as_gbnf(grammar), start="s")).network)


def alphabet_of(grammar: Grammar) -> str:
    bodies = itertools.chain.from_iterable(grammar.values())
    return "".join(sorted({s for body in bodies for s in body if s not in grammar}))


def check_all_short_words(grammar: Grammar) -> int:
    """Accepted: in the language; dead: no word begins so. Returns how many words were compared."""
    language = truncated(grammar)
    if not language.words:
        with pytest.raises(GrammarUnsatisfiableError):
            machine_of(grammar)
        return 0
    machine = machine_of(grammar)
    compared = 0
    level = [("", machine.start)]
    while level:
        following = []
        for word, state in level:
            compared += 1
            assert (state >= 0) == language.begins(word), word
            assert machine.accepting(state) == language.contains(word), word
            if len(word) < DEPTH and state >= 0:
                following += [
                    (word + symbol, machine.step(state, ord(symbol)))
                    for symbol in alphabet_of(grammar)
                ]
        level = following
    return compared


@pytest.mark.parametrize("name", KNOWN)
def test_known_grammars_on_all_short_words(name: str) -> None:
    assert check_all_short_words(KNOWN[name]) > 0


@pytest.mark.parametrize("seed", spread(range(6), 1))
def test_random_grammars_on_all_short_words(seed: int) -> None:
    source = random.Random(seed)
    compared = sum(check_all_short_words(random_grammar(source)) for _ in range(40))
    assert compared > 500


def random_expression(source: random.Random, depth: int) -> str:
    """A regular expression over a and b that Python reads as GBNF does."""
    kind = source.choice(["letter", "row", "choice", "repeat"]) if depth else "letter"
    if kind == "letter":
        return source.choice(["a", "b", "[ab]", "ab"])
    inside = [random_expression(source, depth - 1) for _ in range(source.randint(1, 3))]
    if kind == "repeat":
        return f"({inside[0]})" + source.choice(["*", "+", "?", "{2}", "{1,}", "{0,2}", "{1,3}"])
    return "(" + ("|" if kind == "choice" else "").join(inside) + ")"


@pytest.mark.parametrize("seed", spread(range(4), 1))
def test_repetitions_are_those_of_regular_expressions(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(40):
        pattern = random_expression(source, 3)
        # One letter or the other is a rule that calls itself, so that calls are repeated.
        text = re.sub(r"\[ab\]|[ab]+", lambda match: f" {spelled(match.group())} ", pattern)
        machine = EarleyMachine(compile_rules(parse_gbnf(f"root ::= {text}\n{PAIR}")).network)
        for word in random_words(source, "ab", 30, 6):
            state = machine.steps(machine.start, word.encode())
            assert machine.accepting(state) == bool(re.fullmatch(pattern, word)), (text, word)


PAIR = 'both ::= "a" | "b" | ([^ab] both)'


def spelled(piece: str) -> str:
    return "both" if piece == "[ab]" else f'"{piece}"'


def random_words(source: random.Random, alphabet: str, count: int, longest: int) -> list[str]:
    return [
        "".join(source.choice(alphabet) for _ in range(source.randint(0, longest)))
        for _ in range(count)
    ]


@dataclass(frozen=True)
class Fits:
    """A compiled grammar over tokens of up to three characters, and whether texts fit it."""

    grammar: CompiledGrammar
    tokens: list[str]
    source: random.Random

    def __call__(self, word: str) -> bool:
        matcher, at = self.grammar.matcher(), 0
        while at < len(word):
            token = self.source.choice([t for t in self.tokens if word.startswith(t, at)])
            allowed = matcher.mask()[0] >> self.tokens.index(token) & 1
            assert matcher.advance(self.tokens.index(token)) == allowed, (word, at)
            if not allowed:
                return False
            at += len(token)
        return matcher.is_accepting


def fits(grammar: Grammar, notation: str, source: random.Random) -> Fits:
    alphabet = alphabet_of(grammar)
    tokens = [*alphabet, *dict.fromkeys(w for w in random_words(source, alphabet, 40, 3) if w[1:])]
    tokens = tokens[:31]
    vocabulary = Vocabulary([token.encode() for token in tokens])
    machine = Machine(token_table(vocabulary, []))
    compile_ = {"gbnf": compile_gbnf, "lark": compile_lark}[notation]
    text = {"gbnf": as_gbnf, "lark": as_lark}[notation](grammar)
    return Fits(compile_(text, machine, start="s"), tokens, source)


@pytest.mark.parametrize("name", KNOWN)
def test_longer_words_as_earley_wrote_it(name: str) -> None:
    source = random.Random(name)
    grammar = KNOWN[name]
    accepted = fits(grammar, "gbnf", source)
    words = random_words(source, alphabet_of(grammar), 25, 12)
    words += ["a" * 14, "a" * 4 + "c" + "b" * 3, "a+a*(a+a)", "aab" * 4, "abba" * 3]
    for word in words:
        expected = recognises(grammar, word)
        assert (set(word) <= set(accepted.tokens) and accepted(word)) == expected, word


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"empty"}))
def test_lark_agrees(name: str) -> None:
    lark = pytest.importorskip("lark")
    grammar, source = KNOWN[name], random.Random(name)
    text = as_lark(grammar)
    parser = lark.Lark(text, start="s", parser="earley", lexer="dynamic", ambiguity="resolve")
    accepted = fits(grammar, "lark", source)
    for word in random_words(source, alphabet_of(grammar), 40, 7):
        try:
            parser.parse(word)
        except lark.exceptions.LarkError:
            expected = False
        else:
            expected = True
        assert accepted(word) == expected, word


@pytest.mark.parametrize("surveyed", [False, True])
@pytest.mark.parametrize("name", spread(KNOWN, 5))
def test_masks_are_what_stepping_allows(
    name: str, *, surveyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if surveyed:  # as for states that allow many tokens
        monkeypatch.setattr(earley_surveys, "_MANY", 0)
        monkeypatch.setattr(earley_surveys, "_RARE", 0)
    source = random.Random(name)
    grammar = KNOWN[name]
    machine = machine_of(grammar)
    alphabet = alphabet_of(grammar)
    tokens = [word.encode() for word in random_words(source, alphabet, 60, 5)]
    tokens += [b"\xff", b"", b"q", *(letter.encode() for letter in alphabet)]
    trie = build_trie(list(enumerate(tokens)))
    mask = np.zeros((len(tokens) + 31) // 32, np.uint32)
    state = machine.start
    for _ in range(30):
        mask[:] = 0
        machine.mask(state, trie.nodes, trie.twins, mask)
        allowed = [token for token in range(len(tokens)) if mask[token // 32] >> token % 32 & 1]
        expected = [
            token
            for token, spelled in enumerate(tokens)
            if spelled and machine.steps(state, spelled) >= 0
        ]
        assert allowed == expected
        if not allowed:
            break
        state = machine.steps(state, tokens[source.choice(allowed)])
