"""`Report`: collects a schema compilation's remarks for the caller; enforces its limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.regular.expressions import is_spelled
from decoding.grammar.regular.work import Work, is_counting
from decoding.grammar.schema.dialects import escape

QUESTION_STEPS = 12
"""Steps that a question to the solver counts for: as long as merging so many pairs takes."""
PATTERN_STEPS = 16
"""Steps that the parsing of a pattern counts for, besides one a character."""

OnUnsupported = Literal["raise", "ignore"]
Formats = Literal["known", "strict", "annotation"]


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about a keyword of a schema, for the caller of a compilation.

    where: the JSON pointer of the schema.
    """

    where: str
    keyword: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """Limits on the compilation of one schema; beyond them `GrammarLimitError` is raised.

    nodes: nodes of the graph. nesting: nested arrays and objects in the document.
    shapes: alternatives of the arrays, or of the objects, of one node.
    deadline_s: work, in seconds of `work.STEPS_A_SECOND` steps each, ≥ 0. Steps
        are counted, not time, so the same schema is refused or not wherever and whenever it is
        compiled.
    """

    nodes: int = 200_000
    nesting: int = 250
    shapes: int = 2_000
    deadline_s: float = 5.0


@dataclass(slots=True)
class Report:
    """Collects remarks and counts work while a schema is compiled.

    digits: the most characters of a number's text behind its sign; `None` is no bound.
    restrictions: valid values that the graph does not have. dropped: keywords that the graph does
    not enforce, because they are not supported and the caller allows that. notes: facts that follow
    from the definition of a keyword and may surprise. spelled_once: values with one spelling only,
    because masks remember them. unwritten: values that no JSON text in UTF-8 can contain.
    """

    on_unsupported: OnUnsupported = "raise"
    formats: Formats = "known"
    limits: SchemaLimits = field(default_factory=SchemaLimits)
    digits: int | None = None
    restrictions: dict[Remark, None] = field(default_factory=dict)
    dropped: dict[Remark, None] = field(default_factory=dict)
    notes: dict[Remark, None] = field(default_factory=dict)
    spelled_once: dict[Remark, None] = field(default_factory=dict)
    unwritten: dict[Remark, None] = field(default_factory=dict)
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        self.work = Work(self.limits.deadline_s)

    def unsupported(self, where: str, keyword: str, reason: str) -> None:
        """Raise `GrammarUnsupportedError`, or drop the keyword if the caller allows that."""
        if self.on_unsupported == "raise":
            raise GrammarUnsupportedError(f"{where}/{escape(keyword)}", keyword, reason)
        self.dropped[Remark(where, keyword, reason)] = None

    def check_surrogates(self, where: str, keyword: str, texts: Iterable[object]) -> None:
        """Record that values are left out if any text of a keyword has a lone surrogate."""
        if not all(is_spelled(text) for text in texts if isinstance(text, str)):
            sentence = "strings with a lone surrogate are left out: UTF-8 cannot write them"
            self.unwritten[Remark(where, keyword, sentence)] = None

    def begin(self) -> None:
        """Start the count of steps at 0 again, except while a compilation is counted."""
        if not is_counting(self.work):
            self.work.steps = 0

    def foresee(self, steps: int, where: str) -> None:
        """Raise `GrammarLimitError` if steps that are certain to follow exceed the limit."""
        self.work.foresee(steps, where)

    def foresee_constants(self, values: Iterable[object], where: str) -> None:
        """Raise `GrammarLimitError` if nodes for all different scalars exceed the limit."""
        scalars = {(type(one), one) for one in values if isinstance(one, str | int | float)}
        self.foresee(QUESTION_STEPS * len(scalars), where)

    def count(self, steps: int, where: str = "") -> None:
        """Add steps of work; raise `GrammarLimitError` beyond the limit."""
        self.work.count(steps, where)
