"""Getting the kernels of grammars ready before somebody waits for them."""

from __future__ import annotations

import time

from decoding.grammar.compiled import CompiledGrammar, compile_gbnf, compile_json_schema
from decoding.grammar.machine import Machine
from decoding.grammar.tokens import token_table
from decoding.vocabulary import Vocabulary


def warmup() -> float:
    """Wait until all kernels of grammars are compiled; returns the seconds it took.

    Nobody has to call this: the first grammars of a process wait for what they need, about a minute
    where no process of this machine has had one, else less than a second. Without Numba the kernels
    run as they are, and nothing is done.
    """
    started = time.perf_counter()
    tokens = token_table(Vocabulary([b"[", b"]", b'"', b"a", b'a"', b"1", b","]), [7], 8)
    machine = Machine(tokens)
    schema = {"type": ["array", "string"], "maxLength": 3, "items": {"type": "integer"}}
    _follow(compile_json_schema(schema, machine), [2, 3, 4])
    _follow(compile_gbnf('root ::= "[" root? "]" | "a" root', machine), [0, 3, 0, 1, 1])
    return time.perf_counter() - started


def _follow(grammar: CompiledGrammar, token_ids: list[int]) -> None:
    matcher = grammar.matcher()
    for token_id in token_ids:
        matcher.mask()
        matcher.advance(token_id)
    matcher.mask()
    matcher.forced_bytes()
