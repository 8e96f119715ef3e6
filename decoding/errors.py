"""`DecodingError` and its subclasses; messages say what was expected, what came and where."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any, Self, TypeVar

from decoding import bounded_repr
from decoding.bounded_repr import bounded
from decoding.typing import Anything

shown, shown_error = bounded_repr.shown, bounded_repr.shown_error
"""How a message shows a value or an exception of others: bounded, and never an error itself."""


class DecodingError(Exception):
    """Base class of all errors that this library raises on purpose.

    A message has at most `decoding.bounded_repr.LONGEST_MESSAGE` characters, which UTF-8 can
    encode; the attributes hold the values themselves. Pickling keeps type, message, attributes,
    notes and cause. An attribute that pickle cannot carry becomes its text, and such a cause a
    plain `Exception` with its text. A deep copy shares what cannot be copied.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(bounded(item) if isinstance(item, str) else item for item in args))

    def __reduce__(self) -> tuple[Any, ...]:
        # Each attribute is pickled apart, to know which of them pickle cannot carry.
        state = {name: _pickled(value) for name, value in vars(self).items()}
        return _unpickled, (type(self), self.args, state, _pickled(self.__cause__))

    def __copy__(self) -> Self:
        return _rebuilt(type(self), self.args, vars(self), self.__cause__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = _rebuilt(type(self), self.args, {}, None)
        memo[id(self)] = twin
        vars(twin).update({name: _deep_copy(value, memo) for name, value in vars(self).items()})
        if self.__cause__ is not None:
            twin.__cause__ = _deep_copy(self.__cause__, memo)
        return twin


_Error = TypeVar("_Error", bound=DecodingError)


def _rebuilt(
    kind: type[_Error],
    args: tuple[object, ...],
    attributes: dict[str, Any],
    cause: BaseException | None,
) -> _Error:
    """Make an error from a class and attributes, without calling the class's constructor."""
    error = kind.__new__(kind)
    super(DecodingError, error).__init__(*args)
    vars(error).update(attributes)
    if cause is not None:
        error.__cause__ = cause
    return error


def _unpickled(
    kind: type[_Error], args: tuple[object, ...], attributes: dict[str, bytes], cause: bytes
) -> _Error:
    # Parts of the pickle that calls this.
    loaded = {name: pickle.loads(data) for name, data in attributes.items()}  # noqa: S301
    return _rebuilt(kind, args, loaded, pickle.loads(cause))  # noqa: S301


def _pickled(value: object) -> bytes:
    """The pickle of a value, or of its text where the value does not survive pickling."""
    try:
        data = pickle.dumps(value)
        pickle.loads(data)  # noqa: S301 -- our own bytes
    except Exception:  # pickling runs foreign code
        is_error = isinstance(value, BaseException)
        return pickle.dumps(Exception(shown_error(value)) if is_error else shown(value))
    return data


def _deep_copy(value: Anything, memo: dict[int, Any]) -> Anything:
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # copying runs foreign code
        return value


class ParameterError(DecodingError, ValueError):
    """A parameter is outside its range.

    Attributes:
        name: the parameter, as the caller spelled it.
        value: what came.
        expected: the legal range, in words.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} must be {expected}, got {shown(value)}")
        self.name, self.value, self.expected = name, value, expected


class WireValidationError(DecodingError, ValueError):
    """A request breaks a rule of the TGI wire; `str()` is TGI's text without its prefix.

    Attributes:
        error_type: TGI's name of the kind of error.
        status: the HTTP status TGI answers with.
    """

    error_type = "validation"
    status = 422

    def to_wire(self) -> dict[str, str]:
        """The body TGI answers with."""
        return {"error": f"Input validation error: {self}", "error_type": self.error_type}


class WireTypeError(WireValidationError):
    """A field has the wrong JSON type; the text is that of TGI's web framework, without prefix."""

    def to_wire(self) -> dict[str, str]:
        """TGI answers with the bare text; here it is wrapped as every other error."""
        return {"error": str(self), "error_type": self.error_type}


class UnsupportedFeatureError(DecodingError, NotImplementedError):
    """A legal request needs a feature that this version does not have.

    Attributes:
        feature: the request's field.
    """

    def __init__(self, feature: str, reason: str) -> None:
        super().__init__(f"{feature} cannot be used: {reason}")
        self.feature = feature


class ShapeError(DecodingError, ValueError):
    """An array has the wrong shape, dtype or kind.

    Attributes:
        name: the array's role.
        got: what came.
        expected: what was expected.
    """

    def __init__(self, name: str, got: object, expected: str) -> None:
        text = got if isinstance(got, str) else shown(got)
        super().__init__(f"{name} must be {expected}, got {text}")
        self.name, self.got, self.expected = name, got, expected


class InvalidLogitsError(DecodingError, ValueError):
    """A row of logits contains NaN or +inf.

    Attributes:
        row: index in the batch.
        position: the first offending token id.
        count: how many entries offend.
        step: tokens generated before this one, where an engine knows it.
    """

    def __init__(self, row: int, position: int, count: int, step: int | None = None) -> None:
        where = f"row {row}" if step is None else f"row {row}, step {step}"
        super().__init__(
            f"logits must be finite or -inf, got {count} NaN or +inf entries,"
            f" the first at token id {position} ({where})"
        )
        self.row, self.position, self.count, self.step = row, position, count, step


class EmptySupportError(DecodingError):
    """No token is left to choose from.

    Attributes:
        row: index in the batch.
        processor: who removed the last token; None when the model's own row was empty.
        step: tokens generated before this one, where an engine knows it.
    """

    def __init__(self, row: int, processor: str | None, step: int | None = None) -> None:
        where = f"row {row}" if step is None else f"row {row}, step {step}"
        culprit = "the model allows none" if processor is None else f"{processor} removed the last"
        super().__init__(f"at least one token must have a finite logit: {culprit} ({where})")
        self.row, self.processor, self.step = row, processor, step


class ProcessorError(DecodingError):
    """A user-written processor raised, wrote to its input or broke its contract.

    Attributes:
        processor: its repr.
        row: index in the batch.
        step: tokens generated before this one, where an engine knows it.
    """

    def __init__(self, processor: str, problem: str, row: int, step: int | None = None) -> None:
        where = f"row {row}" if step is None else f"row {row}, step {step}"
        super().__init__(f"processor {processor} {problem} ({where})")
        self.processor, self.row, self.step = processor, row, step


class ForwardError(DecodingError):
    """The model's forward function raised or returned something that is not logits.

    Attributes:
        step: tokens generated before the failing one.
    """

    def __init__(self, problem: str, step: int) -> None:
        super().__init__(f"the model's forward function {problem} (step {step})")
        self.step = step


class RequestError(DecodingError):
    """A running request ended for a reason that no narrower error describes.

    Its vocabulary or its grammar raised something, or a state of the model could not be had again
    after an interrupt.

    Attributes:
        step: tokens generated before the failing one.
    """

    def __init__(self, problem: str, step: int) -> None:
        super().__init__(f"the request cannot go on: {problem} (step {step})")
        self.step = step


class CancelledError(DecodingError):
    """A request was cancelled before it finished."""


class SlowReaderError(DecodingError):
    """A request ended because nobody read its events for too long.

    Attributes:
        limit: how many events were kept for the reader.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the reader is too slow: more than {limit} events were not read")
        self.limit = limit


class OverloadedError(DecodingError):
    """An engine has as many requests in its queue as it may have.

    Attributes:
        limit: the most requests that wait.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the engine is overloaded: {limit} requests are waiting, the most allowed"
        )
        self.limit = limit


