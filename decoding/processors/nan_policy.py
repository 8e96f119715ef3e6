"""`NaNPolicy`: replaces NaN and +inf in logits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_real
from decoding.facts import REPAIR, Facts
from decoding.history import History
from decoding.processors.call import checked_call
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class NaNPolicy:
    """Replace NaN and +inf, which are an error without this.

        nan  where logits[i] is NaN,   infinity  where it is +inf

    nan: finite or −inf; −inf, the default, makes the token impossible (transformers: 0).
    infinity: finite or −inf; None, the default, is the largest number of the dtype.
    logits: `(batch, vocab)` float; −inf means impossible and stays (transformers: the lowest finite
    number, so that masked tokens return). Legal logits come back as the same object. A row can end
    empty. As the first of a pipeline it acts on what the model returned, before that is refused
    as no logits; elsewhere it has nothing to do. Raises `ParameterError` at construction. Source:
    `remove_invalid_values` of transformers. A model that returns NaN is broken, and so may be what
    it says of other tokens.

    >>> NaNPolicy(infinity=9.0)(np.array([[math.nan, math.inf, 1.0]]), History.empty(1))
    array([[-inf,   9.,   1.]])
    """

    nan: float = -math.inf
    infinity: float | None = None

    facts: ClassVar[Facts] = replace(
        REPAIR,
        only_removes=True,
        idempotent=True,
        formula="numbers for NaN and +inf",
        range="finite or −inf",
        source="transformers",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        check_real(self, "nan", lambda x: x < math.inf, "finite or -inf")
        if self.infinity is not None:
            check_real(self, "infinity", lambda x: x < math.inf, "None, finite or -inf")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if (logits < np.inf).all():
            return logits
        largest = float(np.finfo(logits.dtype).max)
        infinity = largest if self.infinity is None else min(self.infinity, largest)
        repaired = np.where(np.isnan(logits), min(self.nan, largest), logits)
        return np.where(np.isposinf(logits), infinity, repaired).astype(logits.dtype)
