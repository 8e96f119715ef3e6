"""A reader of GGUF files, which checks all sizes and offsets; memory-mapped.

Every length in the file is checked against the bytes that are left before anything is read or
allocated, and what becomes a Python object is bounded by a count as well, so a damaged file costs
an error and nothing else.

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
from decoding.models.files import require_regular, shown
from decoding.models.quantization import QUANTIZATION_TYPES, UNREADABLE_TYPES, QuantizationType
from decoding.typing import Anything

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
_MOST_ENTRIES = 1 << 16  # of metadata; known files have less than 100
_MOST_TENSORS = 1 << 17
_MOST_ELEMENTS = 8_000_000  # of all arrays together: a vocabulary with merges has 1.4 million
_MOST_CHARACTERS = 64 << 20  # of all strings together: the largest vocabularies have 20 MB
_MOST_ALIGNMENT = 1 << 20


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The offset, shape and format of a tensor in the file.

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
        require_regular(path)
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
        quantization = info.quantization
        rows = blocks.reshape(-1, quantization.block_bytes)
        if quantization.block_weights == 1:
            return quantization.dequantize(rows).reshape(info.shape)
        weights = np.empty((len(rows), quantization.block_weights), np.float32)
        step = max(1, _WEIGHTS // quantization.block_weights)
        for start in range(0, len(rows), step):
            stop = start + step
            weights[start:stop] = quantization.dequantize(rows[start:stop])
        return weights.reshape(info.shape)


_WEIGHTS = 1 << 17
"""So many weights are dequantised at once: all between then stays in the processor's cache."""


