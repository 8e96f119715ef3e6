"""Transcripts: the pieces are the whole text, cut at the first stop string.

The oracle scans the finished text: special tokens take part in the search and are not text; bytes
before a special token or the end that make no character become U+FFFD.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.engine.detokenizer import TextStream
from decoding.engine.stopping import StopStrings
from decoding.engine.transcript import Ending, Transcript
from decoding.sampling.batch import Sample
from decoding.vocabulary import Vocabulary

PIECES = [
    b"a",
    b"b",
    b"ab",
    b"ba",
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f",
    b"\x99\x82",
    b"a\xc3",
    b"<s>",
    b"<",
]
SPECIAL = frozenset({9})
VOCABULARY = Vocabulary(PIECES, SPECIAL)


def sample_of(token_id: int) -> Sample:
    return Sample(token_id, -1.0, -1.0, 1, 0.0, 1)


def written(token_ids: list[int]) -> list[tuple[str, bool]]:
    """The text of a token sequence as runs, each visible or not."""
    runs: list[tuple[str, bool]] = []
    pending = b""
    for token_id in token_ids:
        if token_id in SPECIAL:
            runs += [(pending.decode("utf-8", "replace"), True), (PIECES[token_id].decode(), False)]
            pending = b""
        else:
            pending += PIECES[token_id]
    return [*runs, (pending.decode("utf-8", "replace"), True)]


def first_stop(text: str, stops: list[str]) -> tuple[int, int] | None:
    """Where the stop that ends first begins and ends; the longest of several."""
    ends = [
        (text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop and stop in text
    ]
    return None if not ends else (min(ends)[1], min(ends)[0])


def first_late_stop(text: str, stops: list[str], from_end: int) -> tuple[int, int] | None:
    """The same of the stops that end after `from_end` characters."""
    ends = [
        (place + len(stop), place)
        for stop in stops
        for place in range(len(text))
        if stop and text.startswith(stop, place) and place + len(stop) > from_end
    ]
    return None if not ends else (min(ends)[1], min(ends)[0])


def visible_until(runs: list[tuple[str, bool]], end: int) -> str:
    shown, position = "", 0
    for text, visible in runs:
        shown += text[: max(0, end - position)] if visible else ""
        position += len(text)
    return shown


@settings(max_examples=amount(check=200, full=1500, nightly=5000))
@given(
    token_ids=st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=12),
    stops=st.lists(st.text("ab<s>é", min_size=1, max_size=3), max_size=3),
    keep=st.booleans(),
)
def test_pieces_are_the_text_cut_at_the_first_stop(
    token_ids: list[int], stops: list[str], keep: bool
) -> None:
    ending = Ending(len(token_ids), (), StopStrings(tuple(stops)), keep)
    transcript = Transcript(ending, VOCABULARY)
    pieces: list[str] = []
    for token_id in token_ids:
        pieces.append(transcript.push(sample_of(token_id)))
        if transcript.finish_reason is not None:
            break
    read = token_ids[: transcript.token_count]
    runs = written(read)
    whole = "".join(text for text, _ in runs)
    found = first_stop(whole, stops)
    end = len(whole) if found is None else found[keep]
    assert "".join(pieces) == transcript.text == visible_until(runs, end)
    if len(read) < len(token_ids):
        assert found is not None, "only a stop ends a text early"


@given(
    token_ids=st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=12),
    stops=st.lists(st.text("ab<s>é", min_size=1, max_size=3), max_size=3),
    keep=st.booleans(),
    min_tokens=st.integers(0, 12),
)
def test_stops_that_end_within_the_first_tokens_are_text(
    token_ids: list[int], stops: list[str], keep: bool, min_tokens: int
) -> None:
    ending = Ending(len(token_ids), (), StopStrings(tuple(stops)), keep, min_tokens)
    transcript = Transcript(ending, VOCABULARY)
    early = ""
    for count, token_id in enumerate(token_ids, 1):
        transcript.push(sample_of(token_id))
        if count <= min_tokens:
            early = certain_text(token_ids[:count])
        if transcript.finish_reason is not None:
            break
    read = token_ids[: transcript.token_count]
    runs = written(read)
    whole = "".join(text for text, _ in runs)
    if len(read) <= min_tokens:  # the end of the tokens: nothing may stop
        assert transcript.text == visible_until(runs, len(whole))
        return
    found = first_late_stop(whole, stops, len(early))
    end = len(whole) if found is None else found[keep]
    assert transcript.text == visible_until(runs, end)


def certain_text(token_ids: list[int]) -> str:
    """All text that is certain after some tokens, that of special ones included."""
    stream, text = TextStream(), ""
    for token_id in token_ids:
        if token_id in SPECIAL:
            text += stream.flush() + PIECES[token_id].decode()
        else:
            text += stream.push(PIECES[token_id])
    return text
