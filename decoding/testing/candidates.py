"""Calls third-party processors by their parameters' names, on NumPy or torch, in place or not."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError
from decoding.history import History
from decoding.testing.cases import Case
from decoding.typing import Anything

Arrays = Literal["auto", "numpy", "torch"]
Function = Callable[..., Anything]
"""A function of logits, and of whatever else its parameters name."""

ROLES = {
    "history": ("history",),
    "lengths": ("lengths", "seq_lens"),
    "prompt_lengths": ("prompt_lengths", "prompt_lens"),
    "prompt_ids": ("prompt_ids", "prompt", "prompts", "prompt_token_ids"),
    "generated_ids": ("generated_ids", "generated", "output_ids", "output_token_ids"),
    "token_ids": ("token_ids", "input_ids", "ids", "tokens"),
    "logits": ("logits", "scores", "row", "rows", "x", "z", "logprobs"),
}
"""What a candidate is given, and the names of parameters that ask for it."""

_BESIDE, _LIKELY = 3, 57_344.0
"""The columns that a wider array has beside the logits, and their value, exact in any format."""

BY_PLACE = ("logits", "token_ids", "lengths", "prompt_lengths")
"""What parameters of other names are given, by their place."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a candidate on a batch.

    values: `(batch, vocab)` float64. format: the name of its dtype.
    written: whether the logits that were handed over differ afterwards, or what stands beside them
        in a wider array. changed: what else does, by the name of the argument.
    returned: the array that the candidate returned, None where it is called with one row a time.
    """

    values: NDArray[np.float64]
    format: str
    written: bool
    changed: str = ""
    returned: Anything = None

    def is_as_it_was(self) -> bool:
        """Whether the array that the candidate returned still holds the result."""
        if self.returned is None:
            return True
        now = _numbers(self.returned)[0].reshape(self.values.shape)
        return np.array_equal(now, self.values, equal_nan=True)


class CandidateError(Exception):
    """A candidate raised, or returned something that is no logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """How a candidate is called: its parameters, its kind of arrays, and whether it edits in place.

    arrays: "numpy", "torch", or "auto": NumPy where that works.
    in_place: whether the candidate writes its result to its input.
    batched: whether it takes `(batch, vocab)`; if not, it is called with each row `(vocab,)`.
    pad_id: fills token ids `(batch, width)` on the right, where the candidate is given no lengths;
        where it is, tokens of the same and of other rows stand there. None: rows of a batch have
        equal lengths, and nothing is padded.
    ragged: whether token ids are lists of lists instead of arrays.
    """

    arrays: Arrays = "auto"
    in_place: bool = False
    batched: bool = True
    pad_id: int | None = -1
    ragged: bool = False

    def __post_init__(self) -> None:
        if self.arrays not in ("auto", "numpy", "torch"):
            raise ParameterError("arrays", self.arrays, "'auto', 'numpy' or 'torch'")