@dataclass(slots=True)
class _Cursor:
    """A checked read position in the file."""

    path: Path
    data: memoryview
    offset: int = 0
    elements: int = 0
    characters: int = 0

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

    def spend(self, elements: int, characters: int) -> None:
        """Count objects made from the metadata against a limit of memory."""
        self.elements += elements
        self.characters += characters
        if self.elements > _MOST_ELEMENTS:
            self.fail(f"metadata has more than {_MOST_ELEMENTS} elements of arrays")
        if self.characters > _MOST_CHARACTERS:
            self.fail(f"metadata has more than {_MOST_CHARACTERS} bytes of text")

    def string(self, role: str) -> str:
        start = self.offset
        length = self.integer(8, role)
        self.need(length, role)
        self.spend(0, length)
        raw = bytes(self.take(length, role))
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
        if entries > _MOST_ENTRIES or count > _MOST_TENSORS:
            self.fail(
                f"at most {_MOST_ENTRIES} metadata entries and {_MOST_TENSORS} tensors are read,"
                f" got {entries} and {count}"
            )
        return entries, count

    def metadata(self, entries: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for index in range(entries):
            key = self.string(f"the key of metadata entry {index}")
            if key in metadata:
                self.fail(f"metadata key {shown(key)} occurs twice")
            metadata[key] = self.value(self.integer(4, f"the type of {shown(key)}"), key)
        return metadata

    def value(self, kind: int, key: str) -> Anything:  # a file's value has any type
        if kind == _ARRAY:
            kind = self.integer(4, f"the element type of {shown(key)}")
            count = self.integer(8, f"the length of {shown(key)}")
            return self.strings(count, key) if kind == _STRING else self.numbers(kind, count, key)
        return (
            self.string(f"the value of {shown(key)}")
            if kind == _STRING
            else self.numbers(kind, 1, key)[0]
        )

    def numbers(self, kind: int, count: int, key: str) -> list[Any]:
        if kind not in _NUMBERS:
            what = "an array of arrays" if kind == _ARRAY else f"of the unknown type {kind}"
            self.fail(f"metadata {shown(key)} is {what}")
        dtype = np.dtype(_NUMBERS[kind])
        self.need(count * dtype.itemsize, f"the value of {shown(key)}")
        self.spend(count, 0)
        values = np.frombuffer(
            self.take(count * dtype.itemsize, f"the value of {shown(key)}"), dtype
        )
        if kind != _BOOL:
            return list(values.tolist())
        if count and values.max() > 1:
            self.fail(f"metadata {shown(key)} holds a bool that is neither 0 nor 1")
        return list(values.astype(bool).tolist())

    def strings(self, count: int, key: str) -> list[str]:
        """A vocabulary is read here: a hundred thousand strings, hence no call of `string`."""
        self.need(count * 8, f"{shown(key)} with {count} strings")
        self.spend(count, 0)
        data, offset, end = self.data, self.offset, len(self.data)
        enough = offset + count * 8 + _MOST_CHARACTERS
        length_at = struct.Struct("<Q").unpack_from
        values: list[str] = []
        for index in range(count):
            if offset + 8 > end or offset + 8 + (length := length_at(data, offset)[0]) > end:
                self.offset = offset
                self.fail(f"truncated or corrupt: string {index} of {shown(key)} passes the end")
            try:
                values.append(str(data[offset + 8 : offset + 8 + length], "utf-8"))
            except UnicodeDecodeError:
                self.offset = offset
                self.fail(f"string {index} of {shown(key)} is not UTF-8")
            offset += 8 + length
            if offset > enough:
                break
        self.spend(0, offset - self.offset)
        self.offset = offset
        return values

    def tensors(self, count: int, metadata: Mapping[str, Any]) -> dict[str, TensorInfo]:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 8 <= alignment <= _MOST_ALIGNMENT or alignment % 8:
            self.fail(
                f"general.alignment must be a multiple of 8, at most {_MOST_ALIGNMENT},"
                f" got {shown(alignment)}"
            )
        headers = [self.tensor_header(index) for index in range(count)]
        base = -(-self.offset // alignment) * alignment
        tensors: dict[str, TensorInfo] = {}
        for name, shape, quantization, offset in headers:
            info = TensorInfo(shape, quantization, base + offset)
            if name in tensors:
                self.fail(f"tensor {shown(name)} occurs twice")
            if offset % alignment:
                self.fail(
                    f"tensor {shown(name)} lies at offset {offset}, not a multiple of {alignment}"
                )
            if info.start + info.nbytes > len(self.data):
                self.fail(
                    f"truncated or corrupt: tensor {shown(name)} ends at byte"
                    f" {info.start + info.nbytes} of a file of {len(self.data)} bytes"
                )
            tensors[name] = info
        # Tensors that share bytes would make a short file ask for any amount of memory.
        end, before = 0, ""
        for name, info in sorted(tensors.items(), key=lambda item: item[1].start):
            if info.start < end:
                self.fail(f"tensors {shown(before)} and {shown(name)} overlap")
            end, before = info.start + info.nbytes, name
        return tensors

    def tensor_header(self, index: int) -> tuple[str, tuple[int, ...], QuantizationType, int]:
        name = self.string(f"the name of tensor {index}")
        axes = self.integer(4, f"the number of axes of tensor {shown(name)}")
        if not 1 <= axes <= _MOST_AXES:
            self.fail(f"tensor {shown(name)} must have 1 to {_MOST_AXES} axes, got {axes}")
        sizes = [self.integer(8, f"the shape of tensor {shown(name)}") for _ in range(axes)]
        kind = self.integer(4, f"the type of tensor {shown(name)}")
        if kind not in QUANTIZATION_TYPES:
            readable = ", ".join(known.name for known in QUANTIZATION_TYPES.values())
            unreadable = UNREADABLE_TYPES.get(kind, f"number {kind}")
            self.fail(f"tensor {shown(name)} has type {unreadable}; readable types are {readable}")
        quantization = QUANTIZATION_TYPES[kind]
        if 0 in sizes or sizes[0] % quantization.block_weights:
            self.fail(
                f"tensor {shown(name)} of type {quantization.name} cannot have the axes {sizes}"
            )
        offset = self.integer(8, f"the offset of tensor {shown(name)}")
        return name, tuple(reversed(sizes)), quantization, offset
