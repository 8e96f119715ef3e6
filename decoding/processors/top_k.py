"""Top-k: keeps the k most likely tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from decoding.checks import check_boolean, check_integer
from decoding.facts import PEERS, TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.program import Instruction, Opcode
from decoding.kernels.vector import dense, filters
from decoding.processors.call import checked_call
from decoding.request_fields import RequestField, integer
from decoding.typing import Logits


@dataclass(frozen=True, slots=True)
class TopK:
    """Keep the k most likely tokens.

        keep i  <=>  logits[i] >= the k-th largest logit

    top_k: an integer, at least 0; 0 is neutral, as is any k of at least the vocabulary's size.
    keep_ties: whether every token equal to the k-th stays (transformers, TGI, vLLM), so that more
    than k may; if not, exactly k stay, ties going to the lowest ids (llama.cpp, SGLang, mlx-lm keep
    exactly k).
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched.
    Raises `ParameterError` at construction. Source: Fan, Lewis, Dauphin 2018, "Hierarchical Neural
    Story Generation", arXiv:1805.04833.
    """

    top_k: int
    keep_ties: bool = True

    facts: ClassVar[Facts] = replace(
        TRUNCATION,
        idempotent=True,
        scale_invariant=True,
        formula="the k likeliest",
        source="Fan, Lewis, Dauphin 2018, arXiv:1805.04833",
        peers=PEERS,
        fields=(
            RequestField("top_k", integer(0, name="i32"), "keep the K likeliest tokens", "K", 0),
        ),
        place=150,
    )

    def __post_init__(self) -> None:
        check_integer(self, "top_k", 0)
        check_boolean(self, "keep_ties")

    def facts_of_parameters(self) -> Facts:
        """The facts of the class; vocabulary-blind only where ties with the k-th token stay."""
        return replace(self.facts, vocabulary_blind=self.keep_ties)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_k == 0 or self.top_k >= logits.shape[1]:
            return logits
        return dense.keep(
            logits, lambda row: filters.top_k(row, self.top_k, keep_ties=self.keep_ties)
        )

    def lower(self) -> tuple[Instruction, ...]:
        """One instruction, none when neutral."""
        if self.top_k == 0:
            return ()
        return (Instruction(Opcode.TOP_K, self.top_k, float(self.keep_ties)),)
