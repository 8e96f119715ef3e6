"""What crosses seams pickles, copies, and does the same in processes that are forked or spawned."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
from process_works import HISTORY, LOGITS, PIPELINE, WORKS
from profiles import spread

from decoding import BatchSampler, GenerationParameters, Request, Sampler
from decoding.history import History


@pytest.mark.parametrize("name", WORKS)
def test_a_copy_does_the_same(name: str) -> None:
    make, work = WORKS[name]
    want = work(make())
    assert work(pickle.loads(pickle.dumps(make()))) == want
    assert work(copy.deepcopy(make())) == want
    used = make()
    work(used)
    if name in ("sampler", "sampler of numpy", "grammar", "model", "matcher", "chunks"):
        # What was used before is copied without what the use has left in it.
        assert work(pickle.loads(pickle.dumps(used))) == want


@pytest.mark.parametrize("method", spread(["spawn", "fork"], 1))
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_another_process_does_the_same(method: str) -> None:
    want = {name: work(make()) for name, (make, work) in WORKS.items()}
    with multiprocessing.get_context(method).Pool(1) as pool:
        waiting = {name: pool.apply_async(work, (make(),)) for name, (make, work) in WORKS.items()}
        got = {name: item.get(timeout=120) for name, item in waiting.items()}
    assert got == want


def test_requests_and_parameters() -> None:
    request = Request([1, 2], GenerationParameters(seed=1, stop=("x",)), PIPELINE)
    for twin in (pickle.loads(pickle.dumps(request)), copy.deepcopy(request)):
        assert twin == request


def test_what_ran_can_be_asked() -> None:
    sampler = BatchSampler([Sampler(PIPELINE, 1)] * 40, backend="numpy")
    assert sampler.execution is None
    sampler.draw(np.repeat(LOGITS, 20, 0), History.of([[1]] * 40))
    assert sampler.execution is not None
    assert tuple(sampler.execution) == ("numpy", 1)
    sampler.remove(0)
    assert tuple(sampler.execution) == ("numpy", 1)
    assert copy.deepcopy(sampler).execution is None


@pytest.mark.kernels
def test_what_ran_of_the_compiled_kernels() -> None:
    for threads, rows in ((3, 40), (3, 2), (None, 2)):
        sampler = BatchSampler([Sampler(PIPELINE, 1)] * rows, backend="numba", threads=threads)
        sampler.process(np.repeat(LOGITS[:1], rows, 0), History.of([[1]] * rows))
        assert sampler.execution is not None
        assert tuple(sampler.execution) == ("numba", min(threads or 1, rows))


def test_what_ran_of_torch() -> None:
    torch = pytest.importorskip("torch")
    sampler = BatchSampler([Sampler(PIPELINE, 1)] * 2, backend="torch")
    sampler(torch.from_numpy(LOGITS), HISTORY)
    assert sampler.execution is not None
    assert tuple(sampler.execution) == ("torch", 1)
