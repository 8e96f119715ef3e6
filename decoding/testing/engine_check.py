"""`check_engine`: tests that each request of an engine gets the tokens it gets alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from decoding.bounded_repr import shown_error
from decoding.testing.models import hash_model
from decoding.typing import ForwardFunction

VOCAB = 23
"""The width of the logits of the model that `check_engine` hands over."""

POISON = VOCAB - 1
"""A prompt that begins with this token has NaN logits."""

_MOST_STEPS = 200
_LONG = 40
"""Tokens of requests whose prefixes are to be seen whole."""
_MANY, _SEED_BITS = 16, 32
"""Tokens that different seeds draw alike with probability 23⁻¹⁶, and the bits that must count."""
_MOST_RAISED = 2
"""How often the model raises in one history."""
_COMPANY = 5
"""Requests that may come at once: more than small engines have slots."""
_REQUESTS = st.tuples(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(0, 3),
    st.sampled_from((*range(1, 9), 20)),
)
"""The prompt, the seed and the number of tokens of a request."""


class State(Enum):
    """The state of a request in an engine under test."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EngineUnderTest(Protocol):
    """Protocol of an engine under test; an adapter to it takes about fifteen lines."""

    def add(self, prompt: list[int], seed: int, max_tokens: int) -> Hashable:
        """Add a request that samples `max_tokens` tokens with a seed; return its key.

        The list is the engine's to keep.
        """

    def step(self) -> Iterable[tuple[Hashable, int]]:
        """Run one step; return the tokens that it gave, each with the key of its request."""

    def cancel(self, key: Hashable) -> None:
        """End a request now."""

    def state(self, key: Hashable) -> State:
        """The state of a request."""


@dataclass(slots=True)
class _Model:
    """A model without weights that fails on command."""

    forward: ForwardFunction = field(default_factory=lambda: hash_model(VOCAB))
    raises: bool = False
    calls: int = 0

    def __call__(self, sequences: list[list[int]]) -> NDArray[np.float32]:
        self.calls += 1
        if self.raises:
            self.raises = False
            raise RuntimeError("the model failed, as it was told to")
        logits = np.array(self.forward(sequences))
        for row, sequence in enumerate(sequences):
            if sequence[0] == POISON:
                logits[row] = np.nan
        return logits


@dataclass(slots=True)
class _Request:
    """A request as the oracle sees it.

    hurt: whether the model raised while it was there, so that it may fail.
    """

    prompt: list[int]
    seed: int
    most: int
    tokens: list[int] = field(default_factory=list)
    hurt: bool = False
    cancelled: bool = False

    @property
    def is_poisoned(self) -> bool:
        return self.prompt[0] == POISON

    def __str__(self) -> str:
        return f"the request for {self.most} tokens after {self.prompt} with seed {self.seed}"


class _Guarded:
    """An engine whose exceptions are findings."""

    def __init__(self, engine: EngineUnderTest) -> None:
        self._engine = engine

    def add(self, prompt: list[int], seed: int, max_tokens: int) -> Hashable:
        with _raising_nothing(f"add({prompt}, {seed}, {max_tokens})"):
            return self._engine.add(prompt, seed, max_tokens)

    def step(self) -> list[tuple[Hashable, int]]:
        with _raising_nothing("step()"):
            return [(key, int(token)) for key, token in self._engine.step()]

    def cancel(self, key: Hashable) -> None:
        with _raising_nothing(f"cancel({key!r})"):
            self._engine.cancel(key)

    def state(self, key: Hashable) -> State:
        with _raising_nothing(f"state({key!r})"):
            return self._engine.state(key)


