"""`Facts`: what a processor class declares of itself for laws, tables and request fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from decoding.request_fields import IN_FLOAT32, RequestField, neutral_text

SERVERS = ("vLLM", "SGLang")
PENALTIES = (*SERVERS, "llama.cpp", "mlx-lm")
"""The peers that have OpenAI's penalties and biases."""
PEERS = ("TGI", "transformers", *PENALTIES)
"""The engines whose processors are compared with ours."""


class Kind(Enum):
    """The kinds of processors (edit, scale, truncation ...), in the order a request runs them.

    WATERMARK: adds a bias by a key. EDIT: moves logits. MASK: removes tokens by a rule that looks
    at no probability. SCALE: a temperature. TRUNCATION: removes tokens by their logits. DRAW: makes
    of the row the distribution that is drawn from. REPAIR: keeps the distribution.
    """

    WATERMARK = "watermark"
    EDIT = "edit"
    MASK = "mask"
    SCALE = "scale"
    TRUNCATION = "truncation"
    DRAW = "draw"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Properties of a processor class; `decoding.testing.laws` tests the first eight below.

    argmax_invariant: the likeliest token stays the likeliest.
    only_removes: tokens become impossible or keep their logit, bit for bit.
    never_empties: a row with a possible token keeps one.
    idempotent: twice is once.
    needs_history: the result depends on what the row has seen.
    shift_invariant: a constant added to the logits changes no probability.
    scale_invariant: a temperature before it changes what it keeps no more than one behind it.
    vocabulary_blind: permuting the vocabulary permutes the result.
    implies_sampling: a request with this processor in its pipeline samples.

    formula: what it keeps or makes of the logits, for a table: L are logits, p probabilities.
    neutral, range: of its parameters, for a table; empty where its one field says it.
    source: who published it. peers: who has it, under whatever name.
    fields: of a request that ask for it, the one that decides whether it takes part first.
    place: in a request's order, ascending; None where no request asks for it.
    """

    kind: Kind
    argmax_invariant: bool = False
    only_removes: bool = False
    never_empties: bool = True
    idempotent: bool = False
    needs_history: bool = False
    shift_invariant: bool = True
    scale_invariant: bool = False
    vocabulary_blind: bool = False
    implies_sampling: bool = False
    formula: str = ""
    neutral: str = ""
    range: str = ""
    source: str = ""
    peers: tuple[str, ...] = ()
    fields: tuple[RequestField, ...] = ()
    place: int | None = None

    @property
    def neutral_text(self) -> str:
        """The neutral parameters, or a dash where there are none."""
        if self.neutral or not self.fields:
            return self.neutral or "–"
        return "–" if self.fields[0].neutral is None else neutral_text(self.fields[0])

    @property
    def range_text(self) -> str:
        """The range of the parameters, or nothing where there are none."""
        if self.range or not self.fields:
            return self.range
        interval = (
            self.fields[0].type.interval.removeprefix("in ").removesuffix(f" and {IN_FLOAT32}")
        )
        return {"[0, inf)": "≥ 0", "(0, inf)": "> 0"}.get(interval, interval.replace(">=", "≥"))


class Stating(Protocol):
    """A class of processors that states its facts."""

    facts: ClassVar[Facts]


WATERMARK = Facts(kind=Kind.WATERMARK, needs_history=True)
"""What most processors of a kind state; a class states what differs, by `dataclasses.replace`."""
EDIT = Facts(kind=Kind.EDIT)
MASK = Facts(kind=Kind.MASK, only_removes=True, never_empties=False, idempotent=True)
SCALE = Facts(kind=Kind.SCALE, argmax_invariant=True, vocabulary_blind=True, implies_sampling=True)
TRUNCATION = Facts(
    kind=Kind.TRUNCATION,
    argmax_invariant=True,
    only_removes=True,
    vocabulary_blind=True,
    implies_sampling=True,
)
DRAW = Facts(kind=Kind.DRAW, implies_sampling=True)
REPAIR = Facts(kind=Kind.REPAIR, argmax_invariant=True, vocabulary_blind=True)


def facts_of(processor: object) -> Facts | None:
    """The facts of a processor or of its class; None if it declares none.

    A processor whose parameters decide about some facts has a method `facts_of_parameters`.
    """
    specific = getattr(processor, "facts_of_parameters", None)
    if callable(specific) and not isinstance(processor, type):
        facts = specific()
    else:
        facts = getattr(processor, "facts", None)
    return facts if isinstance(facts, Facts) else None


def requested(classes: Iterable[type[Stating]]) -> tuple[type[Stating], ...]:
    """The processor classes that have request fields, in the order a request runs them."""
    placed = [
        (item.facts.place, index, item)
        for index, item in enumerate(classes)
        if item.facts.place is not None
    ]
    return tuple(item for _, _, item in sorted(placed, key=lambda entry: entry[:2]))


def implies_sampling(processor: object) -> bool:
    """Whether a request with this processor in its pipeline samples.

    Temperatures, truncations, and watermarks that are laid into the draw do. A processor that
    states nothing about itself does not.
    """
    facts = facts_of(processor)
    return facts is not None and facts.implies_sampling
