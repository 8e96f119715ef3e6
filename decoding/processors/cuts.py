"""`cut_logits`: applies truncations that cut at a distance below the largest logit.

Such a class states its distance as terms of `decoding.kernels.program.cut`; what it does when it is
called, and what a kernel does, follows from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from decoding.kernels.program import Instruction
from decoding.kernels.vector import cutoffs, dense
from decoding.typing import Logits


def cut_logits(logits: Logits, cuts: Iterable[Instruction]) -> Logits:
    """Apply cut instructions in turn to `(batch, vocab)` logits; the same object without cuts."""
    for item in cuts:
        needs, coefficients = int(item.first), np.asarray(item.values, np.float64)
        logits = dense.keep(logits, partial(cutoffs.cut, needs=needs, coefficients=coefficients))
    return logits
