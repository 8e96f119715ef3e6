"""`score`: logprobs, ranks, entropies and kept sets of tokens that exist, under any pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.audit.forward import CHUNK, Chunks, reference_logits
from decoding.audit.positions import BySize, has_feedback, parts_of, processed
from decoding.audit.request import request_of
from decoding.audit.transcript import transcript_of
from decoding.engine.prompts import Inputs
from decoding.errors import DecodingError, ParameterError, require, shown
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.kernels.program import words_of
from decoding.logits import as_logits
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline, as_pipeline
from decoding.sampling.batch import Sample, Sampler, States
from decoding.sampling.given import TokenDescriber
from decoding.typing import Anything, ForwardFunction, Logits, Processor, Rows


@dataclass(frozen=True, slots=True)
class StageRemoval:
    """How many tokens one processor of a pipeline removed. processor: its repr."""

    processor: str
    count: int


@dataclass(frozen=True, slots=True)
class TokenScore:
    """The scores of one token under a pipeline, and which processor removed it.

    token_id: the token.
    raw_logprob: natural, of the model's own distribution.
    processed_logprob: of the distribution after the pipeline; −inf where the pipeline removes it.
    rank: 1 + the number of tokens with a strictly larger raw logit.
    entropy: of the processed distribution, in nats.
    support_size: how many tokens the pipeline keeps.
    removed_by: repr of the processor that removed this token; None where it is kept.
    removals: how many tokens each processor removed, in the order of the pipeline; only those that
        removed some.
    """

    token_id: int
    raw_logprob: float
    processed_logprob: float
    rank: int
    entropy: float
    support_size: int
    removed_by: str | None
    removals: tuple[StageRemoval, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The scores of the tokens of one text.

    prompt, tokens: the text. kept: `(len(tokens), words)` int32, the tokens that the pipeline keeps
    at each position, packed as the words of `decoding.processors.Bitmask`: bit i % 32 of word
    i // 32. claimed_logprobs: what the source of the tokens said; None where it did not.
    """

    prompt: tuple[int, ...]
    tokens: tuple[TokenScore, ...]
    kept: NDArray[np.int32]
    claimed_logprobs: tuple[float, ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def log_ratios(self) -> NDArray[np.float64]:
        """Processed logprob here minus the claimed one, `(len(tokens),)`.

        Exactly 0 where a sampler of this library claimed it on the same backend with equal logits.

        Raises:
            ParameterError: the source of the tokens claimed no logprobs.
        """
        if self.claimed_logprobs is None:
            raise ParameterError("claimed_logprobs", None, "logprobs of the transcript")
        ours = [token.processed_logprob for token in self.tokens]
        return np.subtract(ours, self.claimed_logprobs, dtype=np.float64)

    def kept_ids(self, position: int) -> NDArray[np.int64]:
        """The ids of the tokens that the pipeline keeps at a position, ascending."""
        bits = np.unpackbits(self.kept[position].view(np.uint8), bitorder="little")
        return np.flatnonzero(bits)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreArrays:
    """Scores of several texts as arrays `(texts, longest)`; rows are filled up with zeros.

    is_token: bool, False where a row is filled up. token_ids: int64. raw_logprobs,
    processed_logprobs, entropies: float64. ranks, support_sizes: int64.
    """

    is_token: NDArray[np.bool_]
    token_ids: NDArray[np.int64]
    raw_logprobs: NDArray[np.float64]
    processed_logprobs: NDArray[np.float64]
    entropies: NDArray[np.float64]
    ranks: NDArray[np.int64]
    support_sizes: NDArray[np.int64]


def score(
    model: LanguageModel | ForwardFunction,
    prompt: Inputs | None,
    tokens: Anything,
    pipeline: Pipeline | Processor | GenerationParameters | None = None,
    *,
    seed: int | None = None,
) -> Scores:
    """Score tokens that exist under a pipeline, which need not be the one that made them.

    model: whose logits count. prompt: text or token ids; None takes what the tokens' source says.
    tokens: token ids, a `Response`, or decoded JSON; see `transcript_of`.
    pipeline: a pipeline, a processor, or the parameters of a request; None takes the parameters
        that a `Response` of this library has, else the empty pipeline.
    seed: what coins of the pipeline (XTC) were tossed with; None takes the source's.

    Tokens that a grammar forced (`jump_forward`) are scored like drawn ones.

    Raises:
        ParameterError: no prompt is known, or a token is beyond the logits.
        DecodingError: the model or the pipeline failed at a position.
    """
    request = request_of(model, prompt, tokens, pipeline, seed)
    logits = reference_logits(request.model, request.prompt, request.token_ids)
    return score_logits(logits, request.prompt, request.transcript, request.sampler)


def score_batch(
    model: LanguageModel | ForwardFunction,
    prompts: Sequence[Inputs | None],
    tokens: Sequence[Anything],
    pipelines: Sequence[Pipeline | Processor | GenerationParameters | None] | None = None,
) -> list[Scores]:
    """`score` of several texts; arguments as there, one a text.

    Raises:
        ParameterError: the sequences differ in length; else as `score`.
    """
    each = [None] * len(prompts) if pipelines is None else pipelines
    legal = len(prompts) == len(tokens) == len(each)
    require("tokens", f"{len(tokens)} texts", legal, f"{len(prompts)} texts, one a prompt")
    return [score(model, *one) for one in zip(prompts, tokens, each, strict=True)]


def score_logits(
    logits: Rows | Chunks,
    prompt: Sequence[int],
    tokens: Anything,
    pipeline: Pipeline | Processor | Sampler | None = None,
    *,
    backend: Backend | str | None = None,
) -> Scores:
    """Score tokens from logits that the caller has, as a trainer does.

    logits: `(len(tokens), vocab)`, NumPy or torch, before each token; or chunks of rows.
    prompt: token ids. tokens: as for `score`.
    pipeline: a pipeline, a processor, or a `Sampler`, whose seed and pipeline drew the tokens.
    backend: as of `BatchSampler`; that of the sampler for log-ratios of exactly 0.

    Raises:
        ShapeError: not one row of logits a token.
        DecodingError: a row is no logits, or the pipeline failed; names the position.
    """
    transcript = transcript_of(tokens)
    # The seed decides no number, only how many rows are computed twice.
    sampler = (
        pipeline
        if isinstance(pipeline, Sampler)
        else Sampler(as_pipeline(pipeline), transcript.seed or 0)
    )
    steered = has_feedback(sampler.pipeline)
    describers = BySize(lambda items: TokenDescriber(items, backend=backend), sampler)
    states = sampler.start()
    scored: list[TokenScore] = []
    kept: list[NDArray[np.int32]] = []
    parts = parts_of(logits, prompt, transcript.token_ids, 1 if steered else CHUNK)
    for part in parts:
        given = [states] * len(part.token_ids)
        found = describers.of(len(given))(part.logits, part.history, part.token_ids, given)
        samples = [_sample(outcome, part.start + row) for row, outcome in enumerate(found)]
        traced = _Trace.of(sampler.pipeline, as_logits(part.logits), part.history, states)
        scored += [_token_score(sample, traced, row) for row, sample in enumerate(samples)]
        kept.append(_packed(traced.kept))
        states = samples[-1].states if steered else states
    words = np.concatenate(kept) if kept else np.zeros((0, 0), np.int32)
    return Scores(tuple(prompt), tuple(scored), words, transcript.logprobs)


def stack(scores: Sequence[Scores]) -> ScoreArrays:
    """Scores of several texts as padded arrays, for a trainer."""
    longest = max(map(len, scores), default=0)

    def filled(name: str, dtype: type) -> NDArray[Any]:
        out: NDArray[Any] = np.zeros((len(scores), longest), dtype)
        for row, item in enumerate(scores):
            out[row, : len(item)] = [getattr(token, name) for token in item.tokens]
        return out

    lengths = np.array([len(item) for item in scores], np.int64)[:, np.newaxis]
    return ScoreArrays(
        np.arange(longest) < lengths,
        filled("token_id", np.int64),
        filled("raw_logprob", np.float64),
        filled("processed_logprob", np.float64),
        filled("entropy", np.float64),
        filled("rank", np.int64),
        filled("support_size", np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """The tokens that each processor removed: `gone[i]` those of `names[i]`; `kept` the rest."""

    names: tuple[str, ...]
    gone: tuple[NDArray[np.bool_], ...]
    kept: NDArray[np.bool_]

    @classmethod
    def of(cls, pipeline: Pipeline, logits: Logits, history: History, states: States) -> _Trace:
        rows: Logits = logits.astype(np.float64)
        names: list[str] = []
        gone: list[NDArray[np.bool_]] = []
        alive = rows > -np.inf
        for processor, edited in processed(pipeline, rows, history, states):
            after = edited > -np.inf
            if (alive & ~after).any():
                names.append(shown(processor))
                gone.append(alive & ~after)
            alive = after
        return cls(tuple(names), tuple(gone), alive)

    def removals(self, row: int) -> Iterator[StageRemoval]:
        for name, gone in zip(self.names, self.gone, strict=True):
            count = int(np.count_nonzero(gone[row]))
            if count:
                yield StageRemoval(name, count)

    def remover(self, row: int, token_id: int) -> str | None:
        for name, gone in zip(self.names, self.gone, strict=True):
            if gone[row, token_id]:
                return name
        return None


def _token_score(sample: Sample, traced: _Trace, row: int) -> TokenScore:
    return TokenScore(
        sample.token_id,
        sample.raw_logprob,
        sample.processed_logprob,
        sample.rank,
        sample.entropy,
        sample.support_size,
        traced.remover(row, sample.token_id),
        tuple(traced.removals(row)),
    )


def _sample(outcome: Sample | DecodingError, position: int) -> Sample:
    if isinstance(outcome, DecodingError):
        outcome.add_note(f"at token {position} of the text")
        raise outcome
    return outcome


def _packed(kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    rows, width = kept.shape
    padded = np.zeros((rows, 32 * words_of(width)), np.bool_)
    padded[:, :width] = kept
    return np.packbits(padded, axis=1, bitorder="little").view(np.int32)
