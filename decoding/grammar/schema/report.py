"""What a compilation tells its caller besides the graph, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar.schema.dialects import escape
from decoding.kernels.grammar.jit import count_compiled

OnUnsupported = Literal["raise", "ignore"]
Formats = Literal["known", "strict", "annotation"]


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about one place of a schema.

    where: JSON pointer; keyword: what it is about.
    """

    where: str
    keyword: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """What compiling one schema may take; beyond it `GrammarLimitError` is raised.

    nesting: levels of containers in the document. shapes: alternatives of arrays, or of objects, in
    one node.
    """

    nodes: int = 200_000
    nesting: int = 1_000
    shapes: int = 2_000
    deadline_s: float = 5.0


@dataclass(slots=True)
class Report:
    """Collects remarks while a schema is compiled.

    restrictions: values that a schema allows and its graph does not. dropped: keywords that the
    graph does not enforce, for lack of support and by the caller's leave. notes: what holds by
    definition of the keyword, and may yet surprise. spelled_once: what is remembered in a text, so
    that it has one spelling only.
    """

    on_unsupported: OnUnsupported = "raise"
    formats: Formats = "known"
    limits: SchemaLimits = field(default_factory=SchemaLimits)
    restrictions: dict[Remark, None] = field(default_factory=dict)
    dropped: dict[Remark, None] = field(default_factory=dict)
    notes: dict[Remark, None] = field(default_factory=dict)
    spelled_once: dict[Remark, None] = field(default_factory=dict)
    started: float = field(default_factory=monotonic)
    kernels: int = field(default_factory=count_compiled)

    def unsupported(self, where: str, keyword: str, reason: str) -> None:
        """Raise, or drop the keyword where the caller allows that."""
        if self.on_unsupported == "raise":
            raise GrammarUnsupportedError(f"{where}/{escape(keyword)}", keyword, reason)
        self.dropped[Remark(where, keyword, reason)] = None

    def begin(self) -> None:
        """The deadline counts from now."""
        self.started, self.kernels = monotonic(), count_compiled()

    def check_time(self, where: str = "") -> None:
        """Raise once the deadline is over."""
        if monotonic() - self.started <= self.limits.deadline_s:
            return
        # To wait for a compiler, once in a process, is no work of the schema.
        if count_compiled() > self.kernels:
            self.begin()
        else:
            raise GrammarLimitError(where, "seconds of compilation", self.limits.deadline_s)
