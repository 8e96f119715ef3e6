"""A chain of processors, which is itself a processor.

A pipeline has two executions with one meaning. *By definition* it is called: each processor in
turn. *Lowered*, it is a list of segments: runs of instructions that a kernel executes in one go,
separated by the processors that only Python knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from decoding.history import History
from decoding.kernels.program import Instruction
from decoding.parameters import GenerationParameters
from decoding.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.typing import Logits, Processor
from decoding.watermark.presets import tgi


@runtime_checkable
class Lowerable(Protocol):
    """A processor that a kernel can run."""

    def lower(self) -> tuple[Instruction, ...] | None:
        """What it is made of; nothing when it is neutral, None where only Python can run it."""
        ...


@dataclass(frozen=True, slots=True)
class Fused:
    """Instructions that run in one go.

    instructions: in order. processors: who each instruction came from, for error messages.
    """

    instructions: tuple[Instruction, ...]
    processors: tuple[Processor, ...]


Segment: TypeAlias = Fused | Processor


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Processors in the caller's order; every order is legal.

    Calling it applies each in turn. Build one with `chain`. The empty pipeline is neutral.

    >>> chain(TopK(2), chain(TopP(0.9)))
    Pipeline(processors=(TopK(top_k=2, keep_ties=True), TopP(top_p=0.9)))
    """

    processors: tuple[Processor, ...]
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    """The lowered form; it begins and ends with a `Fused`, possibly empty."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(_segments(self.processors)))

    def __call__(self, logits: Logits, history: History) -> Logits:
        """The logits after every processor in turn."""
        for processor in self.processors:
            logits = processor(logits, history)
        return logits


def chain(*processors: Processor) -> Pipeline:
    """One pipeline of the given processors; pipelines among them are spliced in."""
    flat: list[Processor] = []
    for processor in processors:
        flat += processor.processors if isinstance(processor, Pipeline) else (processor,)
    return Pipeline(tuple(flat))


def pipeline_of(parameters: GenerationParameters, vocab_size: int | None = None) -> Pipeline:
    """The pipeline a request asks for, in TGI's order.

    watermark → repetition → frequency → presence → bias
        → temperature → top-k → top-p → typical-p → min-p

    vocab_size: the width of the model's logits, where it is known: then the watermark, which is
    TGI's (`decoding.watermark.presets.tgi`), is lowered too.

    Unset and neutral parameters take no part. At temperature 0 neither do the truncations: they
    follow the temperature, and what it leaves is the likeliest token alone.
    """
    edits: list[Processor] = []
    if parameters.watermark:
        edits.append(Watermark(tgi(), vocab_size))
    if parameters.repetition_penalty is not None:
        edits.append(RepetitionPenalty(parameters.repetition_penalty))
    if parameters.frequency_penalty is not None:
        edits.append(FrequencyPenalty(parameters.frequency_penalty))
    if parameters.presence_penalty is not None:
        edits.append(PresencePenalty(parameters.presence_penalty))
    if parameters.logit_bias:
        edits.append(LogitBias(parameters.logit_bias))
    if parameters.temperature == 0.0:
        return chain(*edits)
    if parameters.temperature is not None:
        edits.append(Temperature(parameters.temperature))
    if parameters.top_k is not None:
        edits.append(TopK(parameters.top_k))
    if parameters.top_p is not None:
        edits.append(TopP(parameters.top_p))
    if parameters.typical_p is not None:
        edits.append(TypicalP(parameters.typical_p))
    if parameters.min_p is not None:
        edits.append(MinP(parameters.min_p))
    return chain(*edits)


def _segments(processors: tuple[Processor, ...]) -> Iterator[Segment]:
    instructions: list[Instruction] = []
    owners: list[Processor] = []
    for processor in processors:
        lowered = processor.lower() if isinstance(processor, Lowerable) else None
        if lowered is not None:
            instructions += lowered
            owners += [processor] * len(lowered)
            continue
        yield Fused(tuple(instructions), tuple(owners))
        yield processor
        instructions, owners = [], []
    yield Fused(tuple(instructions), tuple(owners))
