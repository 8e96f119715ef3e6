"""Compiles or loads all grammar kernels ahead of the first grammar."""

from __future__ import annotations

import itertools
import time

import numpy as np

from decoding.grammar.compiled import CompiledGrammar, compile_gbnf, compile_json_schema
from decoding.grammar.masking.machine import Machine
from decoding.grammar.tokens.table import token_table
from decoding.kernels.grammar import subsets, walk
from decoding.vocabulary import Vocabulary

SCHEMA = {
    "type": "object",
    "properties": {
        "long": {"type": "string", "maxLength": 9},
        "code": {"type": "string", "pattern": "^[a-f]{24}$", "minLength": 2},
        "many": {
            "type": "string",
            "allOf": [{"pattern": "^a"}, {"pattern": "b$"}],
            "not": {"pattern": "c"},
        },
        "on": {"type": "string", "format": "date"},
    },
    "patternProperties": {"^x-": {"type": "string"}},
}
"""A schema that calls every kernel of schemas while `TEXT` is followed."""
TEXT = b"""{"long": "b", "code": "abcdefabcdefabcdefabcdef", "many": "ab", "x-a": "c",
 "on": "2024-01-31", "else": [1.5]}"""
_RULES = r"""
    root ::= "[" root? "]" | "a" root | root "b" | "c" | <[97]> "d" | text | word
    text ::= "\"" [^"]* "\"" text?
    word ::= "\"" "z" word? "!"
"""
_NESTED = b'[[aa"z"'
_WORDS = [bytes(word) for word in itertools.product(b"abcdefghijklmnopq", repeat=3)]
"""So many tokens that the context-free machine makes a survey of those inside quotes."""


def warmup() -> float:
    """Wait until the kernels of grammars are compiled; returns the seconds it took.

    Calling this is optional: without it, the first grammars of a process wait for the kernels that
    they need: about a minute where no process of this machine has compiled them, else less than a
    second. Without Numba the kernels run as plain Python, and nothing is waited for.
    """
    started = time.perf_counter()
    spelled = [bytes([byte]) for byte in range(256)] + [b'",', b"ab", b"ab", b""]
    machine = Machine(token_table(Vocabulary(spelled), [len(spelled) - 1]))
    _follow(compile_json_schema(SCHEMA, machine), TEXT)
    nested = compile_gbnf(_RULES, Machine(token_table(Vocabulary(spelled + _WORDS), [])))
    nested.matcher().count_allowed(_NESTED)
    _follow(nested, _NESTED)
    _make_tables_longer()
    return time.perf_counter() - started


def _follow(grammar: CompiledGrammar, text: bytes) -> None:
    matcher = grammar.matcher()
    for byte in text:
        matcher.mask()
        matcher.advance(byte)
    matcher.mask()


def _make_tables_longer() -> None:
    """Call, with empty tables, the kernels that lengthen hash tables for large grammars."""
    fields, known = np.zeros(64, np.int32), np.zeros(16, np.int64)
    subsets.rehash(fields, np.zeros(16, np.int32), np.zeros(64, np.int32))
    walk.rehash(fields, np.zeros(64, np.int64), known, np.zeros(64, np.int64))
