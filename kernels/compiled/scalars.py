"""Numba intrinsics on single values: read a logit, count bits, convert, take addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from decoding.kernels.compiled.formats import FLOAT64, Row, Stored, over_row
from decoding.kernels.compiled.intrinsics import GIVEN, Array, straight_line
from decoding.kernels.compiled.jit import compiled
from decoding.kernels.compiled.vectors import DOUBLE, FLOAT, INT64


@over_row(types.float64)
def value_at(stored: Stored, index: Any) -> list[Any]:
    """One logit, as float64."""
    return [stored.values(index, 1).lane(0)]


@straight_line(types.int64, types.uint32)
def trailing_zeros(builder: Any, word: Any) -> list[Any]:
    """The place of the lowest bit that is set."""
    return [builder.zext(builder.cttz(word, ir.Constant(ir.IntType(1), 1)), INT64)]


@straight_line(types.int64, types.uint32)
def bit_count(builder: Any, word: Any) -> list[Any]:
    """How many bits are set."""
    return [builder.zext(builder.ctpop(word), INT64)]


@straight_line(types.float64, GIVEN, types.float64)
def as_real(builder: Any, row: Any, value: Any) -> list[Any]:
    """A float64 in the precision of the row's logits, rounded to the nearest."""
    narrow = builder.fpext(builder.fptrunc(value, FLOAT), DOUBLE)
    is_wide = builder.icmp_signed("==", builder.extract_value(row, 1), ir.Constant(INT64, FLOAT64))
    return [builder.select(is_wide, value, narrow)]


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


@straight_line(types.voidptr, types.int64)
def as_pointer(builder: Any, address: Any) -> list[Any]:
    """An integer as the address that it is."""
    return [builder.inttoptr(address, ir.IntType(8).as_pointer())]


@straight_line(types.int64, GIVEN)
def address_of(builder: Any, array: Array) -> list[Any]:
    """The address of a one-dimensional array."""
    return [builder.ptrtoint(array.address(ir.Constant(INT64, 0)), INT64)]


@straight_line(types.int64, GIVEN, types.int64, types.int64)
def add_shared(builder: Any, array: Array, place: Any, value: Any) -> list[Any]:
    """Atomically add to an integer that threads share; returns what it was before."""
    return [builder.atomic_rmw("add", array.address(place), value, "seq_cst")]


@compiled
def row_of_doubles(array: Any) -> Any:
    """The row that is an array of float64, for reading whole blocks of it."""
    address = address_of(array)
    return Row(address, np.int64(FLOAT64), len(array), len(array), address)
