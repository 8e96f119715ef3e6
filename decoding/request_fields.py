"""`RequestField`: name, type, range and help of a request field, declared once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from decoding import checks
from decoding.checks import LARGEST_COUNT
from decoding.logits import is_tensor
from decoding.request_grammar import Grammar
from decoding.typing import Anything

MOST_STRINGS, MOST_CHARACTERS = 2**14, 2**18
"""What a sequence of strings may hold in all: a matcher of stops takes some 300 bytes of memory a
character."""

MOST_TOKEN_IDS = 2**20
"""Token ids that a sequence may hold in all: four times the largest vocabularies."""
_MOST_TOKEN_IDS = f"at most {MOST_TOKEN_IDS} token ids in all"


class TooManyError(Exception):
    """A sequence is longer than a request may have; the message states the limit in words."""


class TokenBias(Mapping[int, float]):
    """An immutable, hashable mapping of token ids to biases, in the order of the ids."""

    __slots__ = ("_biases",)

    def __init__(self, biases: Mapping[int, float] = MappingProxyType({})) -> None:
        self._biases = dict(sorted(biases.items()))

    def __getitem__(self, token_id: int) -> float:
        return self._biases[token_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._biases)

    def __len__(self) -> int:
        return len(self._biases)

    def __hash__(self) -> int:
        return hash(tuple(self._biases.items()))

    def __repr__(self) -> str:
        return repr(self._biases)

    def __reduce__(self) -> tuple[type[TokenBias], tuple[dict[int, float]]]:
        return TokenBias, (self._biases,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """The type of a field's values, and their range.

    name: of the type as Rust has it on the wire: "f32", "u32", "bool", "string", "strings" ...
    annotation: of the Python attribute.
    expected: what an error says of a request's field: "a number in [0, 1]".
    interval: the range as a table and a processor's error say it: "in [0, 1]".
    convert: to the builtin type; raises TypeError or OverflowError for a value of another type.
    accepts: whether a converted value is in the range.
    low, high: the ends of a number's range, and whether they are themselves outside it.
    builtin: from a value that a request holds to one that JSON can hold; None where it is one.
    """

    name: str
    annotation: str
    expected: str
    interval: str
    convert: Callable[[object], Any]
    accepts: Callable[[Any], bool]
    low: float = -math.inf
    high: float = math.inf
    low_is_outside: bool = False
    high_is_outside: bool = False
    builtin: Callable[[Any], object] | None = None

    @property
    def is_number(self) -> bool:
        """Whether values have an order, and `low` and `high` a meaning."""
        return self.annotation in ("int", "float")


@dataclass(frozen=True, slots=True)
class RequestField:
    """One request field: name, type, help, neutral and default value, `initial` if left out.

    help: what it does, in a few words; for `--help` and the OpenAPI document.
    metavar: of its flag.
    neutral: the value at which its processor takes no part; None where there is none.
    default: what None stands for where another field asks for the processor.
    initial: its value in a request that does not have it.
    attribute: of the processor it sets; the same name where it is empty.
    """

    name: str
    type: ValueType
    help: str
    metavar: str = ""
    neutral: object = None
    default: object = None
    initial: object = None
    attribute: str = ""

    @property
    def annotation(self) -> str:
        """The type annotation of the request's attribute."""
        return self.type.annotation + (" | None" if self.initial is None else "")

    @property
    def description(self) -> str:
        """The help, and the neutral value or the default."""
        if self.default is not None:
            return f"{self.help} (default: {shortest(self.default)})"
        return (
            self.help if self.neutral is None else f"{self.help}; {neutral_text(self)} is neutral"
        )


def shortest(value: object) -> str:
    """A number as a person writes it: 1, not 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def neutral_text(field: RequestField) -> str:
    """The neutral value of a field as a person writes it."""
    return shortest(field.neutral)


def real(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    low_is_outside: bool = False,
    high_is_outside: bool = False,
) -> ValueType:
    """Make the `ValueType` of real numbers between two ends; infinities are excluded.

    >>> real(0.0, 1.0, low_is_outside=True).expected, real(0.0).interval
    ('a number in (0, 1]', 'in [0, inf)')
    """
    low_is_outside |= low == -math.inf
    high_is_outside |= high == math.inf

    def accepts(value: float) -> bool:
        above = low < value if low_is_outside else low <= value
        return above and (value < high if high_is_outside else value <= high)

    interval = f"{'(' if low_is_outside else '['}{low:g}, {high:g}{')' if high_is_outside else ']'}"
    expected = f"a number in {interval}"
    if high == math.inf:
        expected = "a finite number"
        if low > -math.inf:
            expected += f" {'>' if low_is_outside else '>='} {low:g}"
    return ValueType(
        name="f32",
        annotation="float",
        expected=expected,
        interval="finite" if expected == "a finite number" else f"in {interval}",
        convert=checks.real,
        accepts=accepts,
        low=low,
        high=high,
        low_is_outside=low_is_outside,
        high_is_outside=high_is_outside,
    )


def integer(
    low: int, high: int = LARGEST_COUNT, name: str = "u32", expected: str | None = None
) -> ValueType:
    """Make the `ValueType` of integers in `[low, high]`; `high` is 2**53 by default.

    name: of the type on the wire: "u32", "i32", "u64" or "usize".

    >>> integer(1).expected
    'an integer >= 1 (at most 2**53)'
    """
    power = (high + 1).bit_length() - 1
    shown = f"2**{high.bit_length() - 1}" if high & (high - 1) == 0 else str(high)
    in_words = f"an integer >= {low} (at most {shown})"
    if high == 2**power - 1 and high > 2**16:
        in_words = f"an integer in [{low}, 2**{power})"
    return ValueType(
        name=name,
        annotation="int",
        expected=in_words if expected is None else expected,
        interval=f">= {low}",
        convert=checks.integer,
        accepts=lambda value: low <= value <= high,
        low=low,
        high=high,
    )


def check(holder: object, name: str, value_type: ValueType) -> None:
    """Convert a frozen dataclass's field to a number in the range, or raise `ParameterError`."""
    if value_type.annotation == "int":
        checks.check_integer(holder, name, int(value_type.low), int(value_type.high))
    else:
        checks.check_real(holder, name, value_type.accepts, value_type.interval)


