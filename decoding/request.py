"""One request, and what it comes to on a given model: checked here, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from decoding.errors import ParameterError, UnsupportedFeatureError, require
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline, chain
from decoding.processors.grammar_mask import GrammarMask
from decoding.requested import pipeline_of
from decoding.rng import random_seed, sequence_seed
from decoding.sampling import Sampler
from decoding.stopping import StopStrings
from decoding.text import TextStream
from decoding.transcript import Ending
from decoding.vocabulary import Vocabulary

Inputs: TypeAlias = str | Sequence[int]
"""A prompt: text, or token ids."""

_MOST_OF_A_CHARACTER = 4  # bytes

Jump: TypeAlias = Callable[[Sequence[int]], Sequence[int]]
"""Given the generated tokens, those that must come next."""


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and what is asked of it.

    inputs: text (the model needs a tokenizer) or token ids; at least one token.
    parameters: the TGI request's.
    pipeline: replaces the pipeline that the parameters ask for; whether tokens are sampled is still
    theirs to say, and their grammar's mask comes first in it.
    keep_stop: whether a stop string stays in the text (TGI) or is removed (OpenAI).
    """

    inputs: Inputs
    parameters: GenerationParameters = GenerationParameters()
    pipeline: Pipeline | None = None
    keep_stop: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A request on a given model: every default filled in, every check passed.

    prompt: token ids, truncated. prompt_text: what `return_full_text` puts in front.
    begun: bytes with which the prompt ends inside a character; they belong to the generated text.
    samplers: one a sequence; more than one is best-of.
    jump: what a grammar forces after some tokens, where the request wants that written undrawn.
    """

    prompt: tuple[int, ...]
    prompt_text: str
    samplers: tuple[Sampler, ...]
    ending: Ending
    vocabulary: Vocabulary | None
    wants_prefill: bool
    jump: Jump | None = None
    begun: bytes = b""

    @property
    def seed(self) -> int | None:
        """The request's seed; None when greedy."""
        return self.samplers[0].seed


def plan(request: Request, model: LanguageModel) -> Plan:
    """Check a request against a model and fill in what it left open.

    Raises:
        ParameterError: a parameter or the prompt is outside what this model can do.
        GrammarError: the grammar is malformed, cannot be held, or has no text.
        UnsupportedFeatureError: it asks for machinery this version does not have.
    """
    parameters = request.parameters
    if parameters.adapter_id is not None:
        raise UnsupportedFeatureError("adapter_id", "this version loads no adapters")
    prompt = _prompt(request.inputs, model)
    vocabulary = None if model.tokenizer is None else model.tokenizer.vocabulary
    if parameters.stop and vocabulary is None:
        raise ParameterError("stop", parameters.stop, "empty for a model without a tokenizer")
    if parameters.truncate is not None:
        prompt = prompt[-parameters.truncate :]
    seed = None
    if not parameters.is_greedy:
        seed = random_seed() if parameters.seed is None else parameters.seed
    seeds = [
        None if seed is None else sequence_seed(seed, index)
        for index in range(parameters.best_of or 1)
    ]
    mask = _grammar_mask(parameters, model)
    return Plan(
        prompt,
        _prompt_text(request.inputs, vocabulary) if parameters.return_full_text else "",
        tuple(
            Sampler(
                _pipeline(request, model, mask, own_seed or 0),
                own_seed,
                parameters.top_n_tokens or 0,
            )
            for own_seed in seeds
        ),
        Ending(
            _max_new_tokens(parameters, len(prompt), model.context_length),
            model.eos_token_ids,
            StopStrings(tuple(parameters.stop)),
            request.keep_stop,
            parameters.min_tokens or 0,
        ),
        vocabulary,
        parameters.decoder_input_details,
        _jump(mask, model) if mask is not None and parameters.jump_forward else None,
        b"" if isinstance(request.inputs, str) else _begun(request.inputs, vocabulary),
    )


def _jump(mask: GrammarMask, model: LanguageModel) -> Jump:
    from decoding.grammar.forced import forced_tokens

    tokenizer = model.tokenizer
    assert tokenizer is not None  # noqa: S101 -- ours: else there is no mask

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    def jump(generated: Sequence[int]) -> list[int]:
        matcher = mask.matcher(np.array(generated, np.int32))
        return [] if matcher is None else forced_tokens(matcher, encode)

    return jump


def _pipeline(
    request: Request, model: LanguageModel, mask: GrammarMask | None, seed: int
) -> Pipeline:
    if request.pipeline is not None:
        return request.pipeline if mask is None else chain(mask, request.pipeline)
    width, allowed = model.logits_width, request.parameters.allowed_token_ids
    if width is not None and allowed is not None:
        expected = f"below {width}, the width of the model's logits"
        require("allowed_token_ids", max(allowed), max(allowed) < width, expected)
    eos_token_ids = model.eos_token_ids
    return pipeline_of(
        request.parameters, width, eos_token_ids=eos_token_ids, grammar_mask=mask, seed=seed
    )


def _grammar_mask(parameters: GenerationParameters, model: LanguageModel) -> GrammarMask | None:
    if parameters.grammar is None:
        if parameters.jump_forward:
            raise ParameterError("jump_forward", True, "False without a grammar")  # noqa: FBT003
        return None
    if model.grammars is None:
        raise ParameterError("grammar", parameters.grammar, "None for a model without a tokenizer")
    if not model.eos_token_ids:
        expected = "None for a model without an end-of-sequence token, which a complete text needs"
        raise ParameterError("grammar", parameters.grammar, expected)
    return model.grammars.mask_of(parameters.grammar)


def _prompt(inputs: Inputs, model: LanguageModel) -> tuple[int, ...]:
    if isinstance(inputs, str):
        if model.tokenizer is None:
            raise ParameterError("inputs", inputs, "token ids for a model without a tokenizer")
        require("inputs", inputs, inputs != "", "not empty")
        token_ids = tuple(model.tokenizer.encode(inputs))
    else:
        legal = all(isinstance(item, int | np.integer) and item >= 0 for item in inputs)
        require("inputs", inputs, legal, "a string or token ids >= 0")
        token_ids = tuple(int(item) for item in inputs)
    require("inputs", inputs, len(token_ids) > 0, "at least one token")
    return token_ids


def _prompt_text(inputs: Inputs, vocabulary: Vocabulary | None) -> str:
    """A prompt's text, but for a character that it ends inside of: see `_begun`."""
    if isinstance(inputs, str):
        return inputs
    if vocabulary is None:
        return ""
    stream, text = TextStream(), ""
    for item in inputs:
        if vocabulary.is_special(item):
            text += stream.flush()
        else:
            text += stream.push(vocabulary.bytes_of(item))
    return text


def _begun(prompt: Sequence[int], vocabulary: Vocabulary | None) -> bytes:
    """The bytes with which a prompt ends inside a character."""
    end = b""
    for item in reversed(prompt):
        if vocabulary is None or vocabulary.is_special(item) or len(end) > _MOST_OF_A_CHARACTER:
            break
        end = vocabulary.bytes_of(item) + end
    stream = TextStream()
    stream.push(end)
    return stream.held


def _max_new_tokens(
    parameters: GenerationParameters, prompt_length: int, context_length: int | None
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
        return room
    expected = f"at most {room} for a prompt of {prompt_length} tokens"
    require("max_new_tokens", wanted, wanted <= room, expected)
    return wanted
