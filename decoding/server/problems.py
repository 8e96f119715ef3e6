"""Converts exceptions to HTTP errors: status, type, text, and TGI's or OpenAI's JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

from decoding.bounded_repr import bounded, shown_error
from decoding.errors import (
    CancelledError,
    CapacityError,
    ChatTemplateError,
    DeadlineError,
    DecodingError,
    GrammarError,
    GrammarSyntaxError,
    OverloadedError,
    ParameterError,
    ShapeError,
    SlowReaderError,
    UnsupportedFeatureError,
    WireTypeError,
    WireValidationError,
)

VALIDATION = "validation"

_OPENAI_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    424: "generation_error",
    500: "server_error",
    503: "server_error",
}
_FIELD = re.compile(r"^([\w.\[\]]+) (?:must|cannot) be |`(\w+)`|type: ([\w.\[\]]+): ")
"""Matches the field that an error text names, as this library, TGI's rules and serde word it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The error answer to a request: HTTP status, type and text.

    status: of HTTP. error_type: TGI's name of the kind. text: for people.
    param: the field that is wrong, where that is known. reason: its name in metrics and logs.
    """

    status: int
    error_type: str
    text: str
    param: str | None = None

    def native(self) -> dict[str, object]:
        """The body on TGI's routes."""
        return {"error": self.text, "error_type": self.error_type}

    def openai(self) -> dict[str, object]:
        """The body on `/v1`: OpenAI's clients show `error.message`, TGI's read `error_type`."""
        kind = _OPENAI_TYPES.get(self.status, "invalid_request_error")
        # `/v1` has a grammar under another name.
        param = "response_format" if self.param == "grammar" else self.param
        error = {"message": self.text, "type": kind, "param": param, "code": None}
        return {"error": error, "error_type": self.error_type, "message": self.text}

    def native_event(self) -> dict[str, object]:
        """An event that ends a stream of TGI's routes."""
        return self.native()

    def openai_event(self) -> dict[str, object]:
        """An event that ends a stream of `/v1`, with TGI's status in it."""
        body = self.openai()
        error = body["error"]
        assert isinstance(error, dict)
        return body | {"error": error | {"http_status_code": self.status}}


class ProblemError(Exception):
    """Carries a problem to whoever writes the answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def invalid(text: str, param: str | None = None) -> ProblemError:
    """Make the 422 `ProblemError` for a broken rule; the text is TGI's, without its prefix."""
    found = param or _param(text)
    return ProblemError(Problem(422, VALIDATION, f"Input validation error: {text}", found))


OVERLOADED = Problem(429, "overloaded", "Model is overloaded")
UNHEALTHY = Problem(503, "healthcheck", "unhealthy")
CLOSING = Problem(503, "overloaded", "the server is shutting down")


def problem_of(error: BaseException, *, running: bool) -> Problem:  # noqa: C901, PLR0911 -- one a kind
    """The HTTP status, error type and text of an exception.

    running: whether the request had been accepted; what fails then is the generation.
    """
    match error:
        case ProblemError():
            return error.problem
        case WireTypeError():
            return Problem(422, VALIDATION, str(error), _param(str(error)))
        case WireValidationError():
            return Problem(422, VALIDATION, f"Input validation error: {error}", _param(str(error)))
        case ChatTemplateError():
            return Problem(422, "template_error", f"Template error: {error.reason}", "messages")
        case OverloadedError():
            return OVERLOADED
        case CapacityError():
            text = f"Input validation error: {error}"
            return Problem(422, VALIDATION, text, "max_new_tokens")
        case SlowReaderError() | CancelledError() | DeadlineError():
            text = f"Incomplete generation: {error}"
            return Problem(500, "incomplete_generation", text)
        case DecodingError() if running:
            text = f"Request failed during generation: {error}"
            return Problem(424, "generation", text)
        case GrammarSyntaxError():
            text = f"Input validation error: grammar is not valid: {error}"
            return Problem(422, VALIDATION, text, _grammar_of(error))
        case GrammarError():
            text = f"Input validation error: cannot compile regex from schema: {error}"
            return Problem(422, VALIDATION, text, _grammar_of(error))
        case ParameterError():
            return Problem(422, VALIDATION, f"Input validation error: {error}", error.name)
        case UnsupportedFeatureError() | ShapeError():
            return Problem(422, VALIDATION, f"Input validation error: {error}")
    text = f"Request failed during generation: {bounded(shown_error(error))}"
    return Problem(424 if running else 500, "generation", text)


def _grammar_of(error: GrammarError) -> str:
    """The request field to blame for a grammar error: `tools` or `grammar`."""
    return "tools" if error.where.startswith("tool ") else "grammar"


def _param(text: str) -> str | None:
    found = _FIELD.search(text)
    return None if found is None else found[found.lastindex or 0].removeprefix("parameters.")
