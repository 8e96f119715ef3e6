"""Compiles a JSON Schema, regex, GBNF, Lark-like EBNF or list of texts: `CompiledGrammar`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

from decoding.checks import checked_integer, checked_items
from decoding.errors import require
from decoding.grammar.coverage import check_expression, check_network, check_schema
from decoding.grammar.ebnf.ambiguity import check_ambiguity
from decoding.grammar.ebnf.gbnf import parse_gbnf
from decoding.grammar.ebnf.larklike import parse_larklike
from decoding.grammar.ebnf.network import compile_rules
from decoding.grammar.ebnf.references import referenced
from decoding.grammar.ebnf.syntax import Rules
from decoding.grammar.json.configurations import STYLE
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.masking.acceptor import Acceptor, BoundedAcceptor
from decoding.grammar.masking.byte_acceptor import ByteAcceptor
from decoding.grammar.masking.context_free import ContextFreeAcceptor
from decoding.grammar.masking.machine import Machine
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.masking.rebuilding import RebuildingAcceptor
from decoding.grammar.regular.expressions import Expression, Words, is_spelled
from decoding.grammar.regular.regex import parse_full
from decoding.grammar.regular.work import WORK_SECONDS, Work, count, counting
from decoding.grammar.schema import Remark, Resources, Schema, SchemaLimits, compile_graph
from decoding.grammar.schema.reachable import check_reachable

STATES_MEMORY = 1 << 26
"""Bytes that the states of a context-free grammar may take, unless the caller says otherwise."""

_READ = 4
"""Characters of a grammar that are read per step of work."""

SPELLINGS = (
    Remark(
        "",
        "string",
        "strings and keys that a keyword restricts are written with the escapes they need",
    ),
    Remark(
        "",
        "number",
        "exponents have at most 2 digits, or 3 where bounds need them, bounded numbers 15, and 15"
        " zeros end a fraction",
    ),
)
"""Restrictions of every schema: some spellings of its values are never produced."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledGrammar:
    """A grammar compiled for one vocabulary; each `matcher()` follows a text of its own.

    A vocabulary without a token for each byte could leave a text where no token fits; where that
    is possible, compiling raises `GrammarVocabularyError`, which lists the bytes.

    A grammar that compiles is followed to the end of every text: no method of a matcher raises
    `GrammarLimitError`. A pickle holds the source and the options, and compiles them again where it
    is loaded; grammars of one machine in one pickle share a machine there. A copy is the grammar
    itself.

    acceptor: returns the acceptor of a new text.
    recipe: compiles the grammar once more.
    restrictions: sets of valid texts that are never produced, each with the location of its cause.
    dropped: conditions that were ignored because the caller allowed it.
    """

    acceptor: Callable[[], Acceptor] = field(repr=False)
    recipe: Recipe = field(repr=False)
    restrictions: tuple[Remark, ...] = field(default=())
    dropped: tuple[Remark, ...] = field(default=())

    def matcher(self) -> Matcher:
        """A matcher at the beginning of a new text."""
        return Matcher(self.acceptor(), self)

    def __reduce__(self) -> tuple[object, ...]:
        return self.recipe, ()

    def __copy__(self) -> CompiledGrammar:
        return self

    def __deepcopy__(self, _: object) -> CompiledGrammar:
        return self


Recipe: TypeAlias = "partial[CompiledGrammar]"
"""A call that compiles a grammar again; pickled together, grammars share their machine."""


class _Current:
    """The acceptor of new texts of a grammar; called when a text begins.

    An acceptor stores the states of its texts. Once they take much memory, new texts get a new
    acceptor, and the old one is freed with the last text that it follows.
    """

    __slots__ = ("_acceptor", "_make")

    def __init__(self, make: Callable[[], Acceptor]) -> None:
        self._make = make
        self._acceptor = make()

    def __call__(self) -> Acceptor:
        """The acceptor of a text that begins now."""
        acceptor = self._acceptor
        if acceptor.needs_replacement:
            acceptor = self._acceptor = self._make()
        return acceptor


