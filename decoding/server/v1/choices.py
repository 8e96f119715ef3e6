"""Reads a `/v1` body into one engine request for each choice; picks the best responses."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from decoding._version import __version__
from decoding.engine.front import AsyncGeneration
from decoding.engine.request import Request
from decoding.parameters import GenerationParameters, is_sampling
from decoding.sampling.rng import random_seed, sequence_seed
from decoding.server.service import Service
from decoding.wire.details import Response
from decoding.wire.openai.answers import Head
from decoding.wire.openai.fields import LARGEST_TOP_LOGPROBS
from decoding.wire.openai.requests import Common
from decoding.wire.rules import check_lengths, validate_fields


def head(service: Service, body: Common, kind: str, prefix: str) -> Head:
    """The fields that begin a response: id, object, time, model and version.

    prefix: of its id.
    """
    model = body.model or service.model_id
    return Head(
        kind, f"{prefix}-{uuid.uuid4().hex}", int(time.time()), model, f"decoding-{__version__}"
    )


def parameters_of(
    service: Service, body: Common, more: Mapping[str, Any] = MappingProxyType({})
) -> GenerationParameters:
    """The parameters that a body of `/v1` asks for, checked against the server's limits.

    more: further fields, in TGI's names.

    Raises:
        WireValidationError: a field is outside its range.
    """
    limits = replace(
        service.limits,
        max_top_n_tokens=max(LARGEST_TOP_LOGPROBS, service.limits.max_top_n_tokens),
    )
    given = {**body.sampling, **more}
    adapter = service.adapter_of(body.model)
    if adapter is not None:
        given.setdefault("adapter_id", adapter)
    if body.logprobs:
        given["top_n_tokens"] = body.logprobs
    return validate_fields(given, limits=limits, stream=body.stream)


def with_length(
    service: Service, parameters: GenerationParameters, input_tokens: int
) -> GenerationParameters:
    """The parameters with the number of tokens that may be generated after a prompt.

    Raises:
        WireValidationError: prompt and new tokens are more than the server allows.
    """
    if parameters.truncate is not None:
        input_tokens = min(input_tokens, parameters.truncate)
    room = check_lengths(input_tokens, parameters.max_new_tokens, service.limits)
    return replace(parameters, max_new_tokens=room)


def seeded(request: Request, count: int) -> list[Request]:
    """Make one engine request for each choice, each with its own seed.

    The first has the request's seed: it is what a request of one choice answers.
    """
    parameters = request.parameters
    if count == 1 or not is_sampling(parameters):
        return [request] * count
    seed = random_seed() if parameters.seed is None else parameters.seed
    return [
        replace(request, parameters=replace(parameters, seed=sequence_seed(seed, index)))
        for index in range(count)
    ]


def best(handles: Sequence[AsyncGeneration], n: int) -> list[Response]:
    """The `n` responses of the largest mean logprob, best first; `n` of `n` keep their order."""
    responses = [handle.generation.result() for handle in handles]
    return responses if n == len(responses) else sorted(responses, key=_score, reverse=True)[:n]


def used_tokens(handles: Sequence[AsyncGeneration], each: int) -> tuple[int, int]:
    """The numbers of tokens of all prompts and of all answers.

    each: how many generations, one after the other, are of one prompt.
    """
    responses = [handle.generation.result() for handle in handles]
    prompts = sum(item.input_length for item in responses[::each])
    return prompts, sum(item.generated_tokens for item in responses)


def _score(response: Response) -> float:
    tokens = response.tokens
    return sum(token.logprob for token in tokens) / max(1, len(tokens))
