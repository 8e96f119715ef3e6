"""Grammars written as GBNF: read again, by our own reader and by xgrammar's, they are the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

from decoding import Grammar
from decoding.errors import GrammarUnsupportedError
from decoding.grammar import Machine, compile_gbnf, compile_lark, compile_regex, token_table
from decoding.vocabulary import Vocabulary

VOCABULARY = Vocabulary([*(bytes([byte]) for byte in range(256)), b"</s>"], frozenset({256}))
MACHINE = Machine(token_table(VOCABULARY, [256], 257))
COMPILE = {"regex": compile_regex, "gbnf": compile_gbnf, "lark": compile_lark}

GRAMMARS = [
    Grammar("regex", r"[0-9]{2,4}(-\w+)?"),
    Grammar("regex", r'"([^"\\]|\\["\\/bn])*"|\n|\t'),
    Grammar("regex", r"[\^\-\]\[a]+[é-ü]?|Straße|日本{0,2}"),
    Grammar("regex", r"(ab|cd)?x{3,}|"),
    Grammar("regex", r"[\^b]+[+\-b]"),
    Grammar("gbnf", 'root ::= "a" b_c* | [^\\x00-\\x1F]\nb_c ::= ("x" | "y"){2,3} root?'),
    Grammar("gbnf", 'root ::= "[" (root ("," root)*)? "]" | [0-9]+'),
    Grammar(
        "gbnf", 'a ::= "a"\nroot ::= a-b | a b\nb ::= "\\"\\\\\\n"\na-b ::= "-" a_b\na_b ::= "_"'
    ),
    Grammar("lark", 'start: "(" start ")" | NUM+\nNUM: /[0-9]+/\n%ignore " "'),
    Grammar(
        "lark",
        'start: key ("," key)*\nkey: /[a-z]/i "=" ESCAPED_STRING\n%import common.ESCAPED_STRING',
    ),
]


def next_bytes(matcher: object) -> bytes:
    return np.unpackbits(matcher.mask().view(np.uint8), bitorder="little").tobytes()


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: str(grammar.value)[:20])
def test_our_own_reader_reads_the_same_language(grammar: Grammar) -> None:
    text = grammar.to_gbnf()
    before = COMPILE[grammar.type](str(grammar.value), MACHINE)
    after = compile_gbnf(text, MACHINE)
    generator = np.random.default_rng(1)
    for _ in range(12):
        one, two = before.matcher(), after.matcher()
        for _ in range(25):
            allowed = next_bytes(one)
            assert allowed == next_bytes(two)
            choices = [byte for byte in range(256) if allowed[byte]]
            if not choices:
                break
            token = int(generator.choice(choices))
            assert one.advance(token)
            assert two.advance(token)


# An independent reader of the notation: what llama.cpp's grammar parser accepts, as one expression.
_ATOM = r"""(?:"(?:[^"\\\n]|\\[nrt"\\\[\]]|\\x[0-9A-F]{2})*"|\[\^?(?:[^\]\\\n]|\\[nrt"\\\[\]]|\\x[0-9A-F]{2}|\\U[0-9A-F]{8})+\]|\.|[A-Za-z0-9-]+|!?<\[\d+\]>|!?<[^<>\s]+>)"""
_COUNT = r"(?:[*+?]|\{\d+(?:,\d*)?\})?"


def is_gbnf(text: str) -> bool:
    """Whether every line is a rule of atoms, groups, counts and alternatives."""
    names = re.findall(r"^([A-Za-z0-9-]+) ::= ", text, re.MULTILINE)
    for line in text.splitlines():
        name, found, body = line.partition(" ::= ")
        if not found or not re.fullmatch(r"[A-Za-z0-9-]+", name):
            return False
        for called in re.findall(
            r"(?<![\w<\\\[-])[A-Za-z][A-Za-z0-9-]*(?![^\"]*\">)", _unquoted(body)
        ):
            if called not in names:
                return False
        while True:
            smaller = re.sub(rf"\({_ATOM}{_COUNT}(?: (?:\| )?{_ATOM}{_COUNT})*\)", '"g"', body)
            if smaller == body:
                break
            body = smaller
        if not re.fullmatch(rf"{_ATOM}{_COUNT}(?: (?:\| )?{_ATOM}{_COUNT})*", body):
            return False
    return names[0] == "root" and len(set(names)) == len(names)


def _unquoted(body: str) -> str:
    """A rule without its literals, sets and tokens."""
    quoted = r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|<[^<>\s]+>'
    return re.sub(quoted, " ", body)


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: str(grammar.value)[:20])
def test_an_independent_reader_reads_every_line(grammar: Grammar) -> None:
    assert is_gbnf(grammar.to_gbnf())


@pytest.mark.parametrize(
    "text", ["root := a\n", 'root ::= "a\n', "root ::= b\n", "root ::= (a\n", 'x ::= "a"\n']
)
def test_the_independent_reader_refuses_what_is_no_gbnf(text: str) -> None:
    assert not is_gbnf(text)


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: str(grammar.value)[:20])
def test_xgrammar_reads_the_same_language(grammar: Grammar) -> None:
    pytest.importorskip("xgrammar")
    from decoding.grammar.peers import xgrammar

    peer = xgrammar.compile_gbnf(
        grammar.to_gbnf(), xgrammar.Machine(token_table(VOCABULARY, [256], 257))
    )
    ours = COMPILE[grammar.type](str(grammar.value), MACHINE)
    generator = np.random.default_rng(2)
    for _ in range(4):
        one, two = ours.matcher(), peer.matcher()
        for _ in range(20):
            allowed = next_bytes(one)
            choices = [byte for byte in range(256) if allowed[byte]]
            if not choices:
                break
            token = int(generator.choice(choices))
            assert one.advance(token)
            assert two.advance(token)
            assert one.is_accepting == two.is_accepting


def test_tokens_are_named_where_the_reader_knows_them() -> None:
    grammar = Grammar("gbnf", "root ::= <think> !<[5]>* .")
    assert grammar.to_gbnf() == "root ::= <think> (!<[5]>)* .\n"
    with pytest.raises(GrammarUnsupportedError, match="no references to tokens"):
        grammar.to_gbnf(names_tokens=False)


@pytest.mark.parametrize(
    "grammar", [Grammar("json", {"type": "integer"}), Grammar("regex", "(?=a)[a-c]+b")]
)
def test_what_gbnf_cannot_say_is_refused(grammar: Grammar) -> None:
    with pytest.raises(GrammarUnsupportedError):
        grammar.to_gbnf()
