"""A reader of GGUF files: metadata and tensors, mapped into memory and never trusted.

Every length in the file is checked against the bytes that are left before anything is read or
allocated, so a damaged file costs an error and nothing else.

Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ModelFormatError
from decoding.models.quantization import QUANTIZATION_TYPES, UNREADABLE_TYPES, QuantizationType

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", _BOOL: "<u1",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
_LEAST_ENTRY = 8 + 4 + 1  # a key's length, a type, a one-byte value
_LEAST_TENSOR = 8 + 4 + 4 + 8  # a name's length, the number of axes, a type, an offset
_MOST_AXES = 4


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and how it is stored.

    shape: rows first, as NumPy counts; the file lists the axes the other way round.
    start: first byte in the file.
    """

    shape: tuple[int, ...]
    quantization: QuantizationType
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        weights = math.prod(self.shape)
        return weights // self.quantization.block_weights * self.quantization.block_bytes


@dataclass(frozen=True, slots=True, eq=False)
class GGUFFile:
    """An open GGUF file.

    metadata: numbers, bools, strings, and lists of them, by key.
    tensors: by name.

    The file stays mapped as long as the object lives; a tensor is read when it is asked for.
    """

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    _bytes: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> GGUFFile:
        """Map a file of version 2 or 3, little-endian, and read all but its weights.

        Raises:
            ModelFormatError: it cannot be read, is truncated or corrupt, or holds a tensor in a
                format that is not readable; the message names the place.
        """
        path = Path(path)
        try:
            data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise ModelFormatError(path, f"cannot be read: {error}") from error
        cursor = _Cursor(path, data.data)
        entries, count = cursor.header()
        metadata = cursor.metadata(entries)
        return cls(path, metadata, cursor.tensors(count, metadata), data)

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor as float32, of the shape in `tensors`; raises KeyError for an unknown name."""
        info = self.tensors[name]
        blocks = self._bytes[info.start : info.start + info.nbytes]
        rows = blocks.reshape(-1, info.quantization.block_bytes)
        return info.quantization.dequantize(rows).reshape(info.shape)


@dataclass(slots=True)
class _Cursor:
    """A position in the file that only moves forward and never past the end."""

    path: Path
    data: memoryview
    offset: int = 0

    def fail(self, problem: str) -> NoReturn:
        raise ModelFormatError(self.path, f"{problem} (at byte {self.offset})")

    def need(self, size: int, role: str) -> None:
        left = len(self.data) - self.offset
        if size > left:
            self.fail(f"truncated or corrupt: {role} needs {size} bytes, {left} are left")

    def take(self, size: int, role: str) -> memoryview:
        self.need(size, role)
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def integer(self, size: int, role: str) -> int:
        return int.from_bytes(self.take(size, role), "little")

    def string(self, role: str) -> str:
        start = self.offset
        raw = bytes(self.take(self.integer(8, role), role))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.offset = start
            self.fail(f"{role} is not UTF-8")

    def header(self) -> tuple[int, int]:
        """How many metadata entries and how many tensors follow."""
        if bytes(self.take(4, "the magic number")) != _MAGIC:
            self.offset = 0
            self.fail("not a GGUF file: it does not begin with 'GGUF'")
        version = self.integer(4, "the version")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            kind = "big-endian" if swapped in _VERSIONS else f"version {version}"
            self.fail(f"{kind} GGUF is not readable; versions 2 and 3, little-endian, are")
        count = self.integer(8, "the number of tensors")
        entries = self.integer(8, "the number of metadata entries")
        self.need(entries * _LEAST_ENTRY, f"a table of {entries} metadata entries")
        self.need(count * _LEAST_TENSOR, f"a table of {count} tensors")
        return entries, count

    def metadata(self, entries: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for index in range(entries):
            key = self.string(f"the key of metadata entry {index}")
            if key in metadata:
                self.fail(f"metadata key {key!r} occurs twice")
            metadata[key] = self.value(self.integer(4, f"the type of {key!r}"), key)
        return metadata

    def value(self, kind: int, key: str) -> Any:  # noqa: ANN401 - a file's value has any type
        if kind == _ARRAY:
            kind = self.integer(4, f"the element type of {key!r}")
            count = self.integer(8, f"the length of {key!r}")
            return self.strings(count, key) if kind == _STRING else self.numbers(kind, count, key)
        return (
            self.string(f"the value of {key!r}")
            if kind == _STRING
            else self.numbers(kind, 1, key)[0]
        )

    def numbers(self, kind: int, count: int, key: str) -> list[Any]:
        if kind not in _NUMBERS:
            what = "an array of arrays" if kind == _ARRAY else f"of the unknown type {kind}"
            self.fail(f"metadata {key!r} is {what}")
        dtype = np.dtype(_NUMBERS[kind])
        values = np.frombuffer(self.take(count * dtype.itemsize, f"the value of {key!r}"), dtype)
        if kind != _BOOL:
            return list(values.tolist())
        if count and values.max() > 1:
            self.fail(f"metadata {key!r} holds a bool that is neither 0 nor 1")
        return list(values.astype(bool).tolist())

    def strings(self, count: int, key: str) -> list[str]:
        """A vocabulary is read here: a hundred thousand strings, hence no call of `string`."""
        self.need(count * 8, f"{key!r} with {count} strings")
        data, offset, end = self.data, self.offset, len(self.data)
        length_at = struct.Struct("<Q").unpack_from
        values: list[str] = []
        for index in range(count):
            if offset + 8 > end or offset + 8 + (length := length_at(data, offset)[0]) > end:
                self.offset = offset
                self.fail(f"truncated or corrupt: string {index} of {key!r} passes the end")
            try:
                values.append(str(data[offset + 8 : offset + 8 + length], "utf-8"))
            except UnicodeDecodeError:
                self.offset = offset
                self.fail(f"string {index} of {key!r} is not UTF-8")
            offset += 8 + length
        self.offset = offset
        return values

    def tensors(self, count: int, metadata: Mapping[str, Any]) -> dict[str, TensorInfo]:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
            self.fail(f"general.alignment must be a multiple of 8, got {alignment!r}")
        headers = [self.tensor_header(index) for index in range(count)]
        base = math.ceil(self.offset / alignment) * alignment
        tensors: dict[str, TensorInfo] = {}
        for name, shape, quantization, offset in headers:
            info = TensorInfo(shape, quantization, base + offset)
            if name in tensors:
                self.fail(f"tensor {name!r} occurs twice")
            if offset % alignment:
                self.fail(f"tensor {name!r} lies at offset {offset}, not a multiple of {alignment}")
            if info.start + info.nbytes > len(self.data):
                self.fail(
                    f"truncated or corrupt: tensor {name!r} ends at byte {info.start + info.nbytes}"
                    f" of a file of {len(self.data)} bytes"
                )
            tensors[name] = info
        return tensors

    def tensor_header(self, index: int) -> tuple[str, tuple[int, ...], QuantizationType, int]:
        name = self.string(f"the name of tensor {index}")
        axes = self.integer(4, f"the number of axes of tensor {name!r}")
        if not 1 <= axes <= _MOST_AXES:
            self.fail(f"tensor {name!r} must have 1 to {_MOST_AXES} axes, got {axes}")
        sizes = [self.integer(8, f"the shape of tensor {name!r}") for _ in range(axes)]
        kind = self.integer(4, f"the type of tensor {name!r}")
        if kind not in QUANTIZATION_TYPES:
            readable = ", ".join(known.name for known in QUANTIZATION_TYPES.values())
            unreadable = UNREADABLE_TYPES.get(kind, f"number {kind}")
            self.fail(f"tensor {name!r} has type {unreadable}; readable types are {readable}")
        quantization = QUANTIZATION_TYPES[kind]
        if 0 in sizes or sizes[0] % quantization.block_weights:
            self.fail(f"tensor {name!r} of type {quantization.name} cannot have the axes {sizes}")
        offset = self.integer(8, f"the offset of tensor {name!r}")
        return name, tuple(reversed(sizes)), quantization, offset
