"""GGUF files: reading, dequantisation, and damaged files."""

from __future__ import annotations

import os
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from profiles import spread

from decoding.errors import MissingDependencyError, ModelFormatError
from decoding.models import gguf as reading
from decoding.models.gguf import GGUFFile
from decoding.models.quantization import QUANTIZATION_TYPES, UNREADABLE_TYPES

gguf = pytest.importorskip("gguf")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file by the format's own writer, with every kind of value and several kinds of tensor."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("a.number", 7)
    writer.add_float32("a.float", 0.5)
    writer.add_bool("a.bool", val=True)
    writer.add_string("a.string", "grün")
    writer.add_array("a.strings", ["x", "", "žluťoučký"])
    writer.add_array("a.numbers", [1, -2, 3])
    writer.add_array("a.bools", [True, False])
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 64)).astype(np.float32)
    writer.add_tensor("plain", weights)
    writer.add_tensor("half", weights.astype(np.float16))
    for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
        writer.add_tensor(kind.name, gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


OWN = (
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K", "IQ4_NL", "IQ4_XS",
)  # fmt: skip
"""Formats that are read without the package gguf."""


def test_common_formats_need_no_other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    names = {kind.name: kind for kind in QUANTIZATION_TYPES.values()}
    for name in OWN:
        blocks = np.zeros((2, names[name].block_bytes), np.uint8)
        assert names[name].dequantize(blocks).shape == (2, names[name].block_weights)


@pytest.mark.parametrize("number", spread(QUANTIZATION_TYPES, 10))
def test_blocks_equal_the_peer_bit_for_bit(number: int) -> None:
    kind = QUANTIZATION_TYPES[number]
    peer = gguf.GGMLQuantizationType(number)
    assert kind.name == peer.name
    assert gguf.GGML_QUANT_SIZES[peer] == (kind.block_weights, kind.block_bytes)
    blocks = np.random.default_rng(number).integers(0, 256, (999, kind.block_bytes), np.uint8)
    with np.errstate(all="ignore"):  # random bytes hold infinities and NaN too
        ours, theirs = kind.dequantize(blocks), gguf.dequantize(blocks, peer)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(
        ours.view(np.uint32), theirs.reshape(ours.shape).view(np.uint32), strict=True
    )


def test_unreadable_types_are_named_as_the_peer_names_them() -> None:
    for number, name in UNREADABLE_TYPES.items():
        assert gguf.GGMLQuantizationType(number).name == name
        assert number not in QUANTIZATION_TYPES


def test_metadata_and_tensors_come_back(small: Path) -> None:
    file = GGUFFile.open(small)
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["a.number"] == 7
    assert file.metadata["a.float"] == 0.5
    assert file.metadata["a.bool"] is True
    assert file.metadata["a.string"] == "grün"
    assert file.metadata["a.strings"] == ["x", "", "žluťoučký"]
    assert file.metadata["a.numbers"] == [1, -2, 3]
    assert file.metadata["a.bools"] == [True, False]
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(small).tensors}
    assert list(file.tensors) == list(theirs)
    for name, tensor in theirs.items():
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(file.read(name), expected, strict=True)


@pytest.mark.parametrize("weights", [1, 32, 64, 96, 160])
def test_tensors_are_the_same_however_many_weights_are_read_at_once(
    small: Path, monkeypatch: pytest.MonkeyPatch, weights: int
) -> None:
    file = GGUFFile.open(small)
    whole = {name: file.read(name) for name in file.tensors}
    monkeypatch.setattr(reading, "_WEIGHTS", weights)
    for name, expected in whole.items():
        np.testing.assert_array_equal(file.read(name), expected, strict=True)


@pytest.mark.slow
def test_every_truncation_is_an_error(small: Path) -> None:
    info = GGUFFile.open(small).tensors
    used = max(tensor.start + tensor.nbytes for tensor in info.values())
    os.truncate(small, used)
    assert GGUFFile.open(small).tensors == info
    for length in reversed(range(used)):
        os.truncate(small, length)
        with pytest.raises(ModelFormatError, match=r"small\.gguf: "):
            GGUFFile.open(small)


