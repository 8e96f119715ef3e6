"""What a processor is lowered to does what the processor does by its definition.

Every other comparison of kernels takes lowered instructions for granted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backend_oracle import bitmasks_for

from decoding.history import History
from decoding.kernels.program import Batch, assemble
from decoding.kernels.vector.step import VectorKernel
from decoding.processors import (
    Bitmask,
    BitmaskBias,
    Dry,
    DynamicTemperature,
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    LogitBias,
    MinP,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    SuppressTokens,
    Temperature,
    TopH,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)

WIDTH = 24
HALF = tuple(range(0, WIDTH, 2))
CASES: tuple[Any, ...] = (
    *(Temperature(value) for value in (0.5, 0.9, 1.7)),
    *(TopK(k, keep_ties) for k in (1, 5, 23) for keep_ties in (False, True)),
    *(TopP(p) for p in (0.1, 0.5, 0.9, 0.999)),
    *(MinP(p) for p in (0.01, 0.1, 0.6, 1.0)),
    *(TypicalP(mass) for mass in (0.2, 0.9)),
    *(EpsilonCutoff(value) for value in (0.01, 0.1)),
    *(EtaCutoff(value) for value in (0.01, 0.1)),
    *(TopNSigma(n) for n in (0.5, 1.5)),
    *(TopH(share) for share in (0.2, 0.7)),
    DynamicTemperature(0.4, 1.6, 1.5),
    RepetitionPenalty(1.3),
    FrequencyPenalty(0.7),
    PresencePenalty(0.7),
    LogitBias({1: 2.0, 7: -3.0, 8: -np.inf}),
    SuppressTokens([3, 4]),
    Bitmask.of(HALF),
    BitmaskBias.of(HALF, 1.5),
    NoRepeatNgram(2),
    Dry(0.8),
)


@pytest.mark.parametrize("processor", CASES, ids=repr)
def test_lowered_is_by_definition(processor: Any) -> None:
    generator = np.random.default_rng(5)
    rows = np.round(generator.standard_normal((4, WIDTH)) * 4.0) / 2.0
    rows[1] = generator.standard_normal(WIDTH)
    rows[2, ::3] = -np.inf
    history = History.of(
        [[1, 2, 6, 2, 9], [5], [], [6]], [[6, 2, 9, 1, 6], [6, 2, 6], [7, 7, 7, 7], []]
    )
    lowered = processor.lower()
    assert lowered
    batch = Batch(assemble([lowered] * 4), np.zeros(4, np.uint64), np.zeros(4, bool), np.zeros(4))
    edited, _ = VectorKernel(batch).edit(
        rows.copy(),
        bitmasks_for(batch.program, WIDTH),
        history.token_ids,
        history.lengths,
        history.prompt_lengths,
    )
    wanted = processor(rows, history)
    assert np.array_equal(edited > -np.inf, wanted > -np.inf)
    alive = wanted > -np.inf
    assert np.allclose(edited[alive], wanted[alive], rtol=1e-12, atol=1e-12)
