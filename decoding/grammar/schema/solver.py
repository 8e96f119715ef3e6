"""Recursion without Python's stack: functions that ask each other for results.

A *method* answers one kind of question about one subject, either at once or as a generator that
yields the questions it depends on. The solver keeps every answer, so no question is answered twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import GeneratorType
from typing import Any, TypeAlias, TypeVar

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.schema.report import QUESTION_STEPS, Report
from decoding.typing import Anything

T = TypeVar("T")
Question: TypeAlias = tuple[Any, ...]  # the name of a method, then its arguments
Steps: TypeAlias = Generator[Question, Any, T]
Method: TypeAlias = Callable[..., Any]


class CircularError(Exception):
    """A question depends on its own answer."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Solver:
    """Answers questions by methods."""

    def __init__(self, methods: Mapping[str, Method], report: Report) -> None:
        self._methods = methods
        self._answers: dict[Question, Any] = {}
        self._report = report

    def solve(self, question: Question) -> Anything:  # depends on the question
        """The answer; what the methods raise passes through every question that waits for it."""
        answers = self._answers
        if question in answers:
            return answers[question]
        first = self._begin(question)
        if first is None:
            return answers[question]
        stack = [(question, first)]
        active = {question}
        value: Any = None
        error: Exception | None = None
        while stack:
            question, steps = stack[-1]
            try:
                asked = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                stack.pop()
                active.discard(question)
                value, error = stop.value, None
                answers[question] = value
                continue
            except (CircularError, GrammarUnsupportedError) as problem:
                stack.pop()
                active.discard(question)
                if not stack:
                    raise
                error = problem
                continue
            value, error = None, None
            if asked in answers:
                value = answers[asked]
            elif asked in active:
                error = CircularError(asked)
            else:
                try:
                    begun = self._begin(asked)
                except GrammarUnsupportedError as problem:
                    error = problem
                    continue
                if begun is None:
                    value = answers[asked]
                else:
                    stack.append((asked, begun))
                    active.add(asked)
        return value

    def _begin(self, question: Question) -> Generator[Question, Any, Any] | None:
        """The generator that will answer, or `None` where the answer is there already."""
        self._report.count(QUESTION_STEPS)
        answer = self._methods[question[0]](*question[1:])
        if isinstance(answer, GeneratorType):
            return answer
        self._answers[question] = answer
        return None
