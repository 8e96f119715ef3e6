"""Choice of the backend, and compilation in the background."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.pipeline import chain
from decoding.processors import Temperature, TopP
from decoding.sampling import backends
from decoding.sampling.backends import Execution, fastest, warmup
from decoding.sampling.batch import BatchSampler, Sample, Sampler

ROWS = (np.random.default_rng(0).standard_normal((3, 200)) * 3).astype(np.float32)
SAMPLERS = [Sampler(chain(Temperature(0.8), TopP(0.9)), seed, top_n=3) for seed in range(3)]


def in_a_fresh_process(program: str, **environment: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


@pytest.mark.parametrize("backend", Backend)
def test_every_backend_on_the_host_gives_the_same_samples(backend: Backend) -> None:
    if backend is Backend.TRITON:
        pytest.skip("Triton serves CUDA devices; tests/property runs it under its interpreter")
    pytest.importorskip(backend.value if backend is not Backend.NUMPY else "numpy")
    history = History.of([[1, 2], [3], []])
    drawn = BatchSampler(SAMPLERS, backend=backend, threads=2)(ROWS, history)
    expected = BatchSampler(SAMPLERS, backend=Backend.NUMPY)(ROWS, history)
    for one, other in zip(drawn, expected, strict=True):
        assert isinstance(one, Sample)
        assert isinstance(other, Sample)
        assert one.token_id == other.token_id
        assert abs(one.processed_logprob - other.processed_logprob) < 1e-6
        assert [item.token_id for item in one.top] == [item.token_id for item in other.top]


def test_draw_is_the_call_without_its_description() -> None:
    history = History.of([[1, 2], [3], []])
    rows = ROWS.copy()
    rows[1, 7] = np.nan
    sampler = BatchSampler(SAMPLERS)
    drawn, described = sampler.draw(rows, history), sampler(rows, history)
    assert str(drawn[1]) == str(described[1])
    for row in (0, 2):
        sample = described[row]
        assert isinstance(sample, Sample)
        assert drawn[row] == sample.token_id


def test_a_step_does_not_wait_for_a_thread_that_gets_no_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = pytest.importorskip("decoding.kernels.compiled.kernel")
    rows = np.tile(ROWS, (20, 1))
    samplers = [Sampler(chain(TopP(0.9)), seed) for seed in range(60)]
    history = History.empty(60)
    alone = BatchSampler(samplers, backend="numba", threads=1)(rows, history)
    released = threading.Event()
    timer = threading.Timer(5, released.set)
    timer.start()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(released.wait)
        monkeypatch.setattr(kernel.CompiledKernel, "_threads", lambda _: pool)
        drawn = BatchSampler(samplers, backend="numba", threads=3)(rows, history)
        assert not released.is_set()
        released.set()
    timer.cancel()
    assert drawn == alone


def test_threads_change_nothing() -> None:
    rows = np.tile(ROWS, (20, 1))
    samplers = [Sampler(chain(TopP(0.9)), seed) for seed in range(60)]
    history = History.empty(60)
    alone = BatchSampler(samplers, threads=1)(rows, history)
    assert BatchSampler(samplers, threads=3)(rows, history) == alone
    with pytest.raises(ParameterError, match="threads must be >= 1"):
        BatchSampler(samplers, threads=0)


def test_a_dtype_that_no_kernel_takes_cannot_be_warmed_up() -> None:
    with pytest.raises(ParameterError, match="one of float32, float64, float16, bfloat16"):
        warmup("int8")


def test_without_numba_numpy_serves() -> None:
    program = """
import sys
sys.modules["numba"] = None
import numpy as np
from decoding import BatchSampler, History, Sampler, warmup
from decoding.errors import MissingDependencyError
row = np.array([[0.0, 2.0, 1.0]], np.float32)
for _ in range(3):
    [drawn] = BatchSampler([Sampler()])(row, History.empty(1))
try:
    warmup()
except MissingDependencyError as error:
    print(drawn.token_id, error)
