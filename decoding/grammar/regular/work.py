"""Counts the work of a compilation in steps, so that its limit is the same on every machine.

Decisions on languages are remembered for all compilations. The first use of an answer in a
compilation counts the steps that finding it took, so the count does not depend on what was compiled
before. Each further use counts one step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

from decoding.errors import GrammarError, GrammarLimitError

P = ParamSpec("P")
T = TypeVar("T")

STEPS_A_SECOND = 200_000
"""Steps of work that a limit of one second allows."""

ATTEMPT_STEPS = STEPS_A_SECOND
"""Most steps of work of a first try at an answer, where another method can find it too."""

WORK_SECONDS = 5.0
"""Work that compiling a regex, a list of texts or a context-free grammar may take."""


class Work:
    """The steps that a compilation has taken, and how many it may take.

    seconds: the limit, ≥ 0; each second is `STEPS_A_SECOND` steps. `None` is no limit.
    answers: the remembered answers that this compilation has used, by function and arguments.
    """

    __slots__ = ("answers", "most", "seconds", "steps")

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.most = float("inf") if seconds is None else seconds * STEPS_A_SECOND
        self.steps = 0
        self.answers: dict[Hashable, Any] = {}

    def count(self, steps: int, where: str = "") -> None:
        """Add steps; raise `GrammarLimitError` beyond the limit."""
        self.steps += steps
        if self.steps > self.most:
            self.refuse(where)

    def foresee(self, steps: int, where: str) -> None:
        """Raise `GrammarLimitError` if steps that are certain to follow exceed the limit."""
        if self.steps + steps > self.most:
            self.refuse(where)

    def refuse(self, where: str) -> None:
        """Raise the error of too many steps."""
        raise GrammarLimitError(where, "seconds of work", self.seconds or 0)


_current: ContextVar[Work] = ContextVar("work of the compilation in this context")


@contextmanager
def counting(work: Work) -> Iterator[None]:
    """Context manager: inside it `count` adds steps to the given `Work`."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)
        work.answers.clear()


@contextmanager
def attempt(*, has_other_way: bool = True) -> Iterator[None]:
    """Context manager: limit a first try at an answer to `ATTEMPT_STEPS` steps of work.

    Beyond them `GrammarLimitError` says that the other way is to be tried. The number is the same
    whatever was counted before, so that remembered answers do not depend on that either.

    has_other_way: False for all steps that are left.
    """
    if not has_other_way:
        yield
        return
    outer = _current.get(None)
    work = Work(ATTEMPT_STEPS / STEPS_A_SECOND)
    if outer is not None:
        work.most = min(work.most, outer.most - outer.steps)
        work.answers = outer.answers
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)
        count(work.steps)


def is_counting(work: Work) -> bool:
    """Whether `count` adds to this work here."""
    return _current.get(None) is work


def count(steps: int) -> None:
    """Add steps to the work of the compilation that runs; outside of one nothing is counted."""
    work = _current.get(None)
    if work is not None:
        work.count(steps)


def remembered(size: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator: LRU cache of a function's last `size` answers, with the steps each took.

    The steps count at the first use of an answer in a compilation, which holds the answer then.
    Errors are not remembered.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        def found(*arguments: P.args, **named: P.kwargs) -> tuple[T, int]:
            # Steps are counted apart, under the limit of what is left.
            work = Work()
            outer = _current.get(None)
            if outer is not None:
                work.seconds, work.most = outer.seconds, outer.most - outer.steps
            try:
                with counting(work):
                    answer = function(*arguments, **named)
            except GrammarError:
                count(work.steps)
                raise
            return answer, work.steps

        known = cast("Callable[P, tuple[T, int]]", lru_cache(size)(found))

        @wraps(function)
        def remembering(*arguments: P.args, **named: P.kwargs) -> T:
            work = _current.get(None)
            if work is None:
                return known(*arguments, **named)[0]
            key = (function, arguments, *named.items())
            if key in work.answers:
                work.count(1)
                held: T = work.answers[key]
                return held
            answer, steps = known(*arguments, **named)
            work.count(steps)
            work.answers[key] = answer
            return answer

        return remembering

    return decorated
