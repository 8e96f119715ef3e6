"""Oracle for presets: the other engine's distribution over random parameter sets.

Rounding band: where moving every cut by 1e-5, relatively, changes our own support, either side of
the cut is right and the example is passed over. Rows are float32 numbers without ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from profiles import amount

from decoding.history import History
from decoding.pipeline import Pipeline

EXAMPLES = amount(check=120, full=1000)
WIDTH = 40
GONE = -np.inf

Parameters = dict[str, Any]
Oracle = Callable[[Parameters, Any, list[int], list[int]], Any]
"""Parameters, a row `(WIDTH,)`, the prompt, the generated text: the peer's logits `(WIDTH,)`."""

_CUTS = frozenset(
    {
        "top_p",
        "min_p",
        "typical_p",
        "typ_p",
        "top_h",
        "epsilon_cutoff",
        "eta_cutoff",
        "top_n_sigma",
        "xtc_threshold",
    }
)
_BAND = 1e-5


def softmax(logits: Any) -> Any:
    if logits.max() == GONE:
        return np.zeros(len(logits))
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def nudged(parameters: Mapping[str, Any], factor: float) -> Parameters:
    return {
        name: min(value * factor, 1.0) if name in _CUTS and value and value < 1.0 else value
        for name, value in parameters.items()
    }


def maybe(generator: np.random.Generator, **values: Any) -> Parameters:
    """Each of them or not, by a coin."""
    return {name: value for name, value in values.items() if generator.random() < 0.5}


def cut(generator: np.random.Generator) -> float:
    return float(generator.uniform(0.05, 0.98))


def texts(generator: np.random.Generator) -> tuple[list[int], list[int]]:
    """A prompt and a generated text that repeat themselves."""
    few = int(generator.integers(2, WIDTH))
    prompt = generator.integers(0, few, int(generator.integers(1, 30))).tolist()
    return prompt, generator.integers(0, few, int(generator.integers(0, 60))).tolist()


def assert_preset_equals(
    preset: Callable[..., Pipeline],
    draw: Callable[[np.random.Generator], Parameters],
    oracle: Oracle,
    is_greedy: Callable[[Parameters], bool] = lambda _: False,
    seed: int = 2025,
) -> None:
    """The same support and probabilities; where it is greedy, the same token."""
    generator = np.random.default_rng(seed)
    passed_over = 0
    for _ in range(EXAMPLES):
        row = (generator.standard_normal(WIDTH) * generator.uniform(0.3, 6)).astype(np.float32)
        prompt, generated = texts(generator)
        parameters = draw(generator)
        history = History.of([prompt], [generated])

        def ours(
            factor: float,
            parameters: Parameters = parameters,
            row: Any = row,
            history: History = history,
        ) -> Any:
            pipeline = preset(**nudged(parameters, factor))
            return pipeline(row[np.newaxis].astype(np.float64), history)[0]

        got = ours(1.0)
        if any(
            not np.array_equal(got > GONE, ours(factor) > GONE)
            for factor in (1.0 - _BAND, 1.0 + _BAND)
        ):
            passed_over += 1
            continue
        want = oracle(parameters, row.copy(), prompt, generated)
        if is_greedy(parameters):
            assert got.argmax() == want.argmax(), parameters
            continue
        assert np.array_equal(got > GONE, want > GONE), parameters
        np.testing.assert_allclose(softmax(got), softmax(want), atol=1e-5, rtol=0)
    assert passed_over < EXAMPLES / 20
