"""`BayesianDetector`: the probability that a text has a SynthID-Text watermark.

In a match of a tournament's layer either two different tokens meet, and one with g = 1 wins, or a
token meets itself. The chance q that two meet is a property of the model's texts, learnt from
labelled ones; the layers before say something about it, as a 1 there hints at a choice:

    q_tl = 1 / (1 + exp(−beta_l − Σ_{j<l} delta_lj · g_tj))
    P(g_tl | marked, g_t1 .. g_t,l−1) = ½ · ((g_tl + ½) · q_tl + 1 − q_tl)
    P(g_tl | unmarked) = ½
    log odds = ln (prior / (1 − prior)) + Σ_t Σ_l ln (1 + (g_tl − ½) · q_tl)

Source: Dathathri et al. 2024, doi:10.1038/s41586-024-08025-4, on the Bayesian scoring function; the
parameters are those of transformers' `BayesianDetectorModel`, whose axes get mixed up where several
texts have one token each, or a tournament one layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_real, checked_integer, checked_real
from decoding.errors import ShapeError, require
from decoding.watermark.detect_synthid import g_values
from decoding.watermark.synthid import SynthId

_LEAST_PRIOR = 1e-5
_FIRST_BETA = -2.5
_RATE = 0.05


@dataclass(frozen=True, slots=True)
class BayesianDetector:
    """A detector of SynthID-Text: the posterior probability of a watermark, by Bayes' rule.

    prior: in (0, 1), the share of marked texts where the detector is used.
    beta: one finite number a layer.
    delta: row l has l finite numbers, one for each layer before it; the first row has none.

    Raises `ParameterError` at construction. `fit_bayesian` finds the parameters.
    """

    prior: float
    beta: tuple[float, ...]
    delta: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        check_real(self, "prior", lambda x: 0.0 < x < 1.0, "in (0, 1)")
        legal = bool(self.beta) and all(map(math.isfinite, self.beta))
        require("beta", self.beta, legal, "a finite number for each layer")
        legal = [len(row) for row in self.delta] == list(range(len(self.beta)))
        legal = legal and all(math.isfinite(number) for row in self.delta for number in row)
        require("delta", self.delta, legal, "a row a layer, row l of l finite numbers")

    @classmethod
    def from_transformers(cls, state: Mapping[str, Any]) -> BayesianDetector:
        """Make a detector from the state dictionary of transformers' `BayesianDetectorModel`.

        state: its `prior`, `likelihood_model_watermarked.beta` and `.delta`, as anything that NumPy
        takes for an array. As there, a prior is moved into [1e-5, 1 − 1e-5].

        Raises `ParameterError` where one is missing or not finite, `ShapeError` where one has not
        as many numbers as it should.
        """
        names = ("prior", *(f"likelihood_model_watermarked.{name}" for name in ("beta", "delta")))
        for name in names:
            require("state", sorted(state), name in state, f"one with {name!r}")
        prior, beta, delta = (np.asarray(state[name], np.float64) for name in names)
        for array, count in ((prior, 1), (delta, beta.size**2)):
            if array.size != count:
                raise ShapeError("state", array.shape, f"{count} numbers for {beta.size} layers")
        square = delta.reshape(beta.size, beta.size)
        share = min(max(float(prior.item()), _LEAST_PRIOR), 1.0 - _LEAST_PRIOR)
        return _detector(share, beta.ravel(), square)

    @property
    def depth(self) -> int:
        """The number of layers of the tournament."""
        return len(self.beta)

    def log_odds(self, g: NDArray[np.integer]) -> float:
        """ln (P(marked | g) / P(unmarked | g)), of the counted g-values of a text.

        g: `(scored, depth)`, 0 or 1. Raises `ShapeError`.
        """
        [odds] = _log_odds(*_arrays(self), self.prior, *_stacked([g], self.depth))[0]
        return float(odds)

    def posterior(self, token_ids: Sequence[int], scheme: SynthId) -> float:
        """The probability that a text has the watermark, from its g-values.

        token_ids: the generated text, without its prompt and without what follows an end token;
            transformers' detector leaves out that token as well.

        Raises `ParameterError` where the scheme has another number of layers.

        >>> detector = BayesianDetector(0.5, (0.0, -1.0), ((), (0.3,)))
        >>> round(detector.posterior([1, 2, 3], SynthId((654, 400), ngram_len=3)), 4)
        0.5104
        """
        legal = scheme.depth == self.depth
        require("scheme", scheme, legal, f"one of {self.depth} layers, as the detector")
        odds = self.log_odds(g_values(token_ids, scheme))
        return float(_sigmoid(np.array(odds)))


def fit_bayesian(
    g: Sequence[NDArray[np.integer]],
    is_marked: Sequence[bool],
    *,
    prior: float = 0.5,
    penalty: float = 1e-3,
    steps: int = 200,
) -> BayesianDetector:
    """Fit a detector to labelled texts by penalised maximum likelihood.

        minimise  − mean over texts of ln P(its label | its g-values) + penalty · Σ delta²

    by full steps of Adam from beta = −2.5, delta = 0: the same texts give the same detector.

    g: of each text the counted g-values, `(scored, depth)`, as `g_values` gives them; lengths like
    those of the texts to be judged. is_marked: a label each, some of either kind. prior: in (0, 1),
    taken as it is: the labelled texts need not have the share of marked ones. penalty: >= 0.
    steps: >= 1.

    Raises `ParameterError` and `ShapeError`. Source of the optimiser: Kingma and Ba 2015,
    "Adam: A Method for Stochastic Optimization", arXiv:1412.6980.
    """
    prior = checked_real("prior", prior, lambda x: 0.0 < x < 1.0, "in (0, 1)")
    penalty = checked_real("penalty", penalty, lambda x: 0.0 <= x < math.inf, "in [0, inf)")
    steps = checked_integer("steps", steps, 1)
    labels = np.array(is_marked, np.float64)
    if len(labels) != len(g):
        raise ShapeError("is_marked", f"{len(labels)} labels", f"one for each of {len(g)} texts")
    legal = 0.0 < labels.mean() < 1.0 if len(labels) else False
    require("is_marked", list(is_marked), legal, "labels of which some are True and some False")
    bits, starts = _stacked(g, np.shape(g[0])[-1])
    depth = bits.shape[1]
    values = np.zeros((depth, depth + 1))
    values[:, 0] = _FIRST_BETA
    first, second = np.zeros_like(values), np.zeros_like(values)
    for step in range(1, steps + 1):
        beta, delta = values[:, 0], values[:, 1:]
        odds, shares = _log_odds(beta, delta, prior, bits, starts)
        wrong = np.repeat((_sigmoid(odds) - labels) / len(labels), np.diff(starts))
        pull = shares * (1.0 - shares) * (bits - 0.5) / (1.0 + (bits - 0.5) * shares)
        pull *= wrong[:, np.newaxis]
        slope = np.tril(pull.T @ bits, -1) + 2.0 * penalty * delta
        gradient = np.column_stack([pull.sum(axis=0), slope])
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        ahead = first / (1.0 - 0.9**step)
        values = values - _RATE * ahead / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-8)
    return _detector(prior, values[:, 0], values[:, 1:])


def _detector(
    prior: float, beta: NDArray[np.float64], delta: NDArray[np.float64]
) -> BayesianDetector:
    """With what lies below the diagonal of `(depth, depth)` numbers delta."""
    rows = tuple(tuple(row[:layer]) for layer, row in enumerate(delta.tolist()))
    return BayesianDetector(prior, tuple(beta.tolist()), rows)


def _arrays(detector: BayesianDetector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """beta `(depth,)` and delta `(depth, depth)`."""
    delta = np.zeros((detector.depth, detector.depth))
    for layer, row in enumerate(detector.delta):
        delta[layer, :layer] = row
    return np.array(detector.beta), delta


def _stacked(
    g: Sequence[NDArray[np.integer]], depth: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The g-values of all texts, one below the other, and where each text's begin and end."""
    for text in g:
        if np.shape(text)[1:] != (depth,) or not np.isin(text, (0, 1)).all():
            raise ShapeError("g", np.shape(text), f"(scored, {depth}) of 0 and 1")
    starts = np.concatenate([[0], np.cumsum([len(text) for text in g])]).astype(np.int64)
    return np.concatenate(g).astype(np.float64), starts


def _log_odds(
    beta: NDArray[np.float64],
    delta: NDArray[np.float64],
    prior: float,
    bits: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The log odds of every text, and the probability q of every g-value."""
    shares = _sigmoid(beta + bits @ delta.T)
    evidence = np.log1p((bits - 0.5) * shares).sum(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(evidence)])
    return math.log(prior / (1.0 - prior)) + sums[starts[1:]] - sums[starts[:-1]], shares


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(−odds))."""
    return 0.5 + 0.5 * np.tanh(0.5 * odds)
