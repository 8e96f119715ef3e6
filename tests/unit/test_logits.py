"""Conversion of a model's output to logits, and errors that say what was expected."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decoding import logits as logits_module
from decoding.errors import ShapeError
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.logits import LastView, as_logits, as_rows
from decoding.pipeline import chain
from decoding.processors import Mirostat2, NaNPolicy, RepetitionPenalty, TopP
from decoding.sampling.batch import BatchSampler, Sampler

ROWS = (np.random.default_rng(0).standard_normal((3, 70)) * 3).astype(np.float32)


def unaligned(rows: Any) -> Any:
    raw = b"\0" + rows.tobytes()
    return np.frombuffer(raw, rows.dtype, offset=1).reshape(rows.shape)


def read_only(rows: Any) -> Any:
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def padded(rows: Any) -> Any:
    return np.pad(rows, ((0, 0), (2, 5)))[:, 2:-5]


TAKEN: list[Callable[[Any], Any]] = [
    lambda rows: rows.astype(rows.dtype.newbyteorder(">")),
    lambda rows: rows.astype(rows.dtype.newbyteorder("<")),
    np.asfortranarray,
    lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    lambda rows: rows[::-1].copy()[::-1],
    lambda rows: rows[:, ::-1].copy()[:, ::-1],
    read_only,
    padded,
    unaligned,
    lambda rows: rows.view(np.matrix),
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("number", range(len(TAKEN)))
def test_any_layout_of_the_same_numbers_gives_the_same_tokens(number: int, dtype: Any) -> None:
    rows = ROWS.astype(dtype)
    given = TAKEN[number](rows)
    before = np.array(given)
    samplers = [Sampler(chain(RepetitionPenalty(1.2), TopP(0.9)), seed) for seed in range(3)]
    history = History.of([[1, 2], [3], []])
    wanted = BatchSampler(samplers, backend=Backend.NUMPY).draw(rows, history)
    for backend in (Backend.NUMPY, Backend.NUMBA, Backend.TORCH):
        if backend is Backend.NUMBA and dtype == np.float16:
            continue  # its kernels for half precision are compiled where they are tested
        pytest.importorskip(backend.value if backend is not Backend.NUMPY else "numpy")
        assert BatchSampler(samplers, backend=backend).draw(given, history) == wanted
    assert np.array_equal(np.array(given), before)
    assert as_rows(rows) is rows or dtype == np.float16
    assert np.array_equal(as_logits(given), as_logits(rows))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: np.zeros((), np.float32), r"shape \(\)"),
    (lambda: np.zeros((), np.float16), r"shape \(\)"),
    (lambda: np.zeros(4, np.float32), r"shape \(4,\)"),
    (lambda: np.zeros((1, 4, 2)), r"shape \(1, 4, 2\)"),
    (lambda: np.zeros((1, 0)), r"shape \(1, 0\)"),
    (lambda: np.zeros((1, 4), object), "an array of object"),
    (lambda: np.zeros((1, 4), np.int64), "an array of int64"),
    (lambda: np.zeros((1, 4), np.uint16), "an array of uint16"),
    (lambda: np.zeros((1, 4), np.bool_), "an array of bool"),
    (lambda: np.zeros((1, 4), np.complex64), "an array of complex64"),
    (lambda: np.zeros((1, 4), "U3"), "an array of <U3"),
    (lambda: np.zeros((1, 4), [("a", float)]), "an array of"),
    (lambda: np.ma.masked_less(np.zeros((1, 4)), 1.0), "a masked array"),
    (lambda: [[0.0, 1.0]], "a list"),
    (lambda: None, "a NoneType"),
    (lambda: 1.5, "a float"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_anything_else_is_refused_where_it_enters(number: int) -> None:
    make, said = REFUSED[number]
    expected = rf"logits must be \(batch, vocab\) of float16, .*{said}"
    for call in (as_rows, as_logits):
        with pytest.raises(ShapeError, match=expected):
            call(make())
    with pytest.raises(ShapeError, match=said):
        BatchSampler([Sampler()])(make(), History.empty(1))


def test_so_are_tensors_of_other_kinds() -> None:
    torch = pytest.importorskip("torch")
    for tensor in (
        torch.zeros((1, 4), dtype=torch.int64),
        torch.zeros((1, 4), dtype=torch.complex64),
        torch.zeros((1, 4), dtype=torch.float8_e5m2),
        torch.zeros((1, 4), dtype=torch.float8_e5m2, device="meta"),
        torch.zeros((1, 4)).to_sparse(),
        torch.zeros(4),
    ):
        with pytest.raises(ShapeError, match="logits must be"):
            as_rows(tensor)


def test_tensors_are_viewed_whatever_hangs_on_them() -> None:
    torch = pytest.importorskip("torch")
    rows = torch.tensor(ROWS, requires_grad=True)
    assert np.array_equal(as_rows(rows), ROWS)
    negative = torch.tensor(1j * ROWS.astype(np.complex64)).conj().imag
    assert negative.is_neg()
    assert np.array_equal(as_rows(negative), -ROWS)


def halved(logits: Any, history: History) -> Any:
    return logits / 2


@pytest.mark.parametrize("stages", [chain(halved), chain(TopP(0.9), Mirostat2(), NaNPolicy())])
def test_half_precision_reaches_processors_that_only_python_knows(stages: Any) -> None:
    torch = pytest.importorskip("torch")
    history, samplers = History.of([[1], [2], []]), [Sampler(stages, seed) for seed in (None, 1, 2)]
    half = ROWS.astype(np.float16)
    wanted = BatchSampler(samplers, backend=Backend.NUMPY)(half.astype(np.float32), history)
    for rows in (half, half.astype(">f2"), torch.tensor(half)):
        drawn = BatchSampler(samplers, backend=Backend.NUMPY)(rows, history)
        assert [item.token_id for item in drawn] == [item.token_id for item in wanted]
    rounded = torch.tensor(ROWS).bfloat16()
    drawn = BatchSampler(samplers, backend=Backend.NUMPY)(rounded, history)
    wanted = BatchSampler(samplers, backend=Backend.NUMPY)(rounded.float(), history)
    assert [item.token_id for item in drawn] == [item.token_id for item in wanted]


def test_processors_take_tensors_whatever_hangs_on_them() -> None:
    torch = pytest.importorskip("torch")
    negative = torch.tensor(1j * ROWS.astype(np.complex64)).conj().imag
    edited = TopP(0.5)(negative, History.empty(len(ROWS)))
    assert np.array_equal(edited.numpy(), TopP(0.5)(-ROWS, History.empty(len(ROWS))))
    with pytest.raises(ShapeError, match=r"a tensor of layout torch\.sparse_coo"):
        TopP(0.5)(torch.tensor(ROWS).to_sparse(), History.empty(len(ROWS)))


def tensors_in_one_place(torch: Any) -> list[Any]:
    """Different tensors whose numbers begin at the same address."""
    memory = torch.tensor(ROWS)
    turned = torch.tensor(1j * ROWS.astype(np.complex64))
    return [
        memory,
        memory[:2],
        memory[:, :35],
        memory.t(),
        memory.view(torch.float64) if ROWS.shape[1] % 2 == 0 else memory,
        memory.view(torch.bfloat16),
        memory.view(torch.float16),
        memory.detach().requires_grad_(),
        turned.imag,
        turned.conj().imag,
    ]


def test_a_tensor_where_the_last_one_lay_is_viewed_as_any_other() -> None:
    torch = pytest.importorskip("torch")
    for one in tensors_in_one_place(torch):
        for other in tensors_in_one_place(torch):
            last = LastView()
            for given in (one, one, one, other, one, one, other, other, other):
                rows = last.of(given)
                wanted = as_rows(given.detach())
                assert rows.dtype == wanted.dtype
                assert rows.shape == wanted.shape
                assert rows.tobytes() == wanted.tobytes()


def test_a_view_shows_what_is_written_later_and_keeps_no_memory() -> None:
    torch = pytest.importorskip("torch")
    last, tensor = LastView(), torch.zeros(2, 3)
    for number in range(4):
        tensor.fill_(number)
        assert (last.of(tensor) == number).all()
    alive = weakref.ref(tensor.untyped_storage())
    del tensor
    assert alive() is None
    wide = torch.ones(2, 300)
    assert (last.of(wide) == 1).all()


def test_what_has_no_memory_of_its_own_is_refused_as_ever() -> None:
    torch = pytest.importorskip("torch")
    last = LastView()
    for _ in range(3):
        for given in (torch.tensor(ROWS).to_sparse(), torch.empty(3, 70, device="meta"), "logits"):
            with pytest.raises(ShapeError):
                last.of(given)
        assert np.array_equal(last.of(torch.tensor(ROWS)), ROWS)


def test_a_batch_sampler_draws_from_tensors_in_one_place_as_from_others() -> None:
    torch = pytest.importorskip("torch")
    kept, tensor = BatchSampler([Sampler(seed=seed) for seed in range(3)]), torch.zeros(3, 70)
    rng = np.random.default_rng(1)
    for step in range(12):
        given = tensor.view(torch.bfloat16) if step % 5 == 4 else tensor
        given.copy_(torch.tensor(rng.standard_normal(tuple(given.shape))))
        history = History.of([list(range(step))] * 3)
        fresh = BatchSampler(kept.samplers)
        assert kept.draw(given, history) == fresh.draw(given.clone(), history)


def test_what_a_processor_keeps_of_a_tensor_keeps_its_memory() -> None:
    torch = pytest.importorskip("torch")
    kept: list[Any] = []

    def keeping(logits: Any, _history: History) -> Any:
        kept[:] = [logits]
        return logits

    sampler = BatchSampler([Sampler(chain(keeping))])
    tensor = torch.ones(1, 1000)
    for _ in range(4):
        sampler(tensor, History.empty(1))
    del tensor
    others = [torch.full((1, 1000), -1.0) for _ in range(4)]
    assert all((item == 1).all() for item in kept)
    del others


def test_two_threads_view_each_its_own_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    last, one, other = LastView(), torch.zeros(2, 8), torch.ones(2, 8)
    last.of(one)
    real = logits_module.as_rows

    def interrupted(tensor: Any) -> Any:
        rows = real(tensor)
        monkeypatch.setattr(logits_module, "as_rows", real)
        last.of(other)  # as another thread may
        return rows

    monkeypatch.setattr(logits_module, "as_rows", interrupted)
    last.of(one)
    assert (last.of(other) == 1).all()
    assert (last.of(one) == 0).all()
