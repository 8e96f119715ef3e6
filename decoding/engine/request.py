"""Defines `Request` and turns it, checked against a model, into the engine's `Plan`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from decoding.checks import checked_token_ids
from decoding.engine.plans import Jump, Plan, fit
from decoding.engine.prompts import Inputs, begun_character, prompt_text, read_token_ids
from decoding.engine.request_pipeline import pipeline_of
from decoding.engine.stopping import StopStrings
from decoding.engine.transcript import Ending
from decoding.errors import ParameterError, UnsupportedFeatureError, require, shown
from decoding.facts import implies_sampling
from decoding.models.protocol import AdaptedModel, LanguageModel
from decoding.parameters import GenerationParameters, is_sampling
from decoding.pipeline import Pipeline, as_pipeline, chain
from decoding.processors.grammar_mask import GrammarMask
from decoding.sampling.batch import Sampler
from decoding.sampling.rng import random_seed, sequence_seed
from decoding.typing import Anything, Processor

if TYPE_CHECKING:  # most processes see no grammar, and should not wait for their compilers
    from decoding.grammar.protocol import TokenGrammar


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt, its generation parameters, and optionally a pipeline of its own.

    inputs: text (the model needs a tokenizer) or token ids in a sequence, an array or a tensor; at
        least one token.
    parameters: the TGI request's.
    pipeline: replaces the pipeline that the parameters ask for; a lone processor is one as well.
        The mask of the parameters' grammar comes first in it. Whether tokens are sampled, both say:
        `decoding.parameters.is_sampling`.
    keep_stop: whether a stop string stays in the text (TGI) or is removed (OpenAI).
    grammar: a compiled grammar over the model's vocabulary, in the place of one in the parameters.
    raw: whether tokens come with raw logprobs and ranks; see `Sampler`.
    """

    inputs: Inputs
    parameters: GenerationParameters = GenerationParameters()
    pipeline: Pipeline | Processor | None = None
    keep_stop: bool = True
    grammar: TokenGrammar | None = None
    raw: bool = True

    def __post_init__(self) -> None:
        legal = isinstance(self.parameters, GenerationParameters)
        require("parameters", self.parameters, legal, "GenerationParameters")
        require("keep_stop", self.keep_stop, isinstance(self.keep_stop, bool), "a bool")
        require("raw", self.raw, isinstance(self.raw, bool), "a bool")
        if self.grammar is not None:
            require("grammar", self.grammar, hasattr(self.grammar, "matcher"), "a TokenGrammar")
            given = self.parameters.grammar
            require("parameters.grammar", given, given is None, "None where `grammar` is given")
        if self.pipeline is not None:
            object.__setattr__(self, "pipeline", as_pipeline(self.pipeline))


def plan(request: Request, model: LanguageModel) -> Plan:
    """Check a request against a model and fill in what it left open.

    Raises:
        ParameterError: a parameter or the prompt is outside what this model can do.
        GrammarError: the grammar is malformed, cannot be held, or has no text.
        UnsupportedFeatureError: it asks for machinery this version does not have.
    """
    parameters = request.parameters
    pipeline = None if request.pipeline is None else as_pipeline(request.pipeline)
    token_ids = _prompt(request.inputs, model)
    vocabulary = None if model.tokenizer is None else model.tokenizer.vocabulary
    if parameters.stop and vocabulary is None:
        raise ParameterError("stop", parameters.stop, "empty for a model without a tokenizer")
    prompt = token_ids if parameters.truncate is None else token_ids[-parameters.truncate :]
    mask = _grammar_mask(request, model)
    if mask is not None:
        mask.prepare(np.zeros(0, np.int32))  # every text needs it
    samplers = tuple(
        Sampler(
            _pipeline(parameters, pipeline, model, mask, own_seed or 0),
            own_seed,
            parameters.top_n_tokens or 0,
            request.raw,
        )
        for own_seed in _seeds(parameters, pipeline)
    )
    work = Plan(
        prompt,
        np.array(prompt, np.int32),
        prompt_text(request.inputs, token_ids, vocabulary) if parameters.return_full_text else "",
        samplers,
        Ending(
            _max_new_tokens(
                parameters, len(prompt), model.context_length, _longest(parameters, model)
            ),
            model.eos_token_ids,
            StopStrings(tuple(parameters.stop)),
            request.keep_stop,
            parameters.min_tokens or 0,
        ),
        vocabulary,
        parameters.decoder_input_details,
        _jump(mask, model) if mask is not None and parameters.jump_forward else None,
        tuple(_largest_ids(parameters, token_ids)),
        None if model.draws_padding else model.padding,
        adapted=_adapted(parameters.adapter_id, model.forward),
        begun=b"" if isinstance(request.inputs, str) else begun_character(token_ids, vocabulary),
        model=model.name,
        fingerprint=model.fingerprint,
    )
    return work if model.logits_width is None else fit(work, model.logits_width)


