"""`TokenText`: the text of token ids, in whole characters, cut at stop strings."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from decoding.engine import StopStrings, TokenText
from decoding.errors import ParameterError
from decoding.vocabulary import Vocabulary

WORDS = Vocabulary(
    [b"caf\xc3", b"\xa9", b" EN", b"D", b"</s>", b"END again", b"\xff"], frozenset({4})
)


def pieces(token_ids: list[int], **given: Any) -> tuple[list[str], str | None]:
    text = TokenText(WORDS, **given)
    written = [text.push(token_id) for token_id in token_ids]
    return [*written, text.flush()], text.stop


def test_characters_come_whole() -> None:
    assert pieces([0, 1, 3]) == (["caf", "é", "D", ""], None)
    assert pieces([0]) == (["caf", "\ufffd"], None)
    assert pieces([6]) == (["\ufffd", ""], None)


def test_a_stop_is_removed_or_kept_wherever_it_begins() -> None:
    assert pieces([3, 2, 3, 3], stop=["END"]) == (["D", " ", "", "", ""], "END")
    assert pieces([3, 2, 3, 3], stop=["END"], keep_stop=True) == (["D", " EN", "D", "", ""], "END")
    assert pieces([5, 3], stop=StopStrings(("again",))) == (["END ", "", ""], "again")
    # What only looked like a stop comes when that is clear, at the latest at the end.
    assert pieces([2, 2], stop=["END"]) == ([" ", "EN ", "EN"], None)


def test_special_and_hidden_tokens_add_no_text() -> None:
    assert pieces([3, 4, 3]) == (["D", "", "D", ""], None)
    assert pieces([3, 5, 3], hidden_token_ids={5}) == (["D", "", "D", ""], None)
    # Stop strings see the text of special tokens.
    assert pieces([3, 4, 3], stop=["</s>"]) == (["D", "", "", ""], "</s>")
    # A special token ends a character that is incomplete.
    assert pieces([0, 4, 1]) == (["caf", "\ufffd", "\ufffd", ""], None)


def test_a_prompt_may_end_inside_a_character() -> None:
    assert pieces([1], begun=b"\xc3") == (["é", ""], None)


def test_without_a_vocabulary_there_is_no_text() -> None:
    text = TokenText(None, ["x"])
    assert [text.push(3), text.push(4), text.flush()] == ["", "", ""]


@pytest.mark.parametrize("twin_of", [copy.deepcopy, TokenText.fork, pickle.dumps])
def test_copies_go_on_where_they_are(twin_of: Any) -> None:
    text = TokenText(WORDS, ["END"], hidden_token_ids=(6,))
    for token_id in (0, 1, 2):
        text.push(token_id)
    made = twin_of(text)
    twin = pickle.loads(made) if isinstance(made, bytes) else made
    # The text of the hidden token stands between: what looked like a stop is none.
    assert (twin.push(6), twin.push(2), twin.push(3), twin.stop) == ("EN", " ", "", "END")
    assert (text.push(3), text.stop) == ("", "END")


def test_wrong_arguments() -> None:
    with pytest.raises(ParameterError, match="stop"):
        TokenText(WORDS, "END")
    with pytest.raises(ParameterError, match="stop"):
        TokenText(WORDS, [3])
    with pytest.raises(ParameterError, match="vocabulary"):
        TokenText([b"a"])
