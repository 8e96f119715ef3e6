"""The loop: sequences advance together, one token a step, and fail alone."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any, cast

import numpy as np

from decoding.checks import checked_integer
from decoding.engine.drawing import RunningBatch, batch_of, draw_first, draw_next, rows_of
from decoding.engine.generation import Generation, RunningSequence
from decoding.engine.memory import Memory
from decoding.engine.plans import Plan, fit
from decoding.engine.prompt_logprobs import prefill_tokens
from decoding.engine.request import Request, plan
from decoding.errors import (
    CancelledError,
    DecodingError,
    ForwardError,
    RequestError,
    ShapeError,
    require,
    shown_error,
)
from decoding.logits import as_rows
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel, State
from decoding.typing import ForwardFunction


class Engine:
    """Advances any number of requests over one model, synchronously, without threads of its own.

    Requests join with `submit` and leave when done or cancelled, between steps. A token depends on
    its own request and on nothing else in the batch, as far as the model's logits do.

    A step raises nothing but interrupts (`KeyboardInterrupt` and what else is no `Exception`):

    - What fails ends its own request with a `DecodingError`. A model that raises for several
      prompts is asked for each of them alone. A model that raises in `extend` ends the requests
      of that call, as their states are lost.
    - After an interrupt every request stands where its last token left it. Stepping on gives the
      tokens that an uninterrupted run gives: the model's states are rolled back, and where the
      interrupt left it unknown what a state holds, the state is computed anew.
    - Every state of the model is given back once; what `release` raises is logged.

    model: a `LanguageModel`, or any callable from token-id lists to logits.
    max_batch_size: most sequences that run at once; requests beyond wait in order. None = no limit.
    A request of more sequences than that runs when nothing else does.

    Raises:
        ParameterError: the model is no model, or `max_batch_size` is no integer >= 1.
    """

    def __init__(
        self, model: LanguageModel | ForwardFunction, *, max_batch_size: int | None = None
    ) -> None:
        self.model = model if isinstance(model, LanguageModel) else LanguageModel(forward=model)
        if max_batch_size is not None:
            expected = ">= 1, or None"
            max_batch_size = checked_integer("max_batch_size", max_batch_size, 1, expected=expected)
        self.max_batch_size = max_batch_size
        self._memory = Memory(_cached(self.model.forward))
        self._waiting: deque[Generation] = deque()
        self._batch = RunningBatch.of(())
        # That of a step that runs. It says nothing once it is off the stack: an interrupt can keep
        # the attribute from being cleared.
        self._frame: FrameType | None = None
        # Whether waiting and running requests are as a finished step leaves them.
        self._settled = True

    @property
    def busy(self) -> bool:
        """Whether any request is waiting or running."""
        return bool(self._waiting or self._batch.sequences or not self._settled)

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many sequences run: a request has `best_of` of them."""
        return len(self._batch.sequences)

    def submit(self, request: Request) -> Generation:
        """Check a request and let it join at the next step.

        Raises:
            ParameterError: a parameter or the prompt is outside what this model can do.
            GrammarError: its grammar is malformed, cannot be held, or has no text.
            UnsupportedFeatureError: it asks for machinery this version does not have.
        """
        require("request", request, isinstance(request, Request), "a Request")
        generation = Generation(request, plan(request, self.model))
        self.join(generation)
        return generation

    def join(self, generation: Generation) -> None:
        """Let a request join at the next step that was planned elsewhere, for this engine's model.

        Whoever submits from many threads plans there, as encoding a prompt and compiling a grammar
        take long, and joins in the thread that steps.
        """
        self._waiting.append(generation)

    def cancel(self, generation: Generation) -> None:
        """End a request now; its result is `CancelledError`. One that is done stays as it is."""
        require("generation", generation, isinstance(generation, Generation), "a Generation")
        if generation.done:
            return
        generation.fail(CancelledError("the request was cancelled"))
        if generation in self._waiting:
            self._waiting.remove(generation)
        if not self._is_stepping():  # else the step gives back what it held
            self._recover()
            self._keep(self._batch.going())

    def step(self) -> list[Generation]:
        """Draw one token for every sequence; returns the generations that got on or ended.

        Waiting requests join first: they are prefilled and draw their first token in this step.

        Raises:
            RuntimeError: a step of this engine is running: a model or a processor called this.
        """
        if self._is_stepping():
            raise RuntimeError("a step of this engine is running")
        try:
            self._frame = inspect.currentframe()
            self._recover()
            self._settled = False
            try:
                moved = self._advance()
            except Exception as error:  # noqa: BLE001 -- what no narrower place has caught
                moved = self._give_up(error)
            self._settled = True
        finally:
            self._frame = None
            self._recover()
        return moved

    def _is_stepping(self) -> bool:
        """Whether this was called from within a step, by a model or a processor."""
        frame = None if self._frame is None else inspect.currentframe()
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def _give_up(self, error: Exception) -> list[Generation]:
        """End every request that a step has touched."""
        moved = dict.fromkeys([*_generations(self._sequences()), *self._admit()])
        _stop(moved, error)
        self._regroup(())
        return list(moved)

    def _advance(self) -> list[Generation]:
        self._revive()
        running = self._batch.sequences
        arriving = self._admit()
        newcomers: list[RunningBatch] = []
        for all_positions in (False, True):
            group = [item for item in arriving if item.plan.wants_prefill is all_positions]
            if group:
                newcomers += self._start(group, all_positions=all_positions)
        if running:
            self._extend(self._batch)
        moved = dict.fromkeys([*_generations(running), *arriving])
        if arriving or any(item.over for item in running):
            self._keep(RunningBatch.joined([self._batch, *newcomers]).going())
        return list(moved)

    def _admit(self) -> list[Generation]:
        """Whoever fits of those that wait, in order; they stay in the queue until they run."""
        arriving: list[Generation] = []
        count = len(self._batch.sequences)
        for generation in self._waiting:
            if generation.done:
                continue
            count += len(generation.plan.samplers)
            alone = not arriving and not self._batch.sequences
            if self.max_batch_size is not None and count > self.max_batch_size and not alone:
                break
            arriving.append(generation)
        return arriving

    def _start(self, group: Sequence[Generation], *, all_positions: bool) -> list[RunningBatch]:
        """Prefill prompts and draw the first token of every sequence; returns those that go on.

        Sequences of one request share the prompt's computation and fork from it.
        """
        for generation in group:
            generation.timing.start()
        counts = [len(item.plan.prompt) if all_positions else 1 for item in group]
        try:
            states, output = self._memory.prefill(
                [item.plan.prompt for item in group], all_positions=all_positions
            )
            logits = _checked(output, sum(counts))
            if len(states) != len(group):
                raise ShapeError("states", f"{len(states)} states", f"one each of {len(group)}")  # noqa: TRY301 -- a failed pass
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            if len(group) == 1:
                _fail(group, error)
                return []
            self._memory.keep(_held(self._sequences()))
            alone = [self._start([item], all_positions=all_positions) for item in group]
            return [batch for batches in alone for batch in batches]
        rows: list[int] = []
        ends = np.cumsum(counts).tolist()
        for generation, state, end, count in zip(group, states, ends, counts, strict=True):
            prompt_rows = logits[end - count : end] if all_positions else None
            self._begin(generation, state, logits.shape[1], prompt_rows)
            rows += [end - 1] * len(generation.sequences)
        sequences = [sequence for item in group for sequence in item.sequences]
        try:
            return [draw_first(sequences, rows_of(logits, rows))] if sequences else []
        except Exception as error:  # noqa: BLE001 -- out of memory, say
            _stop(_generations(sequences), error)
            return []

    def _begin(
        self,
        generation: Generation,
        state: Any,  # noqa: ANN401 -- the model's own
        width: int,
        prompt_rows: Any | None,  # noqa: ANN401 -- rows
    ) -> None:
        """Start the sequences of a request after its prefill, unless the logits have another width.

        prompt_rows: the logits after each token of the prompt, where the request wants to see them.
        """
        if generation.plan.width not in (None, width):
            _fail([generation], _other_width(generation.plan, width))
            return
        try:
            generation.plan = fit(generation.plan, width)
            prefill = () if prompt_rows is None else prefill_tokens(generation.plan, prompt_rows)
        except DecodingError as error:
            generation.fail(error)
            return
        try:
            forks = self._memory.fork(state, len(generation.plan.samplers) - 1)
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            _fail([generation], error)
            return
        try:
            generation.begin([state, *forks], prefill)
        except Exception as error:  # noqa: BLE001 -- a feedback or a grammar may raise anything
            _stop([generation], error)

    def _extend(self, batch: RunningBatch) -> None:
        """Append what each sequence has new to the model's memory and draw the next token."""
        sequences = batch.sequences
        states = [item.state for item in sequences]
        latest = [[item.token_ids[-1], *item.forced] for item in sequences]
        counts = [len(token_ids) for token_ids in latest]
        lengths = [
            len(item.token_ids) - 1 + count for item, count in zip(sequences, counts, strict=True)
        ]
        rows = sum(counts)
        try:
            for item in sequences:
                item.held = None  # where the call is interrupted, nobody knows
            output = self._memory.extend(states, latest, all_positions=rows > len(counts))
            for item, length in zip(sequences, lengths, strict=True):
                item.held = length
            logits = _checked(output, rows)
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            _fail(_generations(sequences), error)
            return
        width = logits.shape[1]
        for generation in _generations(sequences):
            if generation.plan.width != width:
                _fail([generation], _other_width(generation.plan, width))
        try:
            draw_next(batch, logits, counts)
        except Exception as error:  # noqa: BLE001 -- out of memory, say
            _stop(_generations(sequences), error)

    def _regroup(self, sequences: Iterable[RunningSequence]) -> None:
        """Make a batch of the sequences that go on; give back the memory of the others."""
        going = [item for item in sequences if not item.over]
        try:
            batch = batch_of(going)
        except Exception as error:  # noqa: BLE001 -- out of memory, say
            _stop(_generations(going), error)
            batch = RunningBatch.of(())
        self._keep(batch)

    def _keep(self, batch: RunningBatch) -> None:
        """Go on with a batch; give back the memory of everyone else."""
        self._batch = batch
        while self._waiting and (self._waiting[0].sequences or self._waiting[0].done):
            self._waiting.popleft()
        self._memory.keep(_held(self._batch.sequences))

    def _sequences(self) -> list[RunningSequence]:
        """Every sequence that has begun and was not let go; in the middle of a step, too."""
        begun = [sequence for item in self._waiting for sequence in item.sequences]
        return list(dict.fromkeys([*self._batch.sequences, *begun]))

    def _recover(self) -> None:
        """After an interrupt, restore every request to its state after its last token.

        This can be interrupted as well, and is then done again.
        """
        if self._settled:
            return
        sequences = self._sequences()
        for generation in _generations(sequences):
            try:
                generation.rebuild()
            except Exception as error:  # noqa: BLE001 -- a vocabulary or a grammar may raise
                _stop([generation], error)
        # A generation that had not drawn all its first tokens waits again, without sequences.
        going = [item for item in sequences if item.generation.sequences and not item.over]
        for item in going:
            self._restore(item)
        self._regroup(going)
        self._waiting = deque(item for item in self._waiting if not (item.sequences or item.done))
        self._settled = True

    def _restore(self, sequence: RunningSequence) -> None:
        """Let the model's memory hold all tokens but the last, or nothing where that fails."""
        length = len(sequence.token_ids) - 1
        excess = (sequence.held or 0) - length
        if excess > 0:
            sequence.held = None
            try:
                self._memory.rollback(sequence.state, excess)
            except Exception:  # noqa: BLE001 -- a model may raise anything
                return
            sequence.held = length

    def _revive(self) -> None:
        """Compute the states anew that an interrupt has lost."""
        lost = [item for item in self._batch.sequences if item.held is None]
        for item in lost:
            known = item.token_ids[:-1]
            try:
                [state], _ = self._memory.prefill([known], all_positions=False)
            except Exception as error:  # noqa: BLE001 -- a model may raise anything
                _fail([item.generation], error)
                continue
            item.state = state
            item.held = len(known)
        if any(item.over for item in lost):
            self._keep(self._batch.going())


