from __future__ import annotations

import json

import pytest
from profiles import amount

from decoding.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar.ebnf import network
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.larklike import parse_larklike
from decoding.grammar.ebnf.network import compile_rules
from decoding.grammar.ebnf.syntax import Rules, TokenReference
from decoding.kernels.grammar.earley import EarleyMachine


def fits(grammar: Rules, text: str | bytes) -> bool:
    machine = EarleyMachine(compile_rules(grammar).network)
    spelled = text.encode() if isinstance(text, str) else text
    return machine.accepting(machine.steps(machine.start, spelled))


GBNF = [
    ('root ::= "a" "b"', ["ab"], ["", "a", "abb"]),
    ('root ::= "a" | "b" |', ["", "a", "b"], ["ab"]),
    ('root ::= ("a" | "b" "c")+ "d"?', ["a", "bca", "abcd"], ["", "d", "b"]),
    ('root ::= "ab"* [0-9]', ["7", "abab7"], ["ab", "a7"]),
    ('root ::= "a"{2} "b"{1,} "c"{0,2}', ["aab", "aabbbcc"], ["ab", "aa", "aabccc"]),
    ('root ::= ("a" "b"?){2,3}', ["aa", "abaab"], ["a", "aaaa"]),
    ('root ::= ("a"+)? "b"', ["b", "aab"], ["a"]),
    ('root ::= ("a"{2}){3}', ["aaaaaa"], ["aa", "aaa", "aaaa"]),
    (r"root ::= [a-c\]\\x-] [^a-c\n]", ["ad", "]e", "\\f", "x-", "-z"], ["da", "aa", "a\n", "b"]),
    (r'root ::= "\n\t\"\\\x41\u00e9\U0001F600\r"', ['\n\t"\\Aé😀\r'], ["n"]),
    (r"root ::= [^a]", ["é", "😀", "\n", "\U0010ffff"], ["a", "", "ab"]),
    ("root ::= .", ["é", "\n"], ["", "ab"]),
    ('root ::= a # "x"\n  b\n\na ::=\n  "1"\nb ::= "2" |\n  "3"\n', ["12", "13"], ["1"]),
    ('root ::= my-rule_2\nmy-rule_2 ::= "\\xe9"', ["é"], [b"\xe9"]),
    ('# nothing else\nroot ::= ""', [""], ["a"]),
    ('root ::= "a"\nunused ::= missing-nothing\nmissing-nothing ::= unused "b"', ["a"], ["b"]),
    ('root ::= "a" dead | "b" dead? "c"\ndead ::= dead "x"', ["bc"], ["a", "b"]),
]


@pytest.mark.parametrize(("text", "good", "bad"), GBNF)
def test_gbnf(text: str, good: list[str], bad: list[str | bytes]) -> None:
    grammar = parse_gbnf(text)
    assert [word for word in good if not fits(grammar, word)] == []
    assert [word for word in bad if fits(grammar, word)] == []


LARK = [
    ('start: "a" B\nB: "b" | /c+/', ["ab", "accc"], ["a", "abb"]),
    ('start: ("a" | "b")~2..3 ["c"]', ["ab", "bbbc"], ["a", "abab"]),
    ('start: "a"~2', ["aa"], ["a", "aaa"]),
    ('start: "select"i "ß"', ["SELECTß", "SeLectß"], ["selec"]),
    ('start: "K"i', ["k", "K", "\u212a"], ["x"]),
    ('start: A\nA: B+ C?\nB: /[a-f]/i\nC: "0".."9"', ["aF3", "b"], ["3", "g"]),
    ("start: /a.b/s | /x.y/", ["a\nb", "xzy"], ["x\ny"]),
    (r"start: /\/[^\/]+\//", ["/a/"], ["//", "/a"]),
    ('?start: x -> first\n    | "b" -> second\n!x: "a"\n', ["a", "b"], ["ab"]),
    ('start: x*\n_x: "no"\n?x: _x | Y \nY: "y"', ["", "noyno"], ["n"]),
    ('start: | "a" start', ["", "aaa"], ["b"]),
    ('%import common.INT\nstart: INT ("," INT)*', ["12,3"], ["", "1,", "a"]),
    ("%import common (WORD, NUMBER)\nstart: WORD NUMBER", ["ab1.5e3"], ["1"]),
    ("%import common.ESCAPED_STRING -> S\nstart: S", [r'"a\"b"', '""'], ['"a"b"', '"\n"']),
    ('// one\nstart: "a" # two\n // three\n', ["a"], ["b"]),
    (
        '%import common.WS\n%ignore WS\n%ignore "#" /[^\\n]*/\nstart: "a" N\nN: "b" "c"',
        ["abc", " a\n bc ", "a#x\nbc"],
        ["ab c", "a bc #\n d"],
    ),
]


@pytest.mark.parametrize(("text", "good", "bad"), LARK)
def test_larklike(text: str, good: list[str], bad: list[str]) -> None:
    grammar = parse_larklike(text)
    assert [word for word in good if not fits(grammar, word)] == []
    assert [word for word in bad if fits(grammar, word)] == []