class DeadlineError(DecodingError):
    """A request took longer than it was given.

    Attributes:
        stage: "queue" where it had not started, "total" otherwise.
        seconds: what it was given.
    """

    def __init__(self, stage: str, seconds: float) -> None:
        where = "before it started" if stage == "queue" else "before it finished"
        super().__init__(f"the request's {seconds:g} seconds ran out {where}")
        self.stage, self.seconds = stage, seconds


class CapacityError(DecodingError, ValueError):
    """A model's KV cache has no room for so many tokens.

    Attributes:
        wanted: tokens that were asked for.
        room: tokens that there is room for.
    """

    def __init__(self, wanted: int, room: int, what: str) -> None:
        super().__init__(f"{wanted} tokens do not fit the model's KV cache: {room} {what}")
        self.wanted, self.room = wanted, room


class BatchError(DecodingError):
    """Some requests of a batch failed; nothing of the others is lost.

    Attributes:
        results: in the order of the requests, each a response or the error that ended it.
    """

    def __init__(self, results: Sequence[object]) -> None:
        failed = [index for index, result in enumerate(results) if isinstance(result, Exception)]
        count = f"{len(failed)} of {len(results)} requests failed (indices {shown(failed)})"
        first = "".join(f"; the first: {shown_error(results[index])}" for index in failed[:1])
        super().__init__(count + first)
        self.results = tuple(results)


