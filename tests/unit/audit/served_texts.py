"""Simulated servers for tests of the audit: rows of logits, and tokens drawn from noisy ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from decoding.audit.claims import Claim, Predictor
from decoding.audit.positions import has_feedback
from decoding.history import History

PROMPT_LENGTH = 3


def rows_of(number: int, tokens: int, width: int) -> Any:
    """Rows like those of a model: normal logits, from flat to peaked."""
    generator = np.random.default_rng([17, number])
    spread = generator.uniform(1.5, 4.0, (tokens, 1))
    return (generator.standard_normal((tokens, width)) * spread).astype(np.float32)


def drawn(rows: Any, truth: Claim, number: int, noise: float = 0.03) -> list[int]:
    """The tokens of a server whose logits differ by noise, of a pipeline that reads no history."""
    assert not has_feedback(truth.pipeline)
    generator = np.random.default_rng([18, number])
    noisy = rows + noise * generator.standard_normal(rows.shape, np.float32)
    predictor, tokens = Predictor(truth), []
    for start in range(0, len(rows), 64):
        count = min(64, len(rows) - start)
        lengths = PROMPT_LENGTH + start + np.arange(count, dtype=np.int64)
        history = History(
            np.zeros((count, PROMPT_LENGTH + len(rows)), np.int32),
            lengths,
            np.full(count, PROMPT_LENGTH, np.int64),
        )
        tokens += predictor.draw(noisy[start : start + count], history)
    return tokens
