"""Device functions of Triton: noise by known answers, and kernels that compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from triton_oracle import torch, triton

from decoding.kernels.randomness import BLOCK_SIZE
from decoding.kernels.reference.noise import block_share, exponential, natural_log, token_noise

tl = triton.language

from decoding.kernels.gpu.philox import exponential as device_exponential
from decoding.kernels.gpu.philox import exponential_bounds, philox4x32
from decoding.kernels.gpu.philox import natural_log as device_log
from decoding.kernels.gpu.philox import token_noise as device_noise


@triton.jit
def words_and_exponentials(counters, keys, words, bounds, numbers, COUNT: tl.constexpr):
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
    tl.store(numbers + place, device_exponential(c0, c1))


@triton.jit
def logs_and_noise(values, logs, tokens, seeds, positions, noise, COUNT: tl.constexpr):
    place = tl.arange(0, COUNT)
    tl.store(logs + place, device_log(tl.load(values + place)))
    token, seed = tl.load(tokens + place), tl.load(seeds + place)
    tl.store(noise + place, device_noise(token, tl.load(positions + place), seed))


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


def test_philox_known_answers_and_exponentials_within_their_bounds() -> None:
    count = len(KNOWN)
    counters = torch.tensor([counter for counter, _, _ in KNOWN], dtype=torch.uint32)
    keys = torch.tensor([key for _, key, _ in KNOWN], dtype=torch.uint32)
    words = torch.zeros((count, 4), dtype=torch.uint32)
    bounds, numbers = torch.zeros((count, 2)), torch.zeros(count, dtype=torch.float64)
    words_and_exponentials[(1,)](counters, keys, words, bounds, numbers, COUNT=count)
    for index, ((high, low, *_), _, answer) in enumerate(KNOWN):
        if answer is not None:
            assert tuple(words[index].tolist()) == answer
        exact = exponential(high << 32 | low)
        assert float(numbers[index]) == exact
        least, most = bounds[index].tolist()
        assert least * (1.0 - 1e-6) <= exact <= most * (1.0 + 1e-6)


def test_logs_and_noise_have_the_bits_of_the_reference() -> None:
    count, generator = 4096, np.random.default_rng(5)
    values = np.concatenate(
        [
            2.0 ** generator.uniform(-60.0, 6.0, count // 2),
            1.0 - 2.0 ** generator.uniform(-50.0, -1.0, count // 2),
        ]
    )
    tokens = generator.integers(0, 200_000, count).astype(np.int32)
    seeds = generator.integers(-(2**63), 2**63, count)
    positions = generator.integers(0, 2**31, count).astype(np.int32)
    for index in range(0, count, 2):  # as many leads as others
        seed, block = int(seeds[index]) % 2**64, int(tokens[index]) // BLOCK_SIZE
        tokens[index] = block_share(seed, int(positions[index]), block)[1]
    logs, noise = (torch.zeros(count, dtype=torch.float64) for _ in range(2))
    given = (torch.from_numpy(array) for array in (values, tokens, seeds, positions))
    first, *rest = given
    logs_and_noise[(1,)](first, logs, *rest, noise, COUNT=count)
    assert logs.tolist() == [natural_log(value) for value in values.tolist()]
    assert noise.tolist() == [
        token_noise(seed % 2**64, position, token_id)
        for seed, position, token_id in zip(
            seeds.tolist(), positions.tolist(), tokens.tolist(), strict=True
        )
    ]


def compiled(*arguments: str) -> list[str]:
    """The words that a script prints where Triton compiles; ptxas comes with it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "0"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.slow
def test_the_kernels_compile_for_a_device() -> None:
    """The interpreter takes more than the compiler does."""
    assert compiled("-c", COMPILE) == ["survey", "finish", "rank", "patch_rows"] * 2


@pytest.mark.slow
def test_a_device_fuses_no_operation_of_the_noise(tmp_path: Path) -> None:
    script = tmp_path / "noise_alone.py"
    script.write_text(NOISE)
    # Each product and sum is rounded by itself, to the nearest.
    assert compiled(str(script)) == ["add.rn.f64", "div.rn.f64", "mul.rn.f64", "sub.rn.f64"]


NOISE = r"""
import re
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from decoding.kernels.gpu.launch import _EXACT
from decoding.kernels.gpu.philox import token_noise

@triton.jit
def noise(tokens, seeds, positions, out, COUNT: tl.constexpr):
    at = tl.arange(0, COUNT)
    found = token_noise(tl.load(tokens + at), tl.load(positions + at), tl.load(seeds + at))
    tl.store(out + at, found)

types = dict(tokens="*i32", seeds="*i64", positions="*i32", out="*fp64", COUNT="constexpr")
source = ASTSource(fn=noise, signature=types, constexprs=dict(COUNT=128))
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=dict(_EXACT))
operation = r"\b(?:fma|mad|div|mul|add|sub)\.[a-z.]*f64"
print(*sorted(set(re.findall(operation, compiled.asm["ptx"]))))
"""


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
