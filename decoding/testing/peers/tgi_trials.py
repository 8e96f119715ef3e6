"""Checks whether functions of TGI 3.3.6's Python server, transcribed here, keep their laws."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from decoding.processors import FrequencyPenalty
from decoding.testing.peers.trial import Trial, Trouble, demand
from decoding.testing.processor_check import check_processor
from decoding.testing.stream_check import check_stream

Array = NDArray[np.floating]


def trials() -> tuple[Trial, ...]:
    """The trials of TGI: each checks one law on one transcribed function of TGI's server."""
    trial = partial(Trial, "TGI 3.3.6", source="transcribed")
    return (
        trial(
            "FrequencyPenaltyLogitsProcessor",
            'it is OpenAI\'s, as its docstring says: "as defined by OpenAI"',
            lambda: check_processor(_frequency, FrequencyPenalty(0.5), examples=200),
        ),
        trial(
            "FrequencyPenaltyLogitsProcessor",
            "a larger penalty makes a seen token less likely",
            _not_monotone,
        ),
        trial(
            "HeterogeneousFrequencyPenalty",
            "it is OpenAI's, as its docstring says",
            lambda: check_processor(_heterogeneous, FrequencyPenalty(0.5), examples=200),
        ),
        trial(
            "StopSequenceCriteria",
            "a text stops at a stop string, wherever it stands in the tokens",
            lambda: check_stream(_stops, keep_stop=True, as_text=True),
        ),
        trial(
            "temperature in float16",
            "finite logits stay finite for every temperature that a request may have",
            lambda: demand(
                bool(np.isfinite(np.float16(1.0) / np.float16(1e-5))), "[1.0] / 1e-5 -> [inf]"
            ),
            Trouble.LIMIT,
        ),
    )


def _frequency(logits: Array, token_ids: NDArray[np.int64]) -> Array:
    """`scores − (scores · penalty if scores < 0 else scores / penalty)` for seen tokens."""
    result = logits.copy()
    with np.errstate(invalid="ignore"):
        for row, ids in enumerate(token_ids):
            seen = np.unique(ids[ids >= 0])
            score = logits[row, seen]
            result[row, seen] = score - np.where(score < 0.0, score * 0.5, score / 0.5)
    return result


def _not_monotone() -> None:
    def penalised(score: float, penalty: float) -> float:
        return score - (score * penalty if score < 0.0 else score / penalty)

    small, large = penalised(4.0, 0.1), penalised(4.0, 2.0)
    demand(large <= small, f"logit 4: penalty 0.1 gives {small:g}, penalty 2 gives {large:g}")


def _heterogeneous(logits: Array, token_ids: NDArray[np.int64]) -> Array:
    """`scores − penalty · count / length`."""
    result = logits.copy()
    for row, ids in enumerate(token_ids):
        for token in ids[ids >= 0]:
            result[row, token] -= np.float32(0.5 / max(1, int((ids >= 0).sum())))
    return result


def _stops(tokens: Iterable[str], stops: Sequence[str]) -> list[str]:
    """After each token, the stop's regex with `$` behind it is searched in the text."""
    text = ""
    for token in tokens:
        text += token
        if any(re.search(re.escape(stop) + "$", text) for stop in stops):
            break
    return [text]
