"""Device functions of Triton: noise by known answers, and kernels that compile."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from triton_oracle import torch, triton

from decoding.kernels.reference.philox import gumbel

tl = triton.language

from decoding.kernels.gpu.philox import exponential_bounds, philox4x32
from decoding.kernels.gpu.philox import gumbel as device_gumbel


@triton.jit
def words_and_noise(counters, keys, words, bounds, noise, COUNT: tl.constexpr):
    place = tl.arange(0, COUNT)
    c0 = tl.load(counters + place * 4)
    c1 = tl.load(counters + place * 4 + 1)
    c2 = tl.load(counters + place * 4 + 2)
    c3 = tl.load(counters + place * 4 + 3)
    k0 = tl.load(keys + place * 2)
    k1 = tl.load(keys + place * 2 + 1)
    w0, w1, w2, w3 = philox4x32(c0, c1, c2, c3, k0, k1)
    tl.store(words + place * 4, w0)
    tl.store(words + place * 4 + 1, w1)
    tl.store(words + place * 4 + 2, w2)
    tl.store(words + place * 4 + 3, w3)
    least, most = exponential_bounds(c0)
    tl.store(bounds + place * 2, least)
    tl.store(bounds + place * 2 + 1, most)
    tl.store(noise + place, device_gumbel(c0, c1))


# Random123's known-answer file, philox4x32 with 10 rounds, and ends of the range for the noise.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
    ((0x80000000, 0, 0, 0), (0, 0), None),
    ((0x7FFFFFFF, 0xFFFFFFFF, 0, 0), (0, 0), None),
    ((0xFFFFFFFF, 0, 0, 0), (0, 0), None),
    ((0xFFFFFF00, 0x12345678, 0, 0), (0, 0), None),
    ((0x00000001, 0, 0, 0), (0, 0), None),
]


def test_philox_known_answers_and_finite_noise() -> None:
    count = len(KNOWN)
    counters = torch.tensor([counter for counter, _, _ in KNOWN], dtype=torch.uint32)
    keys = torch.tensor([key for _, key, _ in KNOWN], dtype=torch.uint32)
    words = torch.zeros((count, 4), dtype=torch.uint32)
    bounds, noise = torch.zeros((count, 2)), torch.zeros(count, dtype=torch.float64)
    words_and_noise[(1,)](counters, keys, words, bounds, noise, COUNT=count)
    for index, ((high, low, *_), _, answer) in enumerate(KNOWN):
        if answer is not None:
            assert tuple(words[index].tolist()) == answer
        exact = gumbel(high << 32 | low)
        assert math.isfinite(noise[index])
        assert noise[index] == pytest.approx(exact, rel=1e-12)
        least, most = bounds[index].tolist()
        assert least * (1.0 - 1e-6) <= math.exp(-exact) <= most * (1.0 + 1e-6)


@pytest.mark.slow
def test_the_kernels_compile_for_a_device() -> None:
    """The interpreter takes more than the compiler does; ptxas comes with Triton."""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILE],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["survey", "finish", "rank", "patch_rows"] * 2


COMPILE = """
import inspect
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from decoding.kernels.gpu.edits import patch_rows
from decoding.kernels.gpu.finish import finish
from decoding.kernels.gpu.rank import rank
from decoding.kernels.gpu.survey import survey

POINTERS = dict(
    opcodes="i32", operands="fp64", slots="i32", row_starts="i64", cut_starts="i64",
    temperatures="fp32", targets="i32", limits="i32", contenders="i32", seeds="i64",
    positions="i32", bitmasks="i32", touched="i32", patches="fp64", candidates="i32",
    listing="i32", rooms="i32", numbers="fp64", counts="i32", greedy="i32", top_n="i32",
    fields="i64", field_values="fp64", listed_tokens="i64", listed_values="fp64", listed_raw="fp64",
    listed_logits="fp64",
    sparse_starts="i64", sparse_tokens="i32", sparse_values="fp64", reads_history="i32",
    history="i32", lengths="i32", prompt_lengths="i32", tallies="i32",
)
ALL = dict(DENSE=True, SPARSE=True, NOISE=True, SUMS=True, DESCRIBE=True)
SLICES = dict(ROWS=1, SPLITS=32)
CASES = [
    (survey, 4, dict(SLICES, BLOCK=4096, BIASED=True, **ALL)),
    (finish, 8, dict(SLICES, SPLIT_LANES=32, WORDS=4096, TILE=1024, ROOM=261, PIVOTS=8, **ALL)),
    (rank, 4, dict(ROWS=1, BLOCK=4096)),
    (patch_rows, 4, dict(SPAN=1024)),
]
for logits in ("fp32", "bf16"):
    pointers = dict(POINTERS, logits=logits, raw_logits=logits)
    for function, warps, constants in CASES:
        types = {
            name: "constexpr" if name in constants
            else "*" + pointers[name] if name in pointers else "i32"
            for name in function.arg_names
        }
        source = ASTSource(fn=function, signature=types, constexprs=constants)
        options = dict(num_warps=warps, enable_fp_fusion=False)
        triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        print(function.__name__)
"""
