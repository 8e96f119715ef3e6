"""The pipeline that a request's parameters ask for, in one documented order."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from decoding.engine.request_words import bad_word_sequences, breaker_ids
from decoding.errors import require
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline, chain
from decoding.processors import (
    AllowedTokens,
    BadWords,
    Dry,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    GrammarMask,
    LogitBias,
    MinP,
    MinTokens,
    Mirostat1,
    Mirostat2,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
)
from decoding.typing import Processor
from decoding.vocabulary import Tokenizer
from decoding.watermark.presets import tgi


def pipeline_of(  # noqa: PLR0913 -- what is optional has a name
    parameters: GenerationParameters,
    vocab_size: int | None = None,
    *,
    eos_token_ids: Collection[int] = (),
    grammar_mask: GrammarMask | None = None,
    seed: int = 0,
    tokenizer: Tokenizer | None = None,
) -> Pipeline:
    """Make the pipeline of a request: TGI's order; other processors come next to their kind.

    watermark → repetition → frequency → presence → bias → grammar
        → DRY → no repeated n-gram → bad words → suppressed, allowed tokens → min tokens
        → temperature → top-k → top-p → typical-p → min-p
        → epsilon, eta cutoff → top-nσ → top-H → XTC → mirostat

    vocab_size: the width of the model's logits, where it is known: then the watermark, which is
    TGI's (`decoding.watermark.presets.tgi`), is lowered too.
    eos_token_ids: what `min_tokens` keeps back. seed: of the sequence, for XTC's coin.
    grammar_mask: that of the request's grammar, compiled for the model's vocabulary.
    tokenizer: what `bad_words` and `dry_sequence_breakers` are encoded with; `ParameterError` where
    they are asked for and there is none.

    Unset and neutral parameters take no part. At temperature 0 neither do the truncations: they
    follow the temperature, and what it leaves is the likeliest token alone.
    """
    legal = isinstance(parameters, GenerationParameters)
    require("parameters", parameters, legal, "GenerationParameters")
    mask = () if grammar_mask is None else (grammar_mask,)
    edits = (*_edits(parameters, vocab_size), *mask, *_bans(parameters, eos_token_ids, tokenizer))
    if parameters.temperature == 0.0:
        return chain(*edits)
    return chain(*edits, *_heated(parameters), *_truncations(parameters, seed))


def _edits(parameters: GenerationParameters, vocab_size: int | None) -> Iterator[Processor]:
    if parameters.watermark:
        yield Watermark(tgi(), vocab_size)
    last_n = _window(parameters.repeat_last_n)
    if parameters.repetition_penalty is not None:
        penalty = RepetitionPenalty(parameters.repetition_penalty)
        yield penalty if last_n is None else Scoped(penalty, "all", last_n)
    if parameters.frequency_penalty is not None:
        frequency = FrequencyPenalty(parameters.frequency_penalty)
        yield frequency if last_n is None else Scoped(frequency, "generated", last_n)
    if parameters.presence_penalty is not None:
        presence = PresencePenalty(parameters.presence_penalty)
        yield presence if last_n is None else Scoped(presence, "generated", last_n)
    if parameters.logit_bias:
        yield LogitBias(parameters.logit_bias)


def _window(last_n: int | None) -> int | None:
    """How many tokens are looked at; None for all."""
    return None if last_n == -1 else last_n


def _bans(
    parameters: GenerationParameters,
    eos_token_ids: Collection[int],
    tokenizer: Tokenizer | None,
) -> Iterator[Processor]:
    if parameters.dry_multiplier:
        base, allowed = parameters.dry_base, parameters.dry_allowed_length
        yield Dry(
            parameters.dry_multiplier,
            1.75 if base is None else base,
            2 if allowed is None else allowed,
            _window(parameters.dry_penalty_last_n),
            breaker_ids(parameters.dry_sequence_breakers, tokenizer),
        )
    if parameters.no_repeat_ngram_size:
        yield NoRepeatNgram(parameters.no_repeat_ngram_size)
    if parameters.bad_words_ids or parameters.bad_words:
        words = bad_word_sequences(parameters.bad_words, tokenizer)
        yield BadWords([*parameters.bad_words_ids, *words])
    if parameters.suppress_tokens:
        yield SuppressTokens(tuple(parameters.suppress_tokens))
    if parameters.allowed_token_ids is not None:
        yield AllowedTokens(tuple(parameters.allowed_token_ids))
    if parameters.min_tokens:
        yield MinTokens(parameters.min_tokens, tuple(eos_token_ids))


def _heated(parameters: GenerationParameters) -> Iterator[Processor]:
    temperature = parameters.temperature
    if parameters.dynatemp_range:
        exponent = parameters.dynatemp_exponent
        yield DynamicTemperature(
            1.0 if temperature is None else temperature,
            parameters.dynatemp_range,
            1.0 if exponent is None else exponent,
        )
    elif temperature is not None:
        yield Temperature(temperature)


def _truncations(parameters: GenerationParameters, seed: int) -> Iterator[Processor]:
    if parameters.top_k is not None:
        yield TopK(parameters.top_k)
    if parameters.top_p is not None:
        yield TopP(parameters.top_p)
    if parameters.typical_p is not None:
        yield TypicalP(parameters.typical_p)
    if parameters.min_p is not None:
        yield MinP(parameters.min_p)
    if parameters.epsilon_cutoff:
        yield EpsilonCutoff(parameters.epsilon_cutoff)
    if parameters.eta_cutoff:
        yield EtaCutoff(parameters.eta_cutoff)
    if parameters.top_n_sigma:
        yield TopNSigma(parameters.top_n_sigma)
    if parameters.top_h is not None:
        yield TopH(parameters.top_h)
    if parameters.xtc_probability:
        threshold = parameters.xtc_threshold
        yield Xtc(parameters.xtc_probability, 0.1 if threshold is None else threshold, seed)
    if parameters.mirostat:
        tau, eta = parameters.mirostat_tau, parameters.mirostat_eta
        version = Mirostat1 if parameters.mirostat == 1 else Mirostat2
        yield version(5.0 if tau is None else tau, 0.1 if eta is None else eta)
