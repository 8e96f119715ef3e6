"""Classifier-free guidance: extrapolates from unconditional to conditional logprobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.errors import InvalidLogitsError, ShapeError, require
from decoding.facts import EDIT, Facts
from decoding.history import History
from decoding.kernels.vector import dense, rescaling
from decoding.processors.call import checked_call
from decoding.request_fields import FINITE, check
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class ClassifierFreeGuidance:
    """Move away from what the model says without the prompt, or with a negative one.

        u[i] + guidance_scale · (c[i] − u[i]),   c, u = log-softmax of the two rows of logits

    guidance_scale: within float32; 1 is neutral (transformers returns c: the same), 0 is the
    unconditional row.
    unconditional: called with the history that the processor is called with, of one row or more;
    returns the other logits, of the same shape. It runs the model on what it likes, whose end is
    `history.generated(row)`.
    logits: `(batch, vocab)` float; −inf stays, what is finite stays finite. A token that only the
    unconditional row rules out keeps c[i]: guidance says nothing about it (transformers: NaN).
    Raises `ParameterError` at construction; at the call `ShapeError` for another shape,
    `InvalidLogitsError` for NaN or +inf in the other logits. Source: Sanchez et al. 2023, "Stay on
    topic with Classifier-Free Guidance", arXiv:2306.17806; transformers has it.
    """

    guidance_scale: float
    unconditional: Callable[[History], Logits]

    facts: ClassVar[Facts] = replace(
        EDIT,
        needs_history=True,
        formula="u + s · (c − u), logprobs without and with the prompt",
        neutral="s = 1",
        range="finite",
        source="Sanchez et al. 2023, arXiv:2306.17806",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        require(
            "unconditional",
            self.unconditional,
            callable(self.unconditional),
            "a function of a History",
        )
        check(self, "guidance_scale", FINITE)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.guidance_scale == 1.0:
            return logits
        others = np.asarray(self.unconditional(history))
        if others.shape != logits.shape:
            expected = f"of the shape of the logits, {logits.shape}"
            raise ShapeError("the unconditional logits", f"shape {others.shape}", expected)
        for row, values in enumerate(others):
            invalid = np.flatnonzero(~(values < np.inf))
            if len(invalid):
                raise InvalidLogitsError(row, int(invalid[0]), len(invalid))
        return dense.edit(
            logits,
            lambda row, values: rescaling.guided(
                values, others[row].astype(np.float64), self.guidance_scale
            ),
        )
