"""`verify`: tests whether tokens were drawn as claimed, at a stated rate of false alarms.

A claim that predicts tokens (a seed, or greedy decoding) is tested by what it does not explain: a
token is explained if the claim predicts it, or if noise of the assumed size in the logits makes the
claim predict it. Of an honest server's tokens at most a share δ is unexplained; the e-process of
`decoding.audit.evidence` bets that more are. A claim about the distribution alone is tested by
likelihood ratios against the profiles near it. The idea of comparing with the reference's noisy
argmax is that of DiFR, arXiv:2511.20621.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decoding.audit.claims import NOTHING, Claim, Predictor
from decoding.audit.evidence import Assumptions, LikelihoodRatios, UnexplainedTokens
from decoding.audit.forward import CHUNK, Chunks, in_memory, reference_logits
from decoding.audit.likelihoods import Distribution, log_likelihoods, raw_logprobs
from decoding.audit.noise import PHILOX, NoiseLaw
from decoding.audit.noisy import REPLICAS, is_explained, repeated, replicas_of
from decoding.audit.positions import parts_of
from decoding.audit.profiles import Profile, nearby
from decoding.audit.request import request_of
from decoding.audit.transcript import transcript_of
from decoding.engine.prompts import Inputs
from decoding.history import History
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline
from decoding.typing import Anything, ForwardFunction, Processor, Rows

MOST_COMPARED = 1024
"""Tokens, from the first on, by which alternatives are ranked."""
_ROUNDS = ((64, 24), (256, 8), (MOST_COMPARED, 1))
"""Tokens that alternatives are ranked by, and how many of them stay."""

Verdict = Literal["as claimed", "within noise", "unexplained", "possible", "forced", "unchecked"]
"""Of a token: predicted by the claim; predicted with noise in the logits; neither; of a claim about
the distribution alone, kept by it; written by a grammar without a draw; not looked at, since the
claim was rejected before."""


_COUNTED: tuple[Verdict, ...] = (
    "as claimed", "within noise", "unexplained", "possible", "forced"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """The verdict of a claim on one token.

    token_id: the token. expected: what the claim predicts; None where it predicts nothing or
    leaves no token. margin: by how much the expected token's score, logit plus noise, beats this
    one's, in nats; 0 where they are the same, inf where the pipeline removes this one, NaN where
    nothing is predicted.
    """

    token_id: int
    expected: int | None
    margin: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Alternative:
    """A profile near a claim that explains the tokens better.

    log_likelihood_ratio: nats by which the tokens are likelier than under the claim.
    explains: whether the same test does not reject it.
    """

    profile: Profile
    log_likelihood_ratio: float
    explains: bool

    @property
    def name(self) -> str:
        """The name of the profile."""
        return self.profile.name


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`; `str()` is a report.

    claim, assumptions: what was tested. tokens: a check a token. log_e_value: the natural logarithm
    of the largest e-value; the claim is rejected at `rejected_at` tokens, the first at which it
    reached 1 / alpha. alternative: of a rejected claim, the nearby profile that explains the tokens
    best; None where the claim is not rejected, none is better, or none was looked for.
    """

    claim: Claim
    assumptions: Assumptions
    tokens: tuple[TokenCheck, ...]
    log_e_value: float
    rejected_at: int | None
    alternative: Alternative | None = None

    @property
    def accepted(self) -> bool:
        """Whether the claim is not rejected."""
        return self.rejected_at is None

    @property
    def e_value(self) -> float:
        """The largest e-value; inf beyond the floats."""
        return math.exp(self.log_e_value) if self.log_e_value < 700.0 else math.inf

    def count(self, verdict: Verdict) -> int:
        """How many tokens have a verdict."""
        return sum(token.verdict == verdict for token in self.tokens)

    def __str__(self) -> str:
        said = "not rejected" if self.accepted else f"rejected at token {self.rejected_at}"
        lines = [f"claim {said}: e-value {self.e_value:.3g}, alpha {self.assumptions.alpha:g}"]
        counts = [f"{self.count(kind)} {kind}" for kind in _COUNTED if self.count(kind)]
        lines.append(f"{len(self.tokens)} tokens: {', '.join(counts)}")
        if self.alternative is not None:
            does = "explains" if self.alternative.explains else "comes nearest to"
            ratio = self.alternative.log_likelihood_ratio
            lines.append(f"{self.alternative.name} {does} the tokens ({ratio:.1f} nats better)")
        return "\n".join(lines)


