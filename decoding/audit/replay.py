"""`replay`: draws a text again, with its noise but other settings, up to the first change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.audit.claims import NOTHING, Claim, Predictor
from decoding.audit.forward import Chunks, chunks_of, reference_logits
from decoding.audit.noise import PHILOX, NoiseLaw
from decoding.audit.positions import processed
from decoding.audit.request import request_of
from decoding.audit.transcript import transcript_of
from decoding.engine.prompts import Inputs
from decoding.errors import ParameterError, shown
from decoding.history import History
from decoding.logits import as_logits
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline
from decoding.sampling.batch import States
from decoding.typing import Anything, ForwardFunction, Logits, Processor, Rows


@dataclass(frozen=True, slots=True)
class Change:
    """The first token that other settings change.

    position: its index in the text. before: the token that the first settings draw there. after:
    that of the others; None where they leave no token.
    stage: repr of the processor that made the difference; "noise" where the pipelines agree on the
    order of the two tokens and the seed or the law differs.
    of_other: whether that processor is one of the other settings, or of the first ones, without
    which the token changes.
    reason: in words.
    """

    position: int
    before: int | None
    after: int | None
    stage: str
    of_other: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of `replay`.

    tokens: how many tokens both settings draw alike, from the first on. change: the first other
    one; None where all are the same. strays: positions before it at which the first settings do not
    draw the token of the text, because of rounding or since the text was not drawn with them.
    """

    tokens: int
    change: Change | None
    strays: tuple[int, ...]

    def __str__(self) -> str:
        if self.change is None:
            return f"all {self.tokens} tokens stay the same"
        found = self.change
        return (
            f"token {found.position} changes from {found.before} to {found.after}:"
            f" {found.reason}; {self.tokens} tokens before it stay the same"
        )


def replay(
    model: LanguageModel | ForwardFunction,
    prompt: Inputs | None,
    tokens: Anything,
    other: Pipeline | Processor | GenerationParameters,
    *,
    pipeline: Pipeline | Processor | GenerationParameters | None = None,
    seed: int | None = None,
    other_seed: int | None = None,
    law: NoiseLaw = PHILOX,
) -> Replay:
    """Draw a text again with the same noise under other settings, up to the first change.

    model, prompt, tokens, pipeline, seed, law: as of `verify`: how the text was made.
    other: the other settings. other_seed: their seed; None takes that of the text, also where the
        parameters name another one.

    Raises:
        ParameterError: no prompt is known, or no seed of tokens that are sampled.
        DecodingError: the model failed.
    """
    request = request_of(model, prompt, tokens, pipeline, seed)
    claim = request.claim(law)
    known = claim.seed if other_seed is None else other_seed
    theirs = request_of(model, request.prompt, request.transcript, other, known)
    logits = reference_logits(request.model, request.prompt, request.token_ids)
    return replay_logits(logits, request.prompt, request.transcript, claim, theirs.claim(law))


def replay_logits(
    logits: Rows | Chunks, prompt: Sequence[int], tokens: Anything, claim: Claim, other: Claim
) -> Replay:
    """`replay` with logits `(len(tokens), vocab)` that the caller has, for two claims.

    Raises:
        ParameterError: a claim predicts no tokens.
        ShapeError: not one row of logits a token.
    """
    for name, item in (("claim", claim), ("other", other)):
        if not item.predicts:
            raise ParameterError(name, item, "one with a seed, or a greedy one")
    token_ids = transcript_of(tokens).token_ids
    first, second = Predictor(claim), Predictor(other)
    rows = list(chunks_of(logits))
    strays: list[int] = []
    pairs = zip(
        _each(first, rows, prompt, token_ids), _each(second, rows, prompt, token_ids), strict=True
    )
    for position, (ours, theirs) in enumerate(pairs):
        if ours.token != token_ids[position]:
            strays.append(position)
        if ours.token != theirs.token:
            change = _change(position, (claim, ours), (other, theirs))
            return Replay(position, change, tuple(strays))
    return Replay(len(token_ids), None, tuple(strays))


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    token: int
    row: NDArray[Any]
    history: History
    states: States


