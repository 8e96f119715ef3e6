"""Bad words, the breakers of DRY and the windows of penalties, from a request to the pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding import GenerationParameters, LanguageModel, Request, generate, pipeline_of
from decoding.engine.request import plan
from decoding.engine.request_words import bad_word_sequences, breaker_ids
from decoding.errors import ParameterError
from decoding.history import History
from decoding.processors import (
    BadWords,
    Dry,
    FrequencyPenalty,
    PresencePenalty,
    RepetitionPenalty,
    Scoped,
)
from decoding.vocabulary import Vocabulary

PIECES = [
    *(bytes([byte]) for byte in range(128)),  # 0 to 127
    b"desc",
    b"ribed",
    b" described",  # 130
    b" desc",
    b':"',
    b"\n\n",
    b"User",
    b"User:",  # 135
    b"</s>",
]
END = 136


class Longest:
    """Takes the longest token that fits, from left to right.

    prefix: what is put in front of every text that does not begin with it, as by SentencePiece.
    """

    def __init__(self, prefix: str = "") -> None:
        self.vocabulary = Vocabulary(PIECES, frozenset({END}))
        self.prefix = prefix.encode()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        spelled, found = text.encode(), [END] if add_special_tokens else []
        if self.prefix and not spelled.startswith((b"\n", self.prefix)):
            spelled = self.prefix + spelled
        while spelled:
            fits = [index for index, piece in enumerate(PIECES) if spelled.startswith(piece)]
            found.append(max(fits, key=lambda index: len(PIECES[index])))
            spelled = spelled[len(PIECES[found[-1]]) :]
        return found


TOKENIZER = Longest()
DESC, RIBED, SPACED, COLON_QUOTE, LINES, USER_COLON = 128, 129, 130, 132, 133, 135


@pytest.mark.parametrize("prefix", ["", " "])
@pytest.mark.parametrize("word", ["described", " described"])
def test_a_word_is_banned_at_the_beginning_and_after_a_space(word: str, prefix: str) -> None:
    found = bad_word_sequences((word,), Longest(prefix))
    assert set(found) == {(DESC, RIBED), (SPACED,)}


def test_words_are_encoded_without_special_tokens_and_as_a_whole() -> None:
    assert set(bad_word_sequences(("a b", "a"), TOKENIZER)) == {
        tuple(b"a b"),
        tuple(b" a b"),
        tuple(b"a"),
        tuple(b" a"),
    }
    assert bad_word_sequences((" ",), TOKENIZER) == (tuple(b" "),)
    assert bad_word_sequences((), None) == ()


def test_what_no_token_spells_stands_for_none() -> None:
    assert bad_word_sequences(("\ud800",), TOKENIZER) == ()
    assert breaker_ids(("\udfff", "a"), TOKENIZER) == breaker_ids(("a",), TOKENIZER)


def test_a_tokenizer_need_not_be_hashable() -> None:
    class Unhashable(Longest):
        __hash__ = None

    assert set(bad_word_sequences(("a",), Unhashable())) == {(97,), (32, 97)}
    assert breaker_ids(None, Unhashable()) == breaker_ids(None, TOKENIZER)


def test_a_model_never_writes_a_bad_word() -> None:
    def forward(rows: list[list[int]]) -> Any:
        logits = np.zeros((len(rows), len(PIECES)))
        for row, token_ids in zip(logits, rows, strict=True):
            row[[SPACED, DESC]] = 5.0, 4.0
            if token_ids[-1] == DESC:
                row[RIBED] = 9.0
        return logits

    model = LanguageModel(forward=forward, tokenizer=TOKENIZER)
    free = GenerationParameters(max_new_tokens=1)
    assert generate(model, "a", free).generated_text == " described"
    banned = GenerationParameters(max_new_tokens=4, bad_words=["described"])
    text = generate(model, "a", banned).generated_text
    assert text.startswith("desc")
    assert "described" not in text


def test_bad_words_stand_beside_ids() -> None:
    asked = GenerationParameters(bad_words=["described"], bad_words_ids=[[7, 8]])
    [processor] = pipeline_of(asked, tokenizer=TOKENIZER).processors
    assert processor == BadWords([(7, 8), (DESC, RIBED), (SPACED,)])


def test_a_breaker_is_every_token_that_contains_it() -> None:
    assert breaker_ids(("\n",), TOKENIZER) == (10, LINES)
    assert breaker_ids(('"', "\n\n"), TOKENIZER) == (34, COLON_QUOTE, LINES)


def test_a_breaker_that_no_token_contains_is_the_last_token_of_its_encoding() -> None:
    assert breaker_ids(("\nUser:",), TOKENIZER) == (USER_COLON,)
    assert breaker_ids(("ab",), TOKENIZER) == (ord("b"),)


def test_the_default_breakers_are_those_of_the_author() -> None:
    expected = (10, ord('"'), ord("*"), ord(":"), COLON_QUOTE, LINES, USER_COLON)
    assert breaker_ids(None, TOKENIZER) == expected
    assert breaker_ids((), TOKENIZER) == ()
    assert breaker_ids(None, None) == breaker_ids((), None) == ()


def only_processor(**asked: Any) -> Any:
    [processor] = pipeline_of(GenerationParameters(**asked), tokenizer=TOKENIZER).processors
    return processor


def test_a_request_has_breakers_and_a_window() -> None:
    everything = only_processor(dry_multiplier=0.8)
    assert everything == Dry(0.8, breakers=breaker_ids(None, TOKENIZER))
    assert only_processor(dry_multiplier=0.8, dry_penalty_last_n=-1) == everything
    asked = only_processor(dry_multiplier=0.8, dry_penalty_last_n=64, dry_sequence_breakers=["ab"])
    assert asked == Dry(0.8, last_n=64, breakers=(ord("b"),))
    assert only_processor(dry_multiplier=0.8, dry_sequence_breakers=[]) == Dry(0.8)
    assert only_processor(dry_multiplier=0.8, dry_penalty_last_n=0).last_n == 0


def test_the_frame_of_a_chat_is_left_alone() -> None:
    user = PIECES.index(b"User")
    history = History.of([[10, user, ord(":"), ord("a"), 10, user]])
    logits = np.zeros((1, len(PIECES)))
    bare = only_processor(dry_multiplier=0.8, dry_sequence_breakers=[])(logits, history)
    framed = only_processor(dry_multiplier=0.8)(logits, history)
    assert np.flatnonzero(bare[0]).tolist() == [ord(":")]
    assert not framed.any()


@pytest.mark.parametrize("last_n", [0, 1, 64])
def test_a_window_is_over_the_part_that_each_penalty_looks_at(last_n: int) -> None:
    asked = GenerationParameters(
        repetition_penalty=1.2, frequency_penalty=0.5, presence_penalty=0.25, repeat_last_n=last_n
    )
    assert pipeline_of(asked).processors == (
        Scoped(RepetitionPenalty(1.2), "all", last_n),
        Scoped(FrequencyPenalty(0.5), "generated", last_n),
        Scoped(PresencePenalty(0.25), "generated", last_n),
    )


@pytest.mark.parametrize("last_n", [None, -1])
def test_no_window_is_everything(last_n: int | None) -> None:
    asked = GenerationParameters(repetition_penalty=1.2, repeat_last_n=last_n)
    assert pipeline_of(asked).processors == (RepetitionPenalty(1.2),)


def test_a_window_moves_what_a_request_writes() -> None:
    def forward(rows: list[list[int]]) -> Any:
        return np.tile([1.0, 0.9, 0.0, 0.0], (len(rows), 1))

    def written(**asked: Any) -> list[int]:
        parameters = GenerationParameters(max_new_tokens=4, presence_penalty=0.5, **asked)
        return [token.id for token in generate(forward, [3], parameters).tokens]

    assert written() == [0, 1, 0, 0]
    assert written(repeat_last_n=1) == [0, 1, 0, 1]
    assert written(repeat_last_n=0) == [0, 0, 0, 0]


@pytest.mark.parametrize("asked", [{"bad_words": ["a"]}, {"dry_sequence_breakers": ["a"]}])
def test_words_need_a_tokenizer(asked: dict[str, Any]) -> None:
    [name] = asked
    parameters = GenerationParameters(max_new_tokens=1, dry_multiplier=1.0, **asked)
    model = LanguageModel(forward=lambda rows: np.zeros((len(rows), 3)))
    with pytest.raises(ParameterError, match=f"{name} must be empty for a model without a token"):
        plan(Request([1], parameters), model)