@pytest.mark.slow
def test_damaged_bytes_cost_an_error_and_nothing_else(small: Path) -> None:
    whole = small.read_bytes()
    header = min(tensor.start for tensor in GGUFFile.open(small).tensors.values())
    rng = np.random.default_rng(1)
    opened = 0
    tracemalloc.start()
    for _ in range(2000):
        data = bytearray(whole)
        for place in rng.integers(0, header, rng.integers(1, 4)):
            data[place] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
        with small.open("r+b") as stream:  # some disks are slow to make a file anew
            stream.write(data)
        try:
            file = GGUFFile.open(small)
        except ModelFormatError:
            continue
        opened += 1
        with np.errstate(all="ignore"):
            for name in file.tensors:
                file.read(name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened > 0
    assert peak < 4_000_000


def _file(*, version: int = 3, tensors: int = 0, entries: int = 0, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + body


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _tensor(name: str, sizes: list[int], kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return _string(name) + shape + struct.pack("<IQ", kind, offset)


_PADDING = b"\0" * 512


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read"),
        (b"GGML" + _PADDING, "does not begin with 'GGUF'"),
        (_file(version=1), "version 1 GGUF is not readable"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian GGUF is not readable"),
        (_file(entries=2**62), f"a table of {2**62} metadata entries needs"),
        (_file(tensors=2**62), f"a table of {2**62} tensors needs"),
        (_file(entries=1, body=struct.pack("<Q", 2**63) + _PADDING), "key of metadata entry 0"),
        (_file(entries=1, body=struct.pack("<Q", 1) + b"\xff" + _PADDING), "is not UTF-8"),
        (_file(entries=1, body=_string("k") + struct.pack("<I", 77)), "unknown type 77"),
        (
            _file(entries=1, body=_string("k") + struct.pack("<IIQ", 9, 9, 1)),
            "'k' is an array of arrays",
        ),
        (
            _file(entries=1, body=_string("k") + struct.pack("<IIQ", 9, 4, 2**61)),
            "the value of 'k' needs",
        ),
        (
            _file(entries=1, body=_string("k") + struct.pack("<IIQ", 9, 8, 2**61)),
            f"'k' with {2**61} strings needs",
        ),
        (
            _file(entries=1, body=_string("k") + struct.pack("<IIQQ", 9, 8, 1, 99)),
            "string 0 of 'k' passes the end",
        ),
        (_file(entries=1, body=_string("k") + struct.pack("<IB", 7, 2)), "neither 0 nor 1"),
        (
            _file(entries=2, body=(_string("k") + struct.pack("<II", 4, 1)) * 2),
            "'k' occurs twice",
        ),
        (
            _file(entries=1, body=_string("general.alignment") + struct.pack("<II", 4, 3)),
            "general.alignment must be a multiple of 8, at most 1048576, got 3",
        ),
        (_file(tensors=1, body=_tensor("t", []) + _PADDING), "must have 1 to 4 axes, got 0"),
        (_file(tensors=1, body=_tensor("t", [1] * 5) + _PADDING), "must have 1 to 4 axes, got 5"),
        (_file(tensors=1, body=_tensor("t", [32], 9) + _PADDING), "type Q8_1; readable types"),
        (_file(tensors=1, body=_tensor("t", [32], 99) + _PADDING), "type number 99"),
        (_file(tensors=1, body=_tensor("t", [33], 3) + _PADDING), "Q4_1 cannot have the axes"),
        (_file(tensors=1, body=_tensor("t", [0]) + _PADDING), "F32 cannot have the axes"),
        (_file(tensors=1, body=_tensor("t", [2**40, 2**40]) + _PADDING), "tensor 't' ends at byte"),
        (_file(tensors=1, body=_tensor("t", [4], offset=8) + _PADDING), "not a multiple of 32"),
        (_file(tensors=2, body=_tensor("t", [4]) * 2 + _PADDING), "tensor 't' occurs twice"),
        (
            _file(tensors=2, body=_tensor("t", [4]) + _tensor("u", [4]) + _PADDING),
            "tensors 't' and 'u' overlap",
        ),
        (
            _file(
                tensors=2,
                body=_tensor("t", [4], offset=32) + _tensor("u", [9]) + _PADDING,
            ),
            "tensors 'u' and 't' overlap",
        ),
        (
            _file(entries=1, body=_string("general.alignment") + struct.pack("<IQ", 10, 2**62)),
            "at most 1048576, got 4611686018427387904",
        ),
        (
            _file(entries=1, body=_string("general.alignment") + struct.pack("<Id", 12, 32.0)),
            "general.alignment must be a multiple of 8, at most 1048576, got 32.0",
        ),
        (_file(entries=70_000, body=b"\0" * 13 * 70_000), "at most 65536 metadata entries"),
        (_file(tensors=140_000, body=b"\0" * 24 * 140_000), "and 131072 tensors are read"),
        (_file(tensors=1, body=_tensor("t", [32], 40) + _PADDING), "type NVFP4; readable types"),
        (_file(tensors=1, body=_tensor("t" * 9999, [0]) + _PADDING), "cannot have the axes"),
    ],
)
def test_what_is_wrong_and_where(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFormatError, match=message) as caught:
        GGUFFile.open(path)
    assert caught.value.path == path
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("kind", "count", "element", "problem"),
    [
        (2, 8_000_001, 2, "more than 8000000 elements of arrays"),
        (8, 8_000_001, 8, "more than 8000000 elements of arrays"),
    ],
)
def test_arrays_that_take_far_more_memory_than_their_bytes(
    kind: int, count: int, element: int, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "long.gguf"
    head = _file(entries=1, body=_string("k") + struct.pack("<IIQ", 9, kind, count))
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + count * element)  # a hole: it takes no room on the disk
    tracemalloc.start()
    with pytest.raises(ModelFormatError, match=problem):
        GGUFFile.open(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("listed", [True, False])
def test_texts_of_metadata_are_bounded(listed: bool, tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    length = (64 << 20) + 1
    before = struct.pack("<IIQ", 9, 8, 1) if listed else struct.pack("<I", 8)
    head = _file(entries=1, body=_string("k") + before + struct.pack("<Q", length))
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + length)
    with pytest.raises(ModelFormatError, match="more than 67108864 bytes of text"):
        GGUFFile.open(path)


def test_a_format_that_another_package_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = QUANTIZATION_TYPES[gguf.GGMLQuantizationType.IQ2_XS]
    blocks = np.zeros((3, kind.block_bytes), np.uint8)
    assert kind.dequantize(blocks).shape == (3, kind.block_weights)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'decoding-engine\[gguf\]'"):
        kind.dequantize(blocks)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gguf", tmp_path, "/dev/zero"):
        with pytest.raises(ModelFormatError, match="cannot be read"):
            GGUFFile.open(path)