@contextmanager
def _raising_nothing(call: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{call} raised {shown_error(error)}") from error


class _Oracle:
    """The tokens that a request gets alone, by an engine without faults."""

    def __init__(self, make: Callable[[ForwardFunction], EngineUnderTest]) -> None:
        self._make = make
        self._known: dict[tuple[tuple[int, ...], int, int], list[int]] = {}

    def __call__(self, request: _Request) -> list[int]:
        """The tokens of one request."""
        key = (tuple(request.prompt), request.seed, request.most)
        if key not in self._known:
            self._known[key] = self._run(request)
        return self._known[key]

    def _run(self, request: _Request) -> list[int]:
        engine = _Guarded(self._make(_Model()))
        name = engine.add(list(request.prompt), request.seed, request.most)
        tokens: list[int] = []
        for _ in range(_MOST_STEPS):
            tokens += [int(token) for key, token in engine.step() if key == name]
            if engine.state(name) is not State.RUNNING:
                break
        if engine.state(name) is not State.DONE or len(tokens) > request.most:
            state = engine.state(name).value
            raise AssertionError(f"{request}, alone: it is {state} and has the tokens {tokens}")
        return tokens


class _Machine(RuleBasedStateMachine):
    """Any history of an engine; a subclass says which engine."""

    make: ClassVar[Callable[[ForwardFunction], EngineUnderTest]]
    oracle: ClassVar[_Oracle]
    faults: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.model = _Model()
        self.engine = _Guarded(type(self).make(self.model))
        self.requests: dict[Hashable, _Request] = {}
        self.raised = 0

    # Most faults show only in company, so requests come one by one and several at once.
    @initialize(requests=st.lists(_REQUESTS, max_size=_COMPANY))
    def begin(self, requests: list[tuple[list[int], int, int]]) -> None:
        self.add_several(requests)

    @rule(request=_REQUESTS)
    def add(self, request: tuple[list[int], int, int]) -> None:
        self.add_several([request])

    @rule(requests=st.lists(_REQUESTS, min_size=2, max_size=_COMPANY))
    def add_several(self, requests: list[tuple[list[int], int, int]]) -> None:
        for prompt, seed, most in requests:
            self._add(_Request(prompt, seed, most))

    @precondition(lambda self: self.faults)
    @rule(seed=st.integers(0, 3))
    def add_poisoned(self, seed: int) -> None:
        self._add(_Request([POISON, 1], seed, 3))

    def _add(self, request: _Request) -> None:
        key = self.engine.add(list(request.prompt), request.seed, request.most)
        assert key not in self.requests, f"two requests have the key {key!r}"
        self.requests[key] = request

    @rule()
    def step(self) -> None:
        for key, token in self.engine.step():
            assert key in self.requests, f"a token came for {key!r}, which nobody added"
            request = self.requests[key]
            assert not request.cancelled, f"{request}: token {token} came after its cancellation"
            request.tokens.append(token)

    @precondition(lambda self: self._ended())
    @rule(data=st.data())
    def cancel_what_has_ended(self, data: st.DataObject) -> None:
        self._cancel(data, self._ended())

    @precondition(lambda self: self._begun())
    @rule(data=st.data())
    def cancel_what_has_begun(self, data: st.DataObject) -> None:
        self._cancel(data, self._begun())

    @precondition(lambda self: self._running())
    @rule(data=st.data(), waits=st.booleans())
    def cancel_after_a_step(self, data: st.DataObject, *, waits: bool) -> None:
        self.step()
        keys = self._waiting() if waits else self._begun()
        if keys:
            self._cancel(data, keys)

    @precondition(lambda self: self._waiting())
    @rule(data=st.data())
    def cancel_what_waits(self, data: st.DataObject) -> None:
        self._cancel(data, self._waiting())

    def _begun(self) -> list[Hashable]:
        return [key for key in self._running() if self.requests[key].tokens]

    def _waiting(self) -> list[Hashable]:
        return [key for key in self._running() if not self.requests[key].tokens]

    def _ended(self) -> list[Hashable]:
        return [key for key in self.requests if self.engine.state(key) is not State.RUNNING]

    def _running(self) -> list[Hashable]:
        return [key for key in self.requests if self.engine.state(key) is State.RUNNING]

    def _cancel(self, data: st.DataObject, keys: list[Hashable]) -> None:
        key = keys[data.draw(st.integers(0, len(keys) - 1), label="request")]
        before = self.engine.state(key)
        self.engine.cancel(key)
        after = self.engine.state(key)
        if before is State.RUNNING:
            assert after is State.CANCELLED, f"a cancelled request is {after.value}"
            self.requests[key].cancelled = True
        else:
            assert after is before, f"a request that was {before.value} became {after.value}"

    # It ends all that run, so it comes seldom.
    @precondition(lambda self: self.faults and self.raised < _MOST_RAISED and self._running())
    @rule()
    def the_model_raises(self) -> None:
        self.raised += 1
        self.model.raises = True
        for key in self._running():
            self.requests[key].hurt = True
        self.step()
        self.model.raises = False

    @invariant()
    def everyone_gets_what_they_get_alone(self) -> None:
        for key, request in self.requests.items():
            state = self.engine.state(key)
            if state is State.CANCELLED:
                assert request.cancelled, f"{request} is cancelled, and nobody cancelled it"
            elif request.cancelled:
                raise AssertionError(f"{request} was cancelled, and is {state.value}")
            if request.is_poisoned:
                assert not request.tokens, f"NaN logits gave the tokens {request.tokens}"
                assert state is not State.DONE, "a request with NaN logits is done"
                continue
            want = self.oracle(request)
            got = request.tokens
            assert got == want[: len(got)], f"{request} got {got}, and gets {want} alone"
            assert (state is State.DONE) <= (len(got) == len(want)), (
                f"{request} is done with {got}, and gets {want} alone"
            )
            if state is State.FAILED:
                assert request.hurt, f"{request} failed, and the model did not"

    def teardown(self) -> None:
        self.model.raises = False
        enough = _MOST_STEPS + sum(self.requests[key].most for key in self._running())
        for _ in range(enough):
            if not self._running():
                break
            self.step()
            self.everyone_gets_what_they_get_alone()
        running = [self.requests[key] for key in self._running()]
        still = "; ".join(map(str, running))
        assert not running, f"after {enough} more steps this still runs: {still}"
        self.engine_serves_on()

    def engine_serves_on(self) -> None:
        request = _Request([1, 2], 9, 2)
        key = self.engine.add(list(request.prompt), request.seed, request.most)
        for _ in range(_MOST_STEPS):
            request.tokens += [token for name, token in self.engine.step() if name == key]
            if self.engine.state(key) is not State.RUNNING:
                break
        assert request.tokens == self.oracle(request), (
            f"{request}, after all others, got {request.tokens},"
            f" and gets {self.oracle(request)} alone"
        )


def _long_texts(make: Callable[[ForwardFunction], EngineUnderTest]) -> None:
    """Check that the model is shown whole prefixes: of a model that is sure, tokens are known."""

    def sure(sequences: list[list[int]]) -> NDArray[np.float32]:
        logits = hash_model(VOCAB)(sequences)
        return np.where(logits >= logits.max(axis=1, keepdims=True), np.float32(60.0), logits)

    requests = [_Request([1], 1, _LONG), _Request([2, 3, 4], 2, _LONG), _Request([4, 1], 3, 7)]
    _run_together(_Guarded(make(sure)), requests)
    for request in requests:
        sequence = list(request.prompt)
        for _ in range(request.most):
            sequence.append(int(sure([sequence])[0].argmax()))
        want = sequence[len(request.prompt) :]
        assert request.tokens == want, (
            f"{request} got {request.tokens} of a model that is sure of {want}"
        )


def _seeds(make: Callable[[ForwardFunction], EngineUnderTest]) -> None:
    """Check that each bit of a seed, and each token's place, draws anew from a flat model."""

    def flat(sequences: list[list[int]]) -> NDArray[np.float32]:
        return np.zeros((len(sequences), VOCAB), np.float32)

    seeds = [0, *(1 << bit for bit in range(_SEED_BITS))]
    requests = [_Request([1], seed, _MANY) for seed in seeds]
    _run_together(_Guarded(make(flat)), requests)
    drawn: dict[tuple[int, ...], int] = {}
    for request in requests:
        tokens = tuple(request.tokens)
        assert len(tokens) == _MANY, f"{request} got {len(tokens)}"
        assert len(set(tokens)) > 1, f"{request} got one token again and again from a flat model"
        assert tokens not in drawn, (
            f"seeds {drawn[tokens]} and {request.seed} draw the same {_MANY} tokens"
        )
        drawn[tokens] = request.seed


def _run_together(engine: _Guarded, requests: list[_Request]) -> None:
    keys = {
        engine.add(list(request.prompt), request.seed, request.most): request
        for request in requests
    }
    for _ in range(_MOST_STEPS * len(requests)):
        for key, token in engine.step():
            keys[key].tokens.append(token)
        if all(engine.state(key) is not State.RUNNING for key in keys):
            return


def check_engine(
    make: Callable[[ForwardFunction], EngineUnderTest],
    *,
    examples: int = 200,
    steps: int = 30,
    faults: bool = True,
    shrink: bool = True,
) -> None:
    """Check an engine with a state machine: add, step, cancel and model faults in any order.

    The oracle of a request is the same engine with that request alone and no fault. Laws: the
    tokens of every request are those of the oracle, or a beginning of them while it runs or if it
    was ended; a request is done exactly when it has all of them; one whose logits are NaN fails,
    and no other with it; after the model raised, the engine takes and serves new requests; a
    cancelled request gives no more tokens, and nobody else is cancelled; and in a bounded number of
    steps every request ends. After that, a model that is sure of each token shows whether it is
    asked about whole texts, of up to 43 tokens, and a flat one whether seeds that differ in one of
    32 bits draw differently: who cuts texts or seeds does so alone as well.

    make: makes an engine (`EngineUnderTest`) over a forward function, `list[list[int]] -> (batch,
        VOCAB) float32`, which is a pure function of the prefix.
    examples, steps: how many histories, and how long each is at most. The defaults take some 5 s
        with a fast engine; 50 histories miss a rare fault in a quarter of all runs.
    faults: whether the model raises and gives NaN.
    shrink: whether the shortest history that fails is looked for, which takes a while.

    Raises `AssertionError`; Hypothesis prints the shortest history that fails.
    """
    machine = type(
        "Machine",
        (_Machine,),
        {"make": staticmethod(make), "oracle": _Oracle(make), "faults": faults},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            database=None,
            report_multiple_bugs=False,  # an `ExceptionGroup` is no `AssertionError`
            suppress_health_check=list(HealthCheck),
        ),
    )
    _long_texts(make)
    _seeds(make)
