"""Preset `vllm`: makes the pipeline of vLLM's sampler from vLLM's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import biases, number, sequences, token_ids, whole
from decoding.processors import (
    AllowedTokens,
    BadWords,
    FrequencyPenalty,
    LogitBias,
    MinP,
    MinTokens,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    Temperature,
    TopK,
    TopP,
)
from decoding.typing import Processor

_LOWEST_TEMPERATURE = 0.01
_LARGEST_BIAS = 100.0


def vllm(
    *,
    allowed_token_ids: Sequence[int] | None = None,
    bad_words: Sequence[Sequence[int]] | None = None,
    min_tokens: int = 0,
    stop_token_ids: Sequence[int] | None = None,
    logit_bias: Mapping[int, float] | None = None,
    repetition_penalty: float = 1.0,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    temperature: float = 1.0,
    min_p: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Pipeline:
    """Make the pipeline of vLLM's (V1) logits processors, in vLLM's order.

        allowed → bad words → min tokens → bias → repetition → frequency → presence
            → temperature → min-p → top-k → top-p

    | parameter | range | neutral |
    |---|---|---|
    | `allowed_token_ids` | not empty | None |
    | `bad_words` | sequences of token ids, looked for in the generated text alone | None |
    | `min_tokens` | >= 0; until then nothing of `stop_token_ids` | 0 |
    | `logit_bias` | cut to [−100, 100] | None |
    | `repetition_penalty` | > 0, over prompt and generated text | 1 |
    | `frequency_penalty` | [−2, 2], over the generated text | 0 |
    | `presence_penalty` | [−2, 2], over the generated text | 0 |
    | `temperature` | [0, 2]; 0 is greedy, and below 0.01 it is 0.01 | 1 |
    | `min_p` | [0, 1] | 0 |
    | `top_k` | −1, 0 or more; ties with the k-th stay | −1, 0 |
    | `top_p` | (0, 1] | 1 |

    At temperature 0 the pipeline ends before the temperature, and the caller draws greedily: vLLM
    switches the truncations off.

    Deliberate deviations:
      - `bad_words` are token ids, as no tokenizer is known here, and `stop_token_ids` are all ids
        that end the text, the end of sequence included;
      - of tokens that tie at the cut of top-p the lowest ids stay (there the sort decides);
      - NaN is an error (there it draws token 0);
      - one order for every path: its speculative rows take another, without min-p and bias.

    Source: vLLM, vllm/sampling_params.py, vllm/v1/sample/sampler.py.

    >>> vllm(temperature=0.7, min_p=0.1, top_k=10).processors[:2]
    (Temperature(temperature=0.7), MinP(min_p=0.1))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    allowed = token_ids("allowed_token_ids", allowed_token_ids)
    words = sequences("bad_words", bad_words)
    min_tokens = whole("min_tokens", min_tokens, at_least=0)
    ends = token_ids("stop_token_ids", stop_token_ids)
    bias = {
        token_id: min(max(value, -_LARGEST_BIAS), _LARGEST_BIAS)
        for token_id, value in biases("logit_bias", logit_bias).items()
    }
    repetition = number("repetition_penalty", repetition_penalty, above=0)
    frequency = number("frequency_penalty", frequency_penalty, at_least=-2, at_most=2)
    presence = number("presence_penalty", presence_penalty, at_least=-2, at_most=2)
    temperature = number("temperature", temperature, at_least=0, at_most=2)
    min_p = number("min_p", min_p, at_least=0, at_most=1)
    top_k = whole("top_k", top_k, at_least=-1)
    top_p = number("top_p", top_p, above=0, at_most=1)
    edits: tuple[Processor | None, ...] = (
        AllowedTokens(allowed) if allowed_token_ids is not None else None,
        Scoped(BadWords(words), "generated") if words else None,
        MinTokens(min_tokens, ends) if min_tokens and ends else None,
        LogitBias(bias) if bias else None,
        RepetitionPenalty(repetition) if repetition != 1.0 else None,
        FrequencyPenalty(frequency) if frequency else None,
        PresencePenalty(presence) if presence else None,
    )
    if temperature == 0.0:
        return chain(*filter(None, edits))
    truncations: tuple[Processor | None, ...] = (
        Temperature(max(temperature, _LOWEST_TEMPERATURE)),
        MinP(min_p) if min_p else None,
        TopK(top_k) if top_k > 0 else None,
        TopP(top_p) if top_p < 1.0 else None,
    )
    return chain(*filter(None, edits), *filter(None, truncations))