class Candidate:
    """A third-party processor, called with the logits and token ids of a `Case`."""

    __slots__ = ("_calling", "_function", "name", "roles")

    def __init__(self, function: Function, calling: Calling) -> None:
        if not callable(function):
            raise ParameterError("candidate", function, "a function of logits")
        self._function = function
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.roles = _roles(function)
        self._calling = calling

    @property
    def needs_lengths(self) -> bool:
        """Whether the candidate is told where its rows of token ids end."""
        return bool({"lengths", "history"} & set(self.roles))

    @property
    def splits_prompts(self) -> bool:
        """Whether the candidate is told which token ids are of the prompt."""
        return bool({"history", "prompt_lengths", "prompt_ids"} & set(self.roles))

    @property
    def batched(self) -> bool:
        """Whether the candidate is called with all rows of a batch at once."""
        return self._calling.batched

    @property
    def reads_history(self) -> bool:
        """Whether the candidate is given token ids."""
        return self.roles != ("logits",)

    def settled(self, case: Case) -> Candidate:
        """The candidate with its kind of arrays found out by calling it."""
        if self._calling.arrays != "auto":
            return self
        failed: CandidateError | None = None
        kinds: tuple[Literal["numpy", "torch"], ...] = ("numpy", "torch")
        if case.format == "bfloat16":
            kinds = ("torch",)
        for arrays in kinds:
            candidate = Candidate(self._function, replace(self._calling, arrays=arrays))
            try:
                candidate(case)
            except CandidateError as error:
                failed = failed or error
            except ImportError:  # without torch there is only NumPy
                break
            else:
                return candidate
        if failed is not None and isinstance(failed.__cause__, TypeError | AttributeError):
            raise failed
        return Candidate(self._function, replace(self._calling, arrays=kinds[0]))

    def __call__(self, case: Case, padding: int = 0, *, part: bool = False) -> Answer:
        """Call the candidate with a copy of the case.

        padding: columns of token ids after the longest row.
        part: whether the logits are the first columns of a wider array.
        """
        if self._calling.batched:
            return self._call(case, padding, part=part)
        parts = [self._call(case.select([row]), padding) for row in range(len(case))]
        return Answer(
            np.concatenate([part.values for part in parts]),
            parts[0].format,
            any(part.written for part in parts),
            next((part.changed for part in parts if part.changed), ""),
        )

    def _call(self, case: Case, padding: int, *, part: bool = False) -> Answer:
        whole = self._arrays(case, _BESIDE if part else 0)
        given = whole[:, : case.logits.shape[1]] if part else whole
        arguments = [
            given if role == "logits" else self._argument(role, case, padding)
            for role in self.roles
        ]
        before = [
            None if role == "logits" else _snapshot(argument)
            for role, argument in zip(self.roles, arguments, strict=True)
        ]
        with quietly():
            try:
                returned = self._function(*arguments)
            except Exception as error:
                raise CandidateError(f"it raised {type(error).__name__}: {error}") from error
        written = not _holds(whole, case)
        changed = next(
            (
                role
                for role, earlier, argument in zip(self.roles, before, arguments, strict=True)
                if role != "logits" and _snapshot(argument) != earlier
            ),
            "",
        )
        if returned is None:
            if not self._calling.in_place:
                raise CandidateError("it returned None: is it a candidate with in_place=True?")
            returned = given
        values, name = _numbers(returned)
        shape = case.logits.shape
        if values.shape != shape and (self._calling.batched or values.shape != shape[1:]):
            raise CandidateError(f"it returned shape {values.shape} for logits {shape}")
        return Answer(
            values.reshape(shape),
            name,
            written,
            changed,
            returned if self._calling.batched else None,
        )

    def _arrays(self, case: Case, beside: int = 0) -> Anything:
        logits = _beside(case.logits, beside) if self._calling.batched else case.logits[0]
        if self._calling.arrays != "torch":
            return np.array(logits, case.format, copy=True)
        import torch

        return torch.tensor(logits.astype(np.float64), dtype=getattr(torch, case.format))

    def _argument(self, role: str, case: Case, padding: int) -> Anything:
        history = case.history
        if role == "history":
            return _hostile(history, padding)
        if role in ("lengths", "prompt_lengths"):
            lengths = history.lengths if role == "lengths" else history.prompt_lengths
            return self._integers(lengths.copy())
        parts = {
            "prompt_ids": case.prompts,
            "generated_ids": case.generated,
            "token_ids": [
                (*prompt, *text) for prompt, text in zip(case.prompts, case.generated, strict=True)
            ],
        }[role]
        if self._calling.ragged:
            lists = [list(part) for part in parts]
            return lists if self._calling.batched else lists[0]
        if not self._calling.batched:
            return self._integers(np.array(parts[0], np.int64))
        if self.needs_lengths:
            return self._integers(_hostile(history, padding).token_ids.astype(np.int64))
        width = max(map(len, parts), default=0) + (0 if self._calling.pad_id is None else padding)
        fill = 0 if self._calling.pad_id is None else self._calling.pad_id
        token_ids = np.full((len(case), width), fill, np.int64)
        for row, part in enumerate(parts):
            token_ids[row, : len(part)] = part
        return self._integers(token_ids)

    def _integers(self, array: NDArray[np.int64]) -> Anything:
        if self._calling.arrays != "torch":
            return array
        import torch

        return torch.from_numpy(array)