def verify(
    model: LanguageModel | ForwardFunction,
    prompt: Inputs | None,
    tokens: Anything,
    pipeline: Pipeline | Processor | GenerationParameters | None = None,
    *,
    seed: int | None = None,
    law: NoiseLaw = PHILOX,
    by_distribution: bool = False,
    assumptions: Assumptions = Assumptions(),
) -> Verification:
    """Test whether tokens were drawn as claimed, with a reference model's logits.

    model: the reference. prompt: text or token ids; None takes what the tokens' source says.
    tokens: token ids, a `Response`, or decoded JSON; see `transcript_of`.
    pipeline: the claimed pipeline or request parameters; None takes those of a `Response`.
    seed: the claimed seed of the sequence; None takes that of given parameters, then the source's
        (of parameters with best-of the source says which sequence). Where nobody says one and the
        tokens are sampled, the claim is one about the distribution alone.
    law: of the claimed noise: `PHILOX`, or one of `decoding.audit.murmur3`.
    by_distribution: test the distribution alone, whatever the seed.
    assumptions: what an honest server may do, and the rate of false alarms.

    Raises:
        ParameterError: no prompt is known, or a token is beyond the logits.
        DecodingError: the model failed, or a row is no logits.
    """
    request = request_of(model, prompt, tokens, pipeline, seed)
    claim = request.claim(law, by_distribution=by_distribution)
    logits = reference_logits(request.model, request.prompt, request.token_ids)
    return verify_logits(
        logits, request.prompt, request.transcript, claim, assumptions, forced=request.forced
    )


def verify_logits(
    logits: Rows | Chunks,
    prompt: Sequence[int],
    tokens: Anything,
    claim: Claim,
    assumptions: Assumptions = Assumptions(),
    *,
    forced: Collection[int] = (),
) -> Verification:
    """Test a claim by logits of a reference forward pass; look for what explains a false one.

    logits: `(len(tokens), vocab)`, NumPy or torch, before each token; or chunks of rows.
    prompt: token ids. tokens: as for `score`. claim: pipeline, seed and noise law.
    assumptions: what an honest server may do, and the rate of false alarms.
    forced: positions of tokens that were not drawn, such as those that a grammar forced.

    Raises:
        ShapeError: not one row of logits a token.
        DecodingError: a row is no logits.
    """
    text = _Text.of(logits, prompt, tokens, forced)
    found = _tested(claim, text, assumptions)
    if found.accepted:
        return found
    return replace(found, alternative=_explanation(claim, text, assumptions))


def check_claim(
    logits: Rows | Chunks,
    prompt: Sequence[int],
    tokens: Anything,
    claim: Claim,
    assumptions: Assumptions = Assumptions(),
    *,
    forced: Collection[int] = (),
) -> Verification:
    """`verify_logits` without the search for alternatives, which takes most of its time."""
    return _tested(claim, _Text.of(logits, prompt, tokens, forced), assumptions)


class _Text(NamedTuple):
    """A text with the logits `(len(token_ids), vocab)` before each token."""

    rows: NDArray[Any]
    prompt: tuple[int, ...]
    token_ids: tuple[int, ...]
    forced: frozenset[int]

    @classmethod
    def of(
        cls, logits: Rows | Chunks, prompt: Sequence[int], tokens: Anything, forced: Collection[int]
    ) -> _Text:
        """A text as `verify_logits` is given it."""
        token_ids = transcript_of(tokens).token_ids
        return cls(in_memory(logits), tuple(prompt), token_ids, frozenset(forced))

    def first(self, count: int) -> _Text:
        """Its first tokens."""
        return self._replace(rows=self.rows[:count], token_ids=self.token_ids[:count])


def _tested(claim: Claim, text: _Text, assumptions: Assumptions) -> Verification:
    test = _predictions_tested if claim.predicts else _distribution_tested
    return test(claim, text, assumptions)


def _predictions_tested(claim: Claim, text: _Text, assumptions: Assumptions) -> Verification:
    rows, prompt, token_ids, forced = text
    predictor, process = Predictor(claim), UnexplainedTokens(assumptions)
    checks: list[TokenCheck] = []
    for part, expected, states in predictor.text(rows, prompt, token_ids):
        edited = None
        for row, (wanted, token) in enumerate(zip(expected, part.token_ids, strict=True)):
            if part.start + row in forced:
                checks.append(TokenCheck(token, None, math.nan, "forced"))
                continue
            margin = 0.0
            verdict: Verdict = "as claimed"
            if wanted != token:
                if edited is None:
                    edited = predictor.edited(part.logits, part.history, states)
                history = part.history.select(row)
                margin = predictor.margin(edited[row], int(history.lengths[0]), wanted, token)
                verdict = "unchecked"
                if process.rejected_at is None:
                    explained = is_explained(
                        predictor,
                        rows[part.start + row],
                        history,
                        states,
                        token_id=token,
                        noise=assumptions.logit_noise,
                    )
                    verdict = "within noise" if explained else "unexplained"
            if process.rejected_at is None:
                process.observe(explained=verdict != "unexplained")
            shown = None if wanted == NOTHING else wanted
            checks.append(TokenCheck(token, shown, margin, verdict))
    return Verification(claim, assumptions, tuple(checks), process.log_value, process.rejected_at)


