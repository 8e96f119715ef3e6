"""Preset `sglang`: makes the pipeline of SGLang's sampler from SGLang's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from decoding.facts import TRUNCATION, Facts
from decoding.history import History
from decoding.kernels.vector import dense
from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import biases, number, token_ids, whole
from decoding.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
)
from decoding.processors.call import checked_call
from decoding.typing import Logits, Processor

_GREEDY_BELOW = 1e-6


@dataclass(frozen=True, slots=True)
class JointTopKTopP:
    """Keep the tokens that top-k and top-p keep, each looking at the whole row.

        keep i  <=>  (mass of the tokens before i) <= top_p  and  (number of them) < top_k,
        most likely first, then lowest id

    top_k: at least 1, None for no limit. top_p: in (0, 1]. None and 1 are neutral.
    logits: `(batch, vocab)` float; the rest become −inf, what stays is untouched. Mass is not
    renormalised over the k, and a token more than in `TopP` stays where the mass equals top_p.
    Raises `ParameterError` at construction. Source: SGLang, python/sglang/srt/layers/sampler.py,
    `top_k_top_p_min_p_sampling_from_probs_torch`.

    >>> JointTopKTopP(None, 0.5)(np.log([[0.5, 0.25, 0.25]]), History.empty(1)) > -np.inf
    array([[ True,  True, False]])
    """

    top_k: int | None
    top_p: float

    facts: ClassVar[Facts] = replace(TRUNCATION, vocabulary_blind=False)

    def __post_init__(self) -> None:
        if self.top_k is not None:
            whole("top_k", self.top_k, at_least=1)
        number("top_p", self.top_p, above=0, at_most=1)

    @checked_call
    def __call__(self, logits: Logits, history: History) -> Logits:
        if self.top_p == 1.0 and (self.top_k is None or self.top_k >= logits.shape[1]):
            return logits
        return dense.keep(logits, self._kept)

    def _kept(self, row: NDArray[np.float64]) -> NDArray[np.bool_]:
        order = np.argsort(-row, kind="stable")
        if row[order[0]] == -np.inf:
            return np.zeros(len(row), np.bool_)
        weights = np.exp(row[order] - row[order[0]])
        before = weights.cumsum() - weights
        ranked = (before <= self.top_p * weights.sum()) | (self.top_p == 1.0)
        ranked[len(row) if self.top_k is None else self.top_k :] = False
        kept = np.zeros(len(row), np.bool_)
        kept[order[ranked]] = True
        kept &= row > -np.inf
        return kept


def sglang(
    *,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    min_new_tokens: int = 0,
    stop_token_ids: Sequence[int] | None = None,
    repetition_penalty: float = 1.0,
    logit_bias: Mapping[int, float] | None = None,
    temperature: float = 1.0,
    top_k: int = -1,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Pipeline:
    """Make the pipeline of SGLang's sampler from its parameters, in SGLang's order.

        frequency → presence → min new tokens → repetition → bias
            → temperature → top-k and top-p jointly → min-p

    | parameter | range | neutral |
    |---|---|---|
    | `frequency_penalty`, `presence_penalty` | [−2, 2], over the generated text | 0 |
    | `min_new_tokens` | >= 0; until then nothing of `stop_token_ids` | 0 |
    | `repetition_penalty` | (0, 2], over the generated text alone | 1 |
    | `logit_bias` | finite or −inf | None |
    | `temperature` | >= 0; below 10⁻⁶ is greedy | 1 |
    | `top_k` | −1, or 1 and more; exactly k stay, 0 is an error | −1 |
    | `top_p` | (0, 1]; `JointTopKTopP` | 1 |
    | `min_p` | [0, 1] | 0 |

    At temperature 0 the pipeline ends before the temperature, and the caller draws greedily, which
    is what SGLang makes of it (temperature 1, `top_k` 1).

    Deliberate deviations:
      - top-k and top-p are joint for every row: there, with some backends, a batch-mate's `min_p`
        makes them sequential and renormalised;
      - of tokens that tie at a cut the lowest ids stay (there the sort decides);
      - NaN is an error (there it may be repaired);
      - `stop_token_ids` are all ids that end the text, the end of sequence included.

    Source: SGLang, python/sglang/srt/sampling/sampling_params.py and
    python/sglang/srt/layers/sampler.py.

    >>> sglang(top_k=10, top_p=0.9).processors
    (Temperature(temperature=1.0), JointTopKTopP(top_k=10, top_p=0.9))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    frequency = number("frequency_penalty", frequency_penalty, at_least=-2, at_most=2)
    presence = number("presence_penalty", presence_penalty, at_least=-2, at_most=2)
    min_new_tokens = whole("min_new_tokens", min_new_tokens, at_least=0)
    ends = token_ids("stop_token_ids", stop_token_ids)
    repetition = number("repetition_penalty", repetition_penalty, above=0, at_most=2)
    bias = biases("logit_bias", logit_bias)
    temperature = number("temperature", temperature, at_least=0)
    limit = None if top_k == -1 else whole("top_k", top_k, at_least=1)
    top_p = number("top_p", top_p, above=0, at_most=1)
    min_p = number("min_p", min_p, at_least=0, at_most=1)
    edits: tuple[Processor | None, ...] = (
        FrequencyPenalty(frequency) if frequency else None,
        PresencePenalty(presence) if presence else None,
        MinTokens(min_new_tokens, ends) if min_new_tokens and ends else None,
        Scoped(RepetitionPenalty(repetition), "generated") if repetition != 1.0 else None,
        LogitBias(bias) if bias else None,
    )
    if temperature < _GREEDY_BELOW:
        return chain(*filter(None, edits))
    # Without a top-p the joint rule is top-k, which a kernel can run.
    alone = TopK(limit, keep_ties=False) if limit is not None else None
    truncations: tuple[Processor | None, ...] = (
        Temperature(temperature),
        JointTopKTopP(limit, top_p) if top_p < 1.0 else alone,
        MinP(min_p) if min_p else None,
    )
    return chain(*filter(None, edits), *filter(None, truncations))
