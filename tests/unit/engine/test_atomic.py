"""A failing step ends a request with a typed error or leaves it unchanged.

The same few requests run again and again. Each run has one fault, at one place: at every call of
the model, a processor or a feedback in turn, and at every line of the modules that make up a step.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any, ClassVar

import numpy as np
import pytest
from hashed_models import VOCAB, ByteTokenizer
from profiles import amount

from decoding import (
    Engine,
    GenerationParameters,
    Grammar,
    LanguageModel,
    Mirostat2,
    Request,
    Temperature,
    chain,
    history,
)
from decoding.engine import (
    admission,
    drawing,
    forward,
    generation,
    mask_waits,
    model_states,
    prefill,
    prefixes,
)
from decoding.engine import forced_tokens as jumping
from decoding.engine import loop as engine
from decoding.errors import DecodingError, ForwardError, ProcessorError
from decoding.models import CallableModel
from decoding.testing.models import hash_model

KINDS = ("prefill", "start", "extend", "fork", "rollback", "release", "processor", "observe")


class Fault:
    """Raises once, at the n-th of the calls that it watches, before or after the call's work."""

    def __init__(self, place: int | None = None, error: BaseException | None = None) -> None:
        self.place, self.error = place, error
        self.kinds: list[str] = []
        self.struck: str | None = None

    def strike(self, kind: str) -> None:
        self.kinds.append(kind)
        if self.error is not None and len(self.kinds) - 1 == self.place:
            self.struck = kind
            raise self.error


class Ledger:
    """A cached model that keeps account of its states, and meets a fault in its methods."""

    def __init__(self, fault: Fault) -> None:
        self.inner = CallableModel(hash_model(VOCAB))
        self.fault = fault
        self.handed_out: list[Any] = []
        self.released: Counter[int] = Counter()
        self.read: list[int] = []

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        self.fault.strike("prefill")
        states, logits = self.inner.prefill(prompts, all_positions=all_positions)
        self.fault.strike("prefill")
        self.handed_out += states
        return states, logits

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        self.fault.strike("extend")
        logits = self.inner.extend(states, token_ids, all_positions=all_positions)
        self.fault.strike("extend")
        self.read += [token_id for ids in token_ids for token_id in ids]
        # What a model is given is its own.
        for ids in token_ids:
            ids.clear()
        states.clear()
        return logits

    def adapted(self, adapter_id: str) -> Adapted:
        return Adapted(self)

    def fork(self, state: Any) -> Any:
        self.fault.strike("fork")
        copy = self.inner.fork(state)
        self.fault.strike("fork")
        self.handed_out.append(copy)
        return copy

    def rollback(self, state: Any, count: int) -> None:
        self.fault.strike("rollback")
        self.inner.rollback(state, count)
        self.fault.strike("rollback")

    def release(self, state: Any) -> None:
        self.released[id(state)] += 1
        self.fault.strike("release")
        state.clear()

    def all_is_given_back_once(self) -> bool:
        return self.released == Counter(id(state) for state in self.handed_out)


class StartingLedger(Ledger):
    """Has states of no tokens too, so that prompts go through with the sequences that run."""

    def start(self) -> Any:
        self.fault.strike("start")
        state = self.inner.start()
        self.fault.strike("start")
        self.handed_out.append(state)
        return state


class Adapted:
    """The same model, whose states begin with one more token."""

    key = "mine"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        begun = [[7, *prompt] for prompt in prompts]
        return self.ledger.prefill(begun, all_positions=all_positions)

    def start(self) -> Any:
        state = self.ledger.start()  # of a `StartingLedger`
        state.append(7)
        return state


class Current:
    """The model of the run that is on, so that all runs share one compiled grammar."""

    ledger: Ledger

    def prefill(self, *prompts: Any, **options: Any) -> Any:
        return self.ledger.prefill(*prompts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)


CURRENT = Current()
MODEL = LanguageModel(forward=CURRENT, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0}))


def processor_of(fault: Fault) -> Any:
    def own(logits: Any, history: Any) -> Any:
        fault.strike("processor")
        return np.where(np.arange(logits.shape[1]) == history.row(0)[-1], -np.inf, logits)

    return own


