"""Which text a row belongs to, where another program's loop hands over rows and token ids."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np

from decoding import Sampler
from decoding.processors import Mirostat2
from decoding.sampling.followed import FollowedTexts, drawn, edited, one_token


class Recorded:
    """Begins texts and notes the length of each prompt and of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, prompt_length: int) -> Any:
        def step(logits: Any, token_ids: Any) -> Any:
            self.calls.append((prompt_length, len(token_ids)))
            return logits

        return step


def calls_of(*texts: list[int]) -> list[tuple[int, int]]:
    """For each call: the length of the prompt, and that of the token ids."""
    recorded = Recorded()
    followed = FollowedTexts(recorded)
    for token_ids in texts:
        followed(np.zeros(9), np.array(token_ids, np.int32))
    return recorded.calls


def test_steps_rollbacks_and_drafts_go_on_with_a_text() -> None:
    calls = calls_of([1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 5], [1, 2, 5, 6], [1, 2, 5, 6, 7])
    assert [prompt for prompt, _ in calls] == [2] * 6


def test_another_prompt_begins_another_text() -> None:
    assert calls_of([1, 2], [1, 2, 3], [7], [7, 8], [1, 2]) == [
        (2, 2), (2, 3), (1, 1), (1, 2), (2, 2),
    ]  # fmt: skip


def test_the_same_prompt_again_begins_another_text() -> None:
    recorded = Recorded()
    followed = FollowedTexts(recorded)
    begun: list[int] = []
    followed._begin = lambda length: begun.append(length) or recorded(length)
    for token_ids in ([1, 2], [1, 2, 3], [1, 2], [1, 2, 3]):
        followed(np.zeros(9), np.array(token_ids, np.int32))
    assert begun == [2, 2]


def test_the_next_prompt_of_a_chat_begins_with_the_last_and_is_another_text() -> None:
    turns = [[1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7, 8]]
    assert calls_of(*turns) == [(2, 2), (2, 3), (2, 4), (7, 7), (7, 8)]


def test_what_was_seen_of_a_text_does_not_count_for_the_next() -> None:
    # The longest of the first text is 4; the second goes on from 1.
    assert calls_of([1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [9], [9, 1, 2]) == [
        (1, 1), (1, 2), (1, 3), (1, 4), (1, 1), (3, 3),
    ]  # fmt: skip


def test_copies_follow_no_text_yet_and_draw_the_same() -> None:
    row = np.random.default_rng(1).normal(0, 3, 40).astype(np.float32)
    followed = drawn(Sampler(Mirostat2(2.0, 0.9), 5))
    want = [followed(row, np.array(ids, np.int32)) for ids in ([1, 2], [1, 2, 3])]
    for twin in (pickle.loads(pickle.dumps(followed)), copy.deepcopy(followed)):
        got = [twin(row, np.array(ids, np.int32)) for ids in ([1, 2], [1, 2, 3])]
        assert np.array_equal(got, want)


def test_edited_rows_are_those_of_the_pipeline_and_a_drawn_row_keeps_one_token() -> None:
    row = np.array([0.0, 3.0, 1.0], np.float32)
    row.flags.writeable = False
    kept = edited(lambda logits, history: logits - 1.0)(row, np.array([0], np.int32))
    assert kept.tolist() == [-1.0, 2.0, 0.0]
    assert one_token(row[None], 2).tolist() == [[-np.inf, -np.inf, 0.0]]
    assert drawn(Sampler())(row, np.array([0], np.int32)).tolist() == [-np.inf, 0.0, -np.inf]
