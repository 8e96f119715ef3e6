"""Compiles request grammars for a model's vocabulary, and caches the most recently used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from copy import copy
from typing import TYPE_CHECKING, Any

from decoding.errors import GrammarError
from decoding.kernels.forks import free_after_fork
from decoding.processors.grammar_mask import GrammarMask
from decoding.request_grammar import Grammar
from decoding.vocabulary import Vocabulary

if TYPE_CHECKING:  # most processes see no grammar, and should not wait for their compilers
    from decoding.grammar import CompiledGrammar, Machine

MAX_GRAMMARS = 32
"""Compiled grammars that a model keeps; the one that was not asked for longest goes first."""


class ModelGrammars:
    """The compiled grammars of one vocabulary, least recently used ones dropped.

    They share the automata and masks of a `Machine`, made with the first. Threads may share
    an object of this class.

    vocabulary, end_token_ids, width: as for `token_table`.
    """

    def __init__(
        self, vocabulary: Vocabulary, end_token_ids: Collection[int], width: int | None = None
    ) -> None:
        self._vocabulary, self._end_token_ids, self._width = vocabulary, end_token_ids, width
        self._machine: Machine | None = None
        self._masks: OrderedDict[Grammar, GrammarMask | GrammarError] = OrderedDict()
        # One thread compiles at a time; whoever asks for what is compiled does not wait for it.
        self._compiling = free_after_fork(threading.Lock())
        self._lock = free_after_fork(threading.Lock())

    def __reduce__(self) -> tuple[object, ...]:
        """A copy has compiled nothing."""
        return ModelGrammars, (self._vocabulary, self._end_token_ids, self._width)

    @property
    def machine(self) -> Machine:
        """The `Machine` of the grammars: their vocabulary, automata and masks."""
        from decoding.grammar import Machine, token_table

        if self._machine is None:
            width = self._width
            if width is None:
                width = max(len(self._vocabulary), 1 + max(self._end_token_ids, default=-1))
            table = token_table(self._vocabulary, self._end_token_ids, width)
            self._machine = Machine(table)
        return self._machine

    def knows(self, grammar: Grammar) -> bool:
        """Whether `mask_of` answers at once."""
        return grammar in self._masks

    def mask_of(self, grammar: Grammar) -> GrammarMask:
        """The `GrammarMask` of a grammar; the same object for an equal grammar.

        Raises:
            GrammarError: the grammar cannot be compiled; the same error for an equal grammar.
        """
        found = self._known(grammar)
        if found is None:
            with self._compiling:
                found = self._known(grammar)  # another thread may have been faster
                if found is None:
                    found = self._compile(grammar)
        if isinstance(found, GrammarError):
            raise copy(found)
        return found

    def _known(self, grammar: Grammar) -> GrammarMask | GrammarError | None:
        with self._lock:
            found = self._masks.get(grammar)
            if found is not None:
                self._masks.move_to_end(grammar)
            return found

    def _compile(self, grammar: Grammar) -> GrammarMask | GrammarError:
        made: GrammarMask | GrammarError
        try:
            made = GrammarMask(compiled(grammar, self.machine))
        except GrammarError as error:
            made = error.with_traceback(None)
        with self._lock:
            self._masks[grammar] = made
            if len(self._masks) > MAX_GRAMMARS:
                self._masks.popitem(last=False)
        return made


def compiled(grammar: Grammar, machine: Machine) -> CompiledGrammar:
    """Compile a request's grammar for a machine's vocabulary.

    Raises:
        GrammarError: it is malformed, asks for what masks cannot say, or nothing fits it.
    """
    from decoding.grammar import (
        JsonStyle,
        compile_gbnf,
        compile_json_schema,
        compile_lark,
        compile_regex,
    )

    if grammar.schema is not None:
        documents = grammar.documents
        resources: dict[str, Any] = {} if documents is None else {"resources": documents}
        return compile_json_schema(
            grammar.schema,
            machine,
            on_unsupported=grammar.on_unsupported,
            formats=grammar.formats,
            style=grammar.style or JsonStyle(),
            **resources,
        )
    match grammar.type:
        case "gbnf":
            return compile_gbnf(str(grammar.value), machine)
        case "lark":
            return compile_lark(str(grammar.value), machine)
        case _:
            return compile_regex(str(grammar.value), machine)
