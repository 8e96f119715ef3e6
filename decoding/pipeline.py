"""Pipelines: chains of processors, and their lowering to instructions for kernels.

A pipeline has two executions with one meaning. *By definition* it is called: each processor in
turn. *Lowered*, it is a list of segments: runs of instructions that a kernel executes in one go,
separated by the processors that only Python knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast, runtime_checkable

from decoding.checks import checked_items, has_method
from decoding.errors import ParameterError
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode, Part
from decoding.processors.call import checked_call
from decoding.typing import Logits, Processor

__all__ = [
    "Fused",
    "Instruction",
    "Lowerable",
    "Opcode",
    "Part",
    "Pipeline",
    "Segment",
    "as_pipeline",
    "chain",
]


@runtime_checkable
class Lowerable(Protocol):
    """A processor that lowers to instructions, which a kernel runs."""

    def lower(self) -> tuple[Instruction, ...] | None:
        """The instructions; an empty tuple if neutral, None if only Python can run it."""


@dataclass(frozen=True, slots=True)
class Fused:
    """Consecutive instructions that one kernel call runs.

    instructions: in order. processors: who each instruction came from, for error messages.
    """

    instructions: tuple[Instruction, ...]
    processors: tuple[Processor, ...]


Segment: TypeAlias = Fused | Processor
"""A part of a lowered pipeline: instructions for a kernel, or a processor that Python runs."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A chain of processors, in the caller's order; itself a processor.

    Calling it applies each in turn. Build one with `chain`. The empty pipeline is neutral.

    >>> from decoding.processors import TopK, TopP
    >>> chain(TopK(2), chain(TopP(0.9)))
    Pipeline(processors=(TopK(top_k=2, keep_ties=True), TopP(top_p=0.9)))
    """

    processors: tuple[Processor, ...]
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    """The lowered form; it begins and ends with a `Fused`, possibly empty."""

    def __post_init__(self) -> None:
        given = checked_items("processors", self.processors, "a sequence of processors")
        object.__setattr__(self, "processors", tuple(given))
        for index, processor in enumerate(self.processors):
            _check(f"processors[{index}]", processor)
        object.__setattr__(self, "segments", tuple(_segments(self.processors)))

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        """The logits after every processor in turn."""
        for processor in self.processors:
            logits = processor(logits, history)
        return logits


def chain(*processors: Processor) -> Pipeline:
    """Make a pipeline of processors; pipelines among them are flattened.

    Raises:
        ParameterError: one of them is no processor: not an object, or a function, that is called
            with logits and a history.
    """
    flat: list[Processor] = []
    for processor in processors:
        flat += processor.processors if isinstance(processor, Pipeline) else (processor,)
    return Pipeline(tuple(flat))


def as_pipeline(given: Processor | None) -> Pipeline:
    """Convert a processor to a pipeline; None is the empty one, a pipeline stays as it is.

    Raises:
        ParameterError: it is neither a pipeline nor a processor.

    >>> from decoding.processors import TopK
    >>> as_pipeline(TopK(2)) == chain(TopK(2))
    True
    """
    if isinstance(given, Pipeline):
        return given
    if given is None:
        return Pipeline(())
    _check("pipeline", given)
    return Pipeline((given,))


def _check(name: str, processor: object) -> None:
    if isinstance(processor, type):
        expected = "a processor, which an instance of the class would be"
    elif isinstance(processor, list | tuple):
        expected = "a processor; several are the arguments of `chain`"
    elif not callable(processor):
        expected = "a processor: what is called with logits and a history"
    else:
        return
    raise ParameterError(name, processor, expected)


def _segments(processors: tuple[Processor, ...]) -> Iterator[Segment]:
    instructions: list[Instruction] = []
    owners: list[Processor] = []
    for processor in processors:
        lowered = cast("Lowerable", processor).lower() if has_method(processor, "lower") else None
        if lowered is not None:
            instructions += lowered
            owners += [processor] * len(lowered)
            continue
        yield Fused(tuple(instructions), tuple(owners))
        yield processor
        instructions, owners = [], []
    yield Fused(tuple(instructions), tuple(owners))
