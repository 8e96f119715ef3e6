"""Getting the kernels of grammars ready before somebody waits for them."""

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
"""Needs every kernel of schemas on the way through `TEXT`."""
TEXT = b"""{"long": "b", "code": "abcdefabcdefabcdefabcdef", "many": "ab", "x-a": "c",
 "on": "2024-01-31", "else": [1.5]}"""
_RULES = r"""
    root ::= "[" root? "]" | "a" root | root "b" | "c" | <[97]> "d" | text | word
    text ::= "\"" [^"]* "\"" text?
    word ::= "\"" "z" word? "!"
"""
_NESTED = b'[[aa"z"'
_WORDS = [bytes(word) for word in itertools.product(b"abcdefghijklmnopq", repeat=3)]
"""So many that what stays inside the quotes is looked for once."""


def warmup() -> float:
    """Wait until the kernels of grammars are compiled; returns the seconds it took.

    Nobody has to call this: the first grammars of a process wait for what they need, about a minute
    where no process of this machine has had one, else less than a second. Without Numba the kernels
    run as they are, and nothing is waited for.
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
    """What large grammars do; here there is nothing in the tables."""
    fields, known = np.zeros(64, np.int32), np.zeros(16, np.int64)
    subsets.rehash(fields, np.zeros(16, np.int32), np.zeros(64, np.int32))
    walk.rehash(fields, np.zeros(64, np.int64), known, np.zeros(64, np.int64))
