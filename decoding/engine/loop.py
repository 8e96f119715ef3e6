"""`Engine`: runs requests together, one token of each sequence a step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, cast

from decoding.checks import checked_integer
from decoding.engine.admission import (
    Limits,
    Queue,
    Share,
    admitted,
    checked_deadlines,
    checked_limit,
)
from decoding.engine.drawing import RunningBatch
from decoding.engine.forward import extend, generations_of, restore, revive, stop
from decoding.engine.generation import Generation, RunningSequence
from decoding.engine.model_states import Memory
from decoding.engine.prefill import prefill, prefill_beside, prefixes_of, reuse
from decoding.engine.prefixes import PrefixStore
from decoding.engine.request import Request, plan
from decoding.errors import CancelledError, require
from decoding.models.callable import CallableModel
from decoding.models.protocol import CachedModel, LanguageModel, State
from decoding.sampling.backends import Execution
from decoding.typing import ForwardFunction

if TYPE_CHECKING:  # importing the package makes no engine
    from decoding.engine.mask_waits import Beside


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
      of that call, as their states are lost; where prompts were in the call, it is asked for these
      and for the running sequences apart, whose states are computed anew. Other prompts still
      join such calls.
    - After an interrupt every request stands where its last token left it. Stepping on gives the
      tokens that an uninterrupted run gives: the model's states are rolled back, and where the
      interrupt left it unknown what a state holds, the state is computed anew.
    - Every state of the model is given back once; what `release` raises is logged.

    model: a `LanguageModel`, or any callable from token-id lists to logits.
    max_batch_size: most sequences that run at once; requests beyond wait in order. None = no limit.
    A request of more sequences than that runs when nothing else does.
    prefill_chunk: most prompt tokens that go through the model in a step beside the tokens of the
    sequences that run, so that a long prompt delays these by no more; None = no limit. They go in
    one call with these tokens, but for the first of a model that is no `StartingModel`. A prompt
    that joins sequences which run counts as a quarter of it at least, so that many short ones do
    not delay these either. A prompt of a plain callable, which has no cache, goes through as a
    whole, alone if it is longer.
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
        self.max_batch_size = checked_limit("max_batch_size", max_batch_size)
        self.prefill_chunk = checked_limit("prefill_chunk", prefill_chunk)
        self.max_waiting = checked_limit("max_waiting", max_waiting)
        self.prefix_tokens = checked_integer("prefix_tokens", prefix_tokens, 0, expected=">= 0")
        cached = _cached(self.model.forward)
        self._memory = Memory(cached)
        self._limits = limits = Limits(
            max_batch_size=self.max_batch_size,
            prefill_chunk=self.prefill_chunk,
            takes_whole_prompts=isinstance(cached, CallableModel),
            capacity=getattr(cached, "capacity_tokens", None),
            page_tokens=getattr(cached, "page_tokens", 1),
        )
        kept = 0 if limits.takes_whole_prompts else self.prefix_tokens
        self._prefixes = PrefixStore(kept, limits.page_tokens)
        self._queue = Queue(self.max_waiting)
        self._batch = RunningBatch()
        # Where first tokens are drawn; empty between those.
        self._arrivals = RunningBatch()
        from decoding.engine.mask_waits import MaskWaits

        self._mask_waits = MaskWaits()
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
        return bool(self._queue.waiting or self._running() or not self._settled)

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._queue.waiting)

    @property
    def running(self) -> int:
        """How many sequences run: a request has `best_of` of them."""
        return len(self._batch.sequences) + len(self._mask_waits.sequences)

    @property
    def drawing(self) -> int:
        """How many of the sequences that run are in the next step, and do not wait for a mask."""
        return len(self._batch.sequences)

    @property
    def drawing_freely(self) -> int:
        """How many of the sequences that run have no grammar."""
        return self.running - self._mask_waits.followed

    @property
    def execution(self) -> Execution | None:
        """How the last step drew: its backend and threads; None where no step has drawn."""
        return self._batch.sampler.execution

    def compute_masks(self, beside: Beside | None) -> None:
        """Let the masks of grammars be computed in another thread, while steps go on.

        A sequence whose mask is not there in time is left out of steps until it is; its tokens are
        the same. beside: runs work there; None computes each mask within its step.
        """
        self._mask_waits.beside = beside

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
        self._queue.check_room()
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
        """Queue a `Generation` that was planned elsewhere, for this engine's model.

        Whoever submits from many threads plans there, as encoding a prompt and compiling a grammar
        take long, and joins in the thread that steps. Limits and errors are those of `submit`.
        """
        deadlines = checked_deadlines(queue_timeout, timeout)
        self._queue.check_room()
        self._limits.check(generation)
        self._queue.add(generation, deadlines)

    def forget_prefixes(self) -> None:
        """Release the model states that the prefix cache keeps for later prompts."""
        self._prefixes.make_room(0)
        if not self._is_stepping():
            self._recover()
            self._leave()

    def cancel(self, generation: Generation) -> None:
        """End a request now; its result is `CancelledError`. A done one keeps its result."""
        require("generation", generation, isinstance(generation, Generation), "a Generation")
        generation.fail(CancelledError("the request was cancelled"))
        self._queue.remove(generation)
        if not self._is_stepping():  # else the step gives back what it held
            self._recover()
            self._leave()

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
        moved = dict.fromkeys([*generations_of(self._sequences()), *self._arriving])
        stop(moved, error)
        self._regroup(())
        return list(moved)

    def _advance(self) -> list[Generation]:
        self._arriving = []
        expired = self._expire()
        self._revive()
        waits = self._mask_waits
        late = generations_of(waits.sequences)
        running = list(self._batch.sequences)
        shares = self._admit()
        if not (running or shares):
            waits.wait()
        arriving = [share.generation for share in shares]
        beside = self._beside(shares)
        apart = [share for share in shares if share not in beside]
        newcomers = prefill(apart, self._memory, self._arrivals, self._drop_others)
        if beside:
            newcomers += self._call_beside(beside)
        elif running:
            extend(self._batch, self._memory, waits.set_aside)
        back = waits.draw(self._arrivals)
        newcomers += [item for item in back if not item.ended]
        if waiting := set(waits.sequences):
            running = [item for item in running if item.ended or item not in waiting]
        drawn = [item.generation for item in (*running, *back)]
        failed = [item for item in late if item.done]
        moved = dict.fromkeys([*expired, *drawn, *arriving, *failed])
        if arriving or back or failed or self._batch.over or waits.over:
            self._keep(newcomers)
            for generation in moved:
                if generation.finished:
                    generation.let_go()
        self._mask_waits.ask()
        self._arriving = []
        # Now each state holds all tokens but the last.
        self._batch.call = None
        return list(moved)

    def _call_beside(self, shares: Sequence[Share]) -> list[RunningSequence]:
        """Run parts of prompts and running sequences through the model in one call.

        Returns the sequences that start.
        """
        waits, before = self._mask_waits, set(self._batch.sequences)
        started = prefill_beside(self._batch, shares, self._memory, self._arrivals, waits.set_aside)
        if started is None:
            for share in shares:
                share.generation.joins_calls = False
            self._drop_others()
        for item in self._batch.sequences:
            if item not in before:
                waits.follow(item)
        return started or []

    def _beside(self, shares: Sequence[Share]) -> list[Share]:
        """The parts of prompts that go through the model in one call with running sequences."""
        running = self._batch.sequences
        if not (shares and running) or self._batch.is_forced:
            return []
        return [
            share
            for share in shares
            if share.generation.joins_calls
            and (share.start > 0 or self._memory.starts)
            and not share.generation.plan.wants_prefill
        ]

    def _running(self) -> list[RunningSequence]:
        """The sequences that have drawn a first token: in the batch, or waiting for a mask."""
        return [*self._batch.sequences, *self._mask_waits.sequences]

    def _expire(self) -> list[Generation]:
        """End the requests that have run out of time."""
        expired = self._queue.expire()
        if expired:
            self._keep()
        return expired

    def _reserved(self) -> int:
        """The tokens that are promised to the requests that have started."""
        started = [item for item in self._queue.waiting if item.prefilled is not None]
        return sum(map(self._limits.cost, {*generations_of(self._running()), *started}))

    def _admit(self) -> list[Share]:
        """The parts of waiting prompts that the next step prefills, in order.

        Requests stay in the queue until they run.
        """
        shares: list[Share] = []
        waiting = self._queue.waiting
        if not waiting:
            return shares
        running = self.running
        reserved = 0 if self._limits.capacity is None else self._reserved()
        for share in admitted(waiting, running, reserved, self._limits, self._prepare):
            self._arriving.append(share.generation)
            shares.append(share)
        return shares

    def _prepare(self, generation: Generation, reserved: int) -> None:
        """Make room for a request that starts; begin with a known state, if there is one."""
        capacity = self._limits.capacity
        if capacity is not None and self._prefixes.make_room(capacity - reserved):
            self._drop_others()
        if self._prefixes.limit:
            running = [item for item in self._batch.sequences if not item.ended]
            reuse(generation, self._prefixes, prefixes_of(running), self._memory)

    def _drop_others(self) -> None:
        """Release every state that nothing in progress uses."""
        self._memory.keep(self._held(self._sequences()))

    def _regroup(self, sequences: Iterable[RunningSequence]) -> None:
        """Make a new batch of the sequences that go on; give back the memory of the others."""
        batch, mask_waits = RunningBatch(), self._mask_waits.emptied()
        for item in sequences:
            if not item.ended and batch.add(item):
                mask_waits.follow(item)
        batch.remove_over()
        ended = [item for item in self._running() if item.ended]
        # The batch first: it has all of those that wait for a mask.
        self._batch, self._arrivals, self._mask_waits = batch, RunningBatch(), mask_waits
        self._keep(ended=ended)

    def _leave(self) -> None:
        """Between steps: let the sequences leave that are over."""
        self._settled = False  # until this is done
        self._keep()
        self._settled = True

    def _keep(
        self, newcomers: Iterable[RunningSequence] = (), ended: Sequence[RunningSequence] = ()
    ) -> None:
        """Let newcomers join and sequences that are over leave; give back what nobody needs.

        ended: those that have left before.
        """
        for item in newcomers:
            if self._batch.add(item):
                self._mask_waits.follow(item)
        ended = [*ended, *self._batch.remove_over(), *self._mask_waits.remove_over()]
        self._mask_waits.forget(ended)
        self._queue.remove_first()
        if self._prefixes.limit:
            capacity = self._limits.capacity
            room = math.inf if capacity is None else capacity - self._reserved()
            prefixes = prefixes_of(item for item in ended if item.generation.failure is None)
            self._prefixes.add(prefixes, int(min(room, self._prefixes.limit)))
        self._memory.keep(self._held(self._running()))

    def _held(self, sequences: Iterable[RunningSequence]) -> list[State]:
        """The model states in use whose contents are known, those of running sequences included."""
        waiting = [
            item.prefilled.state
            for item in self._queue.waiting
            if item.prefilled is not None and not item.done
        ]
        return [*_held(sequences), *waiting, *self._prefixes.states]

    def _sequences(self) -> list[RunningSequence]:
        """Every sequence that has begun and was not let go; in the middle of a step, too."""
        begun = [sequence for item in self._queue.waiting for sequence in item.sequences]
        return list(dict.fromkeys([*self._running(), *begun]))

    def _recover(self) -> None:
        """After an interrupt, restore every request to its state after its last token.

        This can be interrupted as well, and is then done again.
        """
        if self._settled:
            return
        sequences = self._sequences()
        for generation in generations_of(sequences):
            try:
                generation.rebuild()
            except Exception as error:  # a vocabulary or a grammar may raise
                stop([generation], error)
        # A generation that had not drawn all its first tokens waits again, without sequences.
        going = [item for item in sequences if item.generation.sequences and not item.ended]
        self._batch.note_excess()
        self._mask_waits.note_excess()
        for item in going:
            restore(item, self._memory)
        self._regroup(going)
        self._queue.remove_all()
        self._settled = True

    def _revive(self) -> None:
        """Recompute the model states that an interrupt has lost."""
        lost = [item for item in self._batch.sequences if item.excess is None]
        for item in lost:
            revive(item, self._memory)
        if any(item.ended for item in lost):
            self._keep()


def _held(sequences: Iterable[RunningSequence]) -> list[State]:
    """The states of sequences whose contents are known."""
    return [item.state for item in sequences if item.excess is not None]


def _cached(forward: ForwardFunction | CachedModel) -> CachedModel:
    if hasattr(forward, "prefill"):
        return cast("CachedModel", forward)
    return CallableModel(forward)
