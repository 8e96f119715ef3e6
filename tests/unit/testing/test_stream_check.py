"""`check_stream` finds missed stops, cut characters, lost and late text."""

from __future__ import annotations

from typing import Any

import pytest
import strangers as s
from profiles import spread

from decoding.errors import ParameterError
from decoding.testing import CheckFailedError, check_stream
from decoding.testing.stream_check import Script


@pytest.mark.parametrize(
    ("stream", "options"),
    spread(
        [
            (s.text_stream, {}),
            (s.text_all_at_once, {}),
            (s.text_stream_eager, {"eager": True}),
            (s.text_stream_eager, {"invalid": True}),
        ],
        2,
    ),
)
def test_right_streams_pass(stream: Any, options: dict[str, Any]) -> None:
    check_stream(stream, examples=1000, **options)


@pytest.mark.parametrize(
    ("stream", "law", "options"),
    [
        (s.stop_missed_inside_a_token, "stop", {}),
        (s.stop_missed_across_tokens, "stop", {}),
        (s.text_by_tokens, "characters", {}),
        (s.text_that_loses_its_end, "text", {}),
        (s.text_that_reads_on, "reading", {"eager": True}),
        (s.text_stream, "latency", {"eager": True}),
    ],
)
def test_faults_are_found(stream: Any, law: str, options: dict[str, Any]) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_stream(stream, **options)
    assert caught.value.finding.law == law


def test_a_message_shows_the_smallest_tokens() -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_stream(s.stop_missed_across_tokens)
    text = str(caught.value)
    assert "is missed" in text
    assert text.count("b'") + text.count('b"') == 2


def test_a_stop_that_stays() -> None:
    def keeping(tokens: Any, stops: Any) -> str:
        text = b"".join(list(tokens)).decode("utf-8", "replace")
        ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
        return text[: min(ends)] if ends else text

    check_stream(keeping, keep_stop=True, examples=500)
    with pytest.raises(CheckFailedError, match="is missed"):
        check_stream(keeping, examples=500)


def test_tokens_of_text() -> None:
    check_stream("".join, as_text=True, examples=50)
    with pytest.raises(CheckFailedError, match="answers"):
        check_stream(lambda tokens: [1 for _ in tokens], examples=50)


def test_scripts_by_hand() -> None:
    script = Script((b"x\xc3", b"\xa9EN", b"D!"), ("END",))
    assert (script.visible(1), script.visible(2), script.stopped_at) == ("x", "xéEN", 3)
    assert script.endings(keep_stop=False) == ("xé",)
    assert script.endings(keep_stop=True) == ("xéEND",)
    assert Script((b"a\xf0\x9f",), ()).endings(keep_stop=False) == ("a\ufffd", "a")
    assert Script((b"xab",), ("ab", "b")).endings(keep_stop=False) == ("x", "xa")


def test_arguments_that_make_no_sense() -> None:
    with pytest.raises(ParameterError, match="stop strings"):
        check_stream(lambda: "")
    with pytest.raises(ParameterError, match="examples"):
        check_stream(s.text_stream, examples=0)
