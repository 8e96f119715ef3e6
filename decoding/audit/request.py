"""Rebuilds a past request from its record: prompt, pipeline, seed, tokens forced by a grammar."""

from __future__ import annotations

from dataclasses import dataclass, replace

from decoding.audit.claims import Claim
from decoding.audit.forward import as_model
from decoding.audit.noise import NoiseLaw
from decoding.audit.transcript import Transcript, transcript_of
from decoding.engine.plans import Plan
from decoding.engine.prompts import Inputs
from decoding.engine.request import Request, plan
from decoding.errors import ParameterError, require
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters, is_sampling
from decoding.pipeline import Pipeline, as_pipeline
from decoding.sampling.batch import Sampler
from decoding.sampling.rng import sequence_seed
from decoding.typing import Anything, ForwardFunction, Processor


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """A request and the tokens that answer it.

    model: the reference. transcript: the tokens. plan: as the engine would plan it.
    seed: of the sequence; None where nobody says one.
    """

    model: LanguageModel
    transcript: Transcript
    plan: Plan
    seed: int | None

    @property
    def prompt(self) -> tuple[int, ...]:
        """The token ids that the model read."""
        return self.plan.prompt

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens that were generated."""
        return self.transcript.token_ids

    @property
    def sampler(self) -> Sampler:
        """Its sampler; with seed 0 where tokens were sampled with a seed that nobody says."""
        return self.plan.samplers[0]

    def claim(self, law: NoiseLaw, *, by_distribution: bool = False) -> Claim:
        """How its tokens are said to have been drawn.

        by_distribution: leave the seed out.
        """
        pipeline = self.sampler.pipeline
        if self.sampler.seed is None:
            return Claim(pipeline=pipeline, greedy=True, law=law)
        seed = None if by_distribution else self.seed
        return Claim(pipeline=pipeline, seed=seed, law=law)

    @property
    def forced(self) -> frozenset[int]:
        """Positions of tokens that the grammar forced and nothing drew."""
        jump = self.plan.jump
        if jump is None:
            return frozenset()
        ids = self.token_ids
        return frozenset(
            place for place in range(len(ids)) if tuple(jump(ids[:place])[:1]) == ids[place:][:1]
        )


def request_of(
    model: LanguageModel | ForwardFunction,
    prompt: Inputs | None,
    tokens: Anything,
    pipeline: Pipeline | Processor | GenerationParameters | None = None,
    seed: int | None = None,
) -> AuditedRequest:
    """Plan the request of some tokens again, as the engine did.

    prompt: text or token ids; None takes the transcript's. pipeline: of the caller, or the
    request's parameters; None takes the transcript's. seed: of the sequence; None takes that of
    given parameters, then the transcript's. Parameters with best-of have several sequences; the
    transcript's seed counts if it is that of one of them.

    Raises:
        ParameterError: no prompt is known, there is no token, or the tokens were made with a
            pipeline that is not given.
    """
    loaded = as_model(model)
    transcript = transcript_of(tokens, loaded)
    known = transcript.prompt if prompt is None else prompt
    if known is None:
        expected = "text or token ids: where the tokens come from says nothing of a prompt"
        raise ParameterError("prompt", prompt, expected)
    require("tokens", transcript.token_ids, len(transcript.token_ids) > 0, "at least one token")
    made_with = transcript.provenance
    parameters, own = GenerationParameters(), None
    if isinstance(pipeline, Claim):
        expected = "a pipeline, a processor or request parameters (verify_logits takes a Claim)"
        raise ParameterError("pipeline", pipeline, expected)
    if isinstance(pipeline, GenerationParameters):
        parameters = pipeline
    else:
        parameters = transcript.parameters or parameters
        own = None if pipeline is None else as_pipeline(pipeline)
        if own is None and made_with is not None and made_with.pipeline is not None:
            expected = f"given: the tokens were made with {made_with.pipeline}"
            raise ParameterError("pipeline", None, expected)
    if seed is None and isinstance(pipeline, GenerationParameters):
        seed = _claimed_seed(pipeline, transcript.seed)
    said = next(
        (item for item in (seed, transcript.seed, parameters.seed) if item is not None), None
    )
    is_greedy = parameters.temperature == 0.0 or parameters.do_sample is False
    sampled = is_sampling(parameters, () if own is None else own.processors)
    if not is_greedy and (said is not None or sampled):
        parameters = replace(parameters, seed=said or 0)
    # One sequence, as long as the text: what best-of did not choose has its own seed.
    length = max(len(transcript.token_ids), parameters.min_tokens or 0)
    # A transcript's prompt has been truncated; a caller's has not.
    truncate = parameters.truncate if prompt is not None else None
    parameters = replace(
        parameters,
        best_of=None,
        max_new_tokens=length,
        stop=(),
        truncate=truncate,
        top_n_tokens=None,
        return_full_text=None,
    )
    work = plan(Request(known, parameters, own), loaded)
    return AuditedRequest(loaded, transcript, work, None if is_greedy else said)


def _claimed_seed(parameters: GenerationParameters, recorded: int | None) -> int | None:
    """The seed of the sequence that parameters claim; None if they have no seed.

    recorded: the seed that the transcript says, which may be that of a later sequence of best-of.
    """
    seed = parameters.seed
    if seed is None or recorded is None or recorded == seed:
        return seed
    sequences = range(1, parameters.best_of or 1)
    return recorded if any(sequence_seed(seed, index) == recorded for index in sequences) else seed
