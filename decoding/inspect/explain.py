"""`explain`: what each stage of a pipeline does to one row of logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.errors import DecodingError, InvalidLogitsError, ShapeError, shown
from decoding.facts import Kind, facts_of
from decoding.history import History
from decoding.logits import as_logits
from decoding.pipeline import Pipeline, chain
from decoding.processors import Watermark
from decoding.processors.call import check_history
from decoding.sampling.dynamic_program import raised
from decoding.typing import Processor, Rows

_ORDERS_THAT_CHANGE_THE_MEANING: tuple[tuple[Kind, Kind, str], ...] = (
    (Kind.TRUNCATION, Kind.SCALE, "the truncation sees the distribution before the temperature"),
    (Kind.TRUNCATION, Kind.EDIT, "the edit cannot reach the tokens that are gone already"),
    (Kind.SCALE, Kind.EDIT, "the edit acts on logits the temperature has already scaled"),
    (Kind.WATERMARK, Kind.SCALE, "the temperature divides the watermark's bias as well"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Facts about a row after one processor: support, entropy and likeliest tokens.

    processor: its repr; "logits" for the row as it came.
    support_size: tokens that can still be drawn.
    mass_kept: probability, before this stage, of the tokens that survive it.
    entropy: after it, in nats.
    top_token_id, top_probability: the likeliest token after it.
    removes_runner_up: whether the second likeliest token of the raw row ends here.
    green_mass: after it, of the tokens that the pipeline's first `Watermark` favours; None where
        there is none.
    """

    processor: str
    support_size: int
    mass_kept: float
    entropy: float
    top_token_id: int
    top_probability: float
    removes_runner_up: bool
    green_mass: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of `explain`: the stages of a pipeline on one row; `str()` is a table.

    runner_up: the second likeliest token of the raw row, the first that truncation can miss; None
    where only one token is possible.
    warnings: orders of processors that change what a parameter means.
    """

    stages: tuple[Stage, ...]
    runner_up: int | None
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        width = max(len(stage.processor) for stage in self.stages)
        green = "" if self.stages[0].green_mass is None else "   green"
        lines = [f"{'stage':<{width}}  survivors  mass kept  entropy{green}  likeliest"]
        lines += (
            f"{stage.processor:<{width}}  {stage.support_size:>9}  {stage.mass_kept:>9.6f}"
            f"  {stage.entropy:>7.4f}"
            + ("" if stage.green_mass is None else f"  {stage.green_mass:.4f}")
            + f"  {stage.top_token_id} ({stage.top_probability:.4f})"
            for stage in self.stages
        )
        lines.append(self._fate_of_the_runner_up())
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _fate_of_the_runner_up(self) -> str:
        if self.runner_up is None:
            return "there is no runner-up: the row has one possible token"
        for stage in self.stages:
            if stage.removes_runner_up:
                return f"runner-up {self.runner_up}: removed by {stage.processor}"
        return f"runner-up {self.runner_up}: survives"


def explain(pipeline: Processor, logits: Rows, history: History | None = None) -> Explanation:
    """Run a pipeline's processors one by one in NumPy on one row; measure the row after each.

    pipeline: a pipeline or a single processor.
    logits: `(1, vocab)`, NumPy or torch, with at least one finite entry.
    history: what the row has seen; nothing by default.

    Raises:
        ShapeError: not one row of logits, or none of its tokens is possible.
        InvalidLogitsError: NaN or +inf in the row.
        ProcessorError: a processor raised, also where it tried to write to what it was given.

    >>> from decoding.processors import TopK, TopP
    >>> explanation = explain(chain(TopK(2), TopP(0.6)), np.log([[0.7, 0.2, 0.1]]))
    >>> [stage.support_size for stage in explanation.stages], explanation.runner_up
    ([3, 2, 1], 1)
    """
    row = one_row(logits)
    seen = History.empty(1) if history is None else history
    flat = chain(pipeline)
    likeliest = np.argsort(-row[0], kind="stable")[:2]
    second = int(likeliest[-1]) if len(likeliest) == 2 else None
    runner_up = second if second is not None and row[0, second] > -np.inf else None
    return Explanation(tuple(_stages(flat, row, seen, runner_up)), runner_up, order_warnings(flat))


def one_row(logits: Rows) -> NDArray[np.float64]:
    """Convert logits to float64 `(1, vocab)`; raise as `explain` for NaN, +inf or all −inf."""
    row = as_logits(logits).astype(np.float64)
    if len(row) != 1 or not (row > -np.inf).any():
        raise ShapeError("logits", f"shape {row.shape}", "one row with a finite entry")
    invalid = np.flatnonzero(~(row[0] < np.inf))
    if len(invalid):
        raise InvalidLogitsError(0, int(invalid[0]), len(invalid))
    return row


def trace(
    pipeline: Pipeline, row: NDArray[Any], history: History
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the row `(1, vocab)` before the pipeline and after each processor, with a name.

    Raises:
        ProcessorError: a processor raised, also where it tried to write to what it was given.
    """
    check_history(history)
    yield "logits", row
    seen = history.read_only()
    for processor in pipeline.processors:
        given = row.view()
        given.flags.writeable = False
        try:
            after = processor(given, seen)
        except DecodingError:
            raise
        except Exception as error:
            raise raised(processor, error, history, 0) from error
        # A processor that has nothing to do returns what it was given.
        row = row if after is given else after
        yield shown(processor), row


