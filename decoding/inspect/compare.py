"""`compare`: where two pipelines differ on one row of logits, and why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import EmptySupportError
from decoding.history import History
from decoding.inspect.explain import Explanation, explain, one_row, probabilities, trace
from decoding.pipeline import chain
from decoding.typing import Processor, Rows

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Removal:
    """Tokens that one pipeline keeps, and the processor of the other that removed them.

    token_ids: ascending. stage: of the other pipeline, as in its `Explanation`; 1 is its first
    processor. processor: its repr.
    """

    token_ids: tuple[int, ...]
    stage: int
    processor: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first stage, counted alike in both pipelines, after which their supports differ.

    stage: as in an `Explanation`; 1 is after the first processor of each. A pipeline that has ended
    stays as it is.
    first, second: the processors of that stage, by their repr; None where a pipeline has ended.
    """

    stage: int
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`; `str()` is a report with a table of each pipeline.

    only_first, only_second: tokens that only one of them keeps, by who of the other removed them,
    in the order of its stages.
    divergence: where their supports part first; None where they never do. They can part and end
    alike, if the same filters stand in another order.
    total_variation: Σ |p − q| / 2, in [0, 1], over the distributions that they leave.
    largest_difference: max |p − q|, and largest_difference_token_id the lowest id that has it.
    first_probability, second_probability: of that token.
    first, second: what each does, stage by stage.
    """

    only_first: tuple[Removal, ...]
    only_second: tuple[Removal, ...]
    divergence: Divergence | None
    total_variation: float
    largest_difference: float
    largest_difference_token_id: int
    first_probability: float
    second_probability: float
    first: Explanation
    second: Explanation

    def __str__(self) -> str:
        lines = [f"total variation {self.total_variation:.6f}"]
        if self.largest_difference > 0.0:
            lines.append(
                f"largest difference {self.largest_difference:.6f} at token"
                f" {self.largest_difference_token_id}: {self.first_probability:.6f} in the first,"
                f" {self.second_probability:.6f} in the second"
            )
        if self.divergence is None:
            lines.append("the supports are equal at every stage")
        else:
            lines.append(
                f"the supports part at stage {self.divergence.stage}:"
                f" {self.divergence.first or 'nothing'} in the first,"
                f" {self.divergence.second or 'nothing'} in the second"
            )
        lines += _account("first", "second", self.only_first)
        lines += _account("second", "first", self.only_second)
        return "\n".join([*lines, "first:", str(self.first), "second:", str(self.second)])


def compare(
    first: Processor,
    second: Processor,
    logits: Rows,
    history: History | None = None,
) -> Comparison:
    """Run two pipelines on one row, processor by processor, and report where they differ.

    first, second: pipelines or single processors.
    logits: `(1, vocab)`, NumPy or torch, with at least one finite entry.
    history: what the row has seen; nothing by default.

    Raises:
        ShapeError: not one row of logits, or none of its tokens is possible.
        InvalidLogitsError: NaN or +inf in the row.
        EmptySupportError: a pipeline leaves no token, hence no distribution.

    >>> from decoding import TopK, TopP
    >>> comparison = compare(TopK(3), TopP(0.6), np.log([[0.5, 0.2, 0.2, 0.1]]))
    >>> comparison.only_first
    (Removal(token_ids=(2,), stage=1, processor='TopP(top_p=0.6)'),)
    """
    row = one_row(logits)
    seen = History.empty(1) if history is None else history
    ours, theirs = (_Run.of(processor, row, seen) for processor in (first, second))
    ps, qs = probabilities(ours.rows[-1]), probabilities(theirs.rows[-1])
    differences = np.abs(ps - qs)
    largest = int(differences.argmax())
    return Comparison(
        ours.kept_against(theirs),
        theirs.kept_against(ours),
        _divergence(ours, theirs),
        min(1.0, float(differences.sum()) / 2.0),
        float(differences[largest]),
        largest,
        float(ps[largest]),
        float(qs[largest]),
        explain(first, row, seen),
        explain(second, row, seen),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """The stages of one pipeline: each processor, and the row `(vocab,)` after it."""

    names: tuple[str, ...]
    rows: tuple[NDArray[Any], ...]

    @classmethod
    def of(cls, processor: Processor, row: NDArray[Any], history: History) -> _Run:
        names: list[str] = []
        rows: list[NDArray[Any]] = []
        for name, after in trace(chain(processor), row, history):
            if not (after > -np.inf).any():
                raise EmptySupportError(0, name)
            names.append(name)
            rows.append(after[0])
        return cls(tuple(names), tuple(rows))

    def kept_against(self, other: _Run) -> tuple[Removal, ...]:
        """The tokens that only this run keeps, by the processor that removed them in the other."""
        mine = self.rows[-1] > -np.inf
        removals = []
        for stage in range(1, len(other.rows)):
            gone = (other.rows[stage - 1] > -np.inf) & (other.rows[stage] == -np.inf)
            token_ids = np.flatnonzero(gone & mine).tolist()
            if token_ids:
                removals.append(Removal(tuple(token_ids), stage, other.names[stage]))
        return tuple(removals)


def _divergence(first: _Run, second: _Run) -> Divergence | None:
    last, other_last = first.rows[-1], second.rows[-1]
    stages = zip_longest(
        zip(first.names, first.rows, strict=True), zip(second.names, second.rows, strict=True)
    )
    for stage, (ours, theirs) in enumerate(stages):
        name, row = ours or (None, last)
        other_name, other_row = theirs or (None, other_last)
        if not np.array_equal(row > -np.inf, other_row > -np.inf):
            return Divergence(stage, name, other_name)
    return None


def _account(keeper: str, remover: str, removals: tuple[Removal, ...]) -> list[str]:
    lines = []
    for removal in removals:
        count = len(removal.token_ids)
        shown = ", ".join(map(str, removal.token_ids[:_SHOWN]))
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        lines.append(
            f"only the {keeper} keeps {shown}{more}:"
            f" {removal.processor} of the {remover} removed {'it' if count == 1 else 'them'}"
        )
    return lines
