"""The kit finds faults that it was not written for, in one line each, and alarms at nothing right.

Six were missed at first: what reports wrong logprobs, sorts the caller's token ids, adds seed and
position, cuts seeds to 16 bits, keeps a mask across a rollback, and ends the neighbour of a
cancelled request, which took requests that come several at once.
"""

from __future__ import annotations

import re
from typing import Any

import held_faults as held
import pytest
from finding import assert_engine_found, assert_found
from profiles import spread

from decoding.pipeline import chain
from decoding.processors import MinP, PresencePenalty, RepetitionPenalty, Temperature, TopK, TopP
from decoding.testing import (
    check_engine,
    check_grammar,
    check_processor,
    check_sampler,
    check_stream,
)

P, K, M = TopP(0.8), TopK(5, keep_ties=False), MinP(0.05)
REPETITION, PRESENCE = RepetitionPenalty(1.2), PresencePenalty(0.6)
PLAIN, COLD = Temperature(1.0), Temperature(0.7)


@pytest.mark.parametrize(
    ("candidate", "claim"),
    [
        (held.top_k_by_heap, K),
        (held.top_p_by_loop, P),
        (held.min_p_in_logs, M),
        (held.presence_of_text, PRESENCE),
    ],
)
def test_right_processors_pass(candidate: Any, claim: Any) -> None:
    check_processor(candidate, claim, examples=200)


def test_a_right_processor_in_torch_passes() -> None:
    pytest.importorskip("torch")
    check_processor(held.repetition_in_torch, REPETITION, examples=60)


@pytest.mark.parametrize(
    ("candidate", "claim", "law"),
    spread(
        [
            (held.top_k_drops_ties_at_the_end, TopK(5), "claim"),
            (held.min_p_of_the_sum, M, "claim"),
            (held.min_p_keeps_a_constant_more, M, "claim"),
            (held.repetition_divides_all, REPETITION, "claim"),
            (held.repetition_of_the_last_eight, REPETITION, "claim"),
            (held.repetition_sorts_the_callers_ids, REPETITION, "input"),
            (held.presence_counts_padding, PRESENCE, "claim"),
            (held.presence_counts_the_prompt, PRESENCE, "claim"),
            (held.temperature_last, chain(Temperature(2.0), P), "claim"),
            (held.top_p_in_the_order_of_the_vocabulary, P, "claim"),
            (held.top_p_overflows_in_half, P, "support"),
            (held.top_p_sorts_the_callers_row, P, "input"),
            (held.top_p_of_the_batch, P, "claim"),
            (held.top_p_ignores_a_masked_first_token, P, "claim"),
            (held.top_k_of_a_wide_row_samples, K, "claim"),
        ],
        4,
    ),
)
def test_wrong_processors_are_found(candidate: Any, claim: Any, law: str) -> None:
    assert_found(law, check_processor, candidate, claim)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "claim"),
    [(held.choose, PLAIN), (held.draw_seeded, PLAIN), (held.draw_with_logprob, COLD)],
)
def test_right_samplers_pass(draw: Any, claim: Any) -> None:
    check_sampler(draw, claim, tv=0.2, examples=30)


@pytest.mark.parametrize(
    ("draw", "claim", "law"),
    spread(
        [
            (held.draw_logprob_of_the_raw_row, COLD, "logprob"),
            (held.draw_first_seed_for_all, PLAIN, "alone"),
            (held.draw_two_positions_share, PLAIN, "independent rows"),
            (held.draw_seed_plus_position, PLAIN, "seeds and positions"),
            (held.draw_seeds_of_sixteen_bits, PLAIN, "all seeds"),
            (held.draw_never_the_last, PLAIN, "possible"),
            (held.draw_sums_in_half, PLAIN, "exact"),
            (held.draw_top_fifty, PLAIN, "exact"),
        ],
        3,
    ),
)
def test_wrong_samplers_are_found(draw: Any, claim: Any, law: str) -> None:
    assert_found(law, check_sampler, draw, claim, tv=0.2, examples=60)


@pytest.mark.parametrize(
    ("stream", "law"),
    [
        (held.stream_looks_one_token_back, "stop"),
        (held.stream_keeps_the_stop_token, "stop"),
        (held.stream_waits_for_three_bytes, "characters"),
        (held.stream_starts_again_after_a_mismatch, "stop"),
        (held.stream_ends_at_an_empty_piece, "text"),
    ],
)
def test_wrong_streams_are_found(stream: Any, law: str) -> None:
    assert_found(law, check_stream, stream)


def check_letters(start: Any) -> None:
    check_grammar(
        start,
        held.TOKENS,
        accepted=["abc", "ababc"],
        refused=["ab", "abab", "c"],
        is_member=lambda text: re.fullmatch(rb"(ab)+c", text) is not None,
        end_ids=[0],
    )


def test_a_right_grammar_passes() -> None:
    check_letters(held.Grammar)


@pytest.mark.parametrize(
    ("start", "law"),
    [
        (held.DeadEndAfterThree, "dead end"),
        (held.KeepsItsMask, "rollback"),
        (held.TakesWhatTheMaskForbids, "mask"),
        (held.LongTokensAreLeftOut, "complete"),
    ],
)
def test_wrong_grammars_are_found(start: Any, law: str) -> None:
    assert_found(law, check_letters, start)


def test_a_right_engine_passes() -> None:
    check_engine(held.Slots, examples=20)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (held.CacheOutlivesCancel, "gets .* alone|NaN logits gave"),
        (held.ReleasesTwice, "gets .* alone|NaN logits gave"),
        (held.LosesTheLastOfTwo, "is done with .* and gets"),
        (held.PositionOfTheEngine, "gets .* alone"),
        (held.PositionOffByOneInCompany, "gets .* alone"),
        (held.CancelEndsTheNeighbour, "nobody cancelled it"),
    ],
)
def test_wrong_engines_are_found(
    engine: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_engine_found(engine, said, capsys)
