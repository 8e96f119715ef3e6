"""`Plan`: a request checked against a model, with all defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.engine.transcript import Ending
from decoding.errors import require
from decoding.models.padding import HeadPadding
from decoding.models.protocol import AdaptedModel
from decoding.pipeline import Pipeline, chain
from decoding.processors import Bitmask, GrammarMask, NaNPolicy
from decoding.sampling.batch import Sampler
from decoding.vocabulary import Vocabulary

Jump: TypeAlias = Callable[[Sequence[int]], Sequence[int]]
"""Given the generated tokens, those that must come next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request checked against a model: token ids, seeds, pipeline, end and stop rules.

    prompt: token ids, truncated. prompt_ids: the same as an array.
    prompt_text: what `return_full_text` puts in front.
    begun: bytes with which the prompt ends inside a character; they belong to the generated text.
    samplers: one a sequence; more than one is best-of.
    jump: what a grammar forces after some tokens, where the request wants that written undrawn.
    largest_ids: by the name of a parameter, the largest token id that it names.
    padding: columns of the head to keep from being drawn; None where they may be.
    adapted: the model with the adapter that the request names; None for the model itself.
    model, fingerprint: of the model, for the response's provenance.
    width: of the model's logits, which the plan has been fitted to; None where it is not known yet.
    """

    prompt: tuple[int, ...]
    prompt_ids: NDArray[np.int32] = field(compare=False, repr=False)
    prompt_text: str
    samplers: tuple[Sampler, ...]
    ending: Ending
    vocabulary: Vocabulary | None
    wants_prefill: bool
    jump: Jump | None = None
    largest_ids: tuple[tuple[str, int], ...] = ()
    padding: HeadPadding | None = None
    width: int | None = None
    begun: bytes = b""
    adapted: AdaptedModel | None = None
    model: str = "model"
    fingerprint: str | None = None

    @property
    def longest(self) -> int:
        """Most tokens that one of its sequences can have."""
        return len(self.prompt) + self.ending.max_new_tokens

    @property
    def adapter(self) -> object:
        """The key of its adapter; None for none."""
        return None if self.adapted is None else self.adapted.key

    @property
    def seed(self) -> int | None:
        """The request's seed; None when greedy."""
        return self.samplers[0].seed


def fit(work: Plan, width: int) -> Plan:
    """Check and mask a plan for logits of a width, which may be known only after the first pass.

    Raises:
        ParameterError: the prompt or a parameter names a token id that the logits do not have.
    """
    if work.width == width:
        return work
    for name, token_id in work.largest_ids:
        expected = f"below {width}, the width of the model's logits"
        require(name, token_id, token_id < width, expected)
    mask = None if work.padding is None else work.padding.mask(width)
    samplers = [
        # A kernel has room for as many described tokens as are asked for.
        replace(item, pipeline=_masked(item.pipeline, mask), top_n=min(item.top_n, width))
        for item in work.samplers
    ]
    return replace(work, width=width, samplers=tuple(samplers))


def _masked(pipeline: Pipeline, mask: Bitmask | None) -> Pipeline:
    """Put a mask before the pipeline, unless a grammar's mask already removes the same tokens."""
    first, rest = pipeline.processors[:1], pipeline.processors[1:]
    if mask is None or any(isinstance(item, GrammarMask) for item in pipeline.processors):
        return pipeline
    # What repairs rows that are no logits stays in front: the sampler looks for it there.
    if first and isinstance(first[0], NaNPolicy):
        return chain(*first, mask, *rest)
    return chain(mask, pipeline)
