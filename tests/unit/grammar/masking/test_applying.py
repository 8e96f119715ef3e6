"""`apply_mask`: packed masks on arrays and tensors, whole batches and one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.errors import ParameterError, ShapeError, UnsupportedFeatureError
from decoding.grammar import Machine, apply_mask, compile_regex, token_table
from decoding.grammar.applying import unpacked
from decoding.vocabulary import Vocabulary

torch: Any = pytest.importorskip("torch")

DTYPES = ("float16", "bfloat16", "float32", "float64")


def case(seed: int, rows: int, width: int, words: int) -> tuple[Any, Any, Any]:
    """Logits, packed words, and which tokens stay, bit by bit in Python."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, width)).astype(np.float32)
    packed = generator.integers(0, 2**32, (rows, words), dtype=np.uint32)
    kept = [
        [
            token < 32 * words and bool(int(row[token // 32]) >> token % 32 & 1)
            for token in range(width)
        ]
        for row in packed
    ]
    return logits, packed, np.array(kept).reshape(rows, width)


def as_dtype(logits: Any, dtype: str) -> Any:
    return torch.from_numpy(logits).to(getattr(torch, dtype))


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 140), st.integers(1, 6))
def test_bit_by_bit(seed: int, rows: int, width: int, words: int) -> None:
    logits, packed, kept = case(seed, rows, width, words)
    want = np.where(kept, logits, -np.inf)
    for given_words in (packed, packed.view(np.int32), list(packed)):
        assert np.array_equal(apply_mask(logits, given_words), want)
    assert apply_mask(torch.from_numpy(logits), packed).equal(torch.from_numpy(want))
    # As a device unpacks them.
    found = unpacked(torch.from_numpy(packed.view(np.int32)), width)
    assert np.array_equal(found.numpy(), kept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_format_stays_bit_for_bit(dtype: str) -> None:
    logits, packed, kept = case(3, 3, 77, 3)
    tensor = as_dtype(logits, dtype)
    before = tensor.clone()
    masked = apply_mask(tensor, packed)
    assert (masked.dtype, tensor.equal(before)) == (tensor.dtype, True)
    stay = torch.from_numpy(kept)
    assert masked[stay].equal(tensor[stay])
    assert (masked[~stay] == -torch.inf).all()
    if dtype != "bfloat16":
        array = tensor.numpy()
        result = apply_mask(array, packed)
        assert result.dtype == array.dtype
        assert np.array_equal(result, masked.numpy())


@pytest.mark.parametrize("words", ["array", "tensor", "list", "list of tensors"])
def test_rows_that_are_left_alone_and_words_of_tensors(words: str) -> None:
    logits, packed, kept = case(5, 3, 50, 2)
    want = np.where(kept, logits, -np.inf)
    given_words: Any = {
        "array": packed,
        "tensor": torch.from_numpy(packed.view(np.int32)),
        "list": list(packed),
        "list of tensors": [torch.from_numpy(row) for row in packed],
    }[words]
    for tensor in (torch.from_numpy(logits), logits):
        assert np.array_equal(np.asarray(apply_mask(tensor, given_words)), want)
    if words.startswith("list"):
        given_words[1] = None
        want[1] = logits[1]
        assert np.array_equal(apply_mask(logits, given_words), want)


def test_one_row_for_all_and_one_row_alone() -> None:
    logits, packed, _ = case(1, 4, 70, 3)
    each = np.stack([apply_mask(row, packed[0]) for row in logits])
    assert np.array_equal(apply_mask(logits, packed[0]), each)
    assert np.array_equal(apply_mask(logits, packed[:1]), each)
    assert np.array_equal(apply_mask(torch.from_numpy(logits), packed[0]).numpy(), each)


def test_in_place_and_into_another() -> None:
    logits, packed, _ = case(2, 2, 40, 2)
    want = apply_mask(logits, packed)
    for copy, target in (
        (logits.copy(), np.empty_like(logits)),
        (torch.from_numpy(logits.copy()), torch.empty(2, 40)),
    ):
        assert apply_mask(copy, packed, out=target) is target
        assert np.array_equal(np.asarray(target), want)
        assert np.array_equal(np.asarray(copy), logits)
        assert apply_mask(copy, packed, out=copy) is copy
        assert np.array_equal(np.asarray(copy), want)
    # Rows of a larger array, as an engine's buffers have them.
    buffer = np.zeros((4, 80), np.float32)
    buffer[::2, :40] = logits
    apply_mask(buffer[::2, :40], packed, out=buffer[::2, :40])
    assert np.array_equal(buffer[::2, :40], want)


def test_big_endian_and_strided_words() -> None:
    logits, packed, _ = case(4, 2, 64, 2)
    want = apply_mask(logits, packed)
    assert np.array_equal(apply_mask(logits, packed.astype(">u4")), want)
    wide = np.zeros((2, 4), np.uint32)
    wide[:, ::2] = packed
    assert np.array_equal(apply_mask(logits, wide[:, ::2]), want)


def test_matchers_of_a_batch() -> None:
    vocabulary = Vocabulary([b"a", b"b", b"ab", b"</s>"], frozenset({3}))
    machine = Machine(token_table(vocabulary, {3}))
    grammar = compile_regex("(ab)+", machine)
    matchers = [grammar.matcher(), grammar.matcher()]
    matchers[1].advance(2)
    masked = apply_mask(np.zeros((2, 5), np.float32), [item.mask() for item in matchers])
    assert np.isfinite(masked).tolist() == [
        [True, False, True, False, False],
        [True, False, True, True, False],
    ]


def test_gradients_pass_to_what_stays() -> None:
    logits, packed, kept = case(6, 1, 33, 2)
    tensor = torch.from_numpy(logits).requires_grad_()
    apply_mask(tensor, packed).exp().sum().backward()
    assert np.array_equal(tensor.grad.numpy() != 0, kept)
    with pytest.raises(UnsupportedFeatureError, match="gradient"):
        apply_mask(tensor, packed, out=tensor)


def test_wrong_arguments() -> None:
    words = np.zeros((2, 2), np.uint32)
    logits = np.zeros((2, 40), np.float32)
    for wrong in (np.zeros((2, 40), int), np.zeros((2, 2, 2)), [[1.0]], torch.zeros(3, dtype=int)):
        with pytest.raises(ShapeError, match="logits"):
            apply_mask(wrong, words)
    for wrong_words in (words.astype(np.int64), words.astype(bool), "ab", 3, torch.zeros(2, 2)):
        with pytest.raises(ParameterError, match="words"):
            apply_mask(logits, wrong_words)
    for shape in ((3, 2), (2, 2, 2)):
        with pytest.raises(ShapeError, match="words"):
            apply_mask(logits, np.zeros(shape, np.uint32))
    with pytest.raises(ShapeError, match="words"):
        apply_mask(logits[0], words)
    with pytest.raises(ShapeError, match="words"):
        apply_mask(logits, [words[0]])
    with pytest.raises(ShapeError, match=r"words\[1\]"):
        apply_mask(logits, [words[0], words])
    for out in (logits[:1], logits.astype(np.float64), torch.zeros(2, 40)):
        with pytest.raises(ParameterError, match="out"):
            apply_mask(logits, words, out=out)
    with pytest.raises(ParameterError, match="out"):
        apply_mask(torch.zeros(2, 40), words, out=logits)