def _other(
    name: str,
    annotation: str,
    expected: str,
    convert: Callable[[object], Any],
    accepts: Callable[[Any], bool] = lambda _: True,
    *,
    builtin: Callable[[Any], object] | None = None,
) -> ValueType:
    """Make a `ValueType` whose values have no order, such as texts and token ids."""
    return ValueType(
        name=name,
        annotation=annotation,
        expected=expected,
        interval=expected,
        convert=convert,
        accepts=accepts,
        builtin=builtin,
    )


def _grammar(value: object) -> Grammar:
    if not isinstance(value, Grammar):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError
    strings = tuple(checks.text(item) for item in islice(value, MOST_STRINGS + 1))
    if len(strings) > MOST_STRINGS or sum(map(len, strings)) > MOST_CHARACTERS:
        raise TooManyError(f"at most {MOST_STRINGS} of {MOST_CHARACTERS} characters in all")
    return strings


def _bias(value: object) -> TokenBias:
    if not isinstance(value, Mapping):
        raise TypeError
    if len(value) > MOST_TOKEN_IDS:
        raise TooManyError(_MOST_TOKEN_IDS)
    return TokenBias({checks.integer(key): checks.real(bias) for key, bias in value.items()})


def _integers(value: object) -> tuple[int, ...]:
    return tuple(checks.integer(item) for item in _items(value, MOST_TOKEN_IDS))


def _sequences(value: object) -> tuple[tuple[int, ...], ...]:
    sequences: list[tuple[int, ...]] = []
    room = MOST_TOKEN_IDS
    for item in _items(value, MOST_TOKEN_IDS):
        sequences.append(tuple(checks.integer(entry) for entry in _items(item, room)))
        room -= len(sequences[-1])
    return tuple(sequences)


def _items(value: Anything, most: int) -> list[Any]:  # what a caller gave
    """The items of a sequence, an array or a tensor."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        if value.ndim == 0:
            raise TypeError
        listed: list[Any] = value[: most + 1].tolist()
    elif isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    else:
        listed = list(islice(value, most + 1))
    if len(listed) > most:
        raise TooManyError(_MOST_TOKEN_IDS)
    return listed


def _are_ids(values: Iterable[int]) -> bool:
    return all(0 <= value < 2**31 for value in values)


def is_bias(value: float) -> bool:
    """Whether a bias is −inf, a ban, or within float32."""
    return value == -math.inf or FINITE.accepts(value)


IN_FLOAT32 = "within float32"
"""Said of parameters that are added to logits or multiply them. TGI reads them as float32; a wider
range would let edits leave float64: a logit would become infinite, and its logprob NaN."""

UNIT = real(0.0, 1.0)
ABOVE_ZERO_TO_ONE = real(0.0, 1.0, low_is_outside=True)
BELOW_ONE = real(0.0, 1.0, high_is_outside=True)
NOT_NEGATIVE = real(0.0)
POSITIVE = real(0.0, low_is_outside=True)
FINITE = replace(
    real(-checks.LARGEST_FLOAT32, checks.LARGEST_FLOAT32),
    expected=f"a finite number {IN_FLOAT32}",
    interval=f"finite and {IN_FLOAT32}",
)
FACTOR = replace(
    real(0.0, checks.LARGEST_FLOAT32, low_is_outside=True),
    expected=f"a number > 0 {IN_FLOAT32}",
    interval=f"> 0 and {IN_FLOAT32}",
    accepts=lambda value: checks.SMALLEST_FLOAT32 <= value <= checks.LARGEST_FLOAT32,
)
COUNT = integer(0)
LAST_N = integer(-1, name="i32")
"""How many of the last tokens are looked at; −1 for all."""

BOOLEAN = _other("bool", "bool", "a bool", checks.boolean)
TEXT = _other("string", "str", "a string", checks.text)
TEXTS = _other(
    "strings",
    "Sequence[str]",
    "a sequence of non-empty strings (one string goes into a list)",
    _texts,
    all,
    builtin=list,
)
TOKEN_IDS = _other(
    "ids", "Sequence[int]", "a sequence of token ids", _integers, _are_ids, builtin=list
)
SOME_TOKEN_IDS = _other(
    "ids",
    "Sequence[int]",
    "a non-empty sequence of token ids",
    _integers,
    lambda ids: bool(ids) and _are_ids(ids),
    builtin=list,
)
TOKEN_SEQUENCES = _other(
    "sequences",
    "Sequence[Sequence[int]]",
    "a sequence of non-empty sequences of token ids",
    _sequences,
    lambda words: all(word and _are_ids(word) for word in words),
    builtin=lambda words: [list(word) for word in words],
)
BIASES = _other(
    "biases",
    "Mapping[int, float]",
    f"a mapping of token ids >= 0 to biases that are finite {IN_FLOAT32}, or -inf",
    _bias,
    lambda bias: _are_ids(bias) and all(map(is_bias, bias.values())),
    builtin=dict,
)
GRAMMAR = _other("grammar", "Grammar", "a Grammar", _grammar, builtin=Grammar.to_dict)
