"""Response records: their fields and their JSON."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from decoding.wire.details import (
    BestOfSequence,
    Details,
    FinishReason,
    PrefillToken,
    Response,
    StreamDetails,
    StreamEvent,
    Token,
    TopToken,
)
from decoding.wire.json_text import dumps, float32_text

TOKEN = Token(7, " seven", -0.5, False, -0.75, 2, 1.25, 40)
TOP = (TopToken(7, " seven", -0.5, special=False, raw_logprob=-0.75),)
DETAILS = Details(finish_reason=FinishReason.LENGTH, seed=None, input_length=3, tokens=(TOKEN,))
LOSER = BestOfSequence(
    generated_text="lost", finish_reason=FinishReason.EOS_TOKEN, seed=1, tokens=(TOKEN, TOKEN)
)
RICH = replace(
    DETAILS,
    seed=2**64 - 1,
    prefill=(PrefillToken(1, "<s>", None), PrefillToken(2, "a", -1.5)),
    best_of_sequences=(LOSER,),
    top_tokens=(TOP,),
)


def test_finish_reasons_are_tgi_words() -> None:
    assert [*FinishReason] == ["length", "eos_token", "stop_sequence"]
    assert f"{FinishReason.EOS_TOKEN}" == "eos_token"


def test_library_extras_stay_off_the_wire() -> None:
    assert list(TOKEN.to_wire()) == list(TOP[0].to_wire()) == ["id", "text", "logprob", "special"]
    assert list(PrefillToken(1, "a", None).to_wire()) == ["id", "text", "logprob"]
    assert "input_length" not in RICH.to_wire()


def test_details_omit_what_is_empty() -> None:
    keys = ["finish_reason", "generated_tokens", "seed", "prefill", "tokens"]
    assert list(DETAILS.to_wire()) == keys
    assert list(RICH.to_wire()) == [*keys, "best_of_sequences", "top_tokens"]
    assert list(LOSER.to_wire()) == ["generated_text", *keys]
    loser = replace(LOSER, top_tokens=(TOP, TOP))
    assert list(loser.to_wire()) == ["generated_text", *keys, "top_tokens"]


def test_details_hold_nulls_where_tgi_does() -> None:
    wire = DETAILS.to_wire()
    assert wire["seed"] is None
    assert wire["prefill"] == []
    assert RICH.to_wire()["prefill"][0]["logprob"] is None


def test_generated_tokens_counts_the_tokens() -> None:
    assert (DETAILS.generated_tokens, LOSER.generated_tokens) == (1, 2)
    assert LOSER.to_wire()["generated_tokens"] == 2


def test_a_response_gives_its_details_without_detour() -> None:
    response = Response(generated_text="text", details=RICH)
    for name in (
        "finish_reason",
        "seed",
        "input_length",
        "generated_tokens",
        "tokens",
        "prefill",
        "best_of_sequences",
        "top_tokens",
    ):
        assert getattr(response, name) == getattr(RICH, name), name


def test_a_response_shows_details_where_asked() -> None:
    response = Response(generated_text="text", details=DETAILS)
    assert response.to_wire() == {"generated_text": "text"}
    shown = replace(response, wire_details=True)
    assert shown.to_wire() == {"generated_text": "text", "details": DETAILS.to_wire()}


def test_stream_events_are_null_until_the_last() -> None:
    event = StreamEvent(index=1, token=TOKEN, text=" seven")
    token = TOKEN.to_wire()
    wire = {"index": 1, "token": token, "generated_text": None, "details": None}
    assert list(event.to_wire().items()) == list(wire.items())
    shown = replace(event, top_tokens=TOP).to_wire()
    assert list(shown) == ["index", "token", "top_tokens", "generated_text", "details"]
    assert shown["top_tokens"] == [TOP[0].to_wire()]


def test_the_last_stream_event_holds_the_whole() -> None:
    details = StreamDetails(
        finish_reason=FinishReason.LENGTH, generated_tokens=2, seed=5, input_length=3
    )
    last = StreamEvent(index=2, token=TOKEN, text="b", generated_text="ab", details=details)
    assert last.to_wire()["generated_text"] == "ab"
    assert last.to_wire()["details"] is None
    shown = replace(last, wire_details=True).to_wire()["details"]
    assert list(shown.items()) == [
        ("finish_reason", "length"),
        ("generated_tokens", 2),
        ("seed", 5),
        ("input_length", 3),
    ]


def test_records_are_values() -> None:
    assert replace(TOKEN) == TOKEN
    assert hash(replace(RICH)) == hash(RICH)
    with pytest.raises(FrozenInstanceError):
        TOKEN.id = 8


def test_json_is_the_wire_with_float32() -> None:
    token = replace(TOKEN, logprob=-1.53515625001, text='"\n')
    assert token.to_wire()["logprob"] == -1.53515625001
    assert token.to_json() == r'{"id":7,"text":"\"\n","logprob":-1.5351562,"special":false}'
    response = Response(generated_text="é", details=RICH, wire_details=True)
    assert json.loads(response.to_json()) == response.to_wire()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ('"\\/', r'"\"\\/"'),
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\x00\x0b\x1f", r'"\u0000\u000b\u001f"'),
        ("\x7f\x80é\u2028\ufeff\ufffd😀", '"\x7f\x80é\u2028\ufeff\ufffd😀"'),
    ],
)
def test_strings_are_escaped_as_serde_json_does(text: str, quoted: str) -> None:
    assert dumps(text) == quoted
    assert dumps({text: text}) == f"{{{quoted}:{quoted}}}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (2**64 - 1, "18446744073709551615"),
        (1.0, "1.0"),
        ([], "[]"),
        ({}, "{}"),
        (({"b": 1, "a": [None, ()]},), '[{"b":1,"a":[null,[]]}]'),
        (FinishReason.LENGTH, '"length"'),
    ],
)
def test_json_forms(value: Any, text: str) -> None:
    assert dumps(value) == text


@pytest.mark.parametrize("value", [b"", {1}, np.float32(1), np.int64(1), object()])
def test_json_of_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="JSON has no form for"):
        dumps({"key": [value]})


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 1e39, -1e300, 2.0**128 - 2.0**103]
)
def test_what_float32_cannot_hold_is_null(value: float) -> None:
    assert float32_text(value) == "null"


def test_float32_is_rounded_to_nearest() -> None:
    assert float32_text(math.nextafter(2.0**128 - 2.0**103, 0)) == "3.4028235e38"
    assert float32_text(1e-46) == "0.0"
    assert float32_text(-1e-46) == "-0.0"
    assert float32_text(16777217.0) == "16777216.0"


def test_float32_heeds_no_numpy_setting() -> None:
    with np.errstate(all="raise"), np.printoptions(precision=2, floatmode="fixed"):
        assert float32_text(-1.53515625) == "-1.5351562"
        assert float32_text(1e-50) == "0.0"
        assert float32_text(1e300) == "null"


def test_equality_is_over_what_was_decided_and_not_over_what_was_measured() -> None:
    other = Token(7, " seven", -0.5000001, False, -0.7500001, 2, 1.2500001, 41)
    top = TopToken(7, " seven", -0.5000001, special=False, raw_logprob=-0.7500001)
    prefill = PrefillToken(2, "a", -1.5000001)
    details = replace(
        RICH,
        tokens=tuple(replace(other, id=token.id) for token in RICH.tokens),
        top_tokens=((top,),) * len(RICH.top_tokens),
        prefill=(*RICH.prefill[:-1], prefill),
    )
    one, same = (Response(generated_text=" seven", details=each) for each in (RICH, details))
    assert one == same
    assert hash(one) == hash(same)
    for different in (
        replace(TOKEN, id=8),
        replace(TOKEN, text=" Seven"),
        replace(TOKEN, special=True),
    ):
        assert different != TOKEN
    assert replace(RICH, seed=9) != RICH
    assert replace(RICH, finish_reason=FinishReason.EOS_TOKEN) != RICH