def probabilities(row: NDArray[Any]) -> NDArray[Any]:
    """The softmax of a row `(vocab,)`; zeros where no token is possible."""
    largest = row.max()
    if largest == -np.inf:
        return np.zeros_like(row)
    weights = np.exp(row - largest)
    return weights / weights.sum()


def order_warnings(pipeline: Pipeline) -> tuple[str, ...]:
    """Warnings about processors whose order changes what a parameter means.

    >>> from decoding.processors import Temperature, TopP
    >>> order_warnings(chain(TopP(0.9), Temperature(0.5)))[0].split(":")[0]
    'TopP(top_p=0.9) before Temperature(temperature=0.5)'
    """
    return tuple(
        f"{shown(first)} before {shown(second)}: {meaning}"
        for place, first in enumerate(pipeline.processors)
        for second in pipeline.processors[place + 1 :]
        for earlier, later, meaning in _ORDERS_THAT_CHANGE_THE_MEANING
        if _is(first, earlier) and _is(second, later) and not _commute(first, second)
    )


def _is(processor: Processor, kind: Kind) -> bool:
    facts = facts_of(processor)
    return facts is not None and facts.kind == kind


def _commute(first: Processor, second: Processor) -> bool:
    """Whether the second is a temperature, which nothing of the first's choice depends on."""
    facts = facts_of(first)
    return facts is not None and facts.scale_invariant and _is(second, Kind.SCALE)


def _stages(
    pipeline: Pipeline, row: NDArray[Any], history: History, runner_up: int | None
) -> Iterator[Stage]:
    green = _green(pipeline, row, history)
    before = row
    for name, after in trace(pipeline, row, history):
        yield _stage(name, before[0], after[0], runner_up, green)
        before = after


def _green(pipeline: Pipeline, row: NDArray[Any], history: History) -> NDArray[np.bool_] | None:
    """The green tokens of the pipeline's first watermark."""
    for processor, (_, given) in zip(
        pipeline.processors, trace(pipeline, row, history), strict=False
    ):
        if isinstance(processor, Watermark):
            return processor.green(given[0], history.row(0))
    return None


def _stage(
    name: str,
    before: NDArray[Any],
    after: NDArray[Any],
    runner_up: int | None,
    green: NDArray[np.bool_] | None,
) -> Stage:
    alive = after > -np.inf
    probs = probabilities(after)
    likely = probs[probs > 0.0]
    top = int(probs.argmax())
    return Stage(
        name,
        int(alive.sum()),
        min(1.0, float(probabilities(before)[alive].sum())),
        max(0.0, -float(np.dot(likely, np.log(likely)))),
        top,
        float(probs[top]),
        runner_up is not None and before[runner_up] > -np.inf and not alive[runner_up],
        None if green is None else float(probs[green].sum()),
    )
