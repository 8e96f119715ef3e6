"""Numba intrinsics on single values: bits, pointers and conversions.

A row is a one-dimensional array of stored logits: float32, float64, or the bits of bfloat16
(uint16) or float16 (int16).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.vectors import (
    FLOAT,
    INT32,
    INT64,
    Vector,
    load,
    ordered_key,
    splat,
    widen,
)

KEYS = {
    types.float32: types.uint32,
    types.float64: types.uint64,
    types.uint16: types.uint16,
    types.int16: types.uint16,
}
"""The type of a stored logit's key: unsigned, and as wide."""


def float_type(dtype: Any) -> Any:
    """The type a stored logit widens to."""
    return types.float64 if dtype == types.float64 else types.float32


@intrinsic
def value_of_key(_context: Any, row: Any, key: Any) -> Any:
    """The logit that has a key, as float64."""
    dtype = row.dtype

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        element = context.get_data_type(KEYS[dtype])
        lone = Vector(builder, ir.Constant(ir.VectorType(element, 1), [0]))
        key = splat(builder, arguments[1], 1)
        # The key of zero bits is minus the lowest, and turning the low bits is its own inverse.
        plain = key - ordered_key(lone, dtype)
        top, low = {8: (63, (1 << 63) - 1), 4: (31, (1 << 31) - 1), 2: (15, (1 << 15) - 1)}[
            element.width // 8
        ]
        bits = plain ^ (plain.signed_shift(top) & low)
        stored = bits.bits_as(context.get_data_type(dtype))
        wide = widen(stored, dtype)
        if wide.element == FLOAT:
            wide = wide.convert("fpext", ir.DoubleType())
        return builder.extract_element(wide.value, ir.Constant(INT32, 0))

    return types.float64(row, key), generate


@intrinsic
def value_at(_context: Any, row: Any, index: Any) -> Any:
    """One logit, as float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = load(context, builder, signature.args[0], arguments[0], arguments[1], 1)
        wide = widen(bits, row.dtype)
        if wide.element == FLOAT:
            wide = wide.convert("fpext", ir.DoubleType())
        return builder.extract_element(wide.value, ir.Constant(INT32, 0))

    return types.float64(row, index), generate


@intrinsic
def trailing_zeros(_context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1)), INT64)

    return types.int64(types.uint32), generate


@intrinsic
def bit_count(_context: Any, word: Any) -> Any:
    """How many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.ctpop(arguments[0]), INT64)

    return types.int64(types.uint32), generate


@intrinsic
def as_real(_context: Any, row: Any, value: Any) -> Any:
    """A float64 in the precision of the row's logits, rounded to the nearest."""
    real = float_type(row.dtype)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], types.float64, real)

    return real(row, types.float64), generate


@intrinsic
def minus_infinity(_context: Any, row: Any) -> Any:
    """−inf as the row stores it."""
    bits = {types.uint16: 0xFF80, types.int16: 0xFC00 - (1 << 16)}

    def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return ir.Constant(context.get_data_type(row.dtype), bits.get(row.dtype, float("-inf")))

    return row.dtype(row), generate


@intrinsic
def as_pointer(_context: Any, address: Any) -> Any:
    """An integer as the address that it is."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate
