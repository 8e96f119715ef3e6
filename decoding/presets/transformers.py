"""Preset `transformers`: makes the pipeline of `generate` from transformers' parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from decoding.errors import ParameterError
from decoding.history import History
from decoding.pipeline import Pipeline, chain
from decoding.presets.arguments import flag, number, sequences, token_ids, whole
from decoding.processors import (
    BadWords,
    BeginSuppressTokens,
    ClassifierFreeGuidance,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    EtaCutoff,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    MinP,
    MinTokens,
    NaNPolicy,
    NoRepeatNgram,
    PrefixFunction,
    Renormalise,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
    SynthIdWatermark,
    Temperature,
    TopH,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.typing import Logits, Processor

_TINY = sys.float_info.min
"""A mass that one token has: at a top-p of 0 they keep the first."""

_TOP_H_CANDIDATES = 100


def transformers(
    *,
    guidance_scale: float | None = None,
    unconditional: Callable[[History], Logits] | None = None,
    sequence_bias: Mapping[Sequence[int], float] | None = None,
    encoder_repetition_penalty: float = 1.0,
    repetition_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    encoder_no_repeat_ngram_size: int = 0,
    bad_words_ids: Sequence[Sequence[int]] | None = None,
    min_length: int = 0,
    min_new_tokens: int | None = None,
    eos_token_id: int | Sequence[int] | None = None,
    prefix_allowed_tokens_fn: Callable[[History], Iterable[int]] | None = None,
    forced_bos_token_id: int | None = None,
    forced_eos_token_id: int | Sequence[int] | None = None,
    max_length: int = 20,
    max_new_tokens: int | None = None,
    remove_invalid_values: bool = False,
    exponential_decay_length_penalty: tuple[int, float] | None = None,
    suppress_tokens: Sequence[int] | None = None,
    begin_suppress_tokens: Sequence[int] | None = None,
    logits_processor: Sequence[Processor] = (),
    do_sample: bool = False,
    temperature: float = 1.0,
    top_h: float | None = None,
    top_k: int | None = 50,
    top_p: float = 1.0,
    min_p: float | None = None,
    typical_p: float = 1.0,
    epsilon_cutoff: float = 0.0,
    eta_cutoff: float = 0.0,
    watermarking_config: Watermark | SynthIdWatermark | None = None,
    renormalize_logits: bool = False,
) -> Pipeline:
    """Make the pipeline of the logits processors of transformers' `generate`, in its order.

        guidance → biases, penalties, bans, forced tokens → yours
            → temperature → top-h → top-k → top-p → min-p → typical-p → epsilon → eta → watermark

    | parameter | range | neutral |
    |---|---|---|
    | `guidance_scale` | finite, with `unconditional`: see `ClassifierFreeGuidance` | None, 1 |
    | `sequence_bias` | sequences of token ids to biases, see `SequenceBias` | None |
    | `encoder_repetition_penalty` | > 0, over the prompt | 1 |
    | `repetition_penalty` | > 0, over prompt and generated text | 1 |
    | `no_repeat_ngram_size`, `encoder_no_repeat_ngram_size` | >= 0 | 0 |
    | `bad_words_ids` | sequences of token ids; an end of sequence alone is passed over | None |
    | `min_length` | >= 0, prompt included; until then nothing of `eos_token_id` | 0 |
    | `min_new_tokens` | >= 0; likewise | None, 0 |
    | `prefix_allowed_tokens_fn` | see `PrefixFunction` | None |
    | `forced_bos_token_id`, `forced_eos_token_id` | token ids | None |
    | `max_length`, `max_new_tokens` | >= 1; where `forced_eos_token_id` is forced | |
    | `remove_invalid_values` | bool; NaN becomes 0, +inf the largest number | False |
    | `exponential_decay_length_penalty` | (start >= 0, factor > 0) | None |
    | `suppress_tokens`, `begin_suppress_tokens` | token ids | None |
    | `logits_processor` | your processors | () |
    | `temperature` | > 0 | 1 |
    | `top_h` | (0, 1]; of the 100 likeliest tokens | None |
    | `top_k` | >= 0; ties with the k-th stay | None, 0 |
    | `top_p` | [0, 1]; 0 keeps one token | 1 |
    | `min_p` | [0, 1] | None, 0 |
    | `typical_p` | (0, 1] | 1 |
    | `epsilon_cutoff`, `eta_cutoff` | [0, 1) | 0 |
    | `watermarking_config` | a `Watermark` or `SynthIdWatermark` | None |
    | `renormalize_logits` | bool | False |

    `do_sample=False`, the default, is greedy: what stands between `logits_processor` and
    `watermarking_config` takes no part, and the caller draws greedily. A temperature of 0 is an
    error there, and here.

    Deliberate deviations:
      - a sampling parameter beside `do_sample=False` is an error (there a warning);
      - of tokens that tie at the cut of top-p the lowest ids stay (on a CPU, the highest there);
      - forced tokens keep their logits, and the forced first token is the first that is generated
        (there the one after a single token);
      - impossible tokens stay impossible, also under `remove_invalid_values`, whose place in the
        order is kept although NaN that reaches an earlier processor is an error;
      - no prompt is padded, and functions take a `History`;
      - the floor under truncations that beam search wants is not here.

    Source: transformers 5.24, generation/utils.py, `_get_logits_processor`.

    >>> transformers(do_sample=True, temperature=0.7, top_p=0.9).processors[1:]
    (TopK(top_k=50, keep_ties=True), TopP(top_p=0.9))

    Raises:
        ParameterError: a parameter is outside its range.
    """
    ends = token_ids("eos_token_id", eos_token_id)
    guidance = None if guidance_scale is None else number("guidance_scale", guidance_scale)
    if guidance not in (None, 1.0) and unconditional is None:
        raise ParameterError("unconditional", None, "given where guidance_scale is")
    encoder_repetition = number("encoder_repetition_penalty", encoder_repetition_penalty, above=0)
    repetition = number("repetition_penalty", repetition_penalty, above=0)
    ngram = whole("no_repeat_ngram_size", no_repeat_ngram_size, at_least=0)
    encoder_ngram = whole("encoder_no_repeat_ngram_size", encoder_no_repeat_ngram_size, at_least=0)
    words = [
        word
        for word in sequences("bad_words_ids", bad_words_ids)
        if len(word) > 1 or word[0] not in ends
    ]
    min_length = whole("min_length", min_length, at_least=0)
    min_new_tokens = whole(
        "min_new_tokens", 0 if min_new_tokens is None else min_new_tokens, at_least=0
    )
    suppressed = token_ids("suppress_tokens", suppress_tokens)
    suppressed_first = token_ids("begin_suppress_tokens", begin_suppress_tokens)
    first = token_ids("forced_bos_token_id", forced_bos_token_id)
    edits: tuple[Processor | None, ...] = (
        ClassifierFreeGuidance(guidance, unconditional)
        if guidance not in (None, 1.0) and unconditional is not None
        else None,
        SequenceBias(sequence_bias) if sequence_bias else None,
        EncoderRepetitionPenalty(encoder_repetition) if encoder_repetition != 1.0 else None,
        RepetitionPenalty(repetition) if repetition != 1.0 else None,
        NoRepeatNgram(ngram) if ngram else None,
        EncoderNoRepeatNgram(encoder_ngram) if encoder_ngram else None,
        BadWords(words) if words else None,
        # What looks at "all" counts the prompt as well.
        Scoped(MinTokens(min_length, ends), "all") if min_length and ends else None,
        MinTokens(min_new_tokens, ends) if min_new_tokens and ends else None,
        PrefixFunction(prefix_allowed_tokens_fn) if prefix_allowed_tokens_fn else None,
        ForcedFirstToken(first[0]) if first else None,
        _forced_last(forced_eos_token_id, max_length, max_new_tokens),
        NaNPolicy(nan=0.0) if flag("remove_invalid_values", remove_invalid_values) else None,
        _decay(exponential_decay_length_penalty, ends),
        SuppressTokens(suppressed) if suppressed else None,
        BeginSuppressTokens(suppressed_first) if suppressed_first else None,
    )
    warpers = _warpers(
        temperature, top_h, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff
    )
    if not flag("do_sample", do_sample):
        unheard = [stage for stage in warpers if stage not in (None, Temperature(1.0), TopK(50))]
        if unheard:
            raise ParameterError("do_sample", do_sample, f"True beside {unheard[0]!r}")
        warpers = ()
    ending: tuple[Processor | None, ...] = (
        watermarking_config,
        Renormalise() if flag("renormalize_logits", renormalize_logits) else None,
    )
    return chain(
        *filter(None, edits), *logits_processor, *filter(None, warpers), *filter(None, ending)
    )


def _warpers(
    temperature: float,
    top_h: float | None,
    top_k: int | None,
    top_p: float,
    min_p: float | None,
    typical_p: float,
    epsilon_cutoff: float,
    eta_cutoff: float,
) -> tuple[Processor | None, ...]:
    """The processors that apply only when sampling."""
    temperature = number("temperature", temperature, above=0)
    if top_h is not None:
        top_h = number("top_h", top_h, above=0, at_most=1)
    top_k = whole("top_k", 0 if top_k is None else top_k, at_least=0)
    top_p = number("top_p", top_p, at_least=0, at_most=1)
    min_p = number("min_p", 0.0 if min_p is None else min_p, at_least=0, at_most=1)
    typical_p = number("typical_p", typical_p, above=0, at_most=1)
    epsilon = number("epsilon_cutoff", epsilon_cutoff, at_least=0, below=1)
    eta = number("eta_cutoff", eta_cutoff, at_least=0, below=1)
    return (
        Temperature(temperature),
        TopH(top_h, _TOP_H_CANDIDATES) if top_h else None,
        TopK(top_k) if top_k else None,
        TopP(top_p or _TINY) if top_p < 1.0 else None,
        MinP(min_p) if min_p else None,
        TypicalP(typical_p) if typical_p < 1.0 else None,
        EpsilonCutoff(epsilon) if epsilon else None,
        EtaCutoff(eta) if eta else None,
    )


def _forced_last(
    forced_eos_token_id: int | Sequence[int] | None, max_length: int, max_new_tokens: int | None
) -> Processor | None:
    last = token_ids("forced_eos_token_id", forced_eos_token_id)
    max_length = whole("max_length", max_length, at_least=1)
    if max_new_tokens is not None:
        max_new_tokens = whole("max_new_tokens", max_new_tokens, at_least=1)
    if not last:
        return None
    if max_new_tokens is not None:
        return ForcedLastToken(last, max_new_tokens)
    return Scoped(ForcedLastToken(last, max_length), "all")


def _decay(penalty: tuple[int, float] | None, ends: tuple[int, ...]) -> Processor | None:
    if penalty is None:
        return None
    if not isinstance(penalty, Sequence) or len(penalty) != 2:
        raise ParameterError("exponential_decay_length_penalty", penalty, "a pair (start, factor)")
    start = whole("exponential_decay_length_penalty[0]", penalty[0], at_least=0)
    factor = number("exponential_decay_length_penalty[1]", penalty[1], above=0)
    return ExponentialLengthDecay(start, factor, ends) if ends and factor != 1.0 else None
