"""An engine for asyncio: one thread steps it, any number of tasks read its events.

    async with AsyncEngine(Engine(model)) as front:
        generation = await front.submit(Request("Hello", GenerationParameters(max_new_tokens=20)))
        async for event in generation:
            print(event.text, end="")

The thread alone touches the engine. What tasks want of it goes through a queue, and what a step has
brought comes back to an event loop in one call for all requests of that loop.
"""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self, TypeAlias, TypeVar

from decoding.checks import checked_integer
from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.plans import Plan
from decoding.engine.prompts import Inputs
from decoding.engine.request import Request, plan
from decoding.engine.yielding import Pace, run_yielding
from decoding.errors import (
    CancelledError,
    DecodingError,
    RequestError,
    SlowReaderError,
    require,
    shown_error,
)
from decoding.models.protocol import LanguageModel
from decoding.wire.details import Response, StreamEvent

__all__ = ["AsyncEngine", "AsyncGeneration"]

MOST_UNREAD_EVENTS = 4096
"""Events that wait for a reader at most, unless an `AsyncEngine` is told otherwise."""

SHORT_PROMPT = 4096
"""Characters or tokens of a prompt that are read faster than another thread is woken."""

_Value = TypeVar("_Value")

Command: TypeAlias = Callable[[], None]
Delivery: TypeAlias = tuple["AsyncGeneration", int, bool]
"""A generation, how many events it has, and whether it is over."""


class AsyncGeneration:
    """A request that an `AsyncEngine` runs; made by `AsyncEngine.submit`.

    Iterating gives its events as they come and raises what ended it early; `result` waits for the
    response. One task reads it.
    """

    __slots__ = (
        "_event_count",
        "_front",
        "_loop",
        "_over",
        "_taken",
        "_waiter",
        "generation",
        "streams",
    )

    def __init__(self, front: AsyncEngine, generation: Generation, *, streams: bool) -> None:
        self.generation = generation
        self.streams = streams
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._event_count = self._taken = 0
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more will come; events may still be there to read."""
        return self._over

    @property
    def has_events(self) -> bool:
        """Whether there are events to take."""
        return self._event_count > self._taken

    def cancel(self) -> None:
        """End the request before the next step; harmless when the request is over."""
        self._front.cancel(self)

    async def result(self) -> Response:
        """Wait for the response.

        Raises:
            DecodingError: what ended the request early.
        """
        while not self._over:
            await _sleep((self,))  # events may be there, and stay unread
        return self.generation.result()

    async def wait(self) -> None:
        """Return when there is an event to take or all is over, or after `wake`."""
        await wait_any((self,))

    def wake(self) -> None:
        """Let `wait` return, whether anything has come or not. Call it in the reader's loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take_events(self) -> list[StreamEvent]:
        """The events that have come since the last call."""
        first, self._taken = self._taken, self._event_count
        return self.generation.events(first, self._taken) if first < self._taken else []

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        while True:
            await self.wait()
            for event in self.take_events():
                yield event
            if self._over and not self.has_events:
                self.generation.result()
                return

    def receive(self, event_count: int, over: bool) -> None:
        """Note what a step has brought. For the `AsyncEngine`, in the reader's loop."""
        if self.streams:
            self._event_count = event_count
            if event_count - self._taken > self._front.most_unread_events and not over:
                self._front.cancel(self, SlowReaderError(self._front.most_unread_events))
        if over:
            self._over = True
        if over or self.has_events:
            self.wake()


async def wait_any(handles: Sequence[AsyncGeneration]) -> None:
    """Return when any of these requests, of one reader, has an event to take or is over."""
    if any(item.has_events or item.done for item in handles):
        return
    await _sleep(handles)


