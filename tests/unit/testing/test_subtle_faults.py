"""The kit finds a third set of faults, whose kinds it had not drawn before.

They show only in long texts, rows of whole blocks or of ids beyond 16 bits, batches of more than
four rows, at the ends of the numbers that are fed, in one bit of an address, between neighbours,
or while another text, stream or request is under way.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import subtle_faults as faults
from finding import assert_engine_found, assert_found
from held_faults import TOKENS, Grammar

from decoding.processors import (
    FrequencyPenalty,
    LogitBias,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from decoding.testing import check_grammar, check_processor, check_sampler, check_stream


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "claim", "law", "options"),
    [
        (faults.frequency_of_one_byte, FrequencyPenalty(0.5), "claim", {}),
        (faults.repetition_of_the_last_64, RepetitionPenalty(1.2), "claim", {}),
        (faults.top_k_of_16_bits, TopK(5, keep_ties=False), "claim", {}),
        (faults.temperature_without_the_end_of_a_block, Temperature(0.7), "claim", {}),
        (faults.top_p_of_eight_rows, TopP(0.8), "claim", {}),
        (faults.top_p_through_reshape, TopP(0.8), "layout", {"in_place": True}),
        (faults.TopPOfOneBuffer(), TopP(0.8), "kept", {}),
    ],
)
def test_processors(candidate: Any, claim: Any, law: str, options: Any) -> None:
    assert_found(law, check_processor, candidate, claim, **options)


def test_a_function_that_is_not_told_the_prompt_is_said_to_have_had_none() -> None:
    def penalty(logits: Any, token_ids: Any) -> Any:
        return FrequencyPenalty(0.5)(logits, _text_of(token_ids))

    report = check_processor(penalty, FrequencyPenalty(0.5), examples=20)
    assert report.notes == ("no text had a prompt: penalty is not told where one ends",)


def _text_of(token_ids: Any) -> Any:
    from decoding import History

    rows = [row[row >= 0].tolist() for row in token_ids]
    return History.of([[] for _ in rows], rows)


def test_the_largest_logit_may_be_the_wrong_one() -> None:
    def clamped(logits: Any) -> Any:
        return np.where(np.isneginf(logits), logits, np.clip(logits, -50, 50)) / np.float32(0.5)

    with pytest.raises(AssertionError) as caught:
        check_processor(clamped, Temperature(0.5))
    [became, wanted] = re.findall(r"became (\S+), not (\S+)\n", str(caught.value))[0]
    assert became != wanted
    assert abs(float(became)) == 100.0


SAMPLERS = [
    (faults.addressed(seed=lambda seed: seed & 0x7FFFFFFF), "all seeds"),
    (faults.addressed(seed=lambda seed: seed.astype(np.float32)), "all seeds"),
    (faults.addressed(position=lambda position: position & 0xFFFF), "all positions"),
    (faults.addressed(token=lambda token: token & 0xFFFF), "wide"),
    (faults.noise_moves_with_the_position, "independent rows"),
    (faults.seed_plus_a_thousand_positions, "seeds and positions"),
    (faults.draw_from_the_best_thousand, "wide"),
    (faults.draw_with_u_in_float32, "possible"),
    (faults.draw_with_another_generator, "deterministic"),
    (faults.draw_logprobs_of_ten_at_most, "logprob"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "law"), SAMPLERS)
def test_samplers(draw: Any, law: str) -> None:
    assert_found(law, check_sampler, draw, Temperature(1.0), tv=0.2, examples=60)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [faults.addressed(), faults.right_noise])
def test_right_samplers(draw: Any) -> None:
    check_sampler(draw, Temperature(1.0), tv=0.1, examples=30, seed_bits=64)


def test_a_greedy_function_and_ties() -> None:
    options: dict[str, Any] = {"tv": 0.2, "examples": 60}
    check_sampler(faults.greedy_takes_the_last, TopK(1), **options)
    check_sampler(lambda logits: logits.argmax(-1), TopK(1, keep_ties=False), **options)
    exact = TopK(1, keep_ties=False)
    assert_found("ties", check_sampler, faults.greedy_takes_the_last, exact, **options)


@pytest.mark.parametrize(
    ("stream", "law"),
    [
        (faults.stream_of_any_case, "stop"),
        (faults.stream_of_expressions, "answers"),
        (faults.stream_of_one_kind_of_line, "text"),
        (faults.stream_without_a_mark, "text"),
        (faults.stream_of_four_stops, "stop"),
        (faults.stream_of_short_stops, "stop"),
        (faults.stream_of_a_buffer, "text"),
        (faults.stream_of_one_decoder, "alone"),
        (faults.stream_sorts_the_stops, "input"),
    ],
)
def test_streams(stream: Any, law: str) -> None:
    assert_found(law, check_stream, stream)


def check_letters(grammar: Any) -> None:
    check_grammar(
        grammar,
        TOKENS,
        accepted=["abc", "ababc"],
        refused=["ab", "c", "abcc"],
        is_member=lambda text: re.fullmatch(rb"(ab)+c", text) is not None,
        end_ids=[0],
    )


@pytest.mark.parametrize(
    ("grammar", "law"),
    [
        (faults.ForkBeginsAgain, "fork"),
        (faults.OneTextForAll, "alone"),
        (faults.EndsAnywhere, "mask"),
        (faults.ShortTexts, "dead end"),
    ],
)
def test_grammars(grammar: Any, law: str) -> None:
    assert_found(law, check_letters, grammar)


def test_a_right_grammar_with_forks() -> None:
    class Forks(Grammar):
        def fork(self) -> Grammar:
            fork = type(self)()
            fork.text, fork.lengths = self.text, list(self.lengths)
            return fork

    check_letters(Forks)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        # These wait for the state machine, which finds nothing.
        pytest.param(faults.ShortMemory, "of a model that is sure of", marks=pytest.mark.slow),
        pytest.param(faults.SeedOfOneByte, "seeds 0 and 256 draw the same", marks=pytest.mark.slow),
        (faults.PositionOfFourBitsInCompany, "got .* and gets .* alone"),
        (faults.RaisesWithoutWork, r"step\(\) raised IndexError: no request"),
    ],
)
def test_engines(engine: Any, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_engine_found(engine, said, capsys)


def test_a_claim_about_a_token_is_made_on_rows_that_have_it() -> None:
    def last(logits: Any) -> Any:
        result = logits.copy()
        result[:, -1] += 1.0
        return result

    claim = LogitBias({40: 1.0})
    assert_found("claim", check_processor, last, claim)
    with pytest.raises(AssertionError, match=r"\.\.\. 50 in all"):
        check_processor(last, claim, widths=(50, 60))


def test_a_function_that_is_a_claim_is_shown_by_its_name() -> None:
    def halved(logits: Any, history: Any) -> Any:
        return logits / 2

    with pytest.raises(AssertionError) as caught:
        check_processor(lambda logits: logits.copy(), halved)
    assert "is not halved\n  law       claim: what halved makes of the row" in str(caught.value)
