"""The budget of one rendering of a chat template: steps, and bytes of new values.

A step is one operation of a template: a turn of a loop, a call, a filter, an operator. An operation
on large values takes more steps, so that a step stands for at most about ten microseconds. Bytes
are counted when a value is made and are never given back, so that they bound the memory in use.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from dataclasses import dataclass, field
from itertools import chain
from sys import getsizeof

from decoding.errors import ChatTemplateError

BASE_STEPS, STEPS_PER_INPUT_VALUE = 100_000, 500
BASE_BYTES, BYTES_PER_INPUT_BYTE = 8 * 2**20, 64

MAX_INTEGER_BITS = 16_384
"""Of any integer: more than the 4,300 digits that Python converts to text."""

_MAX_DEPTH = 1_000
_BYTES_OF_CHARACTER = 84  # a string of one character and the pointer to it
_SCALARS = (int, float, bool, type(None))
_CONTAINERS = (list, tuple, dict, range, KeysView, ValuesView, ItemsView)


@dataclass(frozen=True, slots=True)
class Weight:
    """The size of a value with all its parts; a part that occurs twice counts twice.

    values: how many values. size: their bytes. depth: how deeply containers are nested.
    """

    values: int
    size: int
    depth: int


@dataclass(slots=True)
class Budget:
    """The steps and bytes that one rendering may still use.

    Every method raises ChatTemplateError when there is not enough, before the work is done.
    """

    steps: int
    size: int
    most_steps: int = field(init=False)
    most_size: int = field(init=False)

    def __post_init__(self) -> None:
        self.most_steps, self.most_size = self.steps, self.size

    @classmethod
    def for_input(cls, weight: Weight) -> Budget:
        """Make a budget that grows with the values and bytes of the template's input."""
        return cls(
            BASE_STEPS + STEPS_PER_INPUT_VALUE * weight.values,
            BASE_BYTES + BYTES_PER_INPUT_BYTE * weight.size,
        )

    def step(self, count: int = 1) -> None:
        """Charge a number of steps to the budget."""
        self.steps -= count
        if self.steps < 0:
            raise ChatTemplateError(f"it takes more than {self.most_steps:,} steps")

    def allocate(self, size: int) -> None:
        """Charge the bytes of a value that is about to be made to the budget."""
        self.size -= size
        if self.size < 0:
            raise ChatTemplateError(f"its texts and lists take more than {self.most_size:,} bytes")

    def read(self, value: object) -> Weight:
        """Charge the budget for an operation that reads a value and everything in it."""
        weight = self.weigh(value)
        self.step((weight.values >> 1) + (weight.size >> 10))
        return weight

    def weigh(self, value: object) -> Weight:
        """The size of a value; stops if measuring needs more steps than are left.

        Values may share their parts, so a value of a few bytes can be read for ever.
        """
        if isinstance(value, (str, *_SCALARS)):
            return Weight(1, getsizeof(value), 0)
        values, size, depth = 1, getsizeof(value), 0
        most = self.steps << 1
        stack: list[Iterator[object]] = [_parts(value)]
        while stack:
            depth = max(depth, len(stack))
            for part in stack[-1]:
                values += 1
                size += getsizeof(part)
                if not isinstance(part, (str, *_SCALARS)):
                    if values > most or len(stack) > _MAX_DEPTH:
                        raise ChatTemplateError("it builds lists nested deeper than it may read")
                    stack.append(_parts(part))
                    break
            else:
                stack.pop()
        return Weight(values, size, depth)

    def made(self, value: object) -> object:
        """Count a value that an operation made; an iterator's items count when they are read."""
        if isinstance(value, Iterator):
            return self._metered(value)
        if isinstance(value, str):
            self.allocate(getsizeof(value))
        elif isinstance(value, int):
            check_integer(value)
            self.allocate(getsizeof(value))
        elif isinstance(value, list | tuple | dict):
            self.allocate(getsizeof(value) + 72 * len(value))
        return value

    def items(self, value: object) -> None:
        """List a value's items and count them; an iterator's items count when they are read."""
        if isinstance(value, (str, *_CONTAINERS)):
            count = len(value)
            self.step(count >> 2)
            small = not isinstance(value, str) or value.isascii()
            self.allocate(count * (8 if small else _BYTES_OF_CHARACTER))
            if isinstance(value, range):
                self.allocate(28 * count)

    def _metered(self, items: Iterator[object]) -> Iterator[object]:
        for item in items:
            self.step()
            self.allocate(8)
            yield item


def check_integer(value: int) -> None:
    """Refuse an integer whose arithmetic takes long."""
    if value.bit_length() > MAX_INTEGER_BITS:
        raise ChatTemplateError(f"it makes an integer of more than {MAX_INTEGER_BITS:,} bits")


def _parts(value: object) -> Iterator[object]:
    """The parts of a container; none for an iterator, which reading would change."""
    if isinstance(value, dict):
        return chain.from_iterable(value.items())
    return iter(value if isinstance(value, _CONTAINERS) else ())
