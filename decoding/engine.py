"""The loop: sequences advance together, one token a step, and fail alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from decoding.details import PrefillToken
from decoding.errors import (
    CancelledError,
    DecodingError,
    ForwardError,
    InvalidLogitsError,
    ShapeError,
)
from decoding.generation import Generation, RunningSequence
from decoding.history import HistoryBuffer
from decoding.jumping import write_forced
from decoding.logits import as_logits, as_rows
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel, State
from decoding.request import Plan, Request, plan
from decoding.sampling import BatchSampler
from decoding.typing import ForwardFunction


class Engine:
    """Advances any number of requests over one model, synchronously, without threads of its own.

    Requests join with `submit` and leave when done or cancelled, between steps. A token depends on
    its own request and on nothing else in the batch, as far as the model's logits do.

    model: a `LanguageModel`, or any callable from token-id lists to logits.
    max_batch_size: most sequences that run at once; requests beyond wait in order. None = no limit.
    A request of more sequences than that runs when nothing else does.
    """

    def __init__(
        self, model: LanguageModel | ForwardFunction, *, max_batch_size: int | None = None
    ) -> None:
        self.model = model if isinstance(model, LanguageModel) else LanguageModel(forward=model)
        self.max_batch_size = max_batch_size
        self._forward = _cached(self.model.forward)
        self._waiting: deque[Generation] = deque()
        self._batch = _Batch(())

    @property
    def busy(self) -> bool:
        """Whether any request is waiting or running."""
        return bool(self._waiting or self._batch.sequences)

    def submit(self, request: Request) -> Generation:
        """Check a request and let it join at the next step.

        Raises:
            ParameterError: a parameter or the prompt is outside what this model can do.
            GrammarError: its grammar is malformed, cannot be held, or has no text.
            UnsupportedFeatureError: it asks for machinery this version does not have.
        """
        generation = Generation(request, plan(request, self.model))
        self._waiting.append(generation)
        return generation

    def cancel(self, generation: Generation) -> None:
        """End a request now; its result is `CancelledError`. One that is done stays as it is."""
        if generation.done:
            return
        generation.error = CancelledError("the request was cancelled")
        if generation in self._waiting:
            self._waiting.remove(generation)
        self._let_go(self._batch.sequences)

    def step(self) -> list[Generation]:
        """Draw one token for every sequence; returns the generations that got on or ended.

        Waiting requests join first: they are prefilled and draw their first token in this step.
        """
        running = self._batch.sequences
        arriving = self._admit()
        newcomers = self._prefill(arriving)
        if running:
            self._extend(self._batch)
        if newcomers or any(item.over for item in running):
            self._let_go([*running, *newcomers])
        return list(dict.fromkeys([*(item.generation for item in running), *arriving]))

    def _admit(self) -> list[Generation]:
        """Take from the queue whoever fits, in order."""
        arriving: list[Generation] = []
        count = len(self._batch.sequences)
        while self._waiting:
            count += len(self._waiting[0].plan.samplers)
            alone = not arriving and not self._batch.sequences
            if self.max_batch_size is not None and count > self.max_batch_size and not alone:
                break
            arriving.append(self._waiting.popleft())
        return arriving

    def _prefill(self, arriving: list[Generation]) -> list[RunningSequence]:
        """Start the sequences of newcomers and draw their first tokens."""
        newcomers: list[RunningSequence] = []
        for all_positions in (False, True):
            group = [item for item in arriving if item.plan.wants_prefill is all_positions]
            if group:
                logits = self._start(group, all_positions=all_positions)
                sequences = [sequence for item in group for sequence in item.sequences]
                if logits is not None:
                    _begin(sequences, logits)
                newcomers += sequences
        return newcomers

    def _start(self, group: list[Generation], *, all_positions: bool) -> Any | None:  # noqa: ANN401 -- rows
        """Prefill the prompts; returns the logits of every sequence's first draw, None if it fails.

        Sequences of one request share the prompt's computation and fork from it.
        """
        widths = [len(item.plan.prompt) if all_positions else 1 for item in group]
        states: list[State] = []
        try:
            states, output = self._forward.prefill(
                [item.plan.prompt for item in group], all_positions=all_positions
            )
            for generation, state in zip(group, states, strict=True):
                forks = [self._forward.fork(state) for _ in generation.plan.samplers[1:]]
                generation.start([state, *forks])
            logits = _checked(output, sum(widths))
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            # What no generation owns yet would never be given back.
            for state in states[sum(bool(item.sequences) for item in group) :]:
                self._forward.release(state)
            _fail(group, error)
            return None
        last = np.cumsum(widths) - 1
        if all_positions:
            for generation, end, width in zip(group, last + 1, widths, strict=True):
                try:
                    generation.prefill = _prefill_tokens(generation.plan, logits[end - width : end])
                except DecodingError as error:
                    generation.error = error
        counts = [len(item.sequences) for item in group]
        rows = np.repeat(last, counts)
        return logits if len(rows) == len(logits) else logits[rows]

    def _extend(self, batch: _Batch) -> None:
        """Append what each sequence has new to the model's memory and draw the next token."""
        states = [item.state for item in batch.sequences]
        latest = [[item.token_ids[-1], *item.forced] for item in batch.sequences]
        rows = sum(map(len, latest))
        jumps = rows > len(states)
        try:
            output = self._forward.extend(states, latest, all_positions=jumps)
            logits = _checked(output, rows)
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            _fail([item.generation for item in batch.sequences], error)
            return
        _draw(batch, _jump(batch, logits, latest) if jumps else logits)

    def _let_go(self, sequences: Sequence[RunningSequence]) -> None:
        """Keep the sequences that go on as the batch; give back the memory of the others."""
        for sequence in sequences:
            if sequence.over:
                self._forward.release(sequence.state)
        self._batch = _Batch([sequence for sequence in sequences if not sequence.over])