def _hostile(history: History, padding: int) -> History:
    """The same rows with `padding` more columns; behind a row stand its own tokens and others'."""
    rows = [history.row(row).tolist() for row in range(len(history))]
    width = max(map(len, rows), default=0) + padding
    token_ids = np.zeros((len(rows), width), np.int32)
    for index, row in enumerate(rows):
        neighbour = rows[(index + 1) % len(rows)]
        behind = [*neighbour, *row, 0] if padding % 2 else [0, *row, *neighbour]
        token_ids[index] = (row + behind * (width // len(behind) + 1))[:width]
    return History(token_ids, history.lengths.copy(), history.prompt_lengths.copy())


def _snapshot(argument: Anything) -> Anything:
    """The token ids or lengths of an argument, to be compared with what they are later."""
    if isinstance(argument, History):
        return _snapshot([argument.token_ids, argument.lengths, argument.prompt_lengths])
    if isinstance(argument, list):
        return [_snapshot(item) for item in argument]
    return argument.tolist() if hasattr(argument, "tolist") else argument


def _holds(given: Anything, case: Case) -> bool:
    """Whether an array still holds the logits of the case, and what stood beside them."""
    after = given if isinstance(given, np.ndarray) else given.double().numpy()
    after = after.reshape(len(case), -1)
    return np.array_equal(after, _beside(case.logits, after.shape[1] - case.logits.shape[1]))


def _beside(logits: NDArray[np.floating], columns: int) -> NDArray[np.floating]:
    """The logits with further columns, of logits that would win."""
    return np.pad(logits, ((0, 0), (0, columns)), constant_values=_LIKELY)


def _numbers(array: Anything) -> tuple[NDArray[np.float64], str]:
    """An array of NumPy or torch in float64, and the name of its dtype."""
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        raise CandidateError(f"it returned {type(array).__name__}, not an array of logits")
    if hasattr(array, "detach"):
        array = array.detach().cpu().double().numpy()
    elif not hasattr(array, "__array__"):
        raise CandidateError(f"it returned {type(array).__name__}, not an array of logits")
    name = str(dtype).removeprefix("torch.").rpartition(".")[2]
    with np.errstate(all="ignore"):
        return np.array(array, np.float64), name


def roles_by_name(
    function: Function, roles: Mapping[str, Sequence[str]]
) -> list[str | None] | None:
    """The role of each parameter to pass by position, None for an unknown name.

    roles: names of parameters by role. Parameters of other names with a default are left out.
    Returns None for a function whose parameters cannot be read, or that has `*args` alone.
    """
    names = {name: role for role, known in roles.items() for name in known}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C
        return None
    found = [
        names.get(item.name)
        for item in parameters
        if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)
        and (item.default is item.empty or item.name in names)
    ]
    takes_any = any(item.kind == item.VAR_POSITIONAL for item in parameters)
    return None if takes_any and not found else found


def _roles(function: Function) -> tuple[str, ...]:
    """What each positional parameter of a function asks for."""
    found = roles_by_name(function, ROLES)
    if found is None:
        return ("logits",)
    free = [role for role in BY_PLACE if role not in found]
    roles = tuple(role if role is not None else free.pop(0) if free else "?" for role in found)
    if "?" in roles or "logits" not in roles or len(set(roles)) < len(roles):
        raise ParameterError(
            "candidate", function, f"a function of logits and at most {', '.join(ROLES)}"
        )
    return roles


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence NumPy's warnings of infinities and divisions by zero, which checks judge."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