class Feedback:
    """Mirostat, whose `observe` meets a fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.inner = Mirostat2(3.0, 0.2)

    def __call__(self, logits: Any, history: Any) -> Any:
        return self.inner(logits, history)

    def start(self) -> Any:
        return self.inner.start()

    def filter(self, logits: Any, states: Any) -> Any:
        return self.inner.filter(logits, states)

    def observe(self, state: Any, drawn: Any) -> Any:
        self.fault.strike("observe")
        return self.inner.observe(state, drawn)


class Run:
    """Six requests on one engine: they join at the first and third step and are streamed."""

    beginning: ClassVar[list[int]] = []
    options: ClassVar[dict[str, Any]] = {}
    adapter: ClassVar[str | None] = None
    ledger: ClassVar[type[Ledger]] = Ledger

    def __init__(self, fault: Fault) -> None:
        CURRENT.ledger = self.model = self.ledger(fault)
        self.engine = Engine(MODEL, max_batch_size=6, **self.options)
        forced = Grammar("regex", "<(yes|no), said he>")
        common: dict[str, Any] = {"max_new_tokens": 5}
        self.requests = [
            Request([*self.beginning, 5], GenerationParameters(max_new_tokens=4, top_n_tokens=2)),
            Request(
                [*self.beginning, 6, 7, 8],
                GenerationParameters(best_of=2, seed=1, decoder_input_details=True, **common),
            ),
            Request(
                [*self.beginning, 9],
                GenerationParameters(
                    grammar=forced, jump_forward=True, seed=2, best_of=2, max_new_tokens=13
                ),
            ),
            Request(
                [*self.beginning, 4],
                GenerationParameters(seed=3, adapter_id=self.adapter, **common),
                chain(processor_of(fault)),
            ),
            Request(
                [*self.beginning, 3, 3],
                GenerationParameters(seed=4, stop=["the"], **common),
                chain(Temperature(1.5), Feedback(fault)),
            ),
            Request(
                [*self.beginning, 2],
                GenerationParameters(grammar=forced, jump_forward=True, seed=5, **common),
            ),
        ]
        self.generations: list[Any] = []
        self.events: list[list[Any]] = [[] for _ in self.requests]
        self.interrupts = 0

    def __call__(self) -> Run:
        self.join(self.requests[:4])
        self.step()
        self.step()
        self.join(self.requests[4:])
        steps = 0
        while self.engine.busy:
            self.step()
            steps += 1
            assert steps < 60, "a request never ends"
        while self.options:
            try:
                self.engine.forget_prefixes()
                break
            except KeyboardInterrupt:
                self.interrupts += 1
        return self

    def join(self, requests: list[Request]) -> None:
        self.generations += [self.engine.submit(item) for item in requests]

    def step(self) -> None:
        try:
            self.engine.step()
        except KeyboardInterrupt:
            self.interrupts += 1
        for index, item in enumerate(self.generations):
            self.events[index] += item.take_events()

    def outcomes(self) -> list[Any]:
        """What each request came to: its text and tokens, or the error that ended it."""
        return [item.error or told(item.response) for item in self.generations]

    def streamed(self, index: int) -> list[Any]:
        """The events of a request."""
        return [
            (item.index, item.token.id, item.text, item.generated_text, item.details)
            for item in self.events[index]
        ]


def told(response: Any) -> Any:
    """A response without its logprobs, whose last digits may differ between backends."""
    details = response.details
    sequences = [details, *details.best_of_sequences]
    return (
        response.generated_text,
        [(item.finish_reason, item.seed, ids(item.tokens)) for item in sequences],
        [ids(step) for step in details.top_tokens],
        ids(details.prefill),
    )


def ids(tokens: Any) -> list[int]:
    return [item.id for item in tokens]


class ChunkedRun(Run):
    """The same with long prompts in chunks, states that serve again, and an adapter."""

    beginning: ClassVar[list[int]] = [2 + 3 * index for index in range(20)]
    options: ClassVar[dict[str, Any]] = {"prefill_chunk": 9, "prefix_tokens": 100}
    adapter: ClassVar[str | None] = "mine"


class StartingRun(ChunkedRun):
    """The same with a model to whose states of no tokens prompts are appended."""

    ledger: ClassVar[type[Ledger]] = StartingLedger


class LateMasks:
    """Computes every other mask one step later than it is asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.waiting: list[tuple[Future[None], Callable[[], None]]] = []

    def __call__(self, work: Callable[[], None]) -> Future[None]:
        self.asked += 1
        future: Future[None] = Future()
        self.waiting.append((future, work))
        if self.asked % 2:
            self.run()
        return future

    def run(self) -> None:
        while self.waiting:
            future, work = self.waiting.pop()
            work()
            future.set_result(None)


