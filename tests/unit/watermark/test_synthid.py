"""SynthID's tournament and its detectors: what a person can check."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from profiles import amount

from decoding.errors import ParameterError, ShapeError
from decoding.history import History
from decoding.processors import SynthIdWatermark
from decoding.watermark import BayesianDetector, SynthId, detect_synthid, fit_bayesian


class TestSynthId:
    def test_a_layer_by_hand(self) -> None:
        scheme = SynthId((9,), ngram_len=2, table_size=64)
        probs = np.array([0.5, 0.3, 0.2])
        history = History.of([[4]], [[1]])
        context = scheme.hashes(np.array([[1]]))
        (g,) = scheme.layers(context, np.arange(3))
        want = probs * (1 + g - (g * probs).sum())
        got = np.exp(SynthIdWatermark(scheme)(np.log(probs[np.newaxis]), history))[0]
        np.testing.assert_allclose(got, want)
        assert got.sum() == pytest.approx(1.0)

    def test_over_keys_it_changes_no_probability(self) -> None:
        logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
        history = History.of([[4]], [[1, 2, 3, 4]])
        laws = [
            np.exp(SynthIdWatermark(SynthId((key, key + 1)))(logits, history))[0]
            for key in range(0, amount(check=1000, full=4000), 2)
        ]
        np.testing.assert_allclose(
            np.mean(laws, axis=0), [0.5, 0.3, 0.15, 0.05], atol=amount(check=4, full=2) / 100
        )

    def test_a_repeated_context_is_left_alone(self) -> None:
        mark = SynthIdWatermark(SynthId((9, 8), ngram_len=2))
        logits = np.zeros((1, 50))
        assert mark(logits, History.of([[7]], [[3, 5]])).any()
        assert not mark(logits, History.of([[7]], [[5, 3, 5]])).any()

    def test_marked_text_is_found(self) -> None:
        scheme = SynthId(tuple(range(1, 31)))
        rng = np.random.default_rng(1)
        mark, generated = SynthIdWatermark(scheme), list[int]()
        for _ in range(100):
            logits = rng.standard_normal((1, 200))
            biased = mark(logits, History.of([[1]], [generated]))
            generated.append(int((biased + rng.gumbel(size=biased.shape)).argmax()))
        found = detect_synthid(generated, scheme)
        assert found.scored == 96
        assert found.p_value < 1e-6
        assert found.weighted_p_value < 1e-6
        other = detect_synthid(generated, SynthId(tuple(range(101, 131))))
        assert other.p_value > 1e-3
        assert other.weighted_p_value > 1e-3

    def test_nothing_to_count(self) -> None:
        assert detect_synthid([1, 2], SynthId((1,))).p_value == 1.0
        assert detect_synthid(list(range(20)), SynthId((1,), table_size=1)).p_value == 1.0


class TestBayesianDetector:
    def test_the_formula_by_hand(self) -> None:
        detector = BayesianDetector(0.2, (0.0, math.log(3.0)), ((), (math.log(2.0),)))
        # After a 0 the second layer's tokens differ with chance 3/4, after a 1 with 6/7.
        want = [(0.75, 0.625), (1.25, 10 / 7)]
        for g, factors in zip(([[0, 0]], [[1, 1]]), want, strict=True):
            odds = math.log(0.25 * factors[0] * factors[1])
            assert detector.log_odds(np.array(g)) == pytest.approx(odds, abs=1e-12)
        both = detector.log_odds(np.array([[0, 0], [1, 1]]))
        assert both == pytest.approx(math.log(0.25 * 0.75 * 0.625 * 1.25 * 10 / 7), abs=1e-12)

    def test_what_is_not_counted_says_nothing(self) -> None:
        scheme = SynthId((3, 4), ngram_len=3)
        detector = BayesianDetector(0.3, (2.0, 1.0), ((), (1.0,)))
        assert detector.posterior([1, 2], scheme) == pytest.approx(0.3)
        repeated = detector.posterior([1, 2, 3, 1, 2, 3, 1, 2, 3], scheme)
        assert repeated == detector.posterior([1, 2, 3, 1, 2], scheme)

    def test_it_is_learnt_from_labelled_texts(self) -> None:
        generator = np.random.default_rng(8)
        marked = generator.random((40, 60, 3)) < [0.7, 0.6, 0.5]
        texts = [*marked.astype(int), *generator.integers(0, 2, (40, 60, 3))]
        labels = [True] * 40 + [False] * 40
        detector = fit_bayesian(texts, labels, prior=0.4, steps=50)
        assert detector == fit_bayesian(texts, labels, prior=0.4, steps=50)
        assert detector.prior == 0.4
        assert fit_bayesian(texts, labels, prior=1e-7, steps=1).prior == 1e-7
        assert detector.beta[0] > detector.beta[1] > detector.beta[2]
        wrong = sum(
            (detector.log_odds(g) > 0) is not is_marked
            for g, is_marked in zip(texts, labels, strict=True)
        )
        assert wrong <= 6

    @pytest.mark.parametrize(
        ("make", "error"),
        [
            (lambda: BayesianDetector(1.0, (0.0,), ((),)), "prior"),
            (lambda: BayesianDetector(0.5, (), ()), "beta"),
            (lambda: BayesianDetector(0.5, (0.0, math.nan), ((), (0.0,))), "beta"),
            (lambda: BayesianDetector(0.5, (0.0, 0.0), ((0.0,), (0.0,))), "delta"),
            (lambda: BayesianDetector.from_transformers({"prior": [0.5]}), "state"),
            (lambda: BayesianDetector.from_transformers(TOO_FEW), "state"),
            (lambda: DETECTOR.posterior([1, 2, 3], SynthId((1, 2))), "scheme"),
            (lambda: DETECTOR.log_odds(np.zeros((4, 2), int)), "g"),
            (lambda: DETECTOR.log_odds(np.full((4, 1), 2)), "g"),
            (lambda: fit_bayesian([np.zeros((2, 1), int)] * 2, [True, True]), "is_marked"),
            (lambda: fit_bayesian([np.zeros((2, 1), int)], [True, False]), "is_marked"),
            (lambda: fit_bayesian([], []), "is_marked"),
            (lambda: fit_bayesian([np.zeros(2, int)] * 2, [True, False]), "g"),
            (lambda: fit_bayesian([], [], steps=0), "steps"),
            (lambda: fit_bayesian([], [], penalty=-1.0), "penalty"),
        ],
    )
    def test_errors_name_what_is_wrong(self, make: Callable[[], object], error: str) -> None:
        with pytest.raises((ParameterError, ShapeError)) as caught:
            make()
        assert caught.value.name == error


DETECTOR = BayesianDetector(0.5, (0.0,), ((),))
TOO_FEW = {
    "prior": [0.5],
    "likelihood_model_watermarked.beta": [[[0.0, 0.0]]],
    "likelihood_model_watermarked.delta": [[[[0.0]]]],
}
