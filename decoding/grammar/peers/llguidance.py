"""Adapter of llguidance: compiles grammars with it, and gives its matchers as `TokenMatcher`.

Its JSON texts have properties in the schema's order, no escapes of printable characters and no
integers such as `1.0`; `x-guidance` in a schema changes that. It refuses what it cannot express.
Source: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarError, MissingDependencyError, require
from decoding.grammar.peers.id_bytes import padded, spells
from decoding.grammar.schema import Schema
from decoding.grammar.tokens.table import TokenTable

try:
    import llguidance
    from llguidance.gbnf_to_lark import GbnfToLarkError, gbnf_to_lark
    from llguidance.numpy import fill_next_token_bitmask
except ImportError as error:
    raise MissingDependencyError("llguidance", "peers") from error

_NO_FORCING = '%llguidance {"no_forcing": true}\n'
"""Without it, a mask allows only one token of a forced text, though others spell it too."""


class _Spelled:
    """A vocabulary in the form that llguidance takes; it tokenises only one text, at start."""

    bos_token_id = None

    def __init__(self, tokens: TokenTable) -> None:
        self.tokens = padded(tokens)
        self.special_token_ids = list(tokens.end_token_ids)
        self.eos_token_id = tokens.end_token_ids[0]

    def __call__(self, text: bytes) -> list[int]:
        return [0] * len(text)


class Machine:
    """The vocabulary that grammars are compiled for. Raises `ParameterError` without end tokens."""

    def __init__(self, tokens: TokenTable) -> None:
        self.tokens = tokens
        self.tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Spelled(tokens)),
            n_vocab=tokens.width,
            eos_token=list(tokens.end_token_ids),
            slices=llguidance.LLTokenizer.json_slices(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class CompiledGrammar:
    """A compiled grammar; any number of matchers can use it at once."""

    machine: Machine
    first: llguidance.LLMatcher = field(repr=False)

    def matcher(self) -> Matcher:
        """A matcher at the beginning of a text."""
        return Matcher(self.machine, self.first.deep_copy(), 0)


class Matcher:
    """Follows one text through a grammar. Forks share what the engine builds lazily."""

    __slots__ = ("_count", "_machine", "_matcher")

    def __init__(self, machine: Machine, matcher: llguidance.LLMatcher, count: int) -> None:
        self._machine, self._matcher, self._count = machine, matcher, count

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""
        return bool(self._matcher.is_accepting())

    def mask(self) -> NDArray[np.uint32]:
        """The tokens that may come next: bit i % 32 of word i // 32 is token i.

        Raises `GrammarError` where the engine's limits are reached.
        """
        out = np.zeros((1, self._machine.tokens.words), np.int32)
        fill_next_token_bitmask(self._matcher, out)
        _check(self._matcher)
        return out.view(np.uint32).reshape(-1)

    def advance(self, token_id: int) -> bool:
        """Take one more token; False, and nothing changed, if the grammar does not allow it."""
        # A token that it cannot take would leave the engine's matcher in an error for good.
        if (
            not spells(self._machine.tokens, token_id)
            or self._matcher.validate_tokens([token_id]) == 0
        ):
            return False
        self._matcher.consume_token(token_id)
        _check(self._matcher)
        self._count += 1
        return True

    def rollback(self, count: int) -> None:
        """Take back the last tokens. Raises `ParameterError` if there are not so many."""
        require("count", count, 0 <= count <= self._count, "the number of tokens or less")
        if count:
            self._matcher.rollback(count)
            _check(self._matcher)
            self._count -= count

    def fork(self) -> Matcher:
        """A matcher of another text with the same beginning."""
        return Matcher(self._machine, self._matcher.deep_copy(), self._count)


def compile_json_schema(schema: Schema, machine: Machine) -> CompiledGrammar:
    """The JSON texts that are valid under a schema.

    Raises `GrammarError` with the engine's reason for what it cannot express.
    """
    return _compiled(f"start: %json {json.dumps(schema)}", machine)


def compile_regex(pattern: str, machine: Machine) -> CompiledGrammar:
    r"""The texts that a regular expression matches as a whole; \d, \w are ASCII.

    pattern: the syntax of Rust's crate `regex`. Raises `GrammarError`.
    """
    return _compiled(f"start: /{llguidance.regex_to_lark(pattern, 'dw')}/", machine)


def compile_choices(texts: Iterable[str], machine: Machine) -> CompiledGrammar:
    """Compile a grammar of exactly the given texts; raises `ParameterError` for none at all."""
    words = sorted(set(texts))
    require("texts", words, bool(words), "at least one text")
    return _compiled(
        f"start: {' | '.join(json.dumps(word, ensure_ascii=False) for word in words)}", machine
    )


def compile_gbnf(text: str, machine: Machine) -> CompiledGrammar:
    """The texts that a grammar in GBNF derives from its rule `root`.

    It becomes one in the engine's Lark, whose lexer takes the longest match: terminals that run
    into each other may mean other texts than the grammar derives. Raises `GrammarError`.
    """
    try:
        rules = gbnf_to_lark(text)
    except GbnfToLarkError as error:
        raise GrammarError("", f"llguidance: {error}") from error
    return _compiled(rules, machine)


def compile_lark(text: str, machine: Machine) -> CompiledGrammar:
    """The texts of a grammar in the engine's Lark, whose lexer takes the longest match.

    Source: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md. Raises
    `GrammarError`.
    """
    return _compiled(text, machine)


def _compiled(rules: str, machine: Machine) -> CompiledGrammar:
    matcher = llguidance.LLMatcher(machine.tokenizer, _NO_FORCING + rules)
    _check(matcher)
    return CompiledGrammar(machine, matcher)


def _check(matcher: llguidance.LLMatcher) -> None:
    if matcher.is_error():
        raise GrammarError("", f"llguidance: {matcher.get_error()}")
