"""Grammars of many rules that are ambiguous together are refused; usual ambiguity is not."""

from __future__ import annotations

import pytest
from random_texts import byte_machine

from decoding.errors import GrammarLimitError
from decoding.grammar import Machine, compile_gbnf, compile_lark


@pytest.fixture(scope="module")
def machine() -> Machine:
    return byte_machine()


def rules(count: int, rule: str, root: str = "r0") -> str:
    """`count` rules; `{a}`, `{b}` and `{c}` stand for the numbers of others."""
    lines = [
        f"r{n} ::= " + rule.format(a=(n + 1) % count, b=(7 * n + 2) % count, c=(5 * n + 3) % count)
        for n in range(count)
    ]
    return "\n".join([f"root ::= {root}", *lines])


OPERATORS = " | ".join(f'e "{character}" e' for character in "+-*/%^&|<>=!?:")
LEVELS = "\n".join(
    f'e{n} ::= e{n} "{character}" e{n + 1} | e{n + 1}' for n, character in enumerate("+-*/%^&")
)


@pytest.mark.parametrize(
    "text",
    [
        rules(300, 'r{a} r{b} | "a"'),
        rules(80, 'r{a} r{b} | "a"'),
        rules(80, 'r{b} r{c} | r{a} "b" | "a"'),
        rules(40, '"a" r{a} r{b} | "a" r{c} | "a"'),
        rules(200, 'r{a} | r{b} | r{c} r{a} | "a"'),
        rules(40, 'r{a} r{b} | "a"', root='"' + "xyz" * 40 + '" r0'),
        rules(40, 'r{a} r{b} | "a"', root="middle") + '\nmiddle ::= "x" middle "y" | r0',
    ],
    ids=["300", "80", "three", "right", "chains", "late", "inside"],
)
def test_many_rules_that_are_ambiguous_together_are_refused(text: str, machine: Machine) -> None:
    with pytest.raises(GrammarLimitError, match="ambiguous together") as caught:
        compile_gbnf(text, machine)
    assert caught.value.where == "1:1"


@pytest.mark.parametrize(
    "text",
    [
        'root ::= root root root | root root | "a" | ""',
        'root ::= "a" root "a" | "b" root "b" | "a" | "b" | ""',
        f'root ::= e\ne ::= "x" | "(" e ")" | {OPERATORS}',
        f'root ::= e0\n{LEVELS}\ne7 ::= "x" | "(" e0 ")" | e7 "[" e0 "]"',
        'root ::= "a" root | "a" root "b" root | ""',
        rules(3, 'r{a} r{b} | "a"'),
        rules(200, 'r{a} "a" | "b"'),
        rules(80, '"a" r{a} "b" | "aa" r{b} | "b"'),
    ],
    ids=["three", "palindromes", "operators", "levels", "else", "few", "left", "right"],
)
def test_other_ambiguous_grammars_compile(text: str, machine: Machine) -> None:
    matcher = compile_gbnf(text, machine).matcher()
    assert matcher.mask().any()


def test_lark_grammars_are_tried_too(machine: Machine) -> None:
    text = rules(80, 'r{a} r{b} | "a"').replace("::=", ":").replace("root", "start")
    with pytest.raises(GrammarLimitError, match="ambiguous together"):
        compile_lark(text, machine)
