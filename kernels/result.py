"""What a decoding step returns for a batch, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OK = 0
INVALID_LOGITS = 1
"""NaN or +inf; `fault_positions` is the first such token id, `fault_counts` how many there are."""
EMPTY_SUPPORT = 2
"""No finite logit left; `fault_positions` is the row's instruction that removed the last, −1 for
a row that came without any."""


class StepResult(NamedTuple):
    """One entry a row; entries of a row whose status is not `OK` are undefined.

    Logprobs are natural. `raw` is of the row as the model gave it, `processed` of what the
    program left. Row r's most likely tokens are entries `top_starts[r]` up to `top_starts[r + 1]`
    of the `top_` arrays, most likely first, then in order of token id.
    """

    statuses: NDArray[np.int8]
    fault_positions: NDArray[np.int64]
    fault_counts: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    raw_logprobs: NDArray[np.float64]
    processed_logprobs: NDArray[np.float64]
    ranks: NDArray[np.int64]
    entropies: NDArray[np.float64]
    support_sizes: NDArray[np.int64]
    top_starts: NDArray[np.int64]
    top_token_ids: NDArray[np.int64]
    top_raw_logprobs: NDArray[np.float64]
    top_processed_logprobs: NDArray[np.float64]

    @classmethod
    def blank(cls, batch: int, top_capacity: int) -> StepResult:
        """Arrays of the right shapes, to be filled in."""

        def integers(length: int) -> NDArray[np.int64]:
            return np.zeros(length, np.int64)

        def floats(length: int) -> NDArray[np.float64]:
            return np.zeros(length, np.float64)

        return cls(
            np.zeros(batch, np.int8),
            integers(batch),
            integers(batch),
            integers(batch),
            floats(batch),
            floats(batch),
            integers(batch),
            floats(batch),
            integers(batch),
            integers(batch + 1),
            integers(top_capacity),
            floats(top_capacity),
            floats(top_capacity),
        )
