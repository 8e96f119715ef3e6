"""Exports of grammars to notations that other engines read."""

from __future__ import annotations

from decoding.errors import GrammarUnsupportedError, require
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.gbnf_text import gbnf_of_expression, gbnf_text
from decoding.grammar.ebnf.larklike import parse_larklike
from decoding.grammar.regular.regex import parse_full
from decoding.request_grammar import Grammar


def gbnf_of(grammar: Grammar, *, names_tokens: bool = True) -> str:
    r"""Write a grammar as GBNF, whose texts are exactly those of the grammar.

    grammar: of the kind regex, gbnf or lark.
    names_tokens: whether the reader knows references to tokens, `<[id]>` and `<text>`.

    >>> print(gbnf_of(Grammar("regex", r"[0-9]{4}(-\w+)?")), end="")
    root ::= ([0-9]){4} ("-" ([0-9A-Z_a-z])+)?

    Raises:
        GrammarUnsupportedError: it is a JSON Schema, or says what GBNF cannot: look-arounds,
            intersections, complements. Such a grammar runs by masks.
        GrammarError: it is malformed.
    """
    require("grammar", grammar, isinstance(grammar, Grammar), "a Grammar")
    text = str(grammar.value)
    match grammar.type:
        case "regex":
            return gbnf_of_expression(parse_full(text))
        case "gbnf":
            return gbnf_text(parse_gbnf(text, "root"), names_tokens=names_tokens)
        case "lark":
            return gbnf_text(parse_larklike(text, "start"), names_tokens=names_tokens)
        case kind:
            reason = "keys in any order and counts of items have no short form in GBNF; use masks"
            raise GrammarUnsupportedError("", kind, reason)
