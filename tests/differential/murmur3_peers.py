"""Compares the laws of `decoding.audit.murmur3` with the sampling code of vLLM and SGLang.

    TRITON_INTERPRET=1 python tests/differential/murmur3_peers.py FOLDER [TOKENS]

FOLDER holds, unpacked from their wheels, `vllm/v1/worker/gpu/sample/gumbel.py`,
`sglang/kernels/ops/sampling/murmur_hash.py` and `sglang/srt/layers/sampler.py`. Their code runs
under Triton's interpreter, on rows of random logits with random seeds and positions; their tokens
are compared with the argmax of the law's scores. Prints one JSON object; the exit code is 1 where a
token differs. `murmur3_vectors.json` holds the first draws of such a run.

The interpreter takes 20 ms a program. The peers' kernels, a program a row, draw the first batch; for
the others kernels of this file call the peers' own `gumbel_noised_argmax`, `murmur3_mix` and
`fmix32` with many rows side by side.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from decoding.audit.murmur3 import SGLANG, SGLANG_BY_RANK, VLLM, VLLM_FLOAT64, Murmur3

WIDTH, ROWS = 40, 256
"""Few tokens a row, so that many rows are drawn; both kernels look at blocks of 1,024."""

gumbel_noised_argmax: Any = None
murmur3_mix: Any = None
fmix32: Any = None
"""The peers' own functions, set by `vllm_many` and `sglang_samplers`."""


def vllm_module(folder: Path) -> Any:
    """vLLM's `gumbel.py`."""
    stub = types.ModuleType("vllm.triton_utils")
    stub.tl, stub.triton = tl, triton
    sys.modules |= {"vllm": types.ModuleType("vllm"), "vllm.triton_utils": stub}
    return loaded("peer_gumbel", folder / "vllm/v1/worker/gpu/sample/gumbel.py")


@triton.jit
def many_rows(
    logits_ptr, seeds_ptr, places_ptr, tokens_ptr, width,
    ROWS: tl.constexpr, WIDE: tl.constexpr, FLOAT64: tl.constexpr,
):  # fmt: skip
    """Draws a token for every row of `(width, ROWS)` logits with vLLM's own function."""
    rows = tl.arange(0, ROWS)[None, :]
    keys = tl.arange(0, WIDE)[:, None]
    mask = keys < width
    logits = tl.load(logits_ptr + keys * ROWS + rows, mask=mask, other=float("-inf"))
    seeds = tl.load(seeds_ptr + rows)
    places = tl.load(places_ptr + rows)
    _, token = gumbel_noised_argmax(
        logits, keys, mask, seeds, places, 1.0, IS_DRAFTING=False, USE_FP64=FLOAT64
    )
    tl.store(tokens_ptr + tl.arange(0, ROWS), token)


def vllm_many(module: Any, batch: Batch, *, is_wide: bool) -> list[int]:
    """The tokens of a batch, drawn by vLLM's function."""
    globals()["gumbel_noised_argmax"] = module.gumbel_noised_argmax
    many_rows.fn.__globals__["gumbel_noised_argmax"] = module.gumbel_noised_argmax
    logits, seeds, places = batch.tensors()
    tokens = torch.empty(ROWS, dtype=torch.int64)
    many_rows[(1,)](
        logits.T.contiguous(), seeds, places, tokens, WIDTH, ROWS=ROWS, WIDE=64, FLOAT64=is_wide
    )
    return tokens.tolist()


@triton.jit
def many_hashes(
    seeds_ptr, places_ptr, words_ptr, width, ROWS: tl.constexpr, WIDE: tl.constexpr
):  # fmt: skip
    """The words of many rows, as `murmur_hash32_kernel` computes those of one."""
    rows = tl.arange(0, ROWS)[:, None]
    keys = tl.arange(0, WIDE)[None, :]
    seed = tl.load(seeds_ptr + rows).to(tl.uint64)
    h = murmur3_mix(0, (seed & 0xFFFFFFFF).to(tl.uint32))
    h = murmur3_mix(h, ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32))
    h = murmur3_mix(h, tl.load(places_ptr + rows).to(tl.uint32))
    h = murmur3_mix(h, keys.to(tl.uint32))
    h = fmix32(h ^ 16)
    tl.store(words_ptr + rows * width + keys, h, mask=(keys < width) & (rows < ROWS))


