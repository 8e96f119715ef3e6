"""Mirostat: truncation that holds the surprise of the text at a target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from decoding.checks import check_boolean, check_integer
from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.vector import feedback
from decoding.processors.call import checked_call, checked_filter
from decoding.processors.feedback import Drawn
from decoding.request_fields import NOT_NEGATIVE, RequestField, check, integer
from decoding.typing import Logits

MIROSTAT = RequestField(
    "mirostat",
    integer(0, 2, expected="0, 1 or 2"),
    "hold the surprise at a target, by version 1 or 2",
    "V",
    0,
)
MIROSTAT_TAU = RequestField("mirostat_tau", NOT_NEGATIVE, "the target in bits", "T", default=5.0)
MIROSTAT_ETA = RequestField(
    "mirostat_eta", NOT_NEGATIVE, "how quickly to correct", "E", default=0.1
)
_FACTS = replace(
    TRUNCATION,
    vocabulary_blind=False,
    neutral="–",
    range="τ ≥ 0, η ≥ 0",
    source="Basu et al. 2020, arXiv:2007.14966",
    peers=("llama.cpp",),
    fields=(MIROSTAT, MIROSTAT_TAU, MIROSTAT_ETA),
)


@dataclass(frozen=True, slots=True)
class MirostatState:
    """How much surprise the next token may bring.

    mu: in bits.
    """

    mu: float


class _Mirostat(ABC):
    """Base of both Mirostat processors: checks τ and η, starts μ and moves it by each token."""

    __slots__ = ()
    mirostat_tau: float
    mirostat_eta: float
    renormalised: bool

    def __post_init__(self) -> None:
        check(self, "mirostat_tau", NOT_NEGATIVE)
        check(self, "mirostat_eta", NOT_NEGATIVE)
        check_boolean(self, "renormalised")

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        """Edit the logits of a first token: the filter in its initial state."""
        return self.filter(logits, [self.start()] * len(logits))

    def start(self) -> MirostatState:
        """μ = 2τ."""
        return MirostatState(2.0 * self.mirostat_tau)

    @checked_filter
    def filter(self, logits: Logits, states: Sequence[MirostatState]) -> Logits:
        """−inf for the tokens of each row that its μ does not keep; what stays is untouched."""
        kept = [
            self._kept(row.astype(np.float64), state.mu)
            for row, state in zip(logits, states, strict=True)
        ]
        return np.where(np.stack(kept), logits, -np.inf).astype(logits.dtype, copy=False)

    @abstractmethod
    def _kept(self, row: feedback.Row, mu: float) -> feedback.Mask:
        """Which tokens a row keeps where μ is the allowed surprise."""

    def observe(self, state: MirostatState, drawn: Drawn) -> MirostatState:
        """μ after a token."""
        logprob = drawn.logprob_after if self.renormalised else drawn.logprob_before
        surprise = -logprob / math.log(2.0)
        return MirostatState(state.mu - self.mirostat_eta * (surprise - self.mirostat_tau))


@dataclass(frozen=True, slots=True)
class Mirostat1(_Mirostat):
    """Keep the k likeliest tokens, k by a fitted Zipf law and the allowed surprise μ.

        ŝ = Σ t b / Σ t² over the `sampled` likeliest,  t = ln((i + 1) / i),  b = ln(p_i / p_{i+1})
        k = ⌊(ε̂ · 2^μ / (1 − n^−ε̂))^(1 / ŝ)⌋, at least 1,   ε̂ = ŝ − 1,  n the row's width
        μ ← μ − mirostat_eta · (surprise of the drawn token − mirostat_tau),   μ = 2τ at the start

    mirostat_tau: the target surprise in bits, in [0, inf); mirostat_eta: the learning rate, in
    [0, inf). sampled: how many tokens the fit sees, at least 2.
    renormalised: whether the surprise is that of the truncated distribution (llama.cpp); if not,
    it is that of the distribution before it (the authors' program), which is the text's own.
    Ties at the cut: exactly k stay, lowest ids first. A flat row (ŝ = 0) stays whole. No parameter
    is neutral. Raises `ParameterError` at construction. Source: Basu, Ramachandran, Keskar,
    Varshney 2020, "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity",
    arXiv:2007.14966; their program keeps one token more.

    >>> mirostat = Mirostat1(3.0)
    >>> mirostat.observe(mirostat.start(), Drawn(-4 * math.log(2), 0.0)).mu.__round__(3)
    5.9
    """

    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    sampled: int = 100
    renormalised: bool = False

    facts: ClassVar[Facts] = replace(
        _FACTS, formula="the k likeliest, k steered towards a surprise τ", place=900
    )

    def __post_init__(self) -> None:
        _Mirostat.__post_init__(self)
        check_integer(self, "sampled", 2)

    def _kept(self, row: feedback.Row, mu: float) -> feedback.Mask:
        return feedback.zipf_cutoff(row, mu, self.sampled)


@dataclass(frozen=True, slots=True)
class Mirostat2(_Mirostat):
    """Keep the tokens that bring no more than the allowed surprise μ.

        keep i  <=>  −log₂ p[i] <= μ;  if that is none, the likeliest token, of the lowest id
        μ ← μ − mirostat_eta · (surprise of the drawn token − mirostat_tau),   μ = 2τ at the start

    mirostat_tau: the target surprise in bits, in [0, inf); mirostat_eta: the learning rate, in
    [0, inf).
    renormalised: whether the surprise is that of the truncated distribution (llama.cpp), or of the
    one before it. No parameter is neutral. Raises `ParameterError` at construction. Source: Basu et
    al. 2020, arXiv:2007.14966, in the simpler form that llama.cpp calls Mirostat 2.
    """

    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    renormalised: bool = False

    facts: ClassVar[Facts] = replace(
        _FACTS, formula="−log₂ p ≤ μ, μ steered towards a surprise τ", place=910
    )

    def _kept(self, row: feedback.Row, mu: float) -> feedback.Mask:
        return feedback.surprise_cutoff(row, mu)
