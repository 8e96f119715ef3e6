"""Dequantisation of GGUF's weight formats to float32, one function a format.

A tensor is a run of equal blocks; a block holds a few weights as small integers with their scale.
Every function takes `(blocks, bytes of a block) uint8` and returns `(blocks, weights) float32`,
with the operations of ggml in ggml's order, so that the bits are the same.

Formats whose integers are numbers of rows in large tables (most of the IQ family), and those that
few files use, are read by the package `gguf`, which the makers of the formats keep.

Source: ggml, `ggml-common.h` (layouts) and `ggml-quants.c` (`dequantize_row_*`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.errors import MissingDependencyError

Blocks: TypeAlias = NDArray[np.uint8]
Weights: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QuantizationType:
    """One format of weights.

    name: as ggml spells it.
    block_weights: weights in a block.
    block_bytes: bytes of a block.
    dequantize: `(blocks, block_bytes) uint8` to `(blocks, block_weights) float32`.
    """

    name: str
    block_weights: int
    block_bytes: int
    dequantize: Callable[[Blocks], Weights]


def _half(blocks: Blocks, start: int) -> Weights:
    """The float16 at byte `start` of each block, `(blocks, 1)`."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view("<f2").astype(np.float32)


def _nibbles(packed: Blocks, width: int) -> Blocks:
    """Low halves of `width` bytes, then their high halves, then the next `width` bytes."""
    groups = packed.reshape(len(packed), -1, 1, width)
    return (groups >> np.array([[0], [4]], np.uint8)) & np.uint8(0x0F)


def _float32(blocks: Blocks) -> Weights:
    return blocks.view("<f4").astype(np.float32, copy=False)


def _float16(blocks: Blocks) -> Weights:
    return blocks.view("<f2").astype(np.float32)


