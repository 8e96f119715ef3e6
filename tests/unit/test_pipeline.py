"""Pipelines: chains, lowering, and the pipeline of a request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.engine.request_pipeline import pipeline_of
from decoding.errors import InvalidLogitsError, ProcessorError, ShapeError
from decoding.history import History
from decoding.inspect.explain import explain, order_warnings
from decoding.kernels.program import Opcode
from decoding.parameters import GenerationParameters
from decoding.pipeline import Fused, Pipeline, chain
from decoding.presets.mlx_lm import TopPWithTies
from decoding.processors import (
    AtLeast,
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.watermark import lefthash

ROW = np.log(np.array([[0.6, 0.3, 0.1]]))


def double(logits: Any, history: History) -> Any:
    return logits * 2


def test_a_chain_is_the_steps_by_hand() -> None:
    steps = [Temperature(0.5), double, TopK(2), TopP(0.9)]
    by_hand = ROW
    for step in steps:
        by_hand = step(by_hand, History.empty(1))
    assert np.array_equal(chain(*steps)(ROW, History.empty(1)), by_hand)


def test_chains_nest_and_the_empty_one_is_neutral() -> None:
    assert chain(TopK(2), chain(TopP(0.9), chain())) == chain(TopK(2), TopP(0.9))
    assert chain()(ROW, History.empty(1)) is ROW


def test_a_python_processor_splits_the_program() -> None:
    pipeline = chain(Temperature(0.5), TopK(0), TopK(2), double, TopP(0.9))
    before, middle, after = pipeline.segments
    assert isinstance(before, Fused)
    assert isinstance(after, Fused)
    assert [item.opcode for item in before.instructions] == [Opcode.TEMPERATURE, Opcode.TOP_K]
    assert before.processors == (Temperature(0.5), TopK(2)), "a neutral step takes no part"
    assert middle is double
    assert [item.opcode for item in after.instructions] == [Opcode.TOP_P]


def test_the_default_order_is_tgis() -> None:
    parameters = GenerationParameters(
        repetition_penalty=1.1,
        frequency_penalty=0.5,
        presence_penalty=0.25,
        logit_bias={3: 1.0},
        temperature=0.8,
        top_k=50,
        top_p=0.9,
        typical_p=0.95,
        min_p=0.05,
    )
    assert pipeline_of(parameters) == chain(
        RepetitionPenalty(1.1),
        FrequencyPenalty(0.5),
        PresencePenalty(0.25),
        LogitBias({3: 1.0}),
        Temperature(0.8),
        TopK(50),
        TopP(0.9),
        TypicalP(0.95),
        MinP(0.05),
    )


def test_temperature_zero_leaves_the_edits_only() -> None:
    parameters = GenerationParameters(temperature=0.0, top_k=5, typical_p=0.2, logit_bias={1: 2.0})
    assert parameters.is_greedy
    assert pipeline_of(parameters) == chain(LogitBias({1: 2.0}))


def test_nothing_asked_is_the_empty_pipeline() -> None:
    assert pipeline_of(GenerationParameters()) == Pipeline(())


def test_explain_follows_the_runner_up() -> None:
    explanation = explain(chain(Temperature(0.5), TopK(2), TopP(0.5)), ROW)
    assert [stage.support_size for stage in explanation.stages] == [3, 3, 2, 1]
    assert explanation.stages[2].mass_kept == pytest.approx((0.36 + 0.09) / 0.46)
    assert explanation.stages[0].entropy == pytest.approx(0.8979, abs=1e-4)
    assert explanation.stages[-1].entropy == 0.0
    assert explanation.runner_up == 1
    assert "runner-up 1: removed by TopP(top_p=0.5)" in str(explanation)
    assert "runner-up 1: survives" in str(explain(TopK(2), ROW))


def test_explain_shows_the_green_mass() -> None:
    logits, history = np.zeros((1, 8)), History.of([[5]])
    mark = Watermark(lefthash(0.25, 2.0))
    explanation = explain(chain(Temperature(1.0), mark, TopK(2)), logits, history)
    masses = [stage.green_mass for stage in explanation.stages]
    lifted = 2 * np.exp(2.0) / (2 * np.exp(2.0) + 6)
    assert masses == pytest.approx([0.25, 0.25, lifted, 1.0])
    assert "entropy   green  likeliest" in str(explanation)
    plain = explain(TopK(2), ROW)
    assert [stage.green_mass for stage in plain.stages] == [None, None]
    assert "green" not in str(plain)


def test_explain_takes_any_callable_and_a_single_token() -> None:
    assert "double" in str(explain(chain(double), ROW))
    assert "one possible token" in str(explain(chain(), np.zeros((1, 1))))


@pytest.mark.parametrize("target", ["logits", "token_ids", "lengths"])
def test_explain_lets_no_processor_write_to_what_it_is_given(target: str) -> None:
    row, history = np.zeros((1, 4)), History.of([[1]], [[2]])

    def writes(logits: Any, seen: Any) -> Any:
        (logits if target == "logits" else getattr(seen, target))[...] = 3
        return logits

    with pytest.raises(ProcessorError, match="read-only"):
        explain(chain(writes), row, history)
    assert not row.any()
    assert history.row(0).tolist() == [1, 2]


def test_explain_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(ShapeError, match="one row"):
        explain(chain(), np.zeros((2, 3)))
    with pytest.raises(InvalidLogitsError):
        explain(chain(), np.array([[0.0, np.nan]]))


@pytest.mark.parametrize(
    ("pipeline", "count"),
    [
        (chain(Temperature(0.5), TopP(0.9)), 0),
        (chain(TopP(0.9), Temperature(0.5)), 1),
        (chain(TopK(5), Temperature(0.5)), 0),
        (chain(MinP(0.1), TypicalP(0.9), Temperature(2.0)), 2),
        (chain(AtLeast(MinP(0.1), 3), TopPWithTies(0.5), Temperature(2.0)), 2),
        (chain(TopK(5), RepetitionPenalty(1.2)), 1),
        (chain(Temperature(0.5), FrequencyPenalty(1.0)), 1),
        (chain(Watermark(lefthash()), Temperature(0.5)), 1),
        (chain(Temperature(0.5), TopP(0.9), Watermark(lefthash())), 0),
    ],
)
def test_orders_that_change_the_meaning_are_warned_about(pipeline: Pipeline, count: int) -> None:
    assert len(order_warnings(pipeline)) == count
