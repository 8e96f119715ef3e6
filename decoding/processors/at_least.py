"""`AtLeast`: a truncation that keeps at least k tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_integer
from decoding.errors import require
from decoding.facts import TRUNCATION, Facts, facts_of
from decoding.history import History
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
from decoding.typing import DeclaredProcessor, Logits


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

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        formula="what a truncation keeps, and the k likeliest (`min_tokens_to_keep`)",
        neutral="0, and the truncation neutral",
        range="k ≥ 0",
        source="transformers, llama.cpp, mlx-lm",
        peers=("transformers", "llama.cpp", "mlx-lm"),
    )

    def __post_init__(self) -> None:
        is_processor = callable(self.truncation) and not isinstance(self.truncation, type)
        facts = facts_of(self.truncation)
        legal = is_processor and facts is not None and facts.only_removes
        expected = "a processor that declares only_removes"
        require("truncation", self.truncation, legal, expected)
        check_integer(self, "min_tokens_to_keep", 0)

    def facts_of_parameters(self) -> Facts:
        """The facts of the inner truncation; with k ≥ 1 the likeliest token always stays."""
        facts = facts_of(self.truncation) or TRUNCATION
        held = self.min_tokens_to_keep > 0
        return replace(
            facts,
            argmax_invariant=held or facts.argmax_invariant,
            never_empties=held or facts.never_empties,
            idempotent=False,
        )

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        truncated = self.truncation(logits, history)
        if truncated is logits or self.min_tokens_to_keep == 0:
            return truncated
        count = self.min_tokens_to_keep
        floor = dense.keep(logits, lambda row: filters.top_k(row, count, keep_ties=True))
        return np.maximum(truncated, floor)