class _Batch:
    """Sequences that run together, with everything that is computed once a membership."""

    def __init__(self, sequences: Sequence[RunningSequence]) -> None:
        self.sequences = sequences
        self.sampler = BatchSampler([item.sampler for item in sequences])
        self.history = HistoryBuffer(
            [item.token_ids for item in sequences],
            [len(item.generation.plan.prompt) for item in sequences],
        )


def _begin(sequences: Sequence[RunningSequence], logits: Any) -> None:  # noqa: ANN401 -- rows
    """The first token of every sequence: drawn, unless there is no choice."""
    drawing = [row for row, item in enumerate(sequences) if not item.forced]
    for row, item in enumerate(sequences):
        if item.forced:
            write_forced(item, logits[row : row + 1], item.forced[:1])
            item.forced = item.forced[1:]
    if len(drawing) == len(sequences):
        _draw(_Batch(sequences), logits)
    elif drawing:
        _draw(_Batch([sequences[row] for row in drawing]), logits[drawing])


def _jump(batch: _Batch, logits: Any, latest: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401 -- rows
    """Write what is forced; returns the last row of every sequence, to draw from."""
    ends = np.cumsum([len(token_ids) for token_ids in latest])
    for row, (item, end) in enumerate(zip(batch.sequences, ends, strict=True)):
        if item.forced:
            before = slice(end - 1 - len(item.forced), end - 1)
            count = write_forced(item, logits[before], item.forced)
            batch.history.extend_row(row, item.forced[:count])
            item.forced = ()
    return logits[ends - 1]


def _draw(batch: _Batch, logits: Any) -> None:  # noqa: ANN401 -- rows
    """One token for every row; a row's error ends its own request only."""
    states = [item.feedback for item in batch.sequences]
    outcomes = batch.sampler(logits, batch.history.view(), states)
    for sequence, outcome in zip(batch.sequences, outcomes, strict=True):
        if isinstance(outcome, DecodingError):
            sequence.generation.error = outcome
        elif not sequence.over:
            sequence.take(outcome)
            sequence.look_ahead()
    batch.history.append([item.token_ids[-1] for item in batch.sequences])


def _prefill_tokens(work: Plan, rows: Any) -> tuple[PrefillToken, ...]:  # noqa: ANN401
    """The prompt's tokens with their raw logprobs, given the logits after each."""
    logits = as_logits(rows)
    logprobs: list[float | None] = [None]
    for row, token_id in enumerate(work.prompt[1:]):
        values = logits[row].astype(np.float64)
        invalid = np.flatnonzero(~(values < np.inf))
        if len(invalid):
            raise InvalidLogitsError(row, int(invalid[0]), len(invalid))
        largest = values.max()
        logprobs.append(float(values[token_id] - largest - np.log(np.exp(values - largest).sum())))
    vocabulary = work.vocabulary
    texts = [vocabulary.text_of(item) if vocabulary else "" for item in work.prompt]
    spelled = [vocabulary.bytes_of(item) if vocabulary else None for item in work.prompt]
    return tuple(map(PrefillToken, work.prompt, texts, logprobs, spelled))


def _fail(generations: Sequence[Generation], error: Exception) -> None:
    """End every generation of a forward pass that failed."""
    for generation in dict.fromkeys(generations):
        steps = len(generation.sequences[0].transcript.tokens) if generation.sequences else 0
        problem = f"raised {type(error).__name__}: {error}"
        generation.error = ForwardError(problem, steps)
        generation.error.__cause__ = error


def _checked(output: Any, rows: int) -> Any:  # noqa: ANN401 -- an edge: a model's output
    logits = as_rows(output)
    if len(logits) != rows:
        raise ShapeError("logits", f"{len(logits)} rows", f"{rows} rows")
    return logits


def _cached(forward: ForwardFunction | CachedModel) -> CachedModel:
    if hasattr(forward, "prefill"):
        return cast("CachedModel", forward)
    return CallableModel(forward)
