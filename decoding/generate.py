"""`generate`, `stream` and their async forms: generate text from prompts, in one call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TypeAlias, cast, overload

from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.prompts import Inputs, is_batch
from decoding.engine.request import Request
from decoding.errors import BatchError, ParameterError, require
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline
from decoding.typing import ForwardFunction, Processor
from decoding.wire.details import Response, StreamEvent

Model: TypeAlias = LanguageModel | ForwardFunction
"""A loaded model, or any callable from token-id lists to logits."""

Parameters: TypeAlias = GenerationParameters | Sequence[GenerationParameters] | None
"""One for every prompt, one each, or the defaults."""


@overload
def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str, and means one prompt
    model: Model,
    inputs: Inputs,
    parameters: GenerationParameters | None = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> Response: ...


@overload
def generate(
    model: Model,
    inputs: Sequence[str] | Sequence[Sequence[int]],
    parameters: Parameters = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> list[Response]: ...


def generate(
    model: Model,
    inputs: Inputs | Sequence[Inputs],
    parameters: Parameters = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> Response | list[Response]:
    """Generate from one prompt, or from several at once.

    model: a `LanguageModel`, or any callable from token-id lists to logits.
    inputs: a string or a list of token ids; or a list of these, which run as one batch.
    parameters: for all prompts, or a list with one each.
    pipeline: replaces the pipeline that the parameters ask for.

    Raises:
        ParameterError: a parameter or a prompt is outside what the model can do; nothing has run.
        BatchError: some prompts of several failed; `results` holds everything.
        DecodingError: the only prompt failed.
    """
    engine = Engine(model)
    generations = _submit(engine, inputs, parameters, pipeline)
    try:
        while engine.busy:
            engine.step()
    finally:
        _cancel(engine, generations)
    return _results(inputs, generations)


async def generate_async(
    model: Model,
    inputs: Inputs | Sequence[Inputs],
    parameters: Parameters = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> Response | list[Response]:
    """`generate` without blocking the event loop; cancelling the task stops after the current step.

    Each step runs in a worker thread of the loop's executor.
    """
    engine = Engine(model)
    generations = _submit(engine, inputs, parameters, pipeline)
    try:
        while engine.busy:
            await _in_thread(engine.step)
    finally:
        _cancel(engine, generations)
    return _results(inputs, generations)


def stream(
    model: Model,
    inputs: Inputs,
    parameters: GenerationParameters | None = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> Iterator[StreamEvent]:
    """Generate from one prompt and yield an event for each token.

    The events' `text`, joined, is the generated text; the last event carries it whole.

    Raises:
        ParameterError: as `generate`; also for a `best_of` above 1, which cannot be streamed.
        DecodingError: the generation failed; events before the failure have been yielded.
    """
    engine = Engine(model)
    generation = _submit_stream(engine, inputs, parameters, pipeline)
    return _events(engine, generation)


async def stream_async(
    model: Model,
    inputs: Inputs,
    parameters: GenerationParameters | None = None,
    *,
    pipeline: Pipeline | Processor | None = None,
) -> AsyncIterator[StreamEvent]:
    """`stream` without blocking the event loop; each step runs in a worker thread."""
    engine = Engine(model)
    generation = _submit_stream(engine, inputs, parameters, pipeline)
    try:
        while not generation.done:
            await _in_thread(engine.step)
            for event in generation.take_events():
                yield event
    finally:
        engine.cancel(generation)
    generation.result()


def _events(engine: Engine, generation: Generation) -> Iterator[StreamEvent]:
    try:
        while not generation.done:
            engine.step()
            yield from generation.take_events()
    finally:
        engine.cancel(generation)
    generation.result()


async def _in_thread(step: Callable[[], list[Generation]]) -> None:
    import asyncio

    # A step that has begun must end before the engine is touched again, also when we are cancelled,
    # and however often.
    running = asyncio.ensure_future(asyncio.to_thread(step))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    running.result()


def _submit(
    engine: Engine,
    inputs: Inputs | Sequence[Inputs],
    parameters: Parameters,
    pipeline: Pipeline | Processor | None,
) -> list[Generation]:
    prompts = cast("Sequence[Inputs]", inputs if is_batch(inputs) else [inputs])
    if parameters is None:
        each = [GenerationParameters()] * len(prompts)
    elif isinstance(parameters, Sequence) and not isinstance(parameters, str):
        each = list(parameters)
    else:
        each = [parameters] * len(prompts)  # `Request` refuses what are no parameters
    legal = len(each) == len(prompts)
    require("parameters", f"{len(each)} for {len(prompts)} inputs", legal, "one, or one an input")
    requests = [Request(*pair, pipeline) for pair in zip(prompts, each, strict=True)]
    return [engine.submit(request) for request in requests]


def _submit_stream(
    engine: Engine,
    inputs: Inputs,
    parameters: GenerationParameters | None,
    pipeline: Pipeline | Processor | None,
) -> Generation:
    asked = GenerationParameters() if parameters is None else parameters
    request = Request(inputs, asked, pipeline)
    if asked.best_of is not None and asked.best_of > 1:
        raise ParameterError("best_of", asked.best_of, "1 when streaming")
    return engine.submit(request)


def _results(
    inputs: Inputs | Sequence[Inputs], generations: list[Generation]
) -> Response | list[Response]:
    if not is_batch(inputs):
        return generations[0].result()
    if any(item.error is not None for item in generations):
        raise BatchError([item.error or item.response for item in generations])
    return [item.result() for item in generations]


def _cancel(engine: Engine, generations: list[Generation]) -> None:
    for generation in generations:
        engine.cancel(generation)
