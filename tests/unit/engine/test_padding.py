"""Ids of a model's head that the tokenizer lacks are not drawn, unless asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding import (
    GenerationParameters,
    Grammar,
    LanguageModel,
    NaNPolicy,
    Temperature,
    chain,
    generate,
)
from decoding.models.padding import HeadPadding
from decoding.vocabulary import Vocabulary

SIZE, WIDTH = 256, 384
HOLE, SPECIAL, END = 7, 8, 300


class Bytes:
    """A token a byte, but for a gap, and a special token that spells nothing."""

    vocabulary = Vocabulary(
        [b"" if item in (HOLE, SPECIAL) else bytes([item]) for item in range(SIZE)],
        frozenset({SPECIAL}),
    )

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


def rising(rows: list[list[int]]) -> Any:
    """Every id about as likely; padding somewhat more so."""
    logits = np.zeros((len(rows), WIDTH), np.float32)
    logits[:, SIZE:] = 1.0
    logits[:, HOLE] = 2.0
    return logits


def own(logits: Any, history: Any) -> Any:
    return logits * 0.5


MODEL = LanguageModel(
    forward=rising, tokenizer=Bytes(), eos_token_ids=frozenset({END}), logits_width=WIDTH
)
REAL = (set(range(SIZE)) - {HOLE}) | {END}


def ids(response: Any) -> set[int]:
    details = response.details
    every = [*details.tokens, *(item for step in details.top_tokens for item in step)]
    for other in details.best_of_sequences:
        every += [*other.tokens, *(item for step in other.top_tokens for item in step)]
    return {item.id for item in every}


ASKED = [
    {},
    {"seed": 1},
    {"seed": 1, "top_n_tokens": 3},
    {"top_n_tokens": 3},
    {"seed": 2, "best_of": 3, "top_n_tokens": 2},
    {"seed": 3, "temperature": 1.5, "top_k": 300},
    {"grammar": Grammar("regex", "[a-z]{30}"), "seed": 4},
    {"grammar": Grammar("regex", "ab[a-z]{30}"), "seed": 4, "jump_forward": True},
]
PIPELINES = [None, chain(), chain(own), chain(NaNPolicy(0.0), Temperature(2.0), own)]


@pytest.mark.parametrize("width", [WIDTH, None])
@pytest.mark.parametrize("fields", ASKED)
@pytest.mark.parametrize("pipeline", spread(PIPELINES, 2))
def test_padding_is_not_drawn(width: int | None, fields: dict[str, Any], pipeline: Any) -> None:
    model = replace(MODEL, logits_width=width)
    asked = GenerationParameters(max_new_tokens=20, **fields)
    assert ids(generate(model, "x", asked, pipeline=pipeline)) <= REAL


@pytest.mark.parametrize("width", [WIDTH, None])
def test_a_switch_lets_it_be_drawn(width: int | None) -> None:
    model = replace(MODEL, logits_width=width, draws_padding=True)
    drawn = ids(generate(model, "x", GenerationParameters(max_new_tokens=60, seed=1)))
    assert max(drawn - {END}) >= SIZE
    assert ids(generate(model, "x", GenerationParameters(max_new_tokens=2))) == {HOLE}


def test_raw_logprobs_are_the_models_own() -> None:
    asked = GenerationParameters(max_new_tokens=1)
    [token] = generate(MODEL, "x", asked).tokens
    assert token.id == END
    mass = np.exp(rising([[0]]).astype(np.float64)).sum()
    assert token.raw_logprob == pytest.approx(1.0 - np.log(mass), abs=1e-6)
    kept = np.exp(rising([[0]])[0, sorted(REAL)].astype(np.float64)).sum()
    assert token.logprob == pytest.approx(1.0 - np.log(kept), abs=1e-6)


def test_a_policy_for_rows_that_are_no_logits_stays_in_front() -> None:
    def broken(rows: list[list[int]]) -> Any:
        logits = rising(rows)
        logits[:, 5] = np.nan
        return logits

    model = replace(MODEL, forward=broken)
    asked = GenerationParameters(max_new_tokens=4, seed=1)
    assert ids(generate(model, "x", asked, pipeline=chain(NaNPolicy(0.0), own))) <= REAL


def test_a_head_without_padding_costs_nothing() -> None:
    full = Vocabulary([bytes([item]) for item in range(SIZE)])
    assert HeadPadding(full, ()).mask(SIZE) is None
    assert HeadPadding(full, {SIZE}).mask(SIZE + 1) is None
    assert HeadPadding(full, ()).mask(100) is None
    mask = HeadPadding(Bytes.vocabulary, {END}).mask(WIDTH)
    assert mask is not None
    assert mask is not HeadPadding(Bytes.vocabulary, {END}).mask(WIDTH)
    padding = HeadPadding(Bytes.vocabulary, {END})
    assert padding.mask(WIDTH) is padding.mask(WIDTH)
    kept = np.unpackbits(np.frombuffer(mask.packed, np.uint8), bitorder="little")
    assert set(np.flatnonzero(kept).tolist()) == REAL