def _each(
    predictor: Predictor, rows: Sequence[Rows], prompt: Sequence[int], token_ids: Sequence[int]
) -> Iterator[_Drawn]:
    for part, expected, states in predictor.text(rows, prompt, token_ids):
        logits = as_logits(part.logits)
        for row, token in enumerate(expected):
            yield _Drawn(token, logits[row : row + 1], part.history.select(row), states)


def _change(position: int, first: tuple[Claim, _Drawn], second: tuple[Claim, _Drawn]) -> Change:
    before, after = first[1].token, second[1].token
    ours, theirs = list(_stages(*first)), list(_stages(*second))
    shown_ids = (None if before == NOTHING else before, None if after == NOTHING else after)

    def made(stage: str, of_other: bool, reason: str) -> Change:
        return Change(position, *shown_ids, stage, of_other, reason)

    for of_other, own, token in ((True, theirs, before), (False, ours, after)):
        remover = _remover(own, token)
        if remover is None:
            continue
        whose = "other" if of_other else "first"
        reason = f"{remover} of the {whose} settings removes {token}"
        cause = _cause(ours, theirs, remover)
        if cause is None:
            return made(remover, of_other, reason)
        front, is_other = cause
        return made(front, is_other, f"{reason}, since {front} came before it")
    if NOTHING not in (before, after):
        for of_other, (claim, drawn), stages in ((True, second, theirs), (False, first, ours)):
            name = _turning_point(claim, drawn, stages, before, after, of_other=of_other)
            if name is not None:
                whose = "other" if of_other else "first"
                return made(name, of_other, f"{name} of the {whose} settings turns their order")
    return made("noise", of_other=True, reason="the noise of the other seed or law prefers it")


def _stages(claim: Claim, drawn: _Drawn) -> Iterator[tuple[str, NDArray[Any]]]:
    """The row `(vocab,)` before the pipeline and after each processor."""
    row: Logits = drawn.row.astype(np.float64)
    yield "logits", row[0]
    for item, edited in processed(claim.pipeline, row, drawn.history, drawn.states):
        yield shown(item), edited[0]


def _remover(stages: Sequence[tuple[str, NDArray[Any]]], token: int) -> str | None:
    if token == NOTHING or stages[0][1][token] == -np.inf:
        return None
    return next((name for name, row in stages if row[token] == -np.inf), None)


def _cause(
    ours: Sequence[tuple[str, NDArray[Any]]],
    theirs: Sequence[tuple[str, NDArray[Any]]],
    remover: str,
) -> tuple[str, bool] | None:
    """Where both pipelines have the remover: what only one of them has in front of it.

    Returns its name, and whether it is one of the other settings.
    """
    names, others = ([name for name, _ in stages] for stages in (ours, theirs))
    if remover not in names or remover not in others:
        return None
    before, others_before = names[: names.index(remover)], others[: others.index(remover)]
    for of_other, own, rest in ((True, others_before, before), (False, before, others_before)):
        for name in own:
            if name not in rest:
                return name, of_other
    return None


def _turning_point(
    claim: Claim,
    drawn: _Drawn,
    stages: Sequence[tuple[str, NDArray[Any]]],
    before: int,
    after: int,
    *,
    of_other: bool,
) -> str | None:
    """The last processor that turns the order of two tokens' scores to what it is at the end."""
    ids = np.array(sorted({before, after}))
    places = np.searchsorted(ids, [before, after])
    position = int(drawn.history.lengths[0])

    def prefers_after(row: NDArray[Any]) -> bool:
        scores = row[ids]
        if claim.seed is not None:
            scores = claim.law.scores(row[ids], ids, claim.seed, position)
        return bool(scores[places[1]] > scores[places[0]])

    last = None
    for (_, earlier), (name, later) in pairwise(stages):
        if prefers_after(earlier) != prefers_after(later) and prefers_after(later) == of_other:
            last = name
    return last
