"""The sampler of a request that somebody has run: its pipeline, seed and prompt."""

from __future__ import annotations

from dataclasses import replace

from decoding.audit.transcript import Transcript
from decoding.engine.plans import Plan, fit
from decoding.engine.prompts import Inputs
from decoding.engine.request import Request, plan
from decoding.errors import ParameterError, require
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters, is_sampling
from decoding.pipeline import Pipeline
from decoding.sampling.batch import Sampler
from decoding.typing import Processor


def plan_of(
    model: LanguageModel,
    prompt: Inputs | None,
    transcript: Transcript,
    pipeline: Pipeline | Processor | GenerationParameters | None,
    seed: int | None,
) -> Plan:
    """Plan the request of a transcript again, as the engine did.

    prompt: text or token ids. pipeline: of the caller, or the request's parameters; None takes the
    transcript's. seed: of the sequence; None takes the transcript's, then the parameters'.

    Raises:
        ParameterError: no prompt is known, or the pipeline that made it is not.
    """
    if prompt is None:
        expected = "text or token ids: where the tokens come from says nothing of a prompt"
        raise ParameterError("prompt", prompt, expected)
    own = None if isinstance(pipeline, GenerationParameters) else pipeline
    made_with = transcript.provenance
    if isinstance(pipeline, GenerationParameters):
        parameters = pipeline
    else:
        parameters = transcript.parameters or GenerationParameters()
        if own is None and made_with is not None and made_with.pipeline is not None:
            expected = f"given: the tokens were made with {made_with.pipeline}"
            raise ParameterError("pipeline", None, expected)
    known = transcript.seed if seed is None else seed
    sampled = is_sampling(parameters, () if own is None else getattr(own, "processors", (own,)))
    if known is not None and parameters.do_sample is not False and parameters.temperature != 0.0:
        parameters = replace(parameters, seed=known)
    elif sampled and parameters.seed is None:
        parameters = replace(parameters, seed=0)  # nobody knows it
    # One sequence, as long as the text: what best-of did not choose has its own seed.
    length = max(len(transcript.token_ids), parameters.min_tokens or 0, 1)
    parameters = replace(parameters, best_of=None, max_new_tokens=length, stop=(), truncate=None)
    if model.tokenizer is None and parameters.return_full_text:
        parameters = replace(parameters, return_full_text=None)
    return plan(Request(prompt, parameters, own), model)


def sampler_of(
    model: LanguageModel,
    prompt: Inputs | None,
    transcript: Transcript,
    pipeline: Pipeline | Processor | GenerationParameters | None,
    seed: int | None,
    width: int | None = None,
) -> tuple[Sampler, tuple[int, ...]]:
    """The sampler and the prompt's token ids of a transcript; arguments as of `plan_of`.

    width: of the logits, where the model does not state it.
    """
    work = plan_of(model, prompt, transcript, pipeline, seed)
    if work.width is None and width is not None:
        work = fit(work, width)
    require("tokens", transcript.token_ids, len(transcript.token_ids) > 0, "at least one token")
    sampler = work.samplers[0]
    return replace(sampler, top_n=0), work.prompt