def _generations(sequences: Iterable[RunningSequence]) -> list[Generation]:
    return list(dict.fromkeys(item.generation for item in sequences))


def _held(sequences: Iterable[RunningSequence]) -> list[State]:
    """The states of sequences, as far as it is known what they hold."""
    return [item.state for item in sequences if item.held is not None]


def _fail(generations: Iterable[Generation], error: Exception) -> None:
    """End every generation of a forward pass that failed."""
    for generation in generations:
        failure = ForwardError(f"raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def _stop(generations: Iterable[Generation], error: Exception) -> None:
    """End generations that cannot go on, though no forward pass failed."""
    for generation in generations:
        failure = RequestError(f"a step raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def _steps(generation: Generation) -> int:
    return len(generation.sequences[0].samples) if generation.sequences else 0


def _checked(output: Any, rows: int) -> Any:  # noqa: ANN401 -- an edge: a model's output
    """The output itself, once it is known to be logits: the sampler views it in its own way."""
    got = len(as_rows(output))
    if got != rows:
        raise ShapeError("logits", f"{got} rows", f"{rows} rows")
    return output


def _other_width(work: Plan, width: int) -> ShapeError:
    return ShapeError("logits", f"rows of {width}", f"rows of {work.width}, as stated or before")


def _cached(forward: ForwardFunction | CachedModel) -> CachedModel:
    if hasattr(forward, "prefill"):
        return cast("CachedModel", forward)
    return CallableModel(forward)
