"""Joins the pipeline of another engine with processors that the engine does not have."""

from __future__ import annotations

from decoding.facts import Kind, facts_of
from decoding.pipeline import Pipeline, chain
from decoding.typing import Processor

_LATE = (Kind.SCALE, Kind.TRUNCATION, Kind.DRAW, Kind.REPAIR)


def joined(preset: Pipeline, further: Pipeline) -> Pipeline:
    """Add processors to an engine's pipeline: watermarks, edits, masks in front, rest behind.

        watermarks, edits and masks of `further` → preset → its temperatures and truncations

    The order within each of the two pipelines stays. A processor that states no facts counts as an
    edit.

    >>> from decoding.processors import Dry, TopH, TopK
    >>> found = joined(chain(TopK(5)), chain(Dry(0.8), TopH(0.4))).processors
    >>> [type(item).__name__ for item in found]
    ['Dry', 'TopK', 'TopH']
    """
    late = [item for item in further.processors if _is_late(item)]
    early = [item for item in further.processors if not _is_late(item)]
    return chain(*early, preset, *late)


def _is_late(processor: Processor) -> bool:
    facts = facts_of(processor)
    return facts is not None and facts.kind in _LATE