def sglang_samplers(folder: Path, *, by_kernel: bool) -> tuple[Any, Any]:
    """The seeded samplers of SGLang: over all probabilities, and with top-k and top-p."""
    murmur = loaded("peer_murmur", folder / "sglang/kernels/ops/sampling/murmur_hash.py")

    known: list[tuple[Any, Any]] = []

    def murmur_hash32(seed: Any, positions: Any, columns: Any) -> Any:
        # Its own wrapper takes another implementation on the CPU.
        count, width = len(seed), len(columns)
        if known and torch.equal(known[0][0], seed):  # of the same batch
            return known[0][1]
        words = torch.empty((count, width), dtype=torch.uint32)
        if by_kernel:
            murmur.murmur_hash32_kernel[(count, triton.cdiv(width, 1024))](
                seed, positions, columns, words, count, width, BLOCK_SIZE=1024
            )
        else:
            many_hashes.fn.__globals__["murmur3_mix"] = murmur.murmur3_mix
            many_hashes.fn.__globals__["fmix32"] = murmur.fmix32
            many_hashes[(1,)](seed, positions, words, width, ROWS=count, WIDE=64)
        known[:] = [(seed, words)]
        return words

    path = folder / "sglang/srt/layers/sampler.py"
    wanted = {
        "multinomial_with_seed",
        "sampling_from_probs_torch",
        "top_k_top_p_min_p_sampling_from_probs_torch",
    }
    body = [
        item
        for item in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(item, ast.FunctionDef) and item.name in wanted
    ]
    assert len(body) == len(wanted)
    names: dict[str, Any] = {
        "torch": torch,
        "Optional": __import__("typing").Optional,
        "murmur_hash32": murmur_hash32,
        "is_npu": lambda: True,  # nothing is compiled there
    }
    future = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module([*future, *body], []), str(path), "exec"), names)
    return (
        names["sampling_from_probs_torch"],
        names["top_k_top_p_min_p_sampling_from_probs_torch"],
    )


def loaded(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Batch:
    """Rows of logits with a seed and a position each."""

    def __init__(self, number: int) -> None:
        generator = np.random.default_rng([16, number])
        self.logits = (generator.normal(0, 2, (ROWS, WIDTH))).astype(np.float32)
        self.seeds = generator.integers(0, 2**63, ROWS)
        if number % 2:
            self.seeds %= 2**32
        self.positions = generator.integers(1, 100_000, ROWS)

    def tensors(self) -> tuple[Any, Any, Any]:
        places = torch.from_numpy(self.positions - 1)
        return torch.from_numpy(self.logits.copy()), torch.from_numpy(self.seeds), places

    def by_law(self, law: Murmur3, rows: Any = None) -> list[int]:
        ids = np.arange(WIDTH)
        logits = (self.logits if rows is None else rows).astype(np.float64)
        tokens = []
        for row, seed, position in zip(
            logits, self.seeds.tolist(), self.positions.tolist(), strict=True
        ):
            kept = ids[row > -np.inf]
            tokens.append(int(kept[law.scores(row[kept], kept, seed, position).argmax()]))
        return tokens


def compared(folder: Path, number: int) -> Iterator[tuple[str, list[int], list[int]]]:
    """The tokens of the peers' code and of the laws, for one batch."""
    batch = Batch(number)
    module = vllm_module(folder)
    for law, is_wide in ((VLLM, False), (VLLM_FLOAT64, True)):
        if number > 0:
            yield law.name, vllm_many(module, batch, is_wide=is_wide), batch.by_law(law)
            continue
        logits, seeds, places = batch.tensors()
        own = torch.arange(ROWS)
        ones = torch.ones(ROWS)
        tokens = module.gumbel_sample(
            logits, own, ones, seeds, places, apply_temperature=False, is_drafting=False,
            use_fp64=is_wide,
        )  # fmt: skip
        yield law.name, tokens.tolist(), batch.by_law(law)
    plain, filtered = sglang_samplers(folder, by_kernel=number == 0)
    logits, seeds, places = batch.tensors()
    probs = torch.softmax(logits, dim=-1)
    yield SGLANG.name, plain(probs, seeds, places).tolist(), batch.by_law(SGLANG)
    top_k = torch.full((ROWS,), 12)
    tokens = filtered(
        probs.clone(), top_k, torch.ones(ROWS), torch.zeros(ROWS), False, seeds, places
    )
    kth = np.sort(batch.logits, axis=1)[:, -12:-11]
    rows = np.where(batch.logits >= kth, batch.logits, -np.inf)
    yield SGLANG_BY_RANK.name, tokens.tolist(), batch.by_law(SGLANG_BY_RANK, rows)


def main() -> int:
    folder = Path(sys.argv[1])
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    counts: dict[str, list[int]] = {}
    vectors: dict[str, list[int]] = {}
    for number in range(-(-wanted // ROWS)):
        for name, theirs, ours in compared(folder, number):
            count = counts.setdefault(name, [0, 0])
            count[0] += len(theirs)
            count[1] += sum(one != other for one, other in zip(theirs, ours, strict=True))
            if number == 1:
                vectors.setdefault(name, []).extend(theirs)
        sys.stderr.write(f"{number} {counts}\n")
    differ = {name: {"tokens": count[0], "differ": count[1]} for name, count in counts.items()}
    sys.stdout.write(json.dumps({"drawn": differ, "vectors": vectors}) + "\n")
    return int(any(count[1] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