def _distribution_tested(claim: Claim, text: _Text, assumptions: Assumptions) -> Verification:
    """Likelihood ratios; p is raised to what noise in the logits can make of it.

    With independent normal errors of the logits the probability of a token has an expectation of
    at most exp(σ²) times the reference's, where a temperature is part of σ. A token that the
    pipeline removes has the mean of noisy copies of its row, or δ times the model's own.
    """
    rows, prompt, token_ids, forced = text
    profiles = nearby(claim, assumptions.logit_noise)
    process = LikelihoodRatios(assumptions, len(profiles))
    own = Distribution(Profile("the claim", claim, assumptions.logit_noise))
    others = [Distribution(profile) for profile in profiles]
    raised = (assumptions.logit_noise * claim.scale) ** 2
    floor = math.log(assumptions.unexplained_rate)
    checks: list[TokenCheck] = []
    raw = raw_logprobs(rows, token_ids)
    mine = own.logprobs(rows, prompt, token_ids)
    for part in parts_of(rows, prompt, token_ids, CHUNK):
        span = slice(part.start, part.start + len(part.token_ids))
        theirs = np.array(
            [
                other.of_rows(part.logits, part.history, part.token_ids)
                if profile.claim.predicts is False
                else _greedy_logprobs(profile, part.logits, part.history, part.token_ids)
                for other, profile in zip(others, profiles, strict=True)
            ]
        )
        mixed = np.logaddexp(theirs + math.log1p(-assumptions.unexplained_rate), floor + raw[span])
        for row, token in enumerate(part.token_ids):
            index = part.start + row
            if index in forced:
                checks.append(TokenCheck(token, None, math.nan, "forced"))
                continue
            bound = mine[index]
            verdict: Verdict = "possible"
            if bound == -np.inf:
                history = part.history.select(row)
                bound = _noisy_logprob(own, rows[index], history, token, assumptions.logit_noise)
                verdict = "within noise" if bound > -np.inf else "unexplained"
            bound = max(bound, floor + raw[index]) + raised
            process.observe(mixed[:, row] - bound)
            checks.append(TokenCheck(token, None, math.nan, verdict))
    return Verification(claim, assumptions, tuple(checks), process.log_value, process.rejected_at)


def _greedy_logprobs(
    profile: Profile, logits: Rows, history: History, token_ids: Sequence[int]
) -> NDArray[np.float64]:
    """ln of nearly 1 for the likeliest token, −inf for others."""
    expected = Predictor(profile.claim).draw(logits, history)
    same = np.array(expected) == np.array(token_ids)
    return np.where(same, math.log(0.99), -np.inf)


def _noisy_logprob(
    own: Distribution, row: NDArray[Any], history: History, token: int, noise: float
) -> float:
    """The mean probability of a token over noisy copies of a row, as a logarithm."""
    if noise == 0.0:
        return -math.inf
    copies = replicas_of(row, noise, REPLICAS, (int(history.lengths[0]), token))
    found = own.of_rows(copies, repeated(history, REPLICAS), [token] * REPLICAS)
    largest = float(found.max())
    if largest == -math.inf:
        return largest
    return largest + math.log(float(np.exp(found - largest).mean()))


def _explanation(claim: Claim, text: _Text, assumptions: Assumptions) -> Alternative | None:
    """The nearby profile under which the tokens are likeliest."""
    text = text.first(MOST_COMPARED)
    count = len(text.token_ids)
    assumed = assumptions.logit_noise

    def likelihood(profile: Profile, most: int) -> float:
        part = text.first(most)
        return float(
            log_likelihoods(profile, part.rows, part.prompt, part.token_ids, assumed).sum()
        )

    claimed = Profile("the claim", claim, assumed)
    before = likelihood(claimed, count)
    best: Profile | None = None
    start, explains = claimed, False
    for _ in range(2):
        candidates = nearby(start.claim, start.logit_noise)
        for most, kept in _ROUNDS:
            ranked = sorted(candidates, key=lambda item: -likelihood(item, most))
            candidates = ranked[:kept]
            if most >= count:
                candidates = ranked[:1]
                break
        [found] = candidates[:1]
        if best is not None and likelihood(found, count) <= likelihood(best, count) + 3.0:
            break
        best = found
        own = replace(assumptions, logit_noise=best.logit_noise)
        explains = _tested(best.claim, text, own).rejected_at is None
        if explains:
            break
        start = best
    assert best is not None  # ours: there is a profile near any claim
    gain = likelihood(best, count) - before
    return Alternative(best, gain, explains) if gain > 3.0 else None
