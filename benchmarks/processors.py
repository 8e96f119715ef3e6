"""README.md's table of processors and the fields of requests, both made of what classes state."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from decoding.facts import PEERS, Facts, facts_of, requested
from decoding.processors import PROCESSORS
from decoding.request_fields import RequestField

BEGIN, END = "<!-- processors:begin -->", "<!-- processors:end -->"

REQUESTED = requested(PROCESSORS)
"""The classes that a request can ask for, in the order in which it runs them."""

FURTHER = tuple(item for item in PROCESSORS if item not in REQUESTED)
"""For `chain`, which takes the others too."""


def render() -> str:
    """The table that stands in README.md."""
    header = (
        "name",
        "keeps, or makes of the logits",
        "neutral",
        "range",
        "request",
        "peers",
        "source",
    )
    lines: list[tuple[str, ...]] = [header, ("---",) * len(header)]
    for item in (*REQUESTED, *FURTHER):
        facts: Facts = item.facts
        peers = "all" if facts.peers == PEERS else ", ".join(facts.peers)
        request = ", ".join(f"`{field.name}`" for field in facts.fields)
        cells = (facts.formula, facts.neutral_text, facts.range_text, request, peers, facts.source)
        lines.append((f"`{item.__name__}`", *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def render_fields() -> str:
    """The module `decoding/processor_fields.py`: the fields with their types, for type checkers."""
    asked = list(_fields(REQUESTED))
    rows = "\n".join(map(_described, asked))
    lines = "\n".join(f"    {field.name}: {_annotation(field)}" for field in asked)
    return _MODULE.format(rows=rows, lines=lines)


def _fields(classes: Iterable[type]) -> Iterable[RequestField]:
    """The fields of some classes, each once."""
    found = {}
    for item in classes:
        facts = facts_of(item)
        found.update({field.name: field for field in facts.fields} if facts else {})
    return found.values()


def _described(field: RequestField) -> str:
    what, expected = field.description.removesuffix("; repeatable"), field.type.expected
    text = f"{field.name}: {what}. {expected[0].upper()}{expected[1:]}."
    return textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="        ")


def _annotation(field: RequestField) -> str:
    initial: object = field.initial
    if initial is not None and not isinstance(initial, bool | tuple):
        initial = f"field(default_factory={type(initial).__name__})"
    return f"{field.annotation} = {initial}"


_MODULE = '''"""Generated base of `GenerationParameters`: the request fields for processors.

Written by `python -m benchmarks.tables` from the `facts` of the classes in `decoding.processors`,
which hold the ranges as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from decoding.request_fields import TokenBias
from decoding.request_grammar import Grammar


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFields:
    """The request fields of processors, in the order in which the processors run.

{rows}

    None leaves a processor out. `repeat_last_n` and `dry_penalty_last_n` of 0 turn the penalties
    off. `bad_words` and `dry_sequence_breakers` need a tokenizer; `decoding.engine.request_words`
    says which tokens they stand for.
    """

{lines}
'''
