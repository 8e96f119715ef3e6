"""The kit finds a second set of faults that it was not written for.

Four were missed at first: exactly k tokens where ties were kept, a token that is nearly sure and
taken for sure, and two cancellations of requests, of one that waits and of the neighbour.
"""

from __future__ import annotations

from typing import Any

import further_faults as faults
import pytest
from finding import assert_engine_found, assert_found
from test_held_faults import check_letters

from decoding.pipeline import chain
from decoding.processors import MinP, PresencePenalty, RepetitionPenalty, Temperature, TopK, TopP
from decoding.testing import (
    check_processor,
    check_sampler,
    check_stream,
)

REPETITION, PRESENCE = RepetitionPenalty(1.2), PresencePenalty(0.6)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("candidate", "claim", "law"),
    [
        (faults.top_k_keeps_one_more_at_ties, TopK(5, keep_ties=False), "claim"),
        (faults.min_p_of_the_batch, MinP(0.05), "support"),
        (faults.min_p_before_the_temperature, chain(Temperature(0.5), MinP(0.05)), "claim"),
        (faults.repetition_for_each_time, REPETITION, "claim"),
        (faults.repetition_spares_token_zero, REPETITION, "claim"),
        (faults.presence_of_the_neighbours, PRESENCE, "claim"),
        (faults.presence_late_by_one, PRESENCE, "claim"),
        (faults.TopPKeepsItsOrder(), TopP(0.8), "alone"),
        (faults.top_p_sums_in_half, TopP(0.8), "claim"),
    ],
)
def test_wrong_processors_are_found(candidate: Any, claim: Any, law: str) -> None:
    assert_found(law, check_processor, candidate, claim)


@pytest.mark.parametrize(
    ("draw", "law"),
    [
        (faults.DrawsOn(), "deterministic"),
        (faults.draw_positions_of_eight_bits, "position"),
        (faults.draw_with_u_in_half, "possible"),
        (faults.draw_takes_what_is_nearly_sure, "exact"),
        (faults.draw_logprob_of_the_greedy, "logprob"),
    ],
)
def test_wrong_samplers_are_found(draw: Any, law: str) -> None:
    assert_found(law, check_sampler, draw, Temperature(1.0), tv=0.2, examples=60)


@pytest.mark.parametrize(
    ("stream", "law"),
    [
        (faults.stream_looks_at_three_tokens, "stop"),
        (faults.stream_decodes_token_by_token, "characters"),
        (faults.stream_looks_at_the_end_of_tokens, "stop"),
        (faults.stream_takes_the_first_of_the_list, "stop"),
        (faults.stream_loses_what_it_held, "text"),
        (faults.stream_strips, "text"),
    ],
)
def test_wrong_streams_are_found(stream: Any, law: str) -> None:
    assert_found(law, check_stream, stream)


def test_a_grammar_with_one_buffer_for_all_masks_passes() -> None:
    check_letters(faults.OneMaskForAll)


@pytest.mark.parametrize(
    ("start", "law"),
    [
        (faults.MaskIsLate, "complete"),
        (faults.TakesARefusedToken, "refusal"),
        (faults.RollsBackBytes, "rollback"),
        (faults.MayEndTooEarly, "sound"),
    ],
)
def test_wrong_grammars_are_found(start: Any, law: str) -> None:
    assert_found(law, check_letters, start)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (faults.LosesWhatWaits, "still run"),
        (faults.HistoryOfTheSlot, "gets .* alone"),
        (faults.LastRowMoves, "gets .* alone"),
        (faults.WaitsAfterAFault, "still run|gets .* alone"),
        (faults.FailsTheNext, "the model did not"),
        (faults.ForgetsWhileItWaits, "gets .* alone"),
        (faults.SharesPrefixes, "gets .* alone"),
        (faults.CancelMovesTheQueue, "gets .* alone"),
    ],
)
def test_wrong_engines_are_found(
    engine: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_engine_found(engine, said, capsys)


@pytest.mark.parametrize("slot", range(3))
@pytest.mark.parametrize("neighbour", [0, 1, -1])
def test_a_cancellation_that_ends_a_neighbour_is_found(
    slot: int, neighbour: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """In each slot, and whichever neighbour it is."""

    class EndsANeighbour(faults.Slots):
        def cancel(self, key: int) -> None:
            mine = self.requests[key]["slot"]
            super().cancel(key)
            others = self.running()
            if mine == slot and len(others) == 2:
                self.release(self.requests[others[neighbour]], "cancelled")

    assert_engine_found(EndsANeighbour, "nobody cancelled it", capsys)
