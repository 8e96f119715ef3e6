"""The sampler's exact distribution by enumeration: total variation below 1e-6.

Here every token has noise of its own, of independent words. That the noise of a draw is as good as
that is the matter of `test_noise_law` and `test_block_law`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding.history import History
from decoding.kernels.program import assemble
from decoding.kernels.reference import processors as reference
from decoding.kernels.reference import step as reference_step
from decoding.kernels.vector.execute import run_row
from decoding.kernels.vector.noise import gumbel
from decoding.pipeline import Fused, Pipeline, chain
from decoding.processors import (
    Bitmask,
    BitmaskBias,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)
from decoding.testing.exact import law_of_argmax, total_variation

ROW = np.array([1.5, 0.25, 2.0, -1.0, 0.25, -math.inf, 1.0, -3.0])
HISTORY = History.of([[2, 2, 5]], [[0, 4, 4]])
LIMIT = 1e-6


def perturb(logits: Any, words: Any) -> Any:
    return logits + gumbel(words)


def law(pipeline: Pipeline) -> Any:
    """The law of our sampler: the lowered pipeline, then the argmax of what it left plus noise."""
    (fused,) = pipeline.segments
    assert isinstance(fused, Fused)
    prompt_length = int(HISTORY.prompt_lengths[0])
    program = assemble([fused.instructions])
    left = run_row(ROW, program, 0, program.bitmasks, HISTORY.row(0), prompt_length)
    result = np.zeros(len(ROW))
    result[left.token_ids] = law_of_argmax(perturb, left.logits, nodes=1000)
    return result


def expected(pipeline: Pipeline) -> Any:
    """Softmax of the reference's row."""
    (fused,) = pipeline.segments
    assert isinstance(fused, Fused)
    prompt, generated = HISTORY.prompt(0).tolist(), HISTORY.generated(0).tolist()
    row = reference_step.run(ROW.tolist(), fused.instructions, prompt, generated)
    return np.array(reference.probabilities(row))


PROCESSORS = [
    Temperature(0.7),
    Temperature(3.0),
    TopK(3),
    TopK(3, keep_ties=False),
    TopP(0.8),
    MinP(0.2),
    TypicalP(0.6),
    RepetitionPenalty(1.3),
    FrequencyPenalty(0.5),
    PresencePenalty(0.75),
    LogitBias({1: 2.0, 3: -math.inf}),
    Bitmask.of([0, 1, 2, 3, 5, 7]),
    BitmaskBias.of([1, 4, 6], 0.8),
]


def random_chain(seed: int) -> Pipeline:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(PROCESSORS))[: generator.integers(2, 7)]
    return chain(*(PROCESSORS[index] for index in order))


@pytest.mark.parametrize("processor", PROCESSORS, ids=repr)
def test_every_processor(processor: Any) -> None:
    pipeline = chain(processor)
    assert total_variation(law(pipeline), expected(pipeline)) < LIMIT


@pytest.mark.parametrize("seed", spread(range(20), 4))
def test_random_chains(seed: int) -> None:
    pipeline = random_chain(seed)
    assert total_variation(law(pipeline), expected(pipeline)) < LIMIT


def test_the_bare_row() -> None:
    assert total_variation(law(chain()), expected(chain())) < LIMIT


@pytest.mark.parametrize("bits", [16, 24, 32, 40])
def test_rare_tokens_keep_their_probability(bits: int) -> None:
    # 24-bit noise gives a token of probability 2**-24 only 0.96 of it, and 2**-28 next to nothing.
    row = np.array([0.0, -bits * math.log(2.0)])
    drawn = 1.0 - law_of_argmax(perturb, row, nodes=1000)[0]
    assert drawn == pytest.approx(1.0 / (1.0 + 2.0**bits), rel=1e-2)


def test_a_wrong_sampler_is_seen() -> None:
    def too_hot(logits: Any, words: Any) -> Any:
        return perturb(logits / 1.001, words)

    def coarse(logits: Any, words: Any) -> Any:
        return perturb(logits, words & np.uint64(0xFFF << 52))

    row = ROW[-math.inf < ROW]
    right = np.array(reference.probabilities(row.tolist()))
    assert total_variation(law_of_argmax(too_hot, row), right) > 10 * LIMIT
    assert total_variation(law_of_argmax(coarse, row), right) > 10 * LIMIT
