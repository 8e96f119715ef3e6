"""Transcripts that others wrote: every JSON value gives tokens or a `ParameterError`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, generate
from decoding.audit import read_transcripts, score, score_logits, transcript_of, verify
from decoding.errors import ParameterError
from decoding.models import LanguageModel
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary


class Letters:
    """A tokenizer of single letters."""

    vocabulary = Vocabulary([b"a", b"b", b"\xc3"], frozenset())

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        del add_special_tokens
        return ["ab".index(letter) for letter in text if letter in "ab"]


MODEL = LanguageModel(forward=hash_model(3), tokenizer=Letters())


def of_token(**entry: Any) -> dict[str, Any]:
    return {"choices": [{"logprobs": {"content": [entry]}}]}


@pytest.mark.parametrize(
    "decoded",
    [
        of_token(token="a", bytes=[300]),
        of_token(token="a", bytes=[-1]),
        of_token(token="a", bytes="a"),
        of_token(token="a", bytes=10**15),
        of_token(token="a", bytes=[1.5]),
        of_token(token="\ud800"),
        of_token(token="token_id:" + "9" * 5000),
        of_token(token=f"token_id:{2**31}"),
        {"choices": [{"logprobs": {"tokens": 5}}]},
        {"choices": [{"logprobs": {"tokens": ["a"], "token_logprobs": 5}}]},
        {"choices": [{"token_ids": [1]}], "seed": "x"},
        {"choices": [{"token_ids": [1]}], "seed": 2**64},
        {"choices": [{"token_ids": [1], 5: 6}], "seed": -1},
        {"token_ids": [1], "seed": 1.5},
        {"token_ids": [1], "seed": True},
        {"details": None},
        {"details": {"tokens": [object()]}},
        {"details": {1: 2}, "x": {(1,): 2}},
        {},
    ],
    ids=lambda decoded: repr(decoded)[:60],
)
def test_what_is_no_transcript_is_refused(decoded: Any) -> None:
    with pytest.raises(ParameterError):
        transcript_of(decoded, MODEL)


def test_bytes_find_a_part_of_a_character() -> None:
    assert transcript_of(of_token(token="\ufffd", bytes=[0xC3]), MODEL).token_ids == (2,)


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_a_line_ends_at_a_line_feed_alone(character: str) -> None:
    row = json.dumps({"token_ids": [1], "text": "a" + character}, ensure_ascii=False)
    assert [item.token_ids for item in read_transcripts(f"{row}\r\n\n{row}\n")] == [(1,), (1,)]


def test_a_prompt_beyond_the_logits_is_refused() -> None:
    forward = hash_model(3)
    with pytest.raises(ParameterError, match=r"^prompt must be ids below 3"):
        score(forward, [7], [1])
    with pytest.raises(ParameterError, match=r"^prompt must be"):
        score_logits(np.zeros((1, 3)), [True], [1])


def test_the_seed_of_claimed_parameters_is_tested() -> None:
    model = hash_model(300)
    made = GenerationParameters(max_new_tokens=20, temperature=1.0, seed=5)
    response = generate(model, [1, 2, 3], made)
    assert verify(model, None, response, made).accepted
    claimed = GenerationParameters(max_new_tokens=20, temperature=1.0, seed=6)
    assert not verify(model, None, response, claimed).accepted


def test_the_seed_of_a_later_sequence_is_that_of_its_parameters() -> None:
    model = hash_model(300)
    for seed in range(9):
        made = GenerationParameters(max_new_tokens=8, temperature=1.0, seed=seed, best_of=3)
        response = generate(model, [1, 2, 3], made)
        if response.seed != seed:
            break
    assert response.seed != seed
    assert verify(model, None, response, made).accepted