class ModelFormatError(DecodingError, ValueError):
    """A model file cannot be read, or holds something this library does not implement.

    Attributes:
        path: the file.
    """

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class ChatTemplateError(DecodingError, ValueError):
    """A chat template is not valid Jinja, failed, or refused the messages.

    Attributes:
        reason: what the template or Jinja said.
        line: of the template, for a syntax error; else None.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        where = "" if line is None else f" (line {line})"
        super().__init__(f"the chat template cannot be rendered: {reason}{where}")
        self.reason, self.line = reason, line


class FetchError(DecodingError):
    """A model could not be downloaded or failed its checksum."""


class ServerError(DecodingError):
    """A server refuses a request, or breaks off its answer."""


class RankError(DecodingError):
    """Another process of a distributed group failed, so that this one cannot go on.

    Attributes:
        rank: of the process in the group.
        problem: what it raised, as a text.
    """

    def __init__(self, rank: int, problem: str) -> None:
        super().__init__(f"rank {rank} of the group failed: {problem}")
        self.rank, self.problem = rank, problem


class RankMismatchError(DecodingError, ValueError):
    """The processes of a distributed group were given different arguments.

    Attributes:
        name: the argument.
        rank: the first process whose argument is not that of rank 0.
        got: its argument, as a text.
        expected: that of rank 0, as a text.
    """

    def __init__(self, name: str, rank: int, got: str, expected: str) -> None:
        super().__init__(
            f"{name} must be the same on every rank, got {got} on rank {rank}"
            f" and {expected} on rank 0"
        )
        self.name, self.rank, self.got, self.expected = name, rank, got, expected


class MissingDependencyError(DecodingError, ImportError):
    """An optional package is not installed.

    Attributes:
        package: what is missing.
        extra: the extra of this distribution that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is needed here and is not installed: pip install 'decoding-engine[{extra}]'"
        )
        self.package, self.extra = package, extra


def require(name: str, value: object, legal: bool, expected: str) -> None:
    """Raise `ParameterError` unless the value is legal."""
    if not legal:
        raise ParameterError(name, value, expected)


class GrammarError(DecodingError, ValueError):
    """Base class of the errors of grammars.

    Attributes:
        where: the JSON pointer of the keyword, the line of a grammar file or the offset in a regex.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where or 'the root'}: {reason}")
        self.where = where


class GrammarSyntaxError(GrammarError):
    """A regex, a schema or a grammar file is not well formed."""


class GrammarUnsupportedError(GrammarError):
    """A grammar contains a condition that token masks cannot enforce.

    Attributes:
        keyword: the keyword or construct that is not supported.
    """

    def __init__(self, where: str, keyword: str, reason: str) -> None:
        super().__init__(where, f"{keyword} is not supported: {reason}")
        self.keyword = keyword


class GrammarUnsatisfiableError(GrammarError):
    """No text fits a grammar."""


class GrammarVocabularyError(GrammarError):
    """A grammar needs bytes that no token of the vocabulary spells.

    Attributes:
        missing: bytes that may have to follow and have no token of their own.
    """

    def __init__(self, where: str, missing: bytes) -> None:
        listed = " ".join(f"{byte:02X}" for byte in missing[:16]) + " ..." * (len(missing) > 16)
        super().__init__(where, f"the vocabulary has no token for the bytes {listed}")
        self.missing = missing


class GrammarLimitError(GrammarError):
    """A grammar needs more time, memory or states than its limits allow.

    Attributes:
        what: the resource.
        limit: its bound.
    """

    def __init__(self, where: str, what: str, limit: float) -> None:
        super().__init__(where, f"more than {limit:,} {what}, the limit")
        self.what, self.limit = what, limit