def _bfloat16(blocks: Blocks) -> Weights:
    return (blocks.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


def _q4_0(blocks: Blocks) -> Weights:
    weights = _nibbles(blocks[:, 2:], 16).reshape(len(blocks), 32).astype(np.float32)
    weights -= np.float32(8)
    weights *= _half(blocks, 0)
    return weights


def _q4_1(blocks: Blocks) -> Weights:
    weights = _nibbles(blocks[:, 4:], 16).reshape(len(blocks), 32).astype(np.float32)
    weights *= _half(blocks, 0)
    weights += _half(blocks, 2)
    return weights


def _fives(high: Blocks, low: Blocks) -> Weights:
    """32 five-bit integers: 4 bytes of high bits, 16 bytes of low nibbles."""
    bits = np.unpackbits(high, axis=1, bitorder="little") << np.uint8(4)
    return (_nibbles(low, 16).reshape(len(low), 32) | bits).astype(np.float32)


def _q5_0(blocks: Blocks) -> Weights:
    weights = _fives(blocks[:, 2:6], blocks[:, 6:])
    weights -= np.float32(16)
    weights *= _half(blocks, 0)
    return weights


def _q5_1(blocks: Blocks) -> Weights:
    weights = _fives(blocks[:, 4:8], blocks[:, 8:])
    weights *= _half(blocks, 0)
    weights += _half(blocks, 2)
    return weights


def _q8_0(blocks: Blocks) -> Weights:
    weights = blocks[:, 2:].view(np.int8).astype(np.float32)
    weights *= _half(blocks, 0)
    return weights


def _k_scales(packed: Blocks) -> tuple[Weights, Weights]:
    """Eight six-bit scales and eight six-bit minima from 12 bytes, each `(blocks, 8)`.

    The first four of each lie in the low six bits of bytes 0-3 and 4-7. The last four have their
    low nibbles in bytes 8-11 (scales low, minima high) and their top two bits above the first four.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = [first & 0x3F, (third & 0x0F) | ((first >> 2) & 0x30)]
    minima = [second & 0x3F, (third >> 4) | ((second >> 2) & 0x30)]
    return (
        np.concatenate(scales, axis=1).astype(np.float32),
        np.concatenate(minima, axis=1).astype(np.float32),
    )


def _scaled_k(blocks: Blocks, quants: Weights) -> Weights:
    """`d·scale·q − dmin·minimum` for the K formats with minima; quants are `(blocks, 8, 32)`."""
    scales, minima = _k_scales(blocks[:, 4:16])
    quants *= (_half(blocks, 0) * scales)[:, :, None]
    quants -= (_half(blocks, 2) * minima)[:, :, None]
    return quants.reshape(len(blocks), 256)


def _q4_k(blocks: Blocks) -> Weights:
    quants = _nibbles(blocks[:, 16:], 32).reshape(len(blocks), 8, 32)
    return _scaled_k(blocks, quants.astype(np.float32))


def _q5_k(blocks: Blocks) -> Weights:
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    high = ((blocks[:, None, 16:48] >> shifts) & np.uint8(1)) << np.uint8(4)
    quants = _nibbles(blocks[:, 48:], 32).reshape(len(blocks), 8, 32) | high
    return _scaled_k(blocks, quants.astype(np.float32))


def _q6_k(blocks: Blocks) -> Weights:
    low = _nibbles(blocks[:, :128], 64).reshape(len(blocks), 8, 32)
    shifts = np.array([[0], [2], [4], [6]], np.uint8)
    high = (blocks[:, 128:192].reshape(len(blocks), 2, 1, 32) >> shifts) & np.uint8(3)
    quants = (low | (high.reshape(len(blocks), 8, 32) << np.uint8(4))).astype(np.float32)
    quants -= np.float32(32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    weights = quants.reshape(len(blocks), 16, 16)
    weights *= (_half(blocks, 208) * scales)[:, :, None]
    return weights.reshape(len(blocks), 256)


def _twos(packed: Blocks) -> Blocks:
    """Four two-bit integers a byte: the lowest of 32 bytes, then the next, `(blocks, 256)`."""
    shifts = np.array([[0], [2], [4], [6]], np.uint8)
    groups = packed.reshape(len(packed), -1, 1, 32) >> shifts
    return (groups & np.uint8(3)).reshape(len(packed), 256)


def _q2_k(blocks: Blocks) -> Weights:
    """Sixteen runs of sixteen weights; a byte a run holds its scale and its minimum."""
    quants = _twos(blocks[:, 16:80]).reshape(len(blocks), 16, 16).astype(np.float32)
    scales = (blocks[:, :16] & np.uint8(0x0F)).astype(np.float32)
    minima = (blocks[:, :16] >> np.uint8(4)).astype(np.float32)
    quants *= (_half(blocks, 80) * scales)[:, :, None]
    quants -= (_half(blocks, 82) * minima)[:, :, None]
    return quants.reshape(len(blocks), 256)


def _q3_k(blocks: Blocks) -> Weights:
    """Sixteen runs of sixteen weights, each two bits and a third that is 1 for "do not take 4".

    A scale has four bits in a nibble of bytes 0-7, and two in bytes 8-11, four scales a byte.
    """
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    kept = ((blocks[:, None, :32] >> shifts) & np.uint8(1)).reshape(len(blocks), 256)
    quants = _twos(blocks[:, 32:96]).astype(np.float32)
    quants -= ((kept ^ np.uint8(1)) << np.uint8(2)).astype(np.float32)
    packed = blocks[:, 96:108]
    low = _nibbles(packed[:, :8], 8).reshape(len(blocks), 16)
    high = (packed[:, None, 8:] >> np.array([[0], [2], [4], [6]], np.uint8)) & np.uint8(3)
    scales = (low | (high.reshape(len(blocks), 16) << np.uint8(4))).astype(np.float32)
    scales -= np.float32(32)
    weights = quants.reshape(len(blocks), 16, 16)
    weights *= (_half(blocks, 108) * scales)[:, :, None]
    return weights.reshape(len(blocks), 256)


_UNEVEN = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
"""What a nibble of the IQ4 formats stands for."""


def _iq4_nl(blocks: Blocks) -> Weights:
    weights = _UNEVEN[_nibbles(blocks[:, 2:], 16).reshape(len(blocks), 32)]
    weights *= _half(blocks, 0)
    return weights


def _iq4_xs(blocks: Blocks) -> Weights:
    """Eight runs of 32 weights; scales have four bits in bytes 4-7 and two in bytes 2-3."""
    low = ((blocks[:, 4:8, None] >> np.array([0, 4], np.uint8)) & np.uint8(0x0F)).reshape(-1, 8)
    bits = np.ascontiguousarray(blocks[:, 2:4]).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16)
    scales = (low | ((bits.astype(np.uint8) & np.uint8(3)) << np.uint8(4))).astype(np.float32)
    scales -= np.float32(32)
    weights = _UNEVEN[_nibbles(blocks[:, 8:], 16).reshape(len(blocks), 8, 32)]
    weights *= (_half(blocks, 0) * scales)[:, :, None]
    return weights.reshape(len(blocks), 256)


def _by_gguf(number: int) -> Callable[[Blocks], Weights]:
    """Read by the package `gguf`."""

    def dequantize(blocks: Blocks) -> Weights:
        try:
            import gguf
        except ImportError as error:
            raise MissingDependencyError("gguf", "gguf") from error
        weights: Weights = gguf.dequantize(blocks, gguf.GGMLQuantizationType(number))
        return weights

    return dequantize


_OWN: dict[int, tuple[str, int, int, Callable[[Blocks], Weights]]] = {
    0: ("F32", 1, 4, _float32),
    1: ("F16", 1, 2, _float16),
    2: ("Q4_0", 32, 18, _q4_0),
    3: ("Q4_1", 32, 20, _q4_1),
    6: ("Q5_0", 32, 22, _q5_0),
    7: ("Q5_1", 32, 24, _q5_1),
    8: ("Q8_0", 32, 34, _q8_0),
    10: ("Q2_K", 256, 84, _q2_k),
    11: ("Q3_K", 256, 110, _q3_k),
    12: ("Q4_K", 256, 144, _q4_k),
    13: ("Q5_K", 256, 176, _q5_k),
    14: ("Q6_K", 256, 210, _q6_k),
    20: ("IQ4_NL", 32, 18, _iq4_nl),
    23: ("IQ4_XS", 256, 136, _iq4_xs),
    30: ("BF16", 1, 2, _bfloat16),
}
_OF_GGUF = {
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}
QUANTIZATION_TYPES = MappingProxyType(
    {number: QuantizationType(*rest) for number, rest in _OWN.items()}
    | {
        number: QuantizationType(name, weights, size, _by_gguf(number))
        for number, (name, weights, size) in _OF_GGUF.items()
    }
)
"""The readable formats by their number in a GGUF file."""

UNREADABLE_TYPES = MappingProxyType(
    {
        9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
        40: "NVFP4", 41: "Q1_0",
    }
)  # fmt: skip
"""Names of the formats that are only recognised, for error messages."""