"""
    assert in_a_fresh_process(program).startswith("1 numba")


COLD = """
import sys, time
import numpy as np
from decoding import BatchSampler, Backend, History, Sampler, TopP, chain, warmup
from decoding.sampling.backends import fastest
rows = (np.random.default_rng(0).standard_normal((2, 300)) * 3).astype(np.float32)
sampler = BatchSampler([Sampler(chain(TopP(0.9)), seed) for seed in (1, 2)])
histories = [History.of([[0] * n] * 2) for n in range(20)]
backends = [fastest(rows)]
first = [sampler.draw(rows, history) for history in histories]
warmup()
backends.append(fastest(rows))
later = [sampler.draw(rows, history) for history in histories]
print(*(item.value for item in backends), first == later)
"""


@pytest.mark.slow
def test_a_cold_process_draws_at_once_and_then_switches(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    cache = {"DECODING_CACHE": str(tmp_path), "DECODING_COMPILE": "aside"}
    assert in_a_fresh_process(COLD, **cache).split() == ["numpy", "numba", "True"]
    [kept] = (tmp_path / "kernels").iterdir()
    assert (kept / "step_rows.sha256").exists()
    before = sorted(path.name for path in kept.rglob("*.nbc"))
    assert in_a_fresh_process(COLD, **cache).split() == ["numpy", "numba", "True"]
    assert sorted(path.name for path in kept.rglob("*.nbc")) == before, "nothing is compiled twice"


def test_tensors_elsewhere_are_served_by_torch_or_triton() -> None:
    torch = pytest.importorskip("torch")
    assert fastest(torch.zeros((1, 4), device="meta")) is Backend.TORCH


@pytest.mark.parametrize("name", ["numpy", "numba", Backend.NUMPY, None])
def test_a_backend_is_named_by_its_name(name: str | None) -> None:
    pytest.importorskip("numba")
    history = History.of([[1, 2], [3], []])
    drawn = BatchSampler(SAMPLERS, backend=name).draw(ROWS, history)
    assert drawn == BatchSampler(SAMPLERS, backend=Backend.NUMPY).draw(ROWS, history)


@pytest.mark.parametrize("name", ["nonsense", "NUMPY", "", 1, 2.5, b"numpy", ["numpy"], object])
def test_other_backends_are_refused_where_they_are_handed_over(name: Any) -> None:
    with pytest.raises(ParameterError, match="None or one of numpy, numba, torch, triton"):
        BatchSampler(SAMPLERS, backend=name)


@pytest.mark.parametrize("threads", [0, -1, 2.5, "2", True, [1]])
def test_threads_are_a_whole_number(threads: Any) -> None:
    with pytest.raises(ParameterError, match=r"threads must be (an integer, )?>= 1, or None"):
        BatchSampler(SAMPLERS, threads=threads)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_damaged_cache_heals(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    cache = {"DECODING_CACHE": str(tmp_path)}
    warm = "from decoding import warmup; warmup('float64')"
    in_a_fresh_process(warm, **cache)
    [index] = tmp_path.rglob("*.nbi")
    for path in index.parent.glob("*.nb?"):
        path.write_bytes(b"garbage" * 99)
    in_a_fresh_process(f"import warnings; warnings.simplefilter('ignore'); {warm}", **cache)
    cold = in_a_fresh_process(COLD, **cache, DECODING_COMPILE="aside")
    assert cold.split()[1:] == ["numba", "True"]


@pytest.mark.kernels
@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_a_large_batch_takes_a_thread_for_every_16_rows_as_far_as_there_are_cores(
    cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "usable_cores", lambda: cores)
    for batch in (
        BatchSampler([Sampler()] * 70, backend="numba"),
        copy.copy(BatchSampler([Sampler()] * 70, backend="numba")),
    ):
        batch(np.zeros((70, 9), np.float32), History.empty(70))
        assert batch.execution == Execution(Backend.NUMBA, expected)
