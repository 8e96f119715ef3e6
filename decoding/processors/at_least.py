"""`AtLeast`: a truncation that keeps at least k tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from decoding.checks import check_integer
from decoding.errors import require
from decoding.history import History
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
from decoding.typing import DeclaredProcessor, Logits, implies_sampling


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Truncate, but always keep the k likeliest tokens.

        keep i  <=>  the truncation keeps i,  or logits[i] >= the k-th largest logit

    truncation: any processor that declares `only_removes`, built in or not.
    min_tokens_to_keep: k, an integer, at least 0; 0 is the truncation alone. Ties with the k-th
    stay. If the row has fewer possible tokens, all of them stay.
    logits: `(batch, vocab)` float; what stays is untouched.
    Raises `ParameterError` at construction. Source: `min_tokens_to_keep` of transformers (top-p,
    min-p, typical-p, epsilon, eta) and mlx-lm (min-p), `min_keep` of llama.cpp. For typical-p they
    keep the k most typical tokens; here it is the k likeliest, whatever the truncation.

    >>> from decoding.processors import MinP
    >>> AtLeast(MinP(1.0), 2)(np.array([[3.0, 1.0, 2.0]]), History.empty(1))
    array([[  3., -inf,   2.]])
    """

    truncation: DeclaredProcessor
    min_tokens_to_keep: int

    only_removes: ClassVar[bool] = True
    idempotent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        is_processor = callable(self.truncation) and not isinstance(self.truncation, type)
        legal = is_processor and getattr(self.truncation, "only_removes", False)
        expected = "a processor that declares only_removes"
        require("truncation", self.truncation, legal is True, expected)
        check_integer(self, "min_tokens_to_keep", 0)

    @property
    def argmax_invariant(self) -> bool:
        """A floor of one holds the likeliest token."""
        return self.min_tokens_to_keep > 0 or self.truncation.argmax_invariant

    @property
    def never_empties(self) -> bool:
        """A floor of one holds a token."""
        return self.min_tokens_to_keep > 0 or self.truncation.never_empties

    @property
    def needs_history(self) -> bool:
        """As the truncation."""
        return self.truncation.needs_history

    @property
    def shift_invariant(self) -> bool:
        """As the truncation."""
        return self.truncation.shift_invariant

    @property
    def vocabulary_blind(self) -> bool:
        """As the truncation."""
        return self.truncation.vocabulary_blind

    @property
    def implies_sampling(self) -> bool:
        """As the truncation."""
        return implies_sampling(self.truncation)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        truncated = self.truncation(logits, history)
        if truncated is logits or self.min_tokens_to_keep == 0:
            return truncated
        count = self.min_tokens_to_keep
        floor = dense.keep(logits, lambda row: filters.top_k(row, count, keep_ties=True))
        return np.maximum(truncated, floor)
