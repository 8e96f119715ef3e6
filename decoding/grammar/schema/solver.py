"""Memoised recursion of generator methods on an explicit stack, not Python's call stack.

A *question* names a method and its arguments. A method returns the answer, or is a generator that
yields further questions and receives their answers. The solver keeps every answer.
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
    """Raised where the answer to a question depends on itself."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class Solver:
    """Answers questions by named methods, each question once."""

    def __init__(self, methods: Mapping[str, Method], report: Report) -> None:
        self._methods = methods
        self._answers: dict[Question, Any] = {}
        self._report = report

    def solve(self, question: Question) -> Anything:  # depends on the question
        """The answer to a question. Errors pass through the questions that wait for it."""
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
        """Call the method: returns its generator, or `None` where the answer is known now."""
        self._report.count(QUESTION_STEPS)
        answer = self._methods[question[0]](*question[1:])
        if isinstance(answer, GeneratorType):
            return answer
        self._answers[question] = answer
        return None
