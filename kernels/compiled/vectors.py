"""A small language for straight-line SIMD code: fixed-width LLVM vectors with operators.

LLVM turns a vector of any width into whatever registers the machine has, so one text serves SSE,
AVX2, AVX-512 and NEON. Loops that a compiler may or may not vectorise are avoided altogether.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types

FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
INT16, INT32, INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)

_FEATURES = llvm.get_host_cpu_features()
_FUSES = _FEATURES.get("fma", False)
"""Whether the machine is known to multiply and add in one instruction."""
SHIFTS = _FUSES
"""Whether a logit · rate − c is rounded once, so that it loses nothing where c is large."""
_LOOKS_UP = _FEATURES.get("avx512f", False)
"""Whether the machine is known to look up 16 of 32 numbers in one instruction."""
_EXP2 = {
    1: (
        0.0013264727124007517,
        0.00967151264479963,
        0.055507337434956505,
        0.2402224208526284,
        0.6931469775989944,
        1.0,
    ),
    32: (0.2402284637791223, 0.6931573437154512, 1.0),
}
"""For an exponent rounded to 1/n: the coefficients of 1 + x · q(x), by which 2ˣ is within 9.2e-8 of
it for an integer, and within 5.3e-8 for 1/32."""

ROUNDERS = {FLOAT: 1.5 * 2.0**23, DOUBLE: 1.5 * 2.0**52}
"""Adding one rounds a small number to an integer, which then stands in the low bits."""
_FRACTIONS = 32 if _LOOKS_UP else 1
EXPONENT_ROUNDER = ROUNDERS[FLOAT] / _FRACTIONS
"""The float32 that rounds an exponent of 2 when it is added: to 1/32, or to an integer where a
machine does not look up 32 numbers at once."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A value of LLVM's type <count x element>; integers are unsigned unless a name says so."""

    builder: Any
    value: Any

    @property
    def element(self) -> Any:
        """The type of a lane."""
        return self.value.type.element

    @property
    def count(self) -> int:
        """How many lanes there are."""
        return int(self.value.type.count)

    @property
    def is_float(self) -> bool:
        """Whether a lane is a number with a fraction."""
        return self.element in (FLOAT, DOUBLE)

    def constant(self, value: float) -> Vector:
        """The number in every lane, of this vector's type."""
        return filled(self.builder, self.element, self.count, value)

    def __add__(self, other: Vector | float) -> Vector:
        return self._binary("fadd" if self.is_float else "add", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._binary("fsub" if self.is_float else "sub", other)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._binary("fmul" if self.is_float else "mul", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._binary("fdiv", other)

    def __xor__(self, other: Vector | float) -> Vector:
        return self._binary("xor", other)

    def __and__(self, other: Vector | float) -> Vector:
        return self._binary("and_", other)

    def __or__(self, other: Vector | float) -> Vector:
        return self._binary("or_", other)

    def __lshift__(self, bits: int) -> Vector:
        return self._binary("shl", bits)

    def __rshift__(self, bits: int) -> Vector:
        return self._binary("lshr", bits)

    def signed_shift(self, bits: int) -> Vector:
        """Shift right, copying the sign bit."""
        return self._binary("ashr", bits)

    def multiply_add(self, factor: Vector | float, term: Vector | float) -> Vector:
        """self · factor + term, fused where the machine can."""
        return self._fused("fmuladd", factor, term)

    def fuse(self, factor: Vector | float, term: Vector | float) -> Vector:
        """self · factor + term, rounded once."""
        return self._fused("fma", factor, term)

    def _fused(self, operation: str, factor: Vector | float, term: Vector | float) -> Vector:
        kind = self.value.type
        name = f"llvm.{operation}.v{kind.count}f{32 if kind.element == FLOAT else 64}"
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(
            module, ir.FunctionType(kind, [kind] * 3), name
        )
        operands = [self.value, self._as(factor).value, self._as(term).value]
        return self._new(self.builder.call(function, operands))

    def negated(self) -> Vector:
        """The float64 with the other sign."""
        return (self.bits_as(INT64) ^ (1 << 63)).bits_as(DOUBLE)

    def compare(self, relation: str, other: Vector | float) -> Vector:
        """Lanes of one bit; false where a float is NaN."""
        compare = self.builder.fcmp_ordered if self.is_float else self.builder.icmp_unsigned
        return self._new(compare(relation, self.value, self._as(other).value))

    def choose(self, true: Vector, false: Vector | float) -> Vector:
        """Lanes of `true` where this vector's bit is set, of `false` elsewhere."""
        other = false if isinstance(false, Vector) else true.constant(false)
        return self._new(self.builder.select(self.value, true.value, other.value))

    def larger(self, other: Vector | float) -> Vector:
        """The larger of two lanes; `other` where one is NaN."""
        return self.compare(">", other).choose(self, self._as(other))

    def at_least(self, bound: Vector | float) -> Vector:
        """The larger of two lanes; this one where it is NaN, so that a NaN goes on."""
        return self._as(bound).compare(">", self).choose(self._as(bound), self)

    def bits_as(self, element: Any) -> Vector:
        """The same bits as lanes of another type of the same size."""
        return self._new(self.builder.bitcast(self.value, ir.VectorType(element, self.count)))

    def convert(self, operation: str, element: Any) -> Vector:
        """LLVM's conversion of that name: zext, trunc, fpext, fptrunc, sitofp ..."""
        kind = ir.VectorType(element, self.count)
        return self._new(getattr(self.builder, operation)(self.value, kind))

    def part(self, start: int, count: int) -> Vector:
        """`count` lanes from `start` on."""
        return self.shuffle(self, range(start, start + count))

    def shuffle(self, other: Vector, order: range | list[int]) -> Vector:
        """Lanes of both vectors, numbered one after the other, in the given order."""
        mask = ir.Constant(ir.VectorType(INT32, len(order)), list(order))
        return self._new(self.builder.shuffle_vector(self.value, other.value, mask))

    def joined(self, other: Vector) -> Vector:
        """The lanes of this vector, then those of another."""
        return self.shuffle(other, range(2 * self.count))

    def reduce(self, combine: Callable[[Vector, Vector], Vector]) -> Any:
        """One scalar, by combining halves."""
        vector, count = self, self.count
        while count > 1:
            count //= 2
            vector = combine(vector.part(0, count), vector.part(count, count))
        return vector.lane(0)

    def lane(self, index: int) -> Any:
        """One lane, as a scalar."""
        return self.builder.extract_element(self.value, ir.Constant(INT32, index))

    def _binary(self, operation: str, other: Vector | float) -> Vector:
        return self._new(getattr(self.builder, operation)(self.value, self._as(other).value))

    def _as(self, other: Vector | float) -> Vector:
        return other if isinstance(other, Vector) else self.constant(other)

    def _new(self, value: Any) -> Vector:
        return Vector(self.builder, value)


def filled(builder: Any, element: Any, count: int, value: float = 0) -> Vector:
    """The number in every lane."""
    return Vector(builder, ir.Constant(ir.VectorType(element, count), [value] * count))


def splat(builder: Any, scalar: Any, count: int) -> Vector:
    """A vector of `count` lanes, each of which holds the scalar."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = Vector(builder, builder.insert_element(undefined, scalar, ir.Constant(INT32, 0)))
    return first.shuffle(Vector(builder, undefined), [0] * count)


def widen(bits: Vector, dtype: Any) -> Vector:
    """Stored logits as floats: bfloat16 (uint16) and float16 (int16) become float32, exactly."""
    if dtype in (types.float32, types.float64):
        return bits
    wide = bits.convert("zext", INT32)
    if dtype == types.uint16:
        return (wide << 16).bits_as(FLOAT)
    # A float16 has 5 bits of exponent: moved in place, they are 112 too small.
    magnitude = (wide & 0x7FFF) << 13
    moved = (magnitude.bits_as(FLOAT) * 2.0**112).bits_as(INT32)
    moved = magnitude.compare(">=", 0x0F800000).choose(moved | 0x7F800000, moved)
    return (moved | ((wide & 0x8000) << 16)).bits_as(FLOAT)


def divide(value: Vector, divisor: Vector, reciprocal: Vector) -> Vector:
    """value / divisor in float64, rounded as a division is, where nothing can underflow.

    reciprocal: 1 / divisor, rounded. value: finite, and as large as a float32 that is not 0. Twice
    the remainder, which is exact, mends the quotient; the first time by more than a unit in the
    last place, the second time to the nearest (Markstein 1990, "Computation of elementary functions
    on the IBM RISC System/6000 processor", theorem 1).
    """
    if not _FUSES:
        return value / divisor
    quotient = value * reciprocal
    for _ in range(2):
        remainder = quotient.fuse(divisor.negated(), value)
        quotient = remainder.fuse(reciprocal, quotient)
    return quotient


def exp2_of_sum(value: Vector, rate: Vector, rounder: Vector) -> tuple[Vector, Vector]:
    """2 to the power value · rate − c ≥ −125 as a product of two float32.

    rounder: `EXPONENT_ROUNDER` − c, exactly; so c is a multiple of what that rounds to, and where
    it is 0, a value of 0 gives exactly 1. NaN stays NaN. Relative error of the product below 4e-7.

    The first factor is near 2ˣ of the rest x of the rounded exponent, by a polynomial 1 + x · q(x);
    the second is 2 to the rounded exponent.
    """
    rounded = value.multiply_add(rate, rounder)
    rest = value.multiply_add(rate, rounder - rounded)
    first, *others = _EXP2[_FRACTIONS]
    near = rest.constant(first)
    for coefficient in others:
        near = near.multiply_add(rest, coefficient)
    bits, places = rounded.bits_as(INT32), 23 - _FRACTIONS.bit_length() + 1
    fraction = _exp2_of_fraction(bits) if _FRACTIONS > 1 else bits.constant(0x3F800000)
    return near, (fraction + (bits << places)).bits_as(FLOAT)


def _exp2_of_fraction(bits: Vector) -> Vector:
    """The bits of 2^(j / 32) less those of j / 32, for the last five bits j of each lane."""
    if bits.count > 16:
        half = bits.count // 2
        return _exp2_of_fraction(bits.part(0, half)).joined(
            _exp2_of_fraction(bits.part(half, half))
        )
    steps = np.arange(32)
    words = np.exp2(steps / 32.0).astype(np.float32).view(np.int32) - (steps << 18)
    module, kind = bits.builder.module, bits.value.type
    name = "llvm.x86.avx512.vpermi2var.d.512"
    look_up = module.globals.get(name) or ir.Function(
        module, ir.FunctionType(kind, [kind] * 3), name
    )
    halves = [ir.Constant(kind, half.tolist()) for half in (words[:16], words[16:])]
    return Vector(bits.builder, bits.builder.call(look_up, [halves[0], bits.value, halves[1]]))


def exp(value: Vector) -> Vector:
    """e to the power of a float64 ≤ 0; below −700 it counts as −700. Relative error below 1e-12."""
    value = value.at_least(-700.0)
    rounder = ROUNDERS[DOUBLE]
    rounded = value.multiply_add(1.4426950408889634, rounder)
    whole = rounded - rounder
    rest = whole.multiply_add(-0.693147180369123816490, value)
    rest = whole.multiply_add(-1.90821492927058770002e-10, rest)
    # Taylor's series: at |rest| ≤ 0.3466 what is left out is below 2e-13.
    result = rest.constant(1.0 / 3628800)
    for factorial in (362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1):
        result = result.multiply_add(rest, 1.0 / factorial)
    power = result.bits_as(INT64) + (rounded.bits_as(INT64) << 52)
    return power.bits_as(DOUBLE)


def ordered_key(bits: Vector, dtype: Any) -> Vector:
    """Half precision as unsigned integers in its order: 0 is −inf; every NaN lies above +inf."""
    lowest = {types.uint16: 0x807F, types.int16: 0x83FF}[dtype]
    plain = bits.bits_as(INT16)
    return (plain ^ (plain.signed_shift(15) & 0x7FFF)) - lowest


def value_of_key(key: Vector, dtype: Any) -> Vector:
    """The bits of the logit that has an `ordered_key` of 16 bits."""
    # The key of zero bits is minus the lowest, and turning the low bits is its own inverse.
    plain = key - ordered_key(key.constant(0), dtype)
    return plain ^ (plain.signed_shift(15) & 0x7FFF)


def philox4x32(index: Vector, position: Any, domain: Any, seed: Any) -> list[Vector]:
    """Philox4x32-10 of one index a lane, at draw 0: four words, each in a lane of 64 bits.

    position, domain, seed: of 64 bits. In 64-bit lanes a product of two words is one instruction,
    if it is plain that their upper halves are 0: hence the `&`, which cost nothing.
    """
    builder, count, low = index.builder, index.count, 0xFFFFFFFF
    narrow, half = ir.Constant(INT64, low), ir.Constant(INT64, 32)
    at, kind, key0 = (builder.and_(word, narrow) for word in (position, domain, seed))
    key1 = builder.lshr(seed, half)
    words = [index & low, splat(builder, at, count), index.constant(0), splat(builder, kind, count)]
    for _ in range(10):
        product0, product1 = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [
            (product1 >> 32) ^ (words[1] ^ splat(builder, key0, count)),
            product1 & low,
            (product0 >> 32) ^ (words[3] ^ splat(builder, key1, count)),
            product0 & low,
        ]
        key0, key1 = (
            builder.and_(builder.add(key, ir.Constant(INT64, weyl)), narrow)
            for key, weyl in ((key0, 0x9E3779B9), (key1, 0xBB67AE85))
        )
    return words
