"""Adapter of xgrammar: compiles grammars with it, and gives its matchers as `TokenMatcher`.

It may accept texts that are not valid: it ignores keywords that it does not know and reports that
only on stderr (`not`, `if`, `dependentRequired`, `multipleOf` of numbers, keywords beside `$ref`,
`anyOf` and `enum`, all but one branch of `allOf`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarError, MissingDependencyError, require
from decoding.grammar.peers.id_bytes import padded, spells
from decoding.grammar.schema import Schema
from decoding.grammar.tokens.table import TokenTable

try:
    import xgrammar
except ImportError as error:
    raise MissingDependencyError("xgrammar", "peers") from error


class Machine:
    """xgrammar's compiler for a vocabulary; `ParameterError` for one without end tokens.

    threads: the number of threads that compile one grammar.
    """

    def __init__(self, tokens: TokenTable, *, threads: int = 1) -> None:
        self.tokens = tokens
        info = xgrammar.TokenizerInfo(
            padded(tokens),
            xgrammar.VocabType.RAW,
            vocab_size=tokens.width,
            stop_token_ids=list(tokens.end_token_ids),
        )
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=threads)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledGrammar:
    """A compiled grammar; any number of matchers can use it at once."""

    machine: Machine
    compiled: xgrammar.CompiledGrammar = field(repr=False)

    def matcher(self) -> Matcher:
        """A matcher at the beginning of a text."""
        return Matcher(self.machine, xgrammar.GrammarMatcher(self.compiled), 0)


class Matcher:
    """Follows one text through a grammar."""

    __slots__ = ("_count", "_machine", "_matcher")

    def __init__(self, machine: Machine, matcher: xgrammar.GrammarMatcher, count: int) -> None:
        self._machine, self._matcher, self._count = machine, matcher, count

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""
        return bool(self._matcher.is_completed())

    def mask(self) -> NDArray[np.uint32]:
        """The tokens that may come next: bit i % 32 of word i // 32 is token i."""
        out = np.zeros((1, self._machine.tokens.words), np.int32)
        self._matcher.fill_next_token_bitmask(out)
        mask = out.view(np.uint32).reshape(-1)
        # The engine also sets bits that stand for no token.
        mask[-1] &= np.uint32(0xFFFFFFFF >> -self._machine.tokens.width % 32)
        return mask

    def advance(self, token_id: int) -> bool:
        """Take one more token; False, and nothing changed, if the grammar does not allow it."""
        taken = spells(self._machine.tokens, token_id) and bool(
            self._matcher.accept_token(token_id)
        )
        self._count += taken
        return taken

    def rollback(self, count: int) -> None:
        """Take back the last tokens. Raises `ParameterError` if there are not so many."""
        require("count", count, 0 <= count <= self._count, "the number of tokens or less")
        if count:
            self._matcher.rollback(count)
            self._count -= count

    def fork(self) -> Matcher:
        """A matcher of another text with the same beginning."""
        return Matcher(self._machine, self._matcher.fork(), self._count)


def compile_json_schema(
    schema: Schema, machine: Machine, *, strict_mode: bool = True
) -> CompiledGrammar:
    """Compile a JSON Schema, without the keywords that the module docstring lists.

    strict_mode: forbid undeclared properties and items unless the schema allows them explicitly.
        This is the engine's default; JSON Schema says the opposite. Raises `GrammarError`.
    """
    return _compiled(
        machine,
        lambda: machine.compiler.compile_json_schema(json.dumps(schema), strict_mode=strict_mode),
    )


def compile_regex(pattern: str, machine: Machine) -> CompiledGrammar:
    """The texts that a regular expression matches as a whole; raises `GrammarError`."""
    return _compiled(machine, lambda: machine.compiler.compile_regex(pattern))


def compile_choices(texts: Iterable[str], machine: Machine) -> CompiledGrammar:
    """Compile a grammar of exactly the given texts; raises `ParameterError` for none at all."""
    words = sorted(set(texts))
    require("texts", words, bool(words), "at least one text")
    return compile_gbnf(
        f"root ::= {' | '.join(json.dumps(word, ensure_ascii=False) for word in words)}", machine
    )


def compile_gbnf(text: str, machine: Machine, *, start: str = "root") -> CompiledGrammar:
    """The texts that a grammar in GBNF derives from its rule `start`; raises `GrammarError`."""
    return _compiled(machine, lambda: machine.compiler.compile_grammar(text, root_rule_name=start))


def compile_lark(text: str, machine: Machine) -> CompiledGrammar:
    """The texts that a grammar in the engine's Lark derives; raises `GrammarError`."""
    return _compiled(machine, lambda: machine.compiler.compile_lark(text))


def _compiled(
    machine: Machine, compiled: Callable[[], xgrammar.CompiledGrammar]
) -> CompiledGrammar:
    try:
        return CompiledGrammar(machine, compiled())
    except RuntimeError as error:
        raise GrammarError("", f"xgrammar: {error}") from error
