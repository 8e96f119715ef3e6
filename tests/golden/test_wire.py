"""Golden JSON: responses are the same bytes in all versions.

The strings were written by hand, 2026-11, from the shapes documented for Text Generation Inference
3.3.6: key order, omitted keys and nulls of its router's response types, and logprobs as they appear
in its published snapshots. They are not recordings of a server.

The floats in `float32.tsv` were printed by the Rust crate ryu, as that file says.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

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
from decoding.wire.json_text import float32_text

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "response.schema.json").read_text(encoding="utf-8"))
FLOATS = [
    line.split("\t")
    for line in (HERE / "float32.tsv").read_text(encoding="ascii").splitlines()
    if not line.startswith("#")
]


def token(token_id: int, text: str, logprob: float, *, special: bool = False) -> Token:
    return Token(token_id, text, logprob, special, -9.0, 3, 0.5, 11)


def top(token_id: int, text: str, logprob: float) -> TopToken:
    return TopToken(token_id, text, logprob, special=False, raw_logprob=-9.0)


FAILED = token(5229, " failed", -2.5839843750000004)
COLON = token(29901, ":", -0.44970703125)
END = token(2, "</s>", 0.0, special=True)
FAILED_JSON = '{"id":5229,"text":" failed","logprob":-2.5839844,"special":false}'
COLON_JSON = '{"id":29901,"text":":","logprob":-0.44970703,"special":false}'
END_JSON = '{"id":2,"text":"</s>","logprob":0.0,"special":true}'
PREFILL = (PrefillToken(1, "<s>", None), PrefillToken(4321, "Tést", -11.34375))
PREFILL_JSON = (
    '[{"id":1,"text":"<s>","logprob":null},{"id":4321,"text":"Tést","logprob":-11.34375}]'
)
TOPS = ((top(5229, " failed", -2.58398437), top(29901, ":", -2.75)), (top(29901, ":", -1e-7),))
TOPS_JSON = (
    '[[{"id":5229,"text":" failed","logprob":-2.5839844,"special":false}'
    ',{"id":29901,"text":":","logprob":-2.75,"special":false}]'
    ',[{"id":29901,"text":":","logprob":-1e-7,"special":false}]]'
)

GREEDY = Details(
    finish_reason=FinishReason.LENGTH, seed=None, input_length=2, tokens=(FAILED, COLON)
)
LOSER = BestOfSequence(
    generated_text=":",
    finish_reason=FinishReason.EOS_TOKEN,
    seed=18446744073709551615,
    tokens=(COLON, END),
    prefill=PREFILL,
)
SAMPLED = Details(
    finish_reason=FinishReason.STOP_SEQUENCE,
    seed=0,
    input_length=2,
    tokens=(FAILED, COLON),
    prefill=PREFILL,
    best_of_sequences=(LOSER, replace(LOSER, top_tokens=TOPS)),
    top_tokens=TOPS,
)
LOSER_JSON = (
    '{"generated_text":":","finish_reason":"eos_token","generated_tokens":2'
    f',"seed":18446744073709551615,"prefill":{PREFILL_JSON},"tokens":[{COLON_JSON},{END_JSON}]'
)

PLAIN = Response(generated_text=" failed:", details=SAMPLED)
LAST = StreamEvent(
    index=2,
    token=COLON,
    text=":",
    generated_text=" failed:",
    details=StreamDetails(
        finish_reason=FinishReason.LENGTH, generated_tokens=2, seed=None, input_length=2
    ),
)

RESPONSES = [
    (PLAIN, '{"generated_text":" failed:"}'),
    (
        Response(generated_text=" failed:", details=GREEDY, wire_details=True),
        (
            '{"generated_text":" failed:","details":{"finish_reason":"length","generated_tokens":2'
            f',"seed":null,"prefill":[],"tokens":[{FAILED_JSON},{COLON_JSON}]}}}}'
        ),
    ),
    (
        replace(PLAIN, wire_details=True),
        (
            '{"generated_text":" failed:","details":{"finish_reason":"stop_sequence"'
            f',"generated_tokens":2,"seed":0,"prefill":{PREFILL_JSON}'
            f',"tokens":[{FAILED_JSON},{COLON_JSON}],"best_of_sequences":[{LOSER_JSON}}}'
            f',{LOSER_JSON},"top_tokens":{TOPS_JSON}}}],"top_tokens":{TOPS_JSON}}}}}'
        ),
    ),
]
EVENTS = [
    (
        StreamEvent(index=1, token=FAILED, text=" failed", wire_details=True),
        f'{{"index":1,"token":{FAILED_JSON},"generated_text":null,"details":null}}',
    ),
    (
        StreamEvent(index=1, token=FAILED, text=" failed", top_tokens=TOPS[0][:1]),
        (
            f'{{"index":1,"token":{FAILED_JSON},"top_tokens":[{FAILED_JSON}]'
            ',"generated_text":null,"details":null}'
        ),
    ),
    (
        LAST,
        f'{{"index":2,"token":{COLON_JSON},"generated_text":" failed:","details":null}}',
    ),
    (
        replace(LAST, wire_details=True),
        (
            f'{{"index":2,"token":{COLON_JSON},"generated_text":" failed:","details":'
            '{"finish_reason":"length","generated_tokens":2,"seed":null,"input_length":2}}'
        ),
    ),
]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize(("record", "expected"), [*RESPONSES, *EVENTS])
def test_json_to_the_byte(record: Response | StreamEvent, expected: str) -> None:
    assert record.to_json() == expected


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("response", text) for _, text in RESPONSES),
        *(("stream_event", text) for _, text in EVENTS),
    ],
)
def test_the_schema_accepts_each(name: str, text: str) -> None:
    validator(name).validate(json.loads(text))
    Draft202012Validator(SCHEMA).validate(json.loads(text))


@pytest.mark.parametrize(
    "damage",
    [
        {"generated_text": None},
        {"details": None},
        {"extra": 1},
        {"details": {"finish_reason": "stop"}},
        {"details": {"finish_reason": "length", "generated_tokens": 0, "seed": -1}},
    ],
)
def test_the_schema_refuses_other_responses(damage: dict[str, Any]) -> None:
    assert not validator("response").is_valid({"generated_text": "", **damage})


@pytest.mark.parametrize(
    "change",
    [
        {"best_of_sequences": []},
        {"top_tokens": []},
        {"top_tokens": [[]]},
        {"prefill": None},
        {"prefill": [{"id": 1, "text": "", "logprob": -1.0}]},
        {"tokens": [{"id": 1, "text": "", "logprob": -1.0}]},
        {"tokens": [{"id": -1, "text": "", "logprob": -1.0, "special": False}]},
        {"seed": 2**64},
        {"input_length": 2},
    ],
)
def test_the_schema_refuses_other_details(change: dict[str, Any]) -> None:
    wire = GREEDY.to_wire()
    assert validator("details").is_valid(wire)
    assert not validator("details").is_valid(wire | change)


@pytest.mark.parametrize(
    "change", [{"index": 0}, {"generated_text": None}, {"top_tokens": []}, {"details": {}}]
)
def test_the_schema_refuses_other_events(change: dict[str, Any]) -> None:
    wire = replace(LAST, wire_details=True).to_wire()
    assert validator("stream_event").is_valid(wire)
    assert not validator("stream_event").is_valid(wire | change)


def test_the_float_table_is_whole() -> None:
    bits = {int(word, 16) for word, _ in FLOATS}
    for exponent in range(-45, 39):
        assert int(np.float32(float(f"1e{exponent}")).view(np.uint32)) in bits, exponent


@pytest.mark.parametrize(("bits", "text"), FLOATS)
def test_floats_as_ryu_prints_them(bits: str, text: str) -> None:
    assert float32_text(float(np.uint32(int(bits, 16)).view(np.float32))) == text
