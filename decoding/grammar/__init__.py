"""Compiles regexes, JSON Schemas and EBNF to grammars whose matchers give token masks."""

from decoding.grammar.applying import apply_mask
from decoding.grammar.compiled import (
    CompiledGrammar,
    compile_choices,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
)
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.masking.forced import forced_tokens
from decoding.grammar.masking.machine import Machine
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.masking.prefetch import precompute, prefetch
from decoding.grammar.masking.speculation import masks_for_draft
from decoding.grammar.protocol import TokenGrammar, TokenMatcher
from decoding.grammar.schema import Remark, Resources, Schema, SchemaLimits
from decoding.grammar.tokens.table import TokenTable, token_table
from decoding.grammar.warming import warmup

__all__ = [
    "CompiledGrammar",
    "JsonStyle",
    "Machine",
    "Matcher",
    "Remark",
    "Resources",
    "Schema",
    "SchemaLimits",
    "TokenGrammar",
    "TokenMatcher",
    "TokenTable",
    "apply_mask",
    "compile_choices",
    "compile_gbnf",
    "compile_json_schema",
    "compile_lark",
    "compile_regex",
    "forced_tokens",
    "masks_for_draft",
    "precompute",
    "prefetch",
    "token_table",
    "warmup",
]