GBNF_ERRORS = [
    ('root ::= "a', GrammarSyntaxError, "1:10"),
    ('root ::= "a"\nx = "b"', GrammarSyntaxError, "2:3"),
    ('root ::= ("a"\n | "b"', GrammarSyntaxError, "1:10"),
    ('root ::= "a" )', GrammarSyntaxError, "1:14"),
    ("root ::= *", GrammarSyntaxError, "1:10"),
    ('root ::= "a"{3,2}', GrammarSyntaxError, "1:13"),
    ('root ::= "a"{1000000}', GrammarLimitError, "1:13"),
    ('root ::= "a"{99999999999}', GrammarSyntaxError, "1:13"),
    ('root ::= "\\q"', GrammarSyntaxError, "1:10"),
    ('root ::= "\\uD800"', GrammarSyntaxError, "1:10"),
    ("root ::= []", GrammarSyntaxError, "1:10"),
    ("root ::= [z-a]", GrammarSyntaxError, "1:10"),
    ('root ::= "a"\nroot ::= "b"', GrammarSyntaxError, "2:1"),
    ('root ::= "a"\n  other', GrammarUnsatisfiableError, "2:3"),
    ('other ::= "a"', GrammarUnsatisfiableError, ""),
    ("", GrammarUnsatisfiableError, ""),
    ('"a"', GrammarSyntaxError, "1:1"),
]


@pytest.mark.parametrize(("text", "kind", "where"), GBNF_ERRORS)
def test_gbnf_says_what_is_wrong_and_where(text: str, kind: type[GrammarError], where: str) -> None:
    with pytest.raises(kind) as caught:
        parse_gbnf(text)
    assert caught.value.where == where


LARK_ERRORS = [
    ('start: "a', GrammarSyntaxError, "1:8"),
    ('start "a"', GrammarSyntaxError, "1:7"),
    ('start: ("a"]', GrammarSyntaxError, "1:12"),
    ('start: ["a"', GrammarSyntaxError, "1:8"),
    ("start: A\nA: start", GrammarSyntaxError, "2:4"),
    ('start: A\nA: B "x"\nB: (A | "y")', GrammarSyntaxError, "2:1"),
    ("start: /(/", GrammarSyntaxError, "1:8"),
    (r"start: /(a)\1/", GrammarUnsupportedError, "1:8"),
    ("start: /a/x", GrammarUnsupportedError, "1:8"),
    ('start.2: "a"', GrammarUnsupportedError, "1:6"),
    ('start: "a"\nA.1: "b"', GrammarUnsupportedError, "2:2"),
    ('start: "a"\nsep{x, y}: x y', GrammarUnsupportedError, "2:4"),
    ("%declare A", GrammarUnsupportedError, "1:1"),
    ("%import python.NAME", GrammarUnsupportedError, "1:9"),
    ("%import common.NONSENSE", GrammarUnsupportedError, "1:16"),
    ('start: ("a" -> b)', GrammarSyntaxError, "1:13"),
    ('start: "ab".."c"', GrammarSyntaxError, "1:8"),
    ('start: "a" ~ x', GrammarSyntaxError, "1:14"),
    ("start: other", GrammarUnsatisfiableError, "1:8"),
]


@pytest.mark.parametrize(("text", "kind", "where"), LARK_ERRORS)
def test_larklike_says_what_is_wrong_and_where(
    text: str, kind: type[GrammarError], where: str
) -> None:
    with pytest.raises(kind) as caught:
        parse_larklike(text)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "text", ['root ::= "a" root', "root ::= root", "root ::= [^\\x00-\\U0010FFFF]"]
)
def test_a_start_that_derives_nothing_is_an_error(text: str) -> None:
    with pytest.raises(GrammarUnsatisfiableError) as caught:
        compile_rules(parse_gbnf(text))
    assert caught.value.where == "1:1"


def test_large_repetitions_of_large_groups_are_calls() -> None:
    compiled = compile_rules(parse_gbnf('root ::= (("a"{900}){900}){900}'))
    assert compiled.network.final.size < 4_000


def test_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MAX_SYMBOLS", 2_000)
    with pytest.raises(GrammarLimitError, match="more than 2,000 states of a grammar"):
        compile_rules(parse_gbnf('root ::= "a"{900} | [b-z]{900}'))


def test_brackets_nest_without_recursion() -> None:
    depth = amount(check=1_500, full=4_000)  # beyond Python's 1,000 calls
    grammar = parse_gbnf("root ::= " + "( " * depth + '"a"' + ' "b")' * depth)
    assert fits(grammar, "a" + "b" * depth)


def test_long_chains_of_rules_need_no_recursion() -> None:
    rules = "\n".join(f'r{i} ::= "a" r{i + 1}' for i in range(2_000))
    grammar = parse_gbnf(f'root ::= r0\n{rules}\nr2000 ::= "b" root | "c"')
    assert fits(grammar, "a" * 2_000 + "c")


def test_tokens_are_symbols_above_the_bytes() -> None:
    compiled = compile_rules(parse_gbnf('root ::= "a" <[7]> | !<[7]> <think>'))
    assert compiled.marks == (
        TokenReference(7),
        TokenReference(7, negated=True),
        TokenReference("<think>"),
    )
    machine = EarleyMachine(compiled.network)
    after = machine.step(machine.steps(machine.start, b"a"), 256)
    assert machine.accepting(after)
    assert machine.step(machine.start, 256) == -1
    assert machine.accepting(machine.step(machine.step(machine.start, 257), 258))


def test_json() -> None:
    grammar = parse_larklike(
        r"""
        ?start: value
        ?value: object | array | ESCAPED_STRING | SIGNED_NUMBER | "true" | "false" | "null"
        array: "[" [value ("," value)*] "]"
        object: "{" [pair ("," pair)*] "}"
        pair: ESCAPED_STRING ":" value
        %import common.ESCAPED_STRING
        %import common.SIGNED_NUMBER
        %import common.WS
        %ignore WS
        """
    )
    text = json.dumps({"a": [1, 2.5, {"b": "é\n"}], "c": None, "d": {}}, indent=2)
    assert fits(grammar, text)
    assert not fits(grammar, text.replace(":", ""))
    assert not fits(grammar, text[:-1])
