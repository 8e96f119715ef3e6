"""`PrefixFunction`: a constraint by a user's function of the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.errors import require
from decoding.facts import MASK, Facts
from decoding.history import History
from decoding.kernels.vector import sequences
from decoding.processors.call import checked_call
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class PrefixFunction:
    """Keep only the tokens that a function of the history allows.

        keep i  <=>  i is in allowed(history of the row)

    allowed: called once a row and step with the history of that row alone (`history.row(0)`);
    returns token ids. Ids that the row does not have are ignored. It should depend on the
    history only.
    logits: `(batch, vocab)` float; what stays is untouched. A row can end empty; transformers
    raises for an empty list, and lets impossible tokens return if all allowed ones are impossible.
    Source: `prefix_allowed_tokens_fn` of transformers, after De Cao, Izacard, Riedel, Petroni 2020,
    "Autoregressive Entity Retrieval", arXiv:2010.00904.

    >>> PrefixFunction(lambda history: [len(history.row(0))])(np.zeros((1, 3)), History.of([[7]]))
    array([[-inf,   0., -inf]])
    """

    allowed: Callable[[History], Iterable[int]]

    facts: ClassVar[Facts] = replace(
        MASK,
        needs_history=True,
        formula="the tokens that a function of the history allows",
        range="a callable",
        source="De Cao et al. 2020, arXiv:2010.00904",
        peers=("transformers",),
    )

    def __post_init__(self) -> None:
        require("allowed", self.allowed, callable(self.allowed), "a function of a History")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        return sequences.only(
            logits,
            [
                np.fromiter(self.allowed(history.select(row)), np.int64)
                for row in range(len(history))
            ],
        )
