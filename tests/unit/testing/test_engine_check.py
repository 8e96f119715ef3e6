"""`check_engine` on our engine and on a stranger's, right and with one fault at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding import Engine, GenerationParameters, Request
from decoding.errors import CancelledError
from decoding.testing import State, check_engine


class Ours:
    """Our engine behind the kit's protocol."""

    def __init__(self, forward: Any) -> None:
        self.engine = Engine(forward, max_batch_size=3)
        self.requests: list[Any] = []

    def add(self, prompt: list[int], seed: int, max_tokens: int) -> int:
        parameters = GenerationParameters(seed=seed, max_new_tokens=max_tokens, do_sample=True)
        self.requests.append(self.engine.submit(Request(prompt, parameters)))
        return len(self.requests) - 1

    def step(self) -> Iterable[tuple[int, int]]:
        moved = self.engine.step()
        return [
            (self.requests.index(item), event.token.id)
            for item in moved
            for event in item.take_events()
        ]

    def cancel(self, key: int) -> None:
        self.engine.cancel(self.requests[key])

    def state(self, key: int) -> State:
        request = self.requests[key]
        if not request.done:
            return State.RUNNING
        if request.error is None:
            return State.DONE
        ended = isinstance(request.error, CancelledError)
        return State.CANCELLED if ended else State.FAILED


def test_ours() -> None:
    check_engine(Ours, examples=12, steps=20)


class Stranger:
    """A small engine: prefixes in a list, one uniform number a (seed, position)."""

    def __init__(self, forward: Any) -> None:
        self.forward = forward
        self.texts: list[list[int]] = []
        self.prompts: list[int] = []
        self.seeds: list[int] = []
        self.most: list[int] = []
        self.states: list[State] = []

    def add(self, prompt: list[int], seed: int, max_tokens: int) -> int:
        self.texts.append(prompt)
        self.prompts.append(len(prompt))
        self.seeds.append(seed)
        self.most.append(max_tokens)
        self.states.append(State.RUNNING)
        return len(self.texts) - 1

    def running(self) -> list[int]:
        return [key for key, state in enumerate(self.states) if state is State.RUNNING]

    def logits(self, keys: list[int]) -> Any:
        try:
            return self.forward([self.texts[key] for key in keys])
        except Exception:
            for key in keys:
                self.states[key] = State.FAILED
            return None

    def draw(self, row: Any, key: int, place: int) -> int:
        del place
        return self.drawn(row, (self.seeds[key], len(self.texts[key])))

    def drawn(self, row: Any, address: tuple[int, ...]) -> int:
        weights = np.exp(row - row.max()).cumsum()
        u = np.random.default_rng(address).random()
        return int((u * weights[-1] < weights).argmax())

    def step(self) -> Iterable[tuple[int, int]]:
        keys = self.running()
        rows = self.logits(keys) if keys else None
        given = []
        for place, key in enumerate(keys if rows is not None else []):
            if not np.isfinite(rows[place]).all():
                self.states[key] = State.FAILED
                continue
            token = self.draw(rows[place], key, place)
            self.texts[key].append(token)
            given.append((key, token))
            if len(self.texts[key]) - self.prompts[key] >= self.most[key]:
                self.states[key] = State.DONE
        return given

    def cancel(self, key: int) -> None:
        if self.states[key] is State.RUNNING:
            self.states[key] = State.CANCELLED

    def state(self, key: int) -> State:
        return self.states[key]


def test_a_right_stranger() -> None:
    check_engine(Stranger, examples=20)


class DrawsByPlace(Stranger):
    def draw(self, row: Any, key: int, place: int) -> int:
        return self.drawn(row, (self.seeds[key], len(self.texts[key]), place))


class OneStream(Stranger):
    def __init__(self, forward: Any) -> None:
        super().__init__(forward)
        self.generator = np.random.default_rng(0)

    def draw(self, row: Any, key: int, place: int) -> int:
        return self.drawn(row, (int(self.generator.integers(2**31)),))


class SharesLogits(Stranger):
    def logits(self, keys: list[int]) -> Any:
        rows = super().logits(keys)
        return rows if rows is None or len(rows) < 3 else np.roll(rows, 1, axis=0)


class DiesWithTheModel(Stranger):
    def logits(self, keys: list[int]) -> Any:
        return self.forward([self.texts[key] for key in keys])


class StaysDeadAfterTheModel(Stranger):
    dead = False

    def logits(self, keys: list[int]) -> Any:
        rows = None if self.dead else super().logits(keys)
        self.dead = self.dead or rows is None
        for key in keys if rows is None else ():
            self.states[key] = State.FAILED
        return rows


class DrawsFromNaN(Stranger):
    def logits(self, keys: list[int]) -> Any:
        rows = super().logits(keys)
        return None if rows is None else np.nan_to_num(rows)


class FailsTheWholeBatch(Stranger):
    def logits(self, keys: list[int]) -> Any:
        rows = super().logits(keys)
        if rows is not None and not np.isfinite(rows).all():
            for key in keys:
                self.states[key] = State.FAILED
            return None
        return rows


class GoesOnAfterCancel(Stranger):
    def cancel(self, key: int) -> None:
        pass


class CancelUndoesDone(Stranger):
    def cancel(self, key: int) -> None:
        self.states[key] = State.CANCELLED


class NeverRunsTheFourth(Stranger):
    def running(self) -> list[int]:
        return [key for key in super().running() if key != 3]


class OneTokenShort(Stranger):
    def step(self) -> Iterable[tuple[int, int]]:
        given = super().step()
        for key in self.running():
            if key % 2 and self.most[key] == len(self.texts[key]) - self.prompts[key] + 1:
                self.states[key] = State.DONE
        return given


@pytest.mark.parametrize(
    "engine",
    spread(
        [
            DrawsByPlace,
            OneStream,
            SharesLogits,
            DiesWithTheModel,
            StaysDeadAfterTheModel,
            DrawsFromNaN,
            FailsTheWholeBatch,
            GoesOnAfterCancel,
            CancelUndoesDone,
            NeverRunsTheFourth,
            OneTokenShort,
        ],
        8,
    ),
)
def test_faults_are_found(engine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((AssertionError, RuntimeError, ExceptionGroup)):
        check_engine(engine, examples=60, shrink=False)
    capsys.readouterr()  # what Hypothesis prints of the shortest history


def test_an_engine_without_faults_in_its_model() -> None:
    check_engine(DiesWithTheModel, examples=10, faults=False)
