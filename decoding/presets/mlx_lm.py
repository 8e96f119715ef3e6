"""Preset `mlx_lm`: makes the pipeline of mlx-lm's sampler from mlx-lm's parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.vector import dense, filters
from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import biases, number, token_ids, whole
from decoding.processors import (
    AtLeast,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
    Xtc,
)
from decoding.processors.call import checked_call
from decoding.typing import DeclaredProcessor, Logits, Processor


@dataclass(frozen=True, slots=True)
class TopPWithTies:
    """Keep the tokens of top-p and every token as likely as the last of them.

        keep i  <=>  (mass of the tokens more likely than i) < top_p

    top_p: in (0, 1]; 1 is neutral. The most likely tokens always stay.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. Mass is that of
    the support that is left, renormalised, summed in float64.
    Raises `ParameterError` at construction. Source: mlx-lm 0.32.2, mlx_lm/sample_utils.py,
    `apply_top_p`.

    >>> TopPWithTies(0.6)(np.log([[0.5, 0.25, 0.25]]), History.empty(1)) > -np.inf
    array([[ True,  True,  True]])
    """

    top_p: float

    facts: ClassVar[Facts] = TRUNCATION

    def __post_init__(self) -> None:
        number("top_p", self.top_p, above=0, at_most=1)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_p == 1.0:
            return logits
        return dense.keep(logits, self._kept)

    def _kept(self, row: filters.Row) -> filters.Mask:
        kept = filters.top_p(row, self.top_p)
        least = float(np.min(row, initial=math.inf, where=kept))
        return np.asarray((row >= least) & (row > -np.inf))


def mlx_lm(
    *,
    logit_bias: Mapping[int, float] | None = None,
    repetition_penalty: float | None = None,
    repetition_context_size: int = 20,
    presence_penalty: float | None = None,
    presence_context_size: int = 20,
    frequency_penalty: float | None = None,
    frequency_context_size: int = 20,
    temp: float = 0.0,
    top_p: float = 0.0,
    min_p: float = 0.0,
    min_tokens_to_keep: int = 1,
    xtc_probability: float = 0.0,
    xtc_threshold: float = 0.1,
    xtc_special_tokens: Sequence[int] | None = None,
    top_k: int = 0,
    seed: int = 0,
) -> Pipeline:
    """Make the pipeline of mlx-lm's logits processors and sampler, in mlx-lm's order.

        bias → repetition → presence → frequency → top-p → min-p → XTC → top-k → temperature

    | parameter | range | neutral |
    |---|---|---|
    | `logit_bias` | finite or −inf | None |
    | `repetition_penalty` | >= 0 | None, 0, 1 |
    | `presence_penalty`, `frequency_penalty` | finite | None, 0 |
    | `..._context_size` | >= 1: the last tokens of prompt and generated text that count | |
    | `temp` | >= 0; 0, the default, is greedy | 1 |
    | `top_p` | [0, 1]; `TopPWithTies` | 0, 1 |
    | `min_p` | [0, 1] | 0 |
    | `min_tokens_to_keep` | >= 1, of min-p alone | 1 |
    | `xtc_probability` | [0, 1] | 0 |
    | `xtc_threshold` | [0, 0.5]; a probability must exceed it | 0.5 |
    | `xtc_special_tokens` | token ids that XTC never removes | None |
    | `top_k` | >= 0; exactly k stay | 0 |
    | `seed` | of XTC's coin alone, in [0, 2⁶⁴); see `Xtc` | |

    At `temp` 0 the pipeline ends before the truncations, and the caller draws greedily.

    Deliberate deviations:
      - a penalty's window reaches into the prompt always (there only in batches), and a window of 0
        is an error (there it is all tokens);
      - a `top_k` of at least the vocabulary is off (there an error);
      - of tokens that tie at the cut of top-k the lowest ids stay (there a partition decides);
      - XTC tosses a coin a row and step, which the seed and the position decide (there one a
        batch).

    Source: mlx-lm 0.32.2, mlx_lm/sample_utils.py.

    >>> mlx_lm(temp=0.8, top_k=10, min_p=0.1).processors[:2]
    (MinP(min_p=0.1), TopK(top_k=10, keep_ties=False))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    bias = biases("logit_bias", logit_bias)
    repetition = number("repetition_penalty", _set(repetition_penalty), at_least=0)
    presence = number("presence_penalty", _set(presence_penalty))
    frequency = number("frequency_penalty", _set(frequency_penalty))
    windows = (
        whole("repetition_context_size", repetition_context_size, at_least=1),
        whole("presence_context_size", presence_context_size, at_least=1),
        whole("frequency_context_size", frequency_context_size, at_least=1),
    )
    temp = number("temp", temp, at_least=0)
    top_p = number("top_p", top_p, at_least=0, at_most=1)
    min_p = number("min_p", min_p, at_least=0, at_most=1)
    floor = whole("min_tokens_to_keep", min_tokens_to_keep, at_least=1)
    xtc_probability = number("xtc_probability", xtc_probability, at_least=0, at_most=1)
    xtc_threshold = number("xtc_threshold", xtc_threshold, at_least=0, at_most=0.5)
    exempt = token_ids("xtc_special_tokens", xtc_special_tokens)
    top_k = whole("top_k", top_k, at_least=0)
    seed = whole("seed", seed, at_least=0, at_most=2**64 - 1)
    edits: tuple[Processor | None, ...] = (
        LogitBias(bias) if bias else None,
        _windowed(RepetitionPenalty(repetition), windows[0]) if repetition else None,
        _windowed(PresencePenalty(presence), windows[1]) if presence else None,
        _windowed(FrequencyPenalty(frequency), windows[2]) if frequency else None,
    )
    if temp == 0.0:
        return chain(*filter(None, edits))
    # XTC keeps p >= threshold here: above the threshold is from the next number on.
    strictly_above = math.nextafter(xtc_threshold, math.inf)
    likely = AtLeast(MinP(min_p), floor) if floor > 1 else MinP(min_p)
    truncations: tuple[Processor | None, ...] = (
        TopPWithTies(top_p) if 0.0 < top_p < 1.0 else None,
        likely if min_p else None,
        Xtc(xtc_probability, strictly_above, seed, exempt) if xtc_probability else None,
        TopK(top_k, keep_ties=False) if top_k else None,
        Temperature(temp),
    )
    return chain(*filter(None, edits), *filter(None, truncations))


def _set(penalty: float | None) -> float:
    """Read the value of a penalty; None and 0 mean no penalty."""
    return 0.0 if penalty is None else penalty


def _windowed(penalty: DeclaredProcessor, last_n: int) -> Scoped:
    return Scoped(penalty, "all", last_n)