def _rebuilding(make: Callable[[int], BoundedAcceptor]) -> _Current:
    return _Current(lambda: RebuildingAcceptor(make))


def compile_json_schema(
    schema: Schema,
    machine: Machine,
    *,
    on_unsupported: Literal["raise", "ignore"] = "raise",
    formats: Literal["known", "strict", "annotation"] = "known",
    resources: Resources | None = None,
    style: JsonStyle = STYLE,
    limits: SchemaLimits | None = None,
) -> CompiledGrammar:
    """Compile a JSON Schema: all texts are valid; `restrictions` lists valid ones left out.

    schema: JSON Schema of draft 4, 6, 7, 2019-09 or 2020-12, as its `$schema` says, as parsed JSON;
        without `$schema` it is read as 2020-12. Draft 3 and other dialects are refused.
    on_unsupported: "ignore" drops conditions that cannot be expressed and lists them.
    formats: whether formats that are known are enforced, must be known, or are annotations.
    resources: the documents that `$ref` may lead to besides the schema itself: a mapping of URIs to
        schemas, or a `referencing.Registry`. URIs may be relative to the schema's own. Nothing is
        ever fetched, and a registry's `retrieve` is never called.
    style: how the texts are written where the schema leaves it open.
    limits: bounds on the time and memory of compiling.
    Properties come in any order, if the style has no other, and no declared one comes twice. Other
    keys may be repeated; readers keep the last value then, as `json.loads` does.
    `x-spelling: "digits"` beside `type: "integer"`, a keyword of this library: digits alone, with
    no fraction and no exponent. Raises `GrammarSyntaxError`, `GrammarUnsupportedError`,
    `GrammarUnsatisfiableError` or `GrammarLimitError`, each with a JSON pointer.
    """
    require("style", style, isinstance(style, JsonStyle), "a JsonStyle")
    graph = compile_graph(
        schema,
        on_unsupported=on_unsupported,
        format=formats,
        resources=resources,
        limits=limits,
        digits=style.digits,
    )
    check_schema(schema, machine.tokens)
    with counting(graph.work):
        restrictions = check_reachable(graph)
    acceptor = _rebuilding(
        lambda scale: ByteAcceptor.of_graph(machine.store(scale), graph, style, scale)
    )
    # Every text needs the first mask; its cost belongs to compiling.
    first = acceptor()
    first.mask(first.start)
    # Pickling copies without recursion in Python, and no other process has written these bytes.
    copied = pickle.loads(pickle.dumps(schema))  # noqa: S301
    recipe = partial(
        compile_json_schema, copied, machine,
        on_unsupported=on_unsupported, formats=formats, resources=resources,
        style=style, limits=limits,
    )  # fmt: skip
    return CompiledGrammar(
        acceptor,
        recipe,
        (*graph.restrictions, *graph.spelled_once, *SPELLINGS, *_left_out(style), *restrictions),
        tuple(graph.dropped),
    )


def _left_out(style: JsonStyle) -> tuple[Remark, ...]:
    """The restrictions of a style: the texts that it never writes."""
    found = [Remark("", "whitespace", _whitespace(style))]
    if style.digits is not None:
        sentence = f"a number has at most {style.digits:,} characters behind its sign"
        found.append(Remark("", "digits", f"{sentence} (`JsonStyle.digits`)"))
    if style.nesting is not None:
        sentence = f"at most {style.nesting:,} objects and arrays are inside one another"
        found.append(Remark("", "nesting", f"{sentence} (`JsonStyle.nesting`)"))
    if style.key_order == "declared":
        sentence = "keys that the schema declares come in its order and before all others"
        found.append(Remark("", "key order", f"{sentence} (`JsonStyle.key_order`)"))
    return tuple(found)


def _whitespace(style: JsonStyle) -> str:
    if style.indent is not None:
        return f"between tokens only what `json.dumps(value, indent={style.indent})` writes"
    return {
        "readable": "between tokens nothing, one blank, or one newline with at most"
        f" {style.longest} blanks (`JsonStyle.whitespace`)",
        "free": f"between tokens at most {style.longest} characters of whitespace",
        "compact": "no whitespace between tokens",
        "spaced": "between tokens only what `json.dumps(value)` writes",
    }[style.whitespace]


