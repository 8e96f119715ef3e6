"""Responses read back from JSON are equal; errors name their path."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding import FinishReason, GenerationParameters, Response, generate
from decoding.errors import ParameterError
from decoding.wire.details import BestOfSequence, Details, PrefillToken, Token, TopToken

logprobs = st.floats() | st.just(-math.inf)
texts = st.text(max_size=3)
ids = st.integers(0, 2**31 - 1)
counts = st.integers(1)
tokens = st.builds(
    Token,
    ids,
    texts,
    logprobs,
    st.booleans(),
    logprobs,
    st.integers(1),
    st.floats(),
    st.integers(1),
)
top_tokens = st.lists(
    st.lists(st.builds(TopToken, ids, texts, logprobs, st.booleans(), logprobs)).map(tuple),
    max_size=2,
).map(tuple)
prefill = st.lists(st.builds(PrefillToken, ids, texts, st.none() | logprobs), max_size=2).map(tuple)
shared = {
    "finish_reason": st.sampled_from(FinishReason),
    "seed": st.none() | st.integers(0, 2**64 - 1),
    "tokens": st.lists(tokens, max_size=2).map(tuple),
    "prefill": prefill,
    "top_tokens": top_tokens,
}
losers = st.builds(BestOfSequence, generated_text=texts, **shared)
responses = st.builds(
    Response,
    generated_text=texts,
    details=st.builds(
        Details,
        input_length=st.integers(1, 9),
        best_of_sequences=st.lists(losers, max_size=2).map(tuple),
        **shared,
    ),
    wire_details=st.just(True),
)


@given(responses)
def test_a_response_survives_its_json(response: Response) -> None:
    document = response.to_json()
    again = Response.from_json(document)
    assert again.to_json() == document
    assert [token.id for token in again.tokens] == [token.id for token in response.tokens]
    assert again.to_wire().keys() == response.to_wire().keys()
    assert Response.from_json(document.encode()).to_json() == document
    assert Response.from_json(json.dumps(json.loads(document))).to_json() == document


def test_a_generated_response_survives() -> None:
    def forward(rows: list[list[int]]) -> Any:
        return np.tile(np.log([0.5, 0.3, 0.2]), (len(rows), 1))

    asked = GenerationParameters(
        max_new_tokens=3,
        do_sample=True,
        seed=2**64 - 1,
        best_of=2,
        details=True,
        decoder_input_details=True,
        top_n_tokens=2,
    )
    response = generate(forward, [1, 2], asked)
    again = Response.from_json(response.to_json())
    assert again == response
    assert hash(again) == hash(response)
    assert again.to_json() == response.to_json()
    assert again.seed == response.seed
    assert again.finish_reason is FinishReason.LENGTH
    [loser] = again.best_of_sequences
    assert loser.generated_tokens == 3
    assert len(again.prefill) == 2
    assert again.prefill[0].logprob is None
    assert [len(step) for step in again.top_tokens] == [len(step) for step in response.top_tokens]


def test_what_is_off_the_wire_is_what_no_generation_has() -> None:
    [token] = Response.from_json(document()).tokens
    assert math.isnan(token.raw_logprob)
    assert math.isnan(token.entropy)
    assert (token.rank, token.support_size) == (0, 0)
    assert Response.from_json(document()).input_length == 0


def document(**changed: Any) -> str:
    token = {"id": 5, "text": "a", "logprob": -1.5, "special": False}
    details = {
        "finish_reason": "length",
        "generated_tokens": 1,
        "seed": None,
        "prefill": [],
        "tokens": [{**token, **changed.pop("token", {})}],
        **changed.pop("details", {}),
    }
    return json.dumps({"generated_text": "a", "details": details, **changed})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "response"),
        ("[]", "response"),
        ("{", "response"),
        ('{"a":' * 100_000, "response"),
        ("1" * 10_000, "response"),
        (b"\xff", "response"),
        (None, "response"),
        ({"generated_text": "a"}, "response"),
        ('{"generated_text": "a"}', "response.details"),
        ('{"generated_text":"a","details":null}', "response.details"),
        (document(generated_text=5), "response.generated_text"),
        (document(token={"id": "5"}), r"response.details.tokens\[0\].id"),
        (document(token={"id": -5}), r"response.details.tokens\[0\].id"),
        (document(token={"id": True}), r"response.details.tokens\[0\].id"),
        (document(token={"text": None}), r"response.details.tokens\[0\].text"),
        (document(token={"logprob": "x"}), r"response.details.tokens\[0\].logprob"),
        (document(token={"special": 0}), r"response.details.tokens\[0\].special"),
        (document(details={"finish_reason": "tired"}), "response.details.finish_reason"),
        (document(details={"finish_reason": []}), "response.details.finish_reason"),
        (document(details={"generated_tokens": 2}), "response.details.generated_tokens"),
        (document(details={"seed": 1.5}), "response.details.seed"),
        (document(details={"tokens": {}}), "response.details.tokens"),
        (document(details={"tokens": [5]}), r"response.details.tokens\[0\]"),
        (document(details={"prefill": [{"id": 1}]}), r"response.details.prefill\[0\].text"),
        (document(details={"top_tokens": {}}), "response.details.top_tokens"),
        (document(details={"top_tokens": [{}]}), r"response.details.top_tokens\[0\]"),
        (
            document(details={"best_of_sequences": [{"generated_text": "b"}]}),
            r"response.details.best_of_sequences\[0\].generated_tokens",
        ),
    ],
)
def test_what_is_no_response_is_named(text: Any, place: str) -> None:
    with pytest.raises(ParameterError, match=rf"^{place} must be "):
        Response.from_json(text)


def test_members_that_are_not_known_are_let_be() -> None:
    assert Response.from_json(document(model="x", token={"bytes": [97]})).tokens[0].id == 5