class WaitingRun(Run):
    """The same with masks of which some come late."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.masks = LateMasks()
        self.engine.compute_masks(self.masks)
        self.most_waiting = 0

    def step(self) -> None:
        super().step()
        self.most_waiting = max(self.most_waiting, self.engine.running - self.engine.drawing)
        if self.engine.running > self.engine.drawing:
            self.masks.run()


EXPECTED = Run(Fault())()
CHUNKED = ChunkedRun(Fault())()
STARTING = StartingRun(Fault())()
WAITING = WaitingRun(Fault())()
CALLS = EXPECTED.model.fault.kinds


def expected_of(run: Run) -> Run:
    return CHUNKED if isinstance(run, ChunkedRun) else EXPECTED


def places(kind: str, of: Run = EXPECTED) -> list[int]:
    return [place for place, found in enumerate(of.model.fault.kinds) if found == kind]


def check_unharmed(run: Run) -> None:
    assert run.model.all_is_given_back_once()
    assert run.outcomes() == expected_of(run).outcomes()
    for index in range(len(run.requests)):
        assert run.streamed(index) == expected_of(run).streamed(index)


def check_others(run: Run, errors: tuple[type[DecodingError], ...]) -> list[int]:
    """Who ended with an error, once all others are known to be as without the fault."""
    assert run.model.all_is_given_back_once()
    ended = []
    for index, item in enumerate(run.generations):
        if item.error is None:
            assert told(item.response) == told(expected_of(run).generations[index].response)
            assert run.streamed(index) == expected_of(run).streamed(index)
        else:
            assert isinstance(item.error, errors)
            streamed = run.streamed(index)
            assert streamed == expected_of(run).streamed(index)[: len(streamed)]
            ended.append(index)
    return ended


def test_the_run_has_every_kind_of_call() -> None:
    assert EXPECTED.interrupts == 0
    assert not any(item.error for item in EXPECTED.generations)
    assert EXPECTED.model.all_is_given_back_once()
    assert set(CALLS) == set(KINDS) - {"rollback", "start"}  # the first is for interrupts
    assert [len(item) for item in EXPECTED.events] == [4, 0, 0, 5, 3, 5]


@pytest.mark.parametrize("kind", sorted(set(CALLS)))
def test_an_interrupt_at_any_call_changes_no_token(kind: str) -> None:
    for place in places(kind):
        run = Run(Fault(place, KeyboardInterrupt()))()
        assert run.interrupts == 1
        check_unharmed(run)


def test_late_masks_change_no_token_and_no_row_of_the_model() -> None:
    check_unharmed(WAITING)
    assert WAITING.most_waiting > 0
    assert WAITING.masks.asked > 4
    assert sorted(WAITING.model.read) == sorted(EXPECTED.model.read)


def test_the_chunked_run_has_every_kind_of_call() -> None:
    assert not any(item.error for item in CHUNKED.generations)
    assert CHUNKED.model.all_is_given_back_once()
    assert set(CHUNKED.model.fault.kinds) == set(KINDS) - {"start"}
    assert set(STARTING.model.fault.kinds) == set(KINDS)
    assert STARTING.outcomes() == CHUNKED.outcomes()
    # Prompts go through in chunks, and the later ones begin where an earlier one stands: without
    # an interrupt, nothing else is rolled back.
    assert len(places("extend", CHUNKED)) > len(places("extend"))


@pytest.mark.slow
@pytest.mark.parametrize("of", [CHUNKED, STARTING], ids=["chunked", "starting"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_interrupt_at_any_call_of_a_chunked_run_changes_no_token(kind: str, of: Run) -> None:
    for place in places(kind, of):
        run = type(of)(Fault(place, KeyboardInterrupt()))()
        assert run.interrupts == 1
        check_unharmed(run)


@pytest.mark.slow
@pytest.mark.parametrize("of", [CHUNKED, STARTING], ids=["chunked", "starting"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_error_at_any_call_of_a_chunked_run_ends_nobody_else(kind: str, of: Run) -> None:
    most = {"extend": 6, "release": 0, "rollback": 0, "start": 0}.get(kind, 1)
    for place in places(kind, of):
        run = type(of)(Fault(place, ZeroDivisionError("a fault")))()
        assert run.interrupts == 0
        assert len(check_others(run, (ForwardError, ProcessorError))) <= most


@pytest.mark.parametrize("failing", [KeyboardInterrupt, MemoryError])
def test_a_rollback_after_an_interrupt_may_fail_as_well(
    failing: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    rollbacks = []

    def fail(self: Ledger, state: Any, count: int) -> None:
        rollbacks.append(count)
        if len(rollbacks) == 2:
            raise failing
        self.inner.rollback(state, count)

    monkeypatch.setattr(Ledger, "rollback", fail)
    for place in places("processor")[2:]:
        rollbacks.clear()
        run = Run(Fault(place, KeyboardInterrupt()))()
        assert rollbacks
        check_unharmed(run)


def test_a_model_that_raises_for_several_prompts_is_asked_for_each() -> None:
    for place in places("prefill"):
        run = Run(Fault(place, MemoryError("no room")))()
        # A prompt that is prefilled alone has nobody else to blame; the others are asked again.
        ended = check_others(run, (ForwardError,))
        assert len(ended) <= 1


def test_a_culprit_among_prompts_ends_alone() -> None:
    inner = hash_model(VOCAB)

    def refuses(rows: list[list[int]]) -> Any:
        if any(row[0] == 13 for row in rows):
            raise IndexError("13 brings bad luck")
        return inner(rows)

    running = Engine(refuses)
    asked = GenerationParameters(max_new_tokens=3)
    first, culprit, last = (running.submit(Request([item], asked)) for item in (5, 13, 6))
    while running.busy:
        running.step()
    assert first.error is None
    assert last.error is None
    assert isinstance(culprit.error, ForwardError)


@pytest.mark.parametrize(
    ("kind", "errors", "most"),
    [
        ("extend", (ForwardError,), 6),  # a failed pass ends its batch
        ("fork", (ForwardError,), 1),
        ("release", (), 0),
        ("processor", (ProcessorError,), 1),
        ("observe", (ProcessorError,), 1),
    ],
)
def test_an_error_at_any_call_ends_no_innocent_request(
    kind: str, errors: tuple[type[DecodingError], ...], most: int
) -> None:
    for place in places(kind):
        run = Run(Fault(place, ZeroDivisionError("a fault")))()
        assert run.interrupts == 0
        ended = check_others(run, errors)
        assert bool(most) <= len(ended) <= most


MODULES = (
    engine,
    admission,
    forward,
    prefill,
    drawing,
    generation,
    model_states,
    jumping,
    history,
    mask_waits,
    prefixes,
)
FILES = {module.__file__ for module in MODULES}


def lines_of(run: Run) -> list[tuple[str, int]]:
    """Every line that the steps of a run execute, in the modules that make up a step."""
    seen: list[tuple[str, int]] = []
    traced(run, lambda frame: seen.append((frame.f_code.co_filename, frame.f_lineno)))
    return seen


def traced(run: Run, visit: Callable[[FrameType], None]) -> None:
    """Run with `visit` called before every line within a step; what it raises is raised there."""
    step = run.engine.step

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            visit(frame)
        return local

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename in FILES else None

    def traced_step() -> Any:
        # Once something has been raised in a trace function, Python traces no more.
        sys.settrace(enter)
        try:
            return step()
        finally:
            sys.settrace(None)

    run.engine.step = traced_step
    run()


class Alarm:
    """Interrupts at the n-th line."""

    def __init__(self, place: int) -> None:
        self.left = place

    def __call__(self, frame: FrameType) -> None:
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt


def first_and_last_visits(kind: type[Run]) -> Iterator[int]:
    """Where each line is executed first and last in a run."""
    last: dict[tuple[str, int], int] = {}
    for place, line in enumerate(lines_of(kind(Fault()))):
        if line not in last:
            yield place
        last[line] = place
    yield from last.values()


def check_lines(stride: int, kind: type[Run]) -> None:
    before = sys.gettrace()
    try:
        visits = sorted(set(first_and_last_visits(kind)))
        assert len(visits) > 200
        for place in visits[::stride]:
            run = kind(Fault())
            traced(run, Alarm(place))
            assert run.interrupts == 1
            check_unharmed(run)
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    "kind",
    [
        Run,
        WaitingRun,
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in (ChunkedRun, StartingRun)),
    ],
)
def test_an_interrupt_at_any_of_some_lines_changes_no_token(kind: type[Run]) -> None:
    check_lines(amount(check=90, full=30), kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Run, WaitingRun, ChunkedRun, StartingRun])
def test_an_interrupt_at_any_line_changes_no_token(kind: type[Run]) -> None:
    check_lines(1, kind)