def _adapted(adapter_id: str | None, forward: Anything) -> AdaptedModel | None:  # any model
    if adapter_id is None:
        return None
    if not hasattr(forward, "adapted"):
        raise UnsupportedFeatureError("adapter_id", "the model has no adapters")
    adapted: AdaptedModel = forward.adapted(adapter_id)
    return adapted


def _longest(parameters: GenerationParameters, model: LanguageModel) -> int | None:
    """Most tokens that the model's memory holds of each sequence; None where it is not bounded."""
    capacity: int | None = getattr(model.forward, "capacity_tokens", None)
    if capacity is None:
        return None
    page: int = getattr(model.forward, "page_tokens", 1)
    return capacity // (parameters.best_of or 1) // page * page


def _seeds(parameters: GenerationParameters, pipeline: Pipeline | None) -> list[int | None]:
    """The seed of every sequence; None for greedy decoding."""
    processors = () if pipeline is None else pipeline.processors
    count = parameters.best_of or 1
    if parameters.do_sample is False:
        for processor in filter(implies_sampling, processors):
            expected = f"True or None beside {shown(processor)} in the pipeline"
            raise ParameterError("do_sample", False, expected)
    if not is_sampling(parameters, processors):
        require("best_of", count, count == 1, "1 where decoding is greedy")
        return [None]
    seed = random_seed() if parameters.seed is None else parameters.seed
    return [sequence_seed(seed, index) for index in range(count)]


def _largest_ids(
    parameters: GenerationParameters, prompt: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """The largest token id of each field that names token ids."""
    yield "inputs", max(prompt)
    named = {
        "logit_bias": parameters.logit_bias,
        "bad_words_ids": [item for word in parameters.bad_words_ids for item in word],
        "suppress_tokens": parameters.suppress_tokens,
        "allowed_token_ids": parameters.allowed_token_ids or (),
    }
    for name, token_ids in named.items():
        if token_ids:
            yield name, max(token_ids)


def _jump(mask: GrammarMask, model: LanguageModel) -> Jump:
    from decoding.grammar.masking.forced import forced_tokens

    tokenizer = model.tokenizer
    assert tokenizer is not None  # ours: else there is no mask

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    def jump(generated: Sequence[int]) -> list[int]:
        matcher = mask.matcher(np.array(generated, np.int32))
        return [] if matcher is None else forced_tokens(matcher, encode)

    return jump


def _pipeline(
    parameters: GenerationParameters,
    own: Pipeline | None,
    model: LanguageModel,
    mask: GrammarMask | None,
    seed: int,
) -> Pipeline:
    if own is not None:
        return own if mask is None else chain(mask, own)
    return pipeline_of(
        parameters,
        model.logits_width,
        eos_token_ids=model.eos_token_ids,
        grammar_mask=mask,
        seed=seed,
        tokenizer=model.tokenizer,
    )


def _grammar_mask(request: Request, model: LanguageModel) -> GrammarMask | None:
    parameters = request.parameters
    if request.grammar is not None:
        return GrammarMask(request.grammar)
    if parameters.grammar is None:
        if parameters.jump_forward:
            raise ParameterError("jump_forward", True, "False without a grammar")
        return None
    if model.grammars is None:
        raise ParameterError("grammar", parameters.grammar, "None for a model without a tokenizer")
    if not model.eos_token_ids:
        expected = "None for a model without an end-of-sequence token, which a complete text needs"
        raise ParameterError("grammar", parameters.grammar, expected)
    return model.grammars.mask_of(parameters.grammar)


def _prompt(inputs: Inputs, model: LanguageModel) -> tuple[int, ...]:
    if not isinstance(inputs, str):
        return read_token_ids(inputs)
    if model.tokenizer is None:
        raise ParameterError("inputs", inputs, "token ids for a model without a tokenizer")
    require("inputs", inputs, inputs != "", "not empty")
    token_ids = tuple(checked_token_ids("inputs", model.tokenizer.encode(inputs)))
    require("inputs", inputs, len(token_ids) > 0, "at least one token")
    return token_ids


def _max_new_tokens(
    parameters: GenerationParameters,
    prompt_length: int,
    context_length: int | None,
    longest: int | None,
) -> int:
    wanted = parameters.max_new_tokens
    if context_length is None:
        if wanted is None:
            expected = "given, since the model states no context length"
            raise ParameterError("max_new_tokens", wanted, expected)
        return wanted
    room = context_length - prompt_length
    if room < 1:
        expected = f"fewer than {context_length} tokens, the model's context length"
        raise ParameterError("inputs", f"{prompt_length} tokens", expected)
    if wanted is None:
        # What would not fit the model's memory is not wanted, as long as that leaves a token.
        return room if longest is None else max(1, min(room, longest - prompt_length))
    expected = f"at most {room} for a prompt of {prompt_length} tokens"
    require("max_new_tokens", wanted, wanted <= room, expected)
    return wanted
