"""A request of `/v1` as several of the engine's: one a choice, and what they answer together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace

from decoding._version import __version__
from decoding.engine.front import AsyncGeneration
from decoding.engine.request import Request
from decoding.parameters import is_sampling
from decoding.sampling.rng import random_seed, sequence_seed
from decoding.server.service import Service
from decoding.wire.details import Response
from decoding.wire.openai.answers import Head
from decoding.wire.openai.requests import Common


def head(service: Service, body: Common, kind: str, prefix: str) -> Head:
    """What the answer to a body begins with.

    prefix: of its id.
    """
    model = body.model or service.model_id
    return Head(
        kind, f"{prefix}-{uuid.uuid4().hex}", int(time.time()), model, f"decoding-{__version__}"
    )


def seeded(request: Request, count: int) -> list[Request]:
    """As many requests as there are choices to generate, each with a seed of its own.

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
    """The `n` responses of the largest mean logprob, or all in their order."""
    responses = [handle.generation.result() for handle in handles]
    return responses if n == len(responses) else sorted(responses, key=_score, reverse=True)[:n]


def _score(response: Response) -> float:
    tokens = response.tokens
    return sum(token.logprob for token in tokens) / max(1, len(tokens))
