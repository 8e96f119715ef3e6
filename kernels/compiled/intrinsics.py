"""Numba intrinsics as plain functions of LLVM values: `straight_line` is their decorator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from decoding.kernels.compiled.vectors import DOUBLE, FLOAT, Vector

GIVEN = None
"""The kind of an argument that is not converted: an array, or a row of logits."""


@dataclass(frozen=True, slots=True)
class Array:
    """A one-dimensional array in code that is being generated; indices are not checked."""

    context: Any
    builder: Any
    kind: Any
    value: Any

    def load(self, index: Any, count: int) -> Vector:
        """`count` elements from `index` on."""
        return Vector(self.builder, self.builder.load(self._vector_at(index, count), align=1))

    def store(self, index: Any, vector: Vector) -> None:
        """The lanes into the elements from `index` on."""
        self.builder.store(vector.value, self._vector_at(index, vector.count), align=1)

    def address(self, index: Any) -> Any:
        """The address of an element."""
        view = self.context.make_array(self.kind)(self.context, self.builder, self.value)
        return cgutils.get_item_pointer(
            self.context, self.builder, self.kind, view, [index], wraparound=False
        )

    def _vector_at(self, index: Any, count: int) -> Any:
        first = self.address(index)
        vector = ir.VectorType(first.type.pointee, count)
        return self.builder.bitcast(first, vector.as_pointer())


def straight_line(result: Any, *kinds: Any) -> Callable[[Any], Any]:
    """The decorator that makes a Numba intrinsic of `body(builder, *arguments)`.

    result: the Numba type of what is returned; a tuple of types for several values, `types.void`
    for none. kinds: one an argument, the type that it is converted to, or `GIVEN`.

    The body gets the LLVM value of each argument, an `Array` where that is one, and returns a list
    of LLVM values. A float32 is widened where a float64 is returned.
    """

    def decorate(body: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = [
                Array(context, builder, kind, value) if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, arguments, strict=True)
            ]
            wide = widened(builder, body(builder, *given), result)
            if result == types.void:
                return context.get_dummy_value()
            if not isinstance(result, tuple):
                return wide[0]
            return context.make_tuple(builder, signature.return_type, wide)

        def typed(_context: Any, *arguments: Any) -> Any:
            pairs = zip(kinds, arguments, strict=True)
            chosen = [given if kind is GIVEN else kind for kind, given in pairs]
            returned = types.Tuple(result) if isinstance(result, tuple) else result
            return returned(*chosen), generate

        typed.__name__, typed.__doc__ = body.__name__, body.__doc__
        names = ("context", *(f"argument_{index}" for index in range(len(kinds))))
        parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return intrinsic(typed)

    return decorate


def widened(builder: Any, values: list[Any], result: Any) -> list[Any]:
    """The values, a float32 as float64 where that is the type of its result."""
    wanted = result if isinstance(result, tuple) else (result,)
    if result == types.void:
        return []
    return [
        builder.fpext(value, DOUBLE) if value.type == FLOAT and kind == types.float64 else value
        for value, kind in zip(values, wanted, strict=True)
    ]