async def _sleep(handles: Sequence[AsyncGeneration]) -> None:
    """Return when something comes for any of these requests."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for item in handles:
        item._waiter = waiter  # noqa: SLF001 -- ours
    try:
        await waiter
    finally:
        for item in handles:
            item._waiter = None  # noqa: SLF001 -- ours


class AsyncEngine:
    """Runs an `Engine` in a thread of its own, for tasks of any event loop.

    The thread starts with the first request. Prompts are encoded and grammars compiled before a
    request reaches the thread: grammars one after the other in a second thread, so that those who
    wait for them delay nobody who does not. While requests run, what is done in other threads
    takes turns, and a tenth of the time.

    A reader that is slow delays nobody either: its events are kept for it, up to a bound. Beyond
    it the request ends with `SlowReaderError`.

    engine: nobody else may step it, or submit to it, while this lives.
    most_unread_events: the bound of a request that streams.

    Raises ParameterError where `engine` is no `Engine`, or the bound no integer >= 1.
    """

    def __init__(self, engine: Engine, *, most_unread_events: int = MOST_UNREAD_EVENTS) -> None:
        require("engine", engine, isinstance(engine, Engine), "an Engine")
        self.engine = engine
        self.most_unread_events = checked_integer(
            "most_unread_events", most_unread_events, 1, expected=">= 1"
        )
        self.on_step: Callable[[float, int, int], None] | None = None
        """Called in the engine's thread after each step: its seconds, how many sequences run, and
        how many requests wait."""
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._running: dict[Generation, AsyncGeneration] = {}
        self._thread: threading.Thread | None = None
        self._encoding = ThreadPoolExecutor(2, "decoding-plan")
        self._compiling = ThreadPoolExecutor(1, "decoding-grammar")
        self._masking = ThreadPoolExecutor(1, "decoding-masks")
        self._pace, self._mask_pace = Pace(), Pace()
        engine.compute_masks(self._mask)
        self._closing: DecodingError | None = None
        self._broken: DecodingError | None = None
        self._ended = False

    @property
    def model(self) -> LanguageModel:
        """The engine's model."""
        return self.engine.model

    @property
    def healthy(self) -> bool:
        """Whether requests can be submitted: it is neither closed nor broken."""
        return self._closing is None and self._broken is None

    @property
    def count(self) -> int:
        """How many requests wait or run."""
        return len(self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def submit(self, request: Request, *, streams: bool = True) -> AsyncGeneration:
        """Check a request, and let it join at the next step.

        streams: whether its events will be read; else only its result.

        Raises:
            ParameterError, GrammarError, UnsupportedFeatureError: as `Engine.submit`.
            CancelledError: the engine is closing.
            RequestError: the engine has failed.

        What the engine refuses when the request reaches it (`OverloadedError`, `CapacityError`) is
        raised where the request is read.
        """
        require("request", request, isinstance(request, Request), "a Request")
        self._check_open()
        work = await self._planned(request)
        self._check_open()
        handle = AsyncGeneration(self, Generation(request, work), streams=streams)
        self._running[handle.generation] = handle
        self._command(partial(self._join, handle))
        return handle

    async def in_thread(self, work: Callable[[], _Value], *, compiles: bool = False) -> _Value:
        """Run something that takes long, as encoding a book, beside the loop.

        compiles: it compiles grammars, and so takes its turn with all that do.
        """
        return await self._beside(self._compiling if compiles else self._encoding, work)

    def cancel(self, handle: AsyncGeneration, error: DecodingError | None = None) -> None:
        """End a request before the next step.

        error: what its readers get; a `CancelledError` where none is given.
        """
        if not handle.done:
            self._command(partial(self._leave, handle, error))

    def cancel_all(self, error: DecodingError) -> None:
        """End every request before the next step, with an error of the caller's."""
        self._command(partial(self._leave_all, error))

    async def aclose(self, *, drain_s: float = 0.0) -> None:
        """Take no more requests, let those that run go on for a while, then cancel them.

        drain_s: seconds, at most, that requests go on; what is left ends with `CancelledError`.
        """
        if self._closing is None:
            self._closing = CancelledError("the engine is closing")
        end = time.monotonic() + drain_s
        while self._running and time.monotonic() < end:  # noqa: ASYNC110 -- another thread ends it
            await asyncio.sleep(0.01)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._commands.put(partial(self._leave_all, self._closing))
            self._commands.put(self._end)
            await asyncio.to_thread(thread.join)
        self._encoding.shutdown(wait=False, cancel_futures=True)
        self._compiling.shutdown(wait=False, cancel_futures=True)
        self._masking.shutdown(wait=False, cancel_futures=True)
        self.engine.compute_masks(None)
        # What the thread handed over last is delivered before this returns.
        await asyncio.sleep(0)

    def _check_open(self) -> None:
        if self._broken is not None:
            # A copy: an error that is raised again keeps the frames of everyone who has met it.
            raise copy.copy(self._broken)
        if self._closing is not None:
            raise CancelledError("the engine is closing")

    async def _planned(self, request: Request) -> Plan:
        parameters, model = request.parameters, self.engine.model
        work = partial(plan, request, model)
        grammar = parameters.grammar
        if grammar is not None and not (model.grammars and model.grammars.knows(grammar)):
            pool = self._compiling
        elif _is_long(request.inputs) or (
            request.grammar is not None
            or parameters.dry_multiplier
            or parameters.bad_words
            or parameters.adapter_id
        ):
            pool = self._encoding
        else:
            return work()
        return await self._beside(pool, work)

    async def _beside(self, pool: ThreadPoolExecutor, work: Callable[[], _Value]) -> _Value:
        """Run work in a thread of a pool, which leaves most of the time to requests that run."""
        yielding = partial(run_yielding, work, self._is_drawing, self._pace)
        return await asyncio.get_running_loop().run_in_executor(pool, yielding)

    def _mask(self, work: Callable[[], None]) -> Future[None]:
        """Compute a mask in a thread of its own, which leaves time to those that draw."""
        return self._masking.submit(run_yielding, work, self._draws_freely, self._mask_pace)

    def _is_drawing(self) -> bool:
        """Whether any request waits or draws, other than for a grammar."""
        return self.engine.drawing > 0

    def _draws_freely(self) -> bool:
        """Whether a sequence without a grammar runs, which the computation of masks may delay."""
        return self.engine.drawing_freely > 0

    def _command(self, command: Command) -> None:
        if self._thread is None and self._closing is None:
            self._thread = threading.Thread(target=self._run, name="decoding-engine", daemon=True)
            self._thread.start()
        self._commands.put(command)

    # What follows runs in the engine's thread.

    def _run(self) -> None:
        while not self._ended:
            try:
                self._obey()
                if self.engine.busy:
                    self._step()
            except Exception as error:
                self._broken = RequestError(f"the engine has failed: {shown_error(error)}", 0)
                self._leave_all(self._broken)

    def _obey(self) -> None:
        """Do what tasks want; wait for the first one to want anything where nothing runs."""
        if not self.engine.busy:
            self._commands.get()()
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            command()

    def _step(self) -> None:
        began = time.monotonic()
        moved = self.engine.step()
        seconds = time.monotonic() - began
        self._hand_out(moved)
        if self.on_step is not None:
            self.on_step(seconds, self.engine.running, self.engine.waiting)

    def _end(self) -> None:
        self._ended = True

    def _join(self, handle: AsyncGeneration) -> None:
        try:
            self.engine.join(handle.generation)
        except DecodingError as error:
            self._leave(handle, error)

    def _leave(self, handle: AsyncGeneration, error: DecodingError | None) -> None:
        generation = handle.generation
        if generation not in self._running:
            return
        if error is not None:
            generation.fail(error)
        self.engine.cancel(generation)
        self._hand_out([generation])

    def _leave_all(self, error: DecodingError) -> None:
        for handle in list(self._running.values()):
            self._leave(handle, error)

    def _hand_out(self, moved: list[Generation]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Delivery]] = {}
        for generation in moved:
            handle = self._running.get(generation)
            if handle is None:
                continue
            over = generation.done
            if over:
                del self._running[generation]
            count = generation.event_count
            if over or count:
                by_loop.setdefault(handle._loop, []).append((handle, count, over))  # noqa: SLF001 -- ours
        for loop, deliveries in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, deliveries)
            except RuntimeError:  # the loop is closed, and so nobody reads
                for handle, _, _ in deliveries:
                    self._leave(handle, None)


def _is_long(inputs: Inputs) -> bool:
    """Whether a prompt is read in another thread; what is no prompt is not."""
    try:
        return len(inputs) > SHORT_PROMPT
    except TypeError:
        return False


def _deliver(deliveries: list[Delivery]) -> None:
    for handle, event_count, over in deliveries:
        handle.receive(event_count, over)
