"""Makes the checks of mlx-lm's truncations: top-p, min-p and top-k."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import mlx.core as mx
import mlx_lm.sample_utils as peer_code
import numpy as np

from decoding.processors import MinP, TopK, TopP
from decoding.testing.laws import log_softmax
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.testing.processor_check import check_processor
from decoding.typing import Anything


def trials() -> tuple[Trial, ...]:
    """The checks of mlx-lm, one for each law and function."""
    mx.disable_compile()  # else a compiler runs for each shape
    trial = partial(Trial, f"mlx-lm {version('mlx-lm')}")

    def of_logprobs(function: Anything) -> Anything:
        def candidate(logits: Anything) -> Anything:
            rows = mx.array(log_softmax(logits).astype(np.float32))
            return np.array(function(rows))

        return candidate

    def checked(subject: str, function: Anything, claim: Anything, **options: Anything) -> Trial:
        return trial(
            subject,
            f"float32 logprobs: is {claim!r}",
            lambda: check_processor(
                of_logprobs(function), claim, examples=200, extreme=False, **options
            ),
        )

    return (
        checked(
            "apply_top_p", lambda row: peer_code.apply_top_p(row, 0.9), TopP(0.9), widths=(2, 400)
        ),
        checked(
            "apply_min_p", lambda row: peer_code.apply_min_p(row, 0.1), MinP(0.1), widths=(2, 400)
        ),
        checked("apply_top_k", lambda row: peer_code.apply_top_k(row, 3), TopK(3), widths=(4, 400)),
        trial("apply_top_p", "the likeliest token stays for every p", _empties),
        *(
            trial(f"apply_top_p, {name}", "what stays has mass >= p", partial(_half, name))
            for name in ("bfloat16", "float16")
        ),
        trial(
            "apply_top_k",
            "k of the vocabulary's size keeps everything",
            lambda: peer_code.apply_top_k(mx.zeros((1, 3)), 3),
            Trouble.CONVENTION,
        ),
    )


def _empties() -> None:
    kept = np.array(peer_code.apply_top_p(mx.array([[0.0]]), 1e-9))[0]
    demand(bool((kept > -np.inf).any()), f"[0.0], top_p = 1e-9 -> {kept.tolist()}")


def _half(name: str) -> None:
    row = -np.log(np.arange(1.0, 50_001.0))
    row -= np.log(np.exp(row).sum())
    given = mx.array(row[np.newaxis].astype(np.float32)).astype(getattr(mx, name))
    kept = np.array(peer_code.apply_top_p(given, 0.95).astype(mx.float32))[0] > -np.inf
    exact = np.array(given.astype(mx.float32), np.float64)[0]
    probs = np.exp(exact - exact.max())
    mass = float(probs[kept].sum() / probs.sum())
    demand(
        mass > 0.94, f"Zipf, 50,000 tokens, p = 0.95: {int(kept.sum())} stay, of mass {mass:.3f}"
    )
