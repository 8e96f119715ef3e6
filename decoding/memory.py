"""The states of a model that an engine holds: each is given back once, whatever happens."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any

from decoding.models.protocol import CachedModel, State


class Memory:
    """A cached model, with an account of the states that it has handed out.

    A state is known from the moment the model returns it until `keep` is called without it; then
    `release` is called on it once. What `release` raises is logged: the requests have their tokens.

    Python can be interrupted between any two instructions, but not within a call of a built-in
    function in C, apart from what that calls. So `list.extend` calls the model and takes down what
    it returns, and an iterator in C takes a state off the list and calls `release` on it.
    """

    def __init__(self, model: CachedModel) -> None:
        self._model = model
        self._returned: list[tuple[Iterable[State], Any]] = []
        # The states that are held, and those on their way out: one attribute, to change at once.
        self._books: tuple[list[State], Iterator[State]] = ([], iter(()))

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, all_positions: bool
    ) -> tuple[list[State], Any]:
        """New states and logits; see `CachedModel.prefill`."""
        call = partial(self._model.prefill, prompts, all_positions=all_positions)
        self._returned.extend(map(operator.call, (call,)))
        states, logits = self._returned[-1]
        held = list(states)
        self._returned[-1] = (held, logits)
        self._take_down()
        return held, logits

    def extend(
        self, states: Sequence[State], token_ids: Sequence[Sequence[int]], *, all_positions: bool
    ) -> Any:  # noqa: ANN401 -- logits
        """Append tokens; see `CachedModel.extend`."""
        return self._model.extend(states, token_ids, all_positions=all_positions)

    def fork(self, state: State, count: int) -> list[State]:
        """Independent copies of a state."""
        held, _ = self._books
        known = len(held)
        held.extend(map(self._model.fork, repeat(state, count)))
        return held[known:]

    def rollback(self, state: State, count: int) -> None:
        """Forget the last tokens; see `CachedModel.rollback`."""
        self._model.rollback(state, count)

    def keep(self, states: Iterable[State]) -> None:
        """Give back every state but these.

        An interrupt in the middle is raised when all are given back.
        """
        self._take_down()
        kept = {id(state) for state in states}
        held, leaving = self._books
        gone = [state for state in held if id(state) not in kept]
        if gone:
            self._books = (
                [state for state in held if id(state) in kept],
                chain(leaving, gone),
            )
        _, leaving = self._books
        interrupt: BaseException | None = None
        while True:
            try:
                # Whatever `release` raises, the iterator is past its state.
                deque(map(self._model.release, leaving), maxlen=0)
            except Exception as error:  # noqa: BLE001 -- a model may raise anything
                _log(error)
            except BaseException as error:  # noqa: BLE001 -- raised below
                interrupt = error
            else:
                break
        held, _ = self._books
        self._books = (held, iter(()))
        if interrupt is not None:
            raise interrupt

    def _take_down(self) -> None:
        """Enter what `prefill` has returned; harmless when a part of it is entered already."""
        if not self._returned:
            return
        held, _ = self._books
        known = {id(state) for state in held}
        for result in self._returned:
            held += [state for state in _states_of(result) if id(state) not in known]
        self._returned = []


def _log(error: Exception) -> None:
    """Tell the operator; most processes never need the module for it."""
    import logging

    problem = "a model failed to release the state of a sequence"
    logging.getLogger("decoding").error(problem, exc_info=error)


def _states_of(result: Any) -> list[State]:  # noqa: ANN401 -- what a model returned
    """The states in what `prefill` returned; none where it is nothing of the kind."""
    try:
        states, _ = result
        return list(states)
    except Exception:  # noqa: BLE001 -- the caller reports it as a failed forward pass
        return []
