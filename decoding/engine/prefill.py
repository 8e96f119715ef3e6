"""Prefill: runs prompts through the model in parts; a complete prompt starts sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from decoding.engine.admission import Share
from decoding.engine.drawing import RunningBatch, rows_of
from decoding.engine.forward import (
    SetAside,
    call,
    checked_logits,
    draw_apart,
    draw_rows,
    fail,
    other_width,
    stop,
)
from decoding.engine.generation import Generation, Prefilled, PromptScore, RunningSequence
from decoding.engine.model_states import Memory
from decoding.engine.plans import Plan, fit
from decoding.engine.prefixes import Prefix, PrefixStore
from decoding.errors import DecodingError, InvalidLogitsError, ShapeError
from decoding.logits import as_logits
from decoding.models.protocol import State
from decoding.typing import Anything, Rows
from decoding.vocabulary import Vocabulary
from decoding.wire.details import PrefillToken, TopToken


def prefixes_of(sequences: Iterable[RunningSequence]) -> list[Prefix]:
    """The tokens and states of sequences whose state is known, and holds none but their tokens."""
    return [
        Prefix(
            item.token_ids if item.excess else item.token_ids[:-1],
            item.state,
            item.generation.plan.adapter,
        )
        for item in sequences
        if item.excess in (0, 1)
    ]


def reuse(
    generation: Generation, store: PrefixStore, running: Sequence[Prefix], memory: Memory
) -> None:
    """Start a request from a fork of the known state with the longest common prefix, if any."""
    work = generation.plan
    if work.wants_prefill:
        return
    found = store.find(work.prompt, work.adapter, running)
    if found is None:
        return
    prefix, length = found
    try:
        [state] = memory.fork(prefix.state, 1)
        if excess := len(prefix.token_ids) - length:
            memory.rollback(state, excess)
    except Exception:
        return
    generation.prefilled = Prefilled(state, length)


def prefill(
    shares: Sequence[Share],
    memory: Memory,
    arrivals: RunningBatch,
    drop_others: Callable[[], None],
) -> list[RunningSequence]:
    """Run parts of prompts through the model; return started sequences that are not over.

    arrivals: an empty batch, in which first tokens are drawn. drop_others: releases the states
    that a failed call has left behind.
    """
    groups: dict[tuple[bool, bool, int], list[Share]] = {}
    for share in shares:
        work = share.generation.plan
        resumed = share.start > 0
        key = resumed, work.wants_prefill, 0 if resumed else id(work.adapter)
        groups.setdefault(key, []).append(share)
    return [
        sequence
        for group in groups.values()
        for sequence in _start(group, memory, arrivals, drop_others)
    ]


def _start(
    group: Sequence[Share],
    memory: Memory,
    arrivals: RunningBatch,
    drop_others: Callable[[], None],
) -> list[RunningSequence]:
    """Prefill parts of prompts; where one is complete, draw its sequences' first tokens.

    Returns the sequences that go on. Sequences of one request share the prompt's computation
    and fork from it. The shares of a group are alike: all begin a prompt with the same adapter,
    or all go on with one.
    """
    all_positions = group[0].generation.plan.wants_prefill
    for share in group:
        share.generation.timing.start()
    before = [share.generation.prefilled for share in group]
    try:
        states, output = _seen(group, memory, all_positions=all_positions)
        logits = checked_logits(output, sum(map(_row_count, group)))
        if len(states) != len(group):
            expected = f"one each of {len(group)}"
            raise ShapeError("states", f"{len(states)} states", expected)  # noqa: TRY301
    except Exception as error:  # a model may raise anything
        if len(group) == 1:
            fail([group[0].generation], error)
            return []
        drop_others()
        alone = [
            _start([share._replace(start=0)], memory, arrivals, drop_others) for share in group
        ]
        return [sequence for sequences in alone for sequence in sequences]
    seen = [
        Prefilled(state, share.start, _scores(share, known))
        for share, state, known in zip(group, states, before, strict=True)
    ]
    return _take_up(group, seen, logits, memory, arrivals)


def prefill_beside(
    batch: RunningBatch,
    shares: Sequence[Share],
    memory: Memory,
    arrivals: RunningBatch,
    set_aside: SetAside,
) -> list[RunningSequence] | None:
    """Extend the running sequences and prefill parts of prompts in one call of the model.

    A request whose only sequence starts joins the batch, and its first token is drawn with the
    others. shares: none of a request that wants to see its prompt's logprobs.
    Returns further sequences that start and go on; None where the call fails. Then no state of it
    is used again: prompts begin anew, and running sequences wait for `revive`.
    """
    for share in shares:
        share.generation.timing.start()
    at_once = list(filter(_joins_at_once, shares))
    later = [share for share in shares if share not in at_once]
    shares = [*at_once, *later]
    try:
        before = [_taken_out(share, memory) for share in shares]
        states = [item.state for item in before]
        parts = [list(share.generation.plan.prompt[share.start : share.end]) for share in shares]
        logits = call(batch, batch.latest(), memory, states, parts)
    except Exception:  # whose fault it is shows when each is called alone
        for item in batch.sequences:
            item.excess = None
        return None
    count, joining = len(batch.sequences), len(at_once)
    rows = list(range(count))
    for row, (share, known) in enumerate(zip(at_once, before, strict=False), count):
        if _fitted(share, logits.shape[1], None) is None:
            continue
        _begin(share.generation, known._replace(length=share.end), memory)
        rows += [row for item in share.generation.sequences if not item.ended and batch.add(item)]
    started: list[RunningSequence] = []
    if later:
        others = rows_of(logits, range(count + joining, len(logits)))
        started = _take_up(later, before[joining:], others, memory, arrivals)
    draw_rows(batch, rows_of(logits, rows), [1] * len(rows), set_aside)
    return started


def _joins_at_once(share: Share) -> bool:
    """Whether a share completes the prompt of a request of one sequence that is drawn at once."""
    plan = share.generation.plan
    return share.end == len(plan.prompt) and len(plan.samplers) == 1 and plan.jump is None


def _take_up(
    shares: Sequence[Share],
    before: Sequence[Prefilled],
    logits: Rows,
    memory: Memory,
    arrivals: RunningBatch,
) -> list[RunningSequence]:
    """Note what the model has seen; where a prompt is complete, draw its sequences' first tokens.

    before: what the model had seen before the shares, with the states that it has now.
    Returns the sequences that go on.
    """
    rows: list[int] = []
    begun: list[Generation] = []
    counts = list(map(_row_count, shares))
    ends = np.cumsum(counts).tolist()
    for share, known, end, size in zip(shares, before, ends, counts, strict=True):
        generation = share.generation
        own_rows = logits[end - size : end] if generation.plan.wants_prefill else None
        more = _fitted(share, logits.shape[1], own_rows)
        if more is None:
            continue
        prefilled = Prefilled(known.state, share.end, (*known.scores, *more))
        if share.end < len(generation.plan.prompt):
            generation.prefilled = prefilled
            continue
        _begin(generation, prefilled, memory)
        begun.append(generation)
        rows += [end - 1] * len(generation.sequences)
    sequences = [sequence for item in begun for sequence in item.sequences]
    return draw_apart(sequences, logits, rows, arrivals) if sequences else []


def _taken_out(share: Share, memory: Memory) -> Prefilled:
    """What the model has seen before a share, which nobody else uses from here on.

    A new state where nothing of the prompt is known.
    """
    generation = share.generation
    known, generation.prefilled = generation.prefilled, None
    if known is not None and share.start > 0:
        return known
    return Prefilled(memory.start(generation.plan.adapted), 0)


def _row_count(share: Share) -> int:
    """How many rows of logits a share has: one, or one a token where these are to be told."""
    return share.end - share.start if share.generation.plan.wants_prefill else 1


def _scores(share: Share, known: Prefilled | None) -> tuple[PromptScore, ...]:
    """The scores of the tokens before a share."""
    return () if known is None or share.start == 0 else known.scores


def _seen(
    group: Sequence[Share], memory: Memory, *, all_positions: bool
) -> tuple[list[State], Any]:
    """The states and logits after the shares of a group went through the model."""
    parts = [list(share.generation.plan.prompt[share.start : share.end]) for share in group]
    known = [share.generation.prefilled for share in group]
    for share in group:
        # Where the call fails or is interrupted, nobody knows what the state holds.
        share.generation.prefilled = None
    if group[0].start == 0:
        return memory.prefill(
            parts, all_positions=all_positions, adapted=group[0].generation.plan.adapted
        )
    states = [item.state for item in known if item is not None]
    return states, memory.extend(list(states), parts, all_positions=all_positions)


def _fitted(share: Share, width: int, rows: Rows | None) -> list[PromptScore] | None:
    """Fit a request's plan to the width of the logits; return its prompt tokens' logprobs.

    rows: the logits after each token of the share, where the request wants to see them.
    Returns None where that ends the request.
    """
    generation = share.generation
    if generation.plan.width not in (None, width):
        fail([generation], other_width(generation.plan, width))
        return None
    try:
        generation.plan = work = fit(generation.plan, width)
        following = work.prompt[share.start + 1 : share.end + 1]
        if rows is None:
            return []
        return _prompt_scores(rows, following, work.samplers[0].top_n, share.start)
    except DecodingError as error:
        generation.fail(error)
        return None


def _begin(generation: Generation, prefilled: Prefilled, memory: Memory) -> None:
    """Start the sequences of a request whose whole prompt the model has seen."""
    state, work = prefilled.state, generation.plan
    prefill = _prefill_tokens(work, prefilled.scores) if work.wants_prefill else ()
    try:
        forks = memory.fork(state, len(work.samplers) - 1)
    except Exception as error:
        fail([generation], error)
        return
    try:
        generation.begin([state, *forks], prefill)
    except Exception as error:  # a feedback or a grammar may raise anything
        stop([generation], error)


def _prompt_scores(
    rows: Anything,  # an edge
    token_ids: Sequence[int],
    most: int,
    first_row: int = 0,
) -> list[PromptScore]:
    """The raw logprobs of tokens, each by the row of logits before it.

    most: how many of the likeliest tokens are told beside each; of equal ones the lowest ids.
    first_row: the place in the prompt of the first row, for error messages.

    Raises:
        InvalidLogitsError: a row has NaN or +inf.
    """
    logits = as_logits(rows)
    scores: list[PromptScore] = []
    for row, token_id in enumerate(token_ids):
        values = logits[row].astype(np.float64)
        invalid = np.flatnonzero(~(values < np.inf))
        if len(invalid):
            raise InvalidLogitsError(first_row + row, int(invalid[0]), len(invalid))
        largest = values.max()
        total = np.log(np.exp(values - largest).sum())
        top: tuple[tuple[int, float], ...] = ()
        if most:
            likely = np.flatnonzero(values >= np.partition(logits[row], -most)[-most])
            best = likely[np.argsort(-values[likely], kind="stable")][:most].tolist()
            top = tuple(
                (item, float(values[item] - largest - total))
                for item in best
                if values[item] > -np.inf
            )
        scores.append(PromptScore(float(values[token_id] - largest - total), top))
    return scores


def _prefill_tokens(work: Plan, scores: Sequence[PromptScore]) -> tuple[PrefillToken, ...]:
    """The prompt's tokens, given the scores of all but the first."""
    vocabulary = work.vocabulary
    return tuple(
        PrefillToken(
            token_id,
            vocabulary.text_of(token_id) if vocabulary else "",
            None if score is None else score.logprob,
            vocabulary.bytes_of(token_id) if vocabulary else None,
            () if score is None else tuple(_top_token(vocabulary, *item) for item in score.top),
        )
        for token_id, score in zip(work.prompt, (None, *scores), strict=True)
    )


def _top_token(vocabulary: Vocabulary | None, token_id: int, logprob: float) -> TopToken:
    if vocabulary is None:
        return TopToken(token_id, "", logprob, special=False, raw_logprob=logprob)
    return TopToken(
        token_id,
        vocabulary.text_of(token_id),
        logprob,
        vocabulary.is_special(token_id),
        logprob,
        vocabulary.bytes_of(token_id),
    )
