"""Records the model states that an engine holds, and releases each exactly once."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple, cast

from decoding.models.protocol import AdaptedModel, CachedModel, StartingModel, State
from decoding.typing import Anything, Rows


class _Books(NamedTuple):
    """The record of held states, replaced as a whole so that interrupts see no partial change.

    held: states in use. returned: what `prefill` returned since the account was last replaced.
    leaving: states to release, each taken off as `release` is called.
    """

    held: list[State]
    returned: list[Any]
    leaving: deque[State]


class Memory:
    """A `CachedModel` with a record of the states that it has returned.

    A state is known from the moment the model returns it until `keep` is called without it; then
    `release` is called on it once. What `release` raises is logged: the requests have their tokens.

    Python can be interrupted between any two instructions, but not within a call of a built-in
    function in C, apart from what that calls. So `list.extend` calls the model and takes down what
    it returns, and an iterator in C takes a state off the list and calls `release` on it. Such an
    iterator takes a `StopIteration` of the model for its own end: what it has done is counted.
    """

    def __init__(self, model: CachedModel) -> None:
        self._model = model
        self._books = _Books([], [], deque())

    def prefill(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        all_positions: bool,
        adapted: AdaptedModel | None = None,
    ) -> tuple[list[State], Any]:
        """Make new states and logits; see `CachedModel.prefill`.

        adapted: the model with an adapter, where the sequences are to have one.
        """
        call = partial((adapted or self._model).prefill, prompts, all_positions=all_positions)
        returned = self._books.returned
        _extend(returned, map(operator.call, (call,)), 1)
        states, logits = returned[-1]
        held = list(states)
        returned[-1] = (held, None)  # the logits may go before the states
        return held, logits

    @property
    def starts(self) -> bool:
        """Whether the model is a `StartingModel`: it can start an empty sequence."""
        return hasattr(self._model, "start")

    def start(self, adapted: AdaptedModel | None = None) -> State:
        """Make and hold the state of an empty sequence of a `StartingModel`."""
        held, model = self._books.held, cast("StartingModel", adapted or self._model)
        _extend(held, map(operator.call, (model.start,)), 1)
        return held[-1]

    def extend(
        self, states: Sequence[State], token_ids: Sequence[Sequence[int]], *, all_positions: bool
    ) -> Anything:
        """Append tokens; see `CachedModel.extend`."""
        return self._model.extend(states, token_ids, all_positions=all_positions)

    def fork(self, state: State, count: int) -> list[State]:
        """Independent copies of a state."""
        if count == 0:
            return []
        held = self._books.held
        known = len(held)
        _extend(held, map(self._model.fork, repeat(state, count)), count)
        return held[known:]

    def rollback(self, state: State, count: int) -> None:
        """Forget the last tokens; see `CachedModel.rollback`."""
        self._model.rollback(state, count)

    def keep(self, states: Iterable[State]) -> None:
        """Release all recorded states but the given ones.

        An interrupt in the middle is raised when all are given back.
        """
        kept = set(map(id, states))
        held, returned, leaving = self._books
        every = [*held, *(state for result in returned for state in _states_of(result))]
        gone = [state for state in every if id(state) not in kept]
        stay = [state for state in every if id(state) in kept] if gone else every
        self._books = _Books(stay, [], deque([*leaving, *gone]))
        interrupt: BaseException | None = None
        while leaving := self._books.leaving:
            try:
                # Whatever `release` raises, its state has been taken off.
                states_taken_off = map(deque.popleft, repeat(leaving, len(leaving)))
                deque(map(self._model.release, states_taken_off), maxlen=0)
            except Exception as error:  # a model may raise anything
                _log(error)
            except BaseException as error:  # raised below
                interrupt = error
        if interrupt is not None:
            raise interrupt


def _extend(held: list[Any], returned: Iterable[Any], count: int) -> None:
    """Append `count` items; raise where there are fewer, as a model raised `StopIteration`."""
    wanted = len(held) + count
    held.extend(returned)
    if len(held) < wanted:
        raise RuntimeError("the model raised StopIteration")


def _log(error: Exception) -> None:
    """Log an error; import `logging` only then."""
    import logging

    problem = "a model failed to release the state of a sequence"
    logging.getLogger("decoding").error(problem, exc_info=error)


def _states_of(result: Rows) -> list[State]:
    """The states in a result of `prefill`; none if it is malformed."""
    try:
        states, _ = result
        return list(states)
    except Exception:  # the caller reports it as a failed forward pass
        return []
