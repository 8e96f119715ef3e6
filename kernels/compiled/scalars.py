"""Numba intrinsics on single values: bits, pointers and conversions."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from decoding.kernels.compiled.formats import FLOAT64, each_format, real_type
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.vectors import DOUBLE, FLOAT, INT32, INT64, pointer


@intrinsic
def value_at(_context: Any, row: Any, index: Any) -> Any:
    """One logit, as float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def body(stored: Any) -> list[Any]:
            value = stored.values(arguments[1], 1)
            if value.element == FLOAT:
                value = value.convert("fpext", DOUBLE)
            return [builder.extract_element(value.value, ir.Constant(INT32, 0))]

        [value] = each_format(context, builder, signature.args[0], arguments[0], body)
        return value

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
    real = real_type(row)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(signature.args[0], types.Array):
            return context.cast(builder, arguments[1], types.float64, real)
        narrow = builder.fpext(builder.fptrunc(arguments[1], FLOAT), DOUBLE)
        code = builder.extract_value(arguments[0], 1)
        is_wide = builder.icmp_signed("==", code, ir.Constant(INT64, FLOAT64))
        return builder.select(is_wide, arguments[1], narrow)

    return real(row, types.float64), generate


@compiled
def above_of(row: Any, real: Any) -> Any:
    """The next larger number of a row's precision."""
    if row.format == FLOAT64:
        return np.nextafter(real, np.inf)
    return np.float64(np.nextafter(np.float32(real), np.float32(np.inf)))


@compiled
def below_of(row: Any, real: Any) -> Any:
    """The next smaller number of a row's precision."""
    return -above_of(row, -real)


@intrinsic
def as_pointer(_context: Any, address: Any) -> Any:
    """An integer as the address that it is."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def address_of(_context: Any, array: Any, index: Any) -> Any:
    """The address of an element of a one-dimensional array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], *arguments)
        return builder.ptrtoint(place, INT64)

    return types.int64(array, types.int64), generate