def compile_regex(pattern: str, machine: Machine) -> CompiledGrammar:
    r"""Compile a regex: a grammar of the texts that it matches from first to last character.

    pattern: ECMA-262 or Python's common syntax, with look-ahead where it can be expressed, without
        references to groups.
    Raises `GrammarSyntaxError`, `GrammarUnsupportedError` or `GrammarUnsatisfiableError`, each with
    an offset.
    """
    with counting(Work(WORK_SECONDS)):
        return _regular(parse_full(pattern), machine, partial(compile_regex, pattern, machine))


def compile_choices(texts: Iterable[str], machine: Machine) -> CompiledGrammar:
    """Compile a grammar of exactly these texts.

    Raises `ParameterError` for none at all, and for texts with a lone surrogate, which UTF-8 cannot
    write.
    """
    listed = checked_items("texts", texts, "texts, at least one")
    require("texts", listed, bool(listed), "at least one text")
    for word in listed:
        require("texts", word, isinstance(word, str), "texts")
    words = tuple(sorted(set(listed)))
    for word in words:
        require("texts", ascii(word), is_spelled(word), "texts without lone surrogates")
    with counting(Work(WORK_SECONDS)):
        return _regular(Words(words), machine, partial(compile_choices, words, machine))


def _regular(expression: Expression, machine: Machine, recipe: Recipe) -> CompiledGrammar:
    check_expression(expression, machine.tokens)
    acceptor = _rebuilding(
        lambda scale: ByteAcceptor.of_expression(machine.store(scale), expression)
    )
    return CompiledGrammar(acceptor, recipe)


def compile_gbnf(
    text: str, machine: Machine, *, start: str = "root", memory: int = STATES_MEMORY
) -> CompiledGrammar:
    """Compile a grammar in GBNF, llama.cpp's notation; see `decoding.grammar.ebnf.gbnf`.

    start: the rule that a whole text is.
    memory: bytes that the states of all texts may take, > 0. At this bound the states are dropped,
        and those that a text needs are made again from its tokens. A single text that needs more
        gets more: the need grows linearly with the length of a text, for an ambiguous grammar with
        its square.
    `<[id]>` and `<text>` stand for tokens themselves, special ones too, but for end tokens; `!`
    before them for any other token that spells text. Raises `GrammarSyntaxError`,
    `GrammarUnsupportedError`, `GrammarUnsatisfiableError` or `GrammarLimitError`, each with
    `line:column` where there is one.
    """
    recipe = partial(compile_gbnf, text, machine, start=start, memory=memory)
    return _context_free(parse_gbnf, text, start, machine, memory, recipe)


def compile_lark(
    text: str, machine: Machine, *, start: str = "start", memory: int = STATES_MEMORY
) -> CompiledGrammar:
    """Compile a grammar in a Lark-like EBNF; see `decoding.grammar.ebnf.larklike`.

    Parameters and errors are those of `compile_gbnf`.
    """
    recipe = partial(compile_lark, text, machine, start=start, memory=memory)
    return _context_free(parse_larklike, text, start, machine, memory, recipe)


def _context_free(
    parse: Callable[[str, str], Rules],
    text: str,
    start: str,
    machine: Machine,
    memory: int,
    recipe: Recipe,
) -> CompiledGrammar:
    memory = checked_integer("memory", memory, 1)
    with counting(Work(WORK_SECONDS)):
        count(len(text) // _READ)
        rules = parse(text, start)
        compiled = compile_rules(rules)
    check_network(compiled.network, machine.tokens)
    marks = referenced(rules, compiled.marks, machine.tokens)
    network = compiled.network
    acceptor = _rebuilding(
        lambda scale: ContextFreeAcceptor(network, marks, machine, memory * scale)
    )
    check_ambiguity(network, rules.rules[rules.start].where)
    return CompiledGrammar(acceptor, recipe)
