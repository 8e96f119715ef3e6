"""Draws cases for checks, batches of logits with histories; the kinds of rows for all drawers.

A case is cheap (a few microseconds a row), so that a check can afford a million of them. Rows come
in kinds that break samplers: ties, gaps of one ulp, one peak, flat, dyadic probabilities, −inf
masks, denormals, the ends of float32, common offsets, Zipf, and rows as models make them. `aimed`
moves a row so that a claim's own cut falls next to a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, require
from decoding.history import History

Row = NDArray[np.float32]
Kept = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""The tokens of a float64 row that a claim keeps."""

WIDEST = 200_000
USUAL_TOKENS = 12
_SELDOM = 0.04
"""The share of batches that are large, and of batches with long texts."""
FORMATS = ("float32", "float16", "bfloat16", "float64")
"""The formats of logits; NumPy, which has no bfloat16, holds such rows as float32."""

_MODERATE = 16384.0
"""The largest float16 logit where arithmetic on logits must not leave the format."""


@dataclass(frozen=True, slots=True)
class Case:
    """A batch of logits with the token ids of each row.

    logits: `(batch, vocab)` float32 or float64; finite or −inf, with a finite entry in every row.
    prompts, generated: the token ids of each row, all below the width of the logits.
    format: one of `FORMATS`; every logit is a number of that format.
    """

    logits: NDArray[np.floating]
    prompts: tuple[tuple[int, ...], ...]
    generated: tuple[tuple[int, ...], ...]
    format: str = "float32"

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def history(self) -> History:
        """The token ids as a `History`."""
        return History.of(self.prompts, self.generated)

    def select(self, rows: list[int]) -> Case:
        """The case of some of the rows, in the order in which they are named."""
        return replace(
            self,
            logits=self.logits[rows],
            prompts=tuple(self.prompts[row] for row in rows),
            generated=tuple(self.generated[row] for row in rows),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """The sizes that drawn cases may have.

    widths: the smallest and the largest vocabulary.
    most_rows: the largest batch, but for a few. large: the largest of these few.
    most_tokens: the longest prompt, and the longest generated text; few are longer than
        `USUAL_TOKENS`.
    format: of the logits, one of `FORMATS`.
    extreme: whether logits up to ±3e38 occur, and in float16 up to its ends, which arithmetic on
        logits may take beyond the format.
    equal_lengths: whether all rows of a batch have as many token ids.
    """

    widths: tuple[int, int] = (1, WIDEST)
    most_rows: int = 4
    large: int = 64
    most_tokens: int = 2000
    format: str = "float32"
    extreme: bool = True
    equal_lengths: bool = False

    def __post_init__(self) -> None:
        two = isinstance(self.widths, Sequence) and len(self.widths) == 2
        legal = (
            two
            and all(isinstance(width, int | np.integer) for width in self.widths)
            and not any(isinstance(width, bool) for width in self.widths)
            and 1 <= self.widths[0] <= self.widths[1]
        )
        require("widths", self.widths, legal, "two integers, 1 <= smallest <= largest")
        if self.format not in FORMATS:
            raise ParameterError("format", self.format, f"one of {', '.join(FORMATS)}")


def draw_case(generator: np.random.Generator, shapes: Shapes, kept: Kept | None = None) -> Case:
    """Draw a case; given a truncation rule `kept`, some cases' rows lie close to its cut."""
    width = _width(generator, shapes.widths)
    rows = 1 if width > 2000 else _rows(generator, shapes)
    if kept is not None and width <= 1000 and generator.random() < 0.12:
        logits = aimed(generator, width, kept, rows)
    else:
        logits = np.stack([_row(generator, width, shapes) for _ in range(rows)])
    if rows > 1 and generator.random() < 0.1:
        logits[-1] = logits[0]
    prompts = _texts(generator, rows, width, shapes)
    generated = _texts(generator, rows, width, shapes)
    exact = np.float64 if shapes.format == "float64" else np.float32
    if shapes.format == "float16" and not shapes.extreme:
        logits = np.where(np.isneginf(logits), logits, np.clip(logits, -_MODERATE, _MODERATE))
    return Case(rounded(logits, shapes.format).astype(exact), prompts, generated, shapes.format)


def rounded(logits: NDArray[np.floating], name: str) -> NDArray[np.floating]:
    """Logits as the nearest numbers of a format; finite ones stay finite."""
    if name == "float16":
        with np.errstate(over="ignore"):
            return np.where(np.isneginf(logits), logits, np.clip(logits, -65504.0, 65504.0)).astype(
                np.float16
            )
    if name == "bfloat16":
        # The upper half of a float32; what is cut off rounds to even.
        bits = np.ascontiguousarray(logits, np.float32).view(np.uint32).astype(np.uint64)
        bits = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
        halves = bits.astype(np.uint32).view(np.float32)
        largest = np.float32(3.3895314e38)
        return np.where(np.isneginf(logits), logits, np.clip(halves, -largest, largest))
    return logits


def _rows(generator: np.random.Generator, shapes: Shapes) -> int:
    if shapes.large > shapes.most_rows and generator.random() < _SELDOM:
        return _log_uniform(generator, shapes.most_rows + 1, shapes.large)
    return int(generator.integers(1, shapes.most_rows + 1))


def _log_uniform(generator: np.random.Generator, low: int, high: int) -> int:
    """An integer from `low` to `high`; its logarithm is uniform."""
    return min(high, int(np.exp(generator.uniform(np.log(low), np.log(high + 1)))))


def _width(generator: np.random.Generator, widths: tuple[int, int]) -> int:
    """Mostly small, because small counterexamples are found and read fast; at times large.

    Of large widths half are next to a power of two: whole blocks, a token more, a token less.
    """
    low, high = widths
    chance = generator.random()
    if chance < 0.002 and high > 2000:
        return _near_a_power(generator, _log_uniform(generator, max(low, 2000), high), widths)
    limit = 6 if chance < 0.35 else 40 if chance < 0.93 else 1000
    width = int(generator.integers(low, max(low, min(high, low + limit)) + 1))
    return _near_a_power(generator, width, widths) if limit == 1000 else width


def _near_a_power(generator: np.random.Generator, width: int, widths: tuple[int, int]) -> int:
    if generator.random() < 0.5:
        return width
    near = (1 << max(1, round(np.log2(width)))) + int(generator.integers(-1, 2))
    return near if widths[0] <= near <= widths[1] else width


def _texts(
    generator: np.random.Generator, rows: int, width: int, shapes: Shapes
) -> tuple[tuple[int, ...], ...]:
    # Few different tokens, so that texts repeat themselves.
    different = min(width, int(generator.integers(1, 8)))
    usual = min(shapes.most_tokens, USUAL_TOKENS)
    lengths = generator.integers(0, usual + 1, rows)
    if usual < shapes.most_tokens and generator.random() < _SELDOM:
        lengths[0] = _log_uniform(generator, usual + 1, shapes.most_tokens)
    if shapes.equal_lengths:
        lengths[:] = lengths[0]
    start = int(generator.integers(0, width - different + 1))
    texts = [start + generator.integers(0, different, length) for length in lengths]
    if lengths[0] > usual and generator.random() < 0.7:
        # One token stands once, in the middle or at an end: who reads a part of a text misses it.
        place = generator.choice([0, lengths[0] // 2, lengths[0] - 1])
        texts[0][place] = generator.integers(0, width)
    return tuple(tuple(text.tolist()) for text in texts)


def _row(generator: np.random.Generator, width: int, shapes: Shapes) -> NDArray[np.floating]:
    row = draw_row(generator, width, extreme=shapes.extreme)
    if shapes.format == "float64" and generator.random() < 0.5:
        # Numbers that no float32 holds.
        return row + np.where(row > -np.inf, generator.standard_normal(width) * 1e-9, 0.0)
    return row


def draw_row(generator: np.random.Generator, width: int, *, extreme: bool = True) -> Row:
    """Draw a legal float32 row of any kind."""
    kinds = KINDS if extreme else KINDS[1:]
    with np.errstate(all="ignore"):
        row = kinds[int(generator.integers(len(kinds)))](Generated(generator), width)
    if generator.random() < 0.4:
        alive = generator.random(width) < generator.choice([0.2, 0.5, 0.9])
        if (alive & (row > -np.inf)).any():
            row = np.where(alive, row, np.float32(-np.inf))
    return row.astype(np.float32)


def aimed(
    generator: np.random.Generator, width: int, kept: Kept, rows: int = 1
) -> NDArray[np.float32]:
    """Draw rows scaled so that a token lies just inside or outside the cut of the rule `kept`.

    Where no scale changes anything, as for top-k, they are the same row at any scale.
    """
    row = generator.standard_normal(width) * 3.0
    if generator.random() < 0.5:
        row = np.log(generator.dirichlet(np.full(width, generator.choice([0.3, 1.0, 5.0]))) + 1e-30)
    low, high = 0.02, float(generator.uniform(0.5, 3.0))
    at_low = kept(row * low)
    if not np.array_equal(at_low, kept(row * high)):
        for _ in range(20):
            middle = (low + high) / 2.0
            if np.array_equal(kept(row * middle), at_low):
                low = middle
            else:
                high = middle
    away = generator.choice([-1e-5, 1e-5, -1e-4, 1e-4, -3e-4, 3e-4, -1e-3, 1e-3, 1e-2], rows)
    return (row * (low * (1.0 + away[:, np.newaxis]))).astype(np.float32)


class Choices(Protocol):
    """Protocol: the random choices by which a row of logits is made, of NumPy or of Hypothesis."""

    @property
    def generator(self) -> np.random.Generator:
        """A NumPy generator, for values that Hypothesis need not shrink, such as normal draws."""

    def pick(self, values: Sequence[float]) -> float:
        """Choose one of some values, of which the simplest stands first."""

    def between(self, low: float, high: float) -> float:
        """Choose a number from `low` to `high`."""

    def below(self, limit: int, size: int) -> NDArray[np.int64]:
        """`size` integers in [0, limit)."""


@dataclass(frozen=True, slots=True)
class Generated:
    """`Choices` that are drawn at random from a NumPy generator."""

    generator: np.random.Generator

    def pick(self, values: Sequence[float]) -> float:
        """Choose one of some values, each with the same probability."""
        return float(self.generator.choice(values))

    def between(self, low: float, high: float) -> float:
        """Draw a uniform number from `low` to `high`."""
        return float(self.generator.uniform(low, high))

    def below(self, limit: int, size: int) -> NDArray[np.int64]:
        """`size` integers in [0, limit), uniform."""
        return self.generator.integers(0, limit, size)


Kind = Callable[[Choices, int], Row]


def _one_of(choices: Choices, values: Sequence[float | np.float32], width: int) -> Row:
    """Each logit is one of some values, the simplest first."""
    return np.array(values, np.float32)[choices.below(len(values), width)]


def _extreme(choices: Choices, width: int) -> Row:
    return _one_of(choices, (0.0, -0.0, 88.0, -104.0, 1e4, 1e-40, -1e-40, 3e38, -3e38), width)


def _gaussian(choices: Choices, width: int) -> Row:
    scale = choices.pick((0.1, 1.0, 3.0, 10.0))
    return (choices.generator.standard_normal(width) * scale).astype(np.float32)


def _tied(choices: Choices, width: int) -> Row:
    return _one_of(choices, (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0), width)


def _flat(choices: Choices, width: int) -> Row:
    return np.full(width, choices.pick((0.0, -7.25, 31.0)), np.float32)


def _neighbouring(choices: Choices, width: int) -> Row:
    base = np.float32(choices.between(-20.0, 20.0))
    above = np.nextafter(base, np.float32(np.inf))
    return _one_of(choices, (base, above, np.nextafter(above, np.float32(np.inf))), width)


def _peaked(choices: Choices, width: int) -> Row:
    row = np.zeros(width, np.float32)
    row[choices.below(width, 1)] = choices.pick((1.0, 30.0, 104.0, 1000.0))
    return row


def _one_hot(choices: Choices, width: int) -> Row:
    row = np.full(width, -np.inf, np.float32)
    row[choices.below(width, 1)] = choices.generator.standard_normal()
    return row


def _dyadic(choices: Choices, width: int) -> Row:
    return (-np.log(2.0) * choices.below(7, width)).astype(np.float32)


def _halving(choices: Choices, width: int) -> Row:
    """Probabilities 1/2, 1/4, 1/8 ..., the last one twice, in any order: their sums are exact."""
    exponents = np.minimum(np.arange(1, width + 1), max(1, width - 1))
    return (-np.log(2.0) * choices.generator.permutation(exponents)).astype(np.float32)


def _denormal(choices: Choices, width: int) -> Row:
    return _one_of(choices, (0.0, 1e-40, -1e-40, 1.4e-45, -1.4e-45, -100.0, -104.0), width)


def _offset(choices: Choices, width: int) -> Row:
    return _tied(choices, width) + np.float32(choices.pick((-1e4, 1e4, 512.0)))


def _zipf(choices: Choices, width: int) -> Row:
    exponent = choices.pick((1.0, 1.2, 2.0))
    return (-exponent * np.log(choices.generator.permutation(width) + 1.0)).astype(np.float32)


def _model_like(choices: Choices, width: int) -> Row:
    """Many unlikely tokens around one level and a few likely ones."""
    generator = choices.generator
    row = generator.standard_normal(width) * 2.0 + generator.uniform(-8.0, 4.0)
    likely = generator.integers(0, width, min(width, 8))
    row[likely] += generator.exponential(5.0, len(likely)) + 4.0
    return row.astype(np.float32)


KINDS: tuple[Kind, ...] = (
    _extreme,
    _gaussian,
    _gaussian,
    _tied,
    _flat,
    _neighbouring,
    _peaked,
    _one_hot,
    _dyadic,
    _halving,
    _denormal,
    _offset,
    _zipf,
    _model_like,
)
"""The kinds of rows, the one at the ends of float32 first."""

SHRINKING_KINDS: tuple[Kind, ...] = (
    _peaked,
    _tied,
    _dyadic,
    _neighbouring,
    _gaussian,
    _extreme,
    _offset,
)
"""Kinds whose rows are made of choices that have a simplest value, the simplest first."""
