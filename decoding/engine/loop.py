"""`Engine`: runs requests together, one token of each sequence a step."""

from __future__ import annotations

import inspect
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from types import FrameType
from typing import Any, NamedTuple, cast

import numpy as np

from decoding.checks import checked_integer, checked_real
from decoding.engine.drawing import RunningBatch, batch_of, draw_first, draw_next, rows_of
from decoding.engine.generation import Generation, Prefilled, RunningSequence
from decoding.engine.model_states import Memory
from decoding.engine.plans import Plan, fit
from decoding.engine.prefixes import Prefix, PrefixStore
from decoding.engine.prompt_logprobs import prefill_tokens, prompt_logprobs
from decoding.engine.request import Request, plan
from decoding.errors import (
    CancelledError,
    CapacityError,
    DeadlineError,
    DecodingError,
    ForwardError,
    OverloadedError,
    RequestError,
    ShapeError,
    require,
    shown_error,
)
from decoding.logits import as_rows
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel, State
from decoding.typing import Anything, ForwardFunction, Rows


class _Share(NamedTuple):
    """Tokens of a prompt that go through the model in one step: those from `start` up to `end`."""

    generation: Generation
    start: int
    end: int


class Engine:
    """Runs any number of requests over one model, synchronously, without threads of its own.

    Requests join with `submit` and leave when done or cancelled, between steps. A token depends on
    its own request and on nothing else in the batch, as far as the model's logits do.

    Requests start in the order in which they were submitted: one that does not fit yet is not
    overtaken. A request starts where its sequences fit `max_batch_size` and, at their longest, the
    memory of a model that has a `CacheBudget`.

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
    prefill_chunk: most prompt tokens that go through the model in a step beside the tokens of the
    sequences that run, so that a long prompt delays these by no more; None = no limit. A prompt of
    a plain callable, which has no cache, goes through as a whole, alone if it is longer.
    max_waiting: most requests in the queue; None = no limit.
    prefix_tokens: most tokens of finished sequences whose states are kept for prompts that begin
    with the same tokens; 0 keeps none and compares no prompts. `forget_prefixes` gives them back.

    Raises:
        ParameterError: the model is no model, or a limit is no integer >= 1 (`prefix_tokens`: 0).
    """

    def __init__(
        self,
        model: LanguageModel | ForwardFunction,
        *,
        max_batch_size: int | None = None,
        prefill_chunk: int | None = 512,
        max_waiting: int | None = None,
        prefix_tokens: int = 0,
    ) -> None:
        self.model = model if isinstance(model, LanguageModel) else LanguageModel(forward=model)
        self.max_batch_size = _limit("max_batch_size", max_batch_size)
        self.prefill_chunk = _limit("prefill_chunk", prefill_chunk)
        self.max_waiting = _limit("max_waiting", max_waiting)
        self.prefix_tokens = checked_integer("prefix_tokens", prefix_tokens, 0, expected=">= 0")
        cached = _cached(self.model.forward)
        self._memory = Memory(cached)
        self._is_whole = isinstance(cached, CallableModel)
        self._capacity: int | None = getattr(cached, "capacity_tokens", None)
        self._page_tokens: int = getattr(cached, "page_tokens", 1)
        self._prefixes = PrefixStore(0 if self._is_whole else self.prefix_tokens, self._page_tokens)
        self._waiting: deque[Generation] = deque()
        self._batch = RunningBatch.of(())
        # When requests run out of time, the first one at the front: a heap.
        self._deadlines: list[tuple[float, int, Generation, DeadlineError]] = []
        self._deadline_count = count()
        # Whose prompts the step that runs has taken up.
        self._arriving: list[Generation] = []
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

    def submit(
        self,
        request: Request,
        *,
        queue_timeout: float | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Check a request and let it join at the next step.

        queue_timeout: seconds after which it ends with `DeadlineError` unless it has started.
        timeout: seconds after which it ends with `DeadlineError` unless it is done.
        None = no limit. Both are looked at when a step begins.

        Raises:
            ParameterError: a parameter or the prompt is outside what this model can do.
            GrammarError: its grammar is malformed, cannot be held, or has no text.
            UnsupportedFeatureError: it asks for machinery this version or this model does not have.
            OverloadedError: `max_waiting` requests wait.
            CapacityError: its sequences, at their longest, do not fit the model's memory.
        """
        require("request", request, isinstance(request, Request), "a Request")
        self._check_waiting()
        generation = Generation(request, plan(request, self.model))
        self.join(generation, queue_timeout=queue_timeout, timeout=timeout)
        return generation

    def join(
        self,
        generation: Generation,
        *,
        queue_timeout: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Let a request join at the next step that was planned elsewhere, for this engine's model.

        Whoever submits from many threads plans there, as encoding a prompt and compiling a grammar
        take long, and joins in the thread that steps. Limits and errors are those of `submit`.
        """
        limits = [("queue", queue_timeout), ("total", timeout)]
        for stage, seconds in limits:
            if seconds is not None:
                name = "queue_timeout" if stage == "queue" else "timeout"
                checked_real(name, seconds, lambda x: x >= 0, ">= 0, or None")
        self._check_waiting()
        cost = self._cost(generation)
        if self._capacity is not None and cost > self._capacity:
            raise CapacityError(cost, self._capacity, "in all")
        for stage, seconds in limits:
            if seconds is not None:
                end = generation.timing.submitted + seconds
                number, error = next(self._deadline_count), DeadlineError(stage, float(seconds))
                heappush(self._deadlines, (end, number, generation, error))
        self._waiting.append(generation)

    def _check_waiting(self) -> None:
        if self.max_waiting is not None and self.waiting >= self.max_waiting:
            raise OverloadedError(self.max_waiting)

    def forget_prefixes(self) -> None:
        """Give back the states that are kept for prompts to come."""
        self._prefixes.make_room(0)
        if not self._is_stepping():
            self._recover()
            self._keep(self._batch)

    def cancel(self, generation: Generation) -> None:
        """End a request now; its result is `CancelledError`. A done one keeps its result."""
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
        """Draw one token for every sequence; return the generations that advanced or ended.

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
            except Exception as error:  # what no narrower place has caught
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
        moved = dict.fromkeys([*_generations(self._sequences()), *self._arriving])
        _stop(moved, error)
        self._regroup(())
        return list(moved)

    def _advance(self) -> list[Generation]:
        self._arriving = []
        expired = self._expire()
        self._revive()
        running = self._batch.sequences
        shares = self._admit()
        arriving = [share.generation for share in shares]
        newcomers = self._prefill(shares)
        if running:
            self._extend(self._batch)
        moved = dict.fromkeys([*expired, *_generations(running), *arriving])
        if arriving or any(item.over for item in running):
            self._keep(RunningBatch.joined([self._batch, *newcomers]).going())
        return list(moved)

    def _expire(self) -> list[Generation]:
        """End the requests that have run out of time."""
        expired: list[Generation] = []
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _, _, generation, error = self._deadlines[0]
            has_started = generation.timing.started is not None
            if not generation.done and not (error.stage == "queue" and has_started):
                generation.fail(error)
                expired.append(generation)
            heappop(self._deadlines)
        if expired:
            self._waiting = deque(item for item in self._waiting if not item.done)
            self._keep(self._batch.going())
        return expired

    def _cost(self, generation: Generation) -> int:
        """The tokens that a request's sequences take at their longest."""
        pages = -(-generation.plan.longest // self._page_tokens)
        return pages * self._page_tokens * len(generation.plan.samplers)

    def _reserved(self) -> int:
        """The tokens that are promised to the requests that have started."""
        started = [item for item in self._waiting if item.prefilled is not None]
        return sum(map(self._cost, {*_generations(self._batch.sequences), *started}))

    def _admit(self) -> list[_Share]:
        """What goes through the model of the prompts that wait, in order.

        Requests stay in the queue until they run.
        """
        shares: list[_Share] = []
        if not self._waiting:
            return shares
        rows, reserved = len(self._batch.sequences), self._reserved()
        left = math.inf if self.prefill_chunk is None else self.prefill_chunk
        for generation in self._waiting:
            if generation.done:
                continue
            rows += len(generation.plan.samplers)
            alone = not shares and not self._batch.sequences
            if self.max_batch_size is not None and rows > self.max_batch_size and not alone:
                break
            if left <= 0:
                break
            if generation.prefilled is None:
                reserved += self._cost(generation)
                if self._capacity is not None:
                    if reserved > self._capacity:
                        break
                    if self._prefixes.make_room(self._capacity - reserved):
                        self._memory.keep(self._held(self._sequences()))
                self._reuse(generation)
            start = 0 if generation.prefilled is None else generation.prefilled.length
            length = len(generation.plan.prompt)
            if self._is_whole and length > left and shares:
                break
            end = length if self._is_whole else min(length, start + int(min(left, length)))
            self._arriving.append(generation)
            shares.append(_Share(generation, start, end))
            left -= end - start
        return shares

    def _reuse(self, generation: Generation) -> None:
        """Begin with the state of a sequence that begins with the same tokens, if there is one."""
        work = generation.plan
        if not self._prefixes.limit or work.wants_prefill:
            return
        running = [
            Prefix(item.token_ids[: item.held], item.state, item.generation.plan.adapter)
            for item in self._batch.sequences
            if item.held is not None and not item.over
        ]
        found = self._prefixes.find(work.prompt, work.adapter, running)
        if found is None:
            return
        prefix, length = found
        try:
            [state] = self._memory.fork(prefix.state, 1)
            if excess := len(prefix.token_ids) - length:
                self._memory.rollback(state, excess)
        except Exception:
            return
        generation.prefilled = Prefilled(state, length)

    def _prefill(self, shares: Sequence[_Share]) -> list[RunningBatch]:
        """Let parts of prompts through the model; returns the sequences that begin by that."""
        groups: dict[tuple[bool, bool, int], list[_Share]] = {}
        for share in shares:
            work = share.generation.plan
            resumed = share.start > 0
            key = resumed, work.wants_prefill, 0 if resumed else id(work.adapter)
            groups.setdefault(key, []).append(share)
        return [batch for group in groups.values() for batch in self._start(group)]

    def _start(self, group: Sequence[_Share]) -> list[RunningBatch]:
        """Prefill parts of prompts; where one is complete, draw its sequences' first tokens.

        Returns the sequences that go on. Sequences of one request share the prompt's computation
        and fork from it. The shares of a group are alike: all begin a prompt with the same adapter,
        or all go on with one.
        """
        all_positions = group[0].generation.plan.wants_prefill
        for share in group:
            share.generation.timing.start()
        counts = [share.end - share.start if all_positions else 1 for share in group]
        before = [share.generation.prefilled for share in group]
        try:
            states, output = self._seen(group, all_positions=all_positions)
            logits = _checked(output, sum(counts))
            if len(states) != len(group):
                expected = f"one each of {len(group)}"
                raise ShapeError("states", f"{len(states)} states", expected)  # noqa: TRY301
        except Exception as error:  # a model may raise anything
            if len(group) == 1:
                _fail([group[0].generation], error)
                return []
            self._memory.keep(self._held(self._sequences()))
            alone = [self._start([share._replace(start=0)]) for share in group]
            return [batch for batches in alone for batch in batches]
        rows: list[int] = []
        begun: list[Generation] = []
        ends = np.cumsum(counts).tolist()
        for share, state, known, end, size in zip(group, states, before, ends, counts, strict=True):
            generation = share.generation
            own_rows = logits[end - size : end] if all_positions else None
            logprobs = () if known is None or share.start == 0 else known.logprobs
            more = self._fitted(share, logits.shape[1], own_rows)
            if more is None:
                continue
            prefilled = Prefilled(state, share.end, (*logprobs, *more))
            if share.end < len(generation.plan.prompt):
                generation.prefilled = prefilled
                continue
            self._begin(generation, prefilled)
            begun.append(generation)
            rows += [end - 1] * len(generation.sequences)
        sequences = [sequence for item in begun for sequence in item.sequences]
        try:
            return [draw_first(sequences, rows_of(logits, rows))] if sequences else []
        except Exception as error:
            _stop(_generations(sequences), error)
            return []

    def _seen(self, group: Sequence[_Share], *, all_positions: bool) -> tuple[list[State], Any]:
        """The states and logits after the shares of a group went through the model."""
        parts = [list(share.generation.plan.prompt[share.start : share.end]) for share in group]
        known = [share.generation.prefilled for share in group]
        for share in group:
            # Where the call fails or is interrupted, nobody knows what the state holds.
            share.generation.prefilled = None
        if group[0].start == 0:
            return self._memory.prefill(
                parts, all_positions=all_positions, adapted=group[0].generation.plan.adapted
            )
        states = [item.state for item in known if item is not None]
        return states, self._memory.extend(list(states), parts, all_positions=all_positions)

    def _fitted(self, share: _Share, width: int, rows: Rows | None) -> list[float] | None:  # rows
        """Fit a plan to the width of the logits; the logprobs of tokens that rows tell.

        rows: the logits after each token of the share, where the request wants to see them.
        Returns None where that ends the request.
        """
        generation = share.generation
        if generation.plan.width not in (None, width):
            _fail([generation], _other_width(generation.plan, width))
            return None
        try:
            generation.plan = work = fit(generation.plan, width)
            following = work.prompt[share.start + 1 : share.end + 1]
            return [] if rows is None else prompt_logprobs(rows, following, share.start)
        except DecodingError as error:
            generation.fail(error)
            return None

    def _begin(self, generation: Generation, prefilled: Prefilled) -> None:
        """Start the sequences of a request whose whole prompt the model has seen."""
        state, work = prefilled.state, generation.plan
        prefill = prefill_tokens(work, prefilled.logprobs) if work.wants_prefill else ()
        try:
            forks = self._memory.fork(state, len(work.samplers) - 1)
        except Exception as error:
            _fail([generation], error)
            return
        try:
            generation.begin([state, *forks], prefill)
        except Exception as error:  # a feedback or a grammar may raise anything
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
        except Exception as error:  # a model may raise anything
            _fail(_generations(sequences), error)
            return
        width = logits.shape[1]
        for generation in _generations(sequences):
            if generation.plan.width != width:
                _fail([generation], _other_width(generation.plan, width))
        try:
            draw_next(batch, logits, counts)
        except Exception as error:  # out of memory, say
            _stop(_generations(sequences), error)

    def _regroup(self, sequences: Iterable[RunningSequence]) -> None:
        """Make a batch of the sequences that go on; give back the memory of the others."""
        going = [item for item in sequences if not item.over]
        try:
            batch = batch_of(going)
        except Exception as error:
            _stop(_generations(going), error)
            batch = RunningBatch.of(())
        self._keep(batch)

    def _keep(self, batch: RunningBatch) -> None:
        """Go on with a batch; give back the memory of everyone else."""
        ended = [item for item in self._batch.sequences if item.over]
        self._batch = batch
        while self._waiting and (self._waiting[0].sequences or self._waiting[0].done):
            self._waiting.popleft()
        if self._prefixes.limit:
            room = math.inf if self._capacity is None else self._capacity - self._reserved()
            prefixes = [
                Prefix(item.token_ids[: item.held], item.state, item.generation.plan.adapter)
                for item in ended
                if item.held is not None and item.generation.error is None
            ]
            self._prefixes.add(prefixes, int(min(room, self._prefixes.limit)))
        self._memory.keep(self._held(batch.sequences))

    def _held(self, sequences: Iterable[RunningSequence]) -> list[State]:
        """The states in use, as far as it is known what they hold: those of sequences, too."""
        waiting = [
            item.prefilled.state
            for item in self._waiting
            if item.prefilled is not None and not item.done
        ]
        return [*_held(sequences), *waiting, *self._prefixes.states]

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
            except Exception as error:  # a vocabulary or a grammar may raise
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
            except Exception:  # a model may raise anything
                return
            sequence.held = length

    def _revive(self) -> None:
        """Compute the states anew that an interrupt has lost."""
        lost = [item for item in self._batch.sequences if item.held is None]
        for item in lost:
            known = item.token_ids[:-1]
            try:
                adapted = item.generation.plan.adapted
                [state], _ = self._memory.prefill([known], all_positions=False, adapted=adapted)
            except Exception as error:
                _fail([item.generation], error)
                continue
            item.state = state
            item.held = len(known)
        if any(item.over for item in lost):
            self._keep(self._batch.going())


def _limit(name: str, value: int | None) -> int | None:
    return None if value is None else checked_integer(name, value, 1, expected=">= 1, or None")


def _generations(sequences: Iterable[RunningSequence]) -> list[Generation]:
    return list(dict.fromkeys(item.generation for item in sequences))


def _held(sequences: Iterable[RunningSequence]) -> list[State]:
    """The states of sequences whose contents are known."""
    return [item.state for item in sequences if item.held is not None]


def _fail(generations: Iterable[Generation], error: Exception) -> None:
    """End every generation of a forward pass that failed."""
    for generation in generations:
        failure = ForwardError(f"raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def _stop(generations: Iterable[Generation], error: Exception) -> None:
    """End generations that cannot continue for a reason other than a forward pass."""
    for generation in generations:
        failure = RequestError(f"a step raised {shown_error(error)}", _steps(generation))
        failure.__cause__ = error
        generation.fail(failure)


def _steps(generation: Generation) -> int:
    return len(generation.sequences[0].samples) if generation.sequences else 0


def _checked(output: Rows, rows: int) -> Anything:
    """Check that a forward pass returned logits of the right shape; return them unchanged."""
    got = len(as_rows(output))
    if got != rows:
        raise ShapeError("logits", f"{got} rows", f"{rows} rows")
    return output


def _other_width(work: Plan, width: int) -> ShapeError:
    return ShapeError(
        "logits", f"rows of {width}", f"rows of {work.width}, as before or as the model states"
    )


def _cached(forward: ForwardFunction | CachedModel) -> CachedModel:
    if hasattr(forward, "prefill"):
        return cast("CachedModel", forward)
    return CallableModel(forward)
