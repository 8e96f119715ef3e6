"""Runs the ranks of a gloo group, one process each, and prints what they saw as JSON.

    python gloo_ranks.py WORLD STEPS WIDTH

Rank 0 also draws with a `BatchSampler` from the whole logits.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from pipelines import SIX

from decoding import BatchSampler, History, Sampler
from decoding.distributed import VocabularyParallel
from decoding.errors import ShapeError

sent = {"bytes": 0}
_all_gather = dist.all_gather


def _counted(gathered: Any, own: torch.Tensor, **arguments: Any) -> Any:
    sent["bytes"] += own.numel() * own.element_size()
    return _all_gather(gathered, own, **arguments)


def logits_of(step: int, rows: int, width: int) -> torch.Tensor:
    """bfloat16 of one seed: every rank has its slice of the same, and looks at nothing else."""
    generator = torch.Generator().manual_seed(step)
    return (torch.randn(rows, width, generator=generator) * 2.5).to(torch.bfloat16)


def run(rank: int, world: int, steps: int, width: int, port: int, results: Any) -> None:
    """What one rank does."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=world)
    dist.all_gather = _counted
    samplers = [Sampler(pipeline, 11 + row, 2) for row, pipeline in enumerate(SIX.values())]
    sampler = VocabularyParallel(None, samplers, logits_width=width)
    ends = np.linspace(0, width, world + 1).astype(int).tolist()
    own = slice(ends[rank], ends[rank + 1])
    alone = BatchSampler(samplers, backend="numpy")
    prompts: list[list[int]] = [[1, 2, 3]] * len(samplers)
    texts: list[list[int]] = [[] for _ in samplers]
    different, furthest, most = 0, 0.0, 0
    for step in range(steps):
        history = History.of(prompts, [text[-60:] for text in texts])
        logits = logits_of(step, len(samplers), width)
        before = sent["bytes"]
        drawn = sampler(logits[:, own], history)
        most = max(most, sent["bytes"] - before)
        assert world == 1 or sampler.traffic.bytes == sent["bytes"] - before
        if rank == 0:
            for item, other in zip(drawn, alone(logits, history), strict=True):
                different += item.token_id != other.token_id
                furthest = max(
                    furthest,
                    abs(item.processed_logprob - other.processed_logprob),
                    abs(item.raw_logprob - other.raw_logprob),
                    abs(item.entropy - other.entropy),
                )
        for text, item in zip(texts, drawn, strict=True):
            text.append(item.token_id)
    # A rank that cannot go on: all raise, none waits.
    wrong = logits[:, own] if rank < world - 1 else logits[0]
    try:
        sampler(wrong, history)
    except ShapeError as error:
        message = str(error)
    row = {"texts": texts, "different": different, "furthest": furthest, "bytes": most}
    results.put((rank, row | {"error": message}))
    dist.destroy_process_group()


def main(world: int, steps: int, width: int) -> None:
    """Fork the ranks, which have torch already, and print their results in their order."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    ranks = [
        context.Process(target=run, args=(rank, world, steps, width, port, results))
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    found = dict(results.get(timeout=3000) for _ in ranks)
    for process in ranks:
        process.join()
    sys.stdout.write(json.dumps([found[rank] for rank in range(world)]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
