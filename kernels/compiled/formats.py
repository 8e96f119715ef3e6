"""`Row` of Numba code: a row of logits in memory whose float format is known only at run time.

So everything is compiled once, whatever the format of the logits: only the loops over a block,
which are short, have a branch for each of the stored formats: float32, float64, and the bits of
bfloat16 (uint16) and float16 (int16). Numbers in the precision of a row are float64 that a float32
holds, unless the format is float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types

from decoding.kernels.compiled.intrinsics import GIVEN, straight_line, widened
from decoding.kernels.compiled.vectors import DOUBLE, FLOAT, INT32, INT64, Vector, splat, widen

FLOAT32, FLOAT64, BFLOAT16, FLOAT16 = range(4)
_DTYPES = (types.float32, types.float64, types.uint16, types.int16)
_ELEMENTS = {types.float32: FLOAT, types.float64: DOUBLE}
_CODES = {"f": FLOAT32, "d": FLOAT64, "H": BFLOAT16, "h": FLOAT16}
_FEATURES = llvm.get_host_cpu_features()
_HAS_HALF = _FEATURES.get("f16c", False)
"""Whether the machine widens float16 in one instruction."""
LANES = 16 if _FEATURES.get("avx512f", False) else 8
"""Float32 lanes of a register, twice that where there is only AVX2 or NEON."""
PAIR = 2 * LANES
"""How many logits a loop reads in one iteration: two registers that do not wait for each other."""


class Row(NamedTuple):
    """A row of stored logits: address, float format, width, and its end padded to a block.

    address: of the first. format: `FLOAT32` ... width: how many there are. whole: how many are in
    whole blocks; the others, filled up with −inf to a block, are read from a copy. behind: the
    address at which the first logit would be if that copy were the end of the row.
    """

    address: Any
    format: Any
    width: Any
    whole: Any
    behind: Any


def format_of(dtype: np.dtype[Any]) -> int:
    """The format of an array's logits, as `decoding.kernels.rows` stores them."""
    return _CODES[dtype.char]


@dataclass(frozen=True, slots=True)
class Stored:
    """Logits of one format, in code that is being generated.

    dtype: of what is stored. first: the address of the first logit.
    """

    builder: Any
    dtype: Any
    first: Any

    @property
    def element(self) -> Any:
        """The LLVM type in which the logits are computed with, float or double."""
        return DOUBLE if self.dtype == types.float64 else FLOAT

    def bits(self, index: Any, count: int, element: Any = None) -> Vector:
        """`count` logits from `index` on, as they are stored; or so many lanes of another type."""
        address = self.builder.gep(self.first, [index])
        kind = ir.VectorType(element or address.type.pointee, count)
        place = self.builder.bitcast(address, kind.as_pointer())
        return Vector(self.builder, self.builder.load(place, align=1))

    def values(self, index: Any, count: int) -> Vector:
        """`count` logits from `index` on, in order, as float32 or float64."""
        bits = self.bits(index, count)
        if self.dtype == types.int16 and _HAS_HALF:
            return bits.bits_as(ir.HalfType()).convert("fpext", FLOAT)
        return widen(bits, self.dtype)

    def unordered(self, index: Any, count: int) -> Vector:
        """`count` logits from `index` on, in any order."""
        if self.dtype != types.uint16:
            return self.values(index, count)
        # Each half of a word is the upper half of a float32.
        words = self.bits(index, count // 2, INT32)
        return (words << 16).bits_as(FLOAT).joined((words & 0xFFFF0000).bits_as(FLOAT))

    def real(self, number: Any) -> Any:
        """A number that came in as a lane of `values`."""
        return number if self.element == DOUBLE else self.builder.fptrunc(number, FLOAT)

    def reals(self, number: Any, count: int) -> Vector:
        """The same in every lane."""
        return splat(self.builder, self.real(number), count)


def over_row(result: Any, *kinds: Any) -> Callable[[Any], Any]:
    """`straight_line` of `body(stored, start, *arguments)`: f(row, start, *arguments) of a `Row`.

    The body generates code that reads the block at `start`, once for each stored format. A result
    may be a float of 32 bits for one and 64 for another.
    """

    def decorate(body: Any) -> Any:
        @wraps(body)
        def generate(builder: Any, row: Any, start: Any, *arguments: Any) -> Any:
            def arm(stored: Stored) -> list[Any]:
                return widened(builder, body(stored, start, *arguments), result)

            return _each_format(builder, row, start, arm)

        return straight_line(result, GIVEN, types.int64, *kinds)(generate)

    return decorate


def _each_format(
    builder: Any, row: Any, start: Any, body: Callable[[Stored], list[Any]]
) -> list[Any]:
    """Generate `body` for all formats that a row may have, and a branch to that which it has.

    start: where the block begins that it reads, maybe the last, which is read from its copy.
    """
    address, code, whole, behind = (builder.extract_value(row, index) for index in (0, 1, 3, 4))
    address = builder.select(builder.icmp_signed("<", start, whole), address, behind)
    function = builder.function
    arms = [function.append_basic_block("row.format") for _ in _DTYPES]
    after = function.append_basic_block("row.end")
    choice = builder.switch(code, arms[0])
    for index in range(1, len(arms)):
        choice.add_case(ir.Constant(INT64, index), arms[index])
    found = []
    for arm, dtype in zip(arms, _DTYPES, strict=True):
        builder.position_at_end(arm)
        element = _ELEMENTS.get(dtype, ir.IntType(16))
        first = builder.inttoptr(address, element.as_pointer())
        found.append((body(Stored(builder, dtype, first)), builder.block))
        builder.branch(after)
    builder.position_at_end(after)
    results = []
    for index in range(len(found[0][0])):
        phi = builder.phi(found[0][0][index].type)
        for values, block in found:
            phi.add_incoming(values[index], block)
        results.append(phi)
    return results
