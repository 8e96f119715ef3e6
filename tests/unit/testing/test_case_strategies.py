"""What the strategies of cases promise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.testing import case_strategies
from decoding.testing.cases import FORMATS, Shapes, rounded

BYTES = [bytes([byte]) for byte in range(256)] + [b"ab", "é".encode(), b"aba"]


@pytest.mark.parametrize("name", FORMATS)
def test_cases_are_legal_and_of_their_format(name: str) -> None:
    shapes = Shapes(widths=(2, 300), format=name)

    @settings(max_examples=60)
    @given(case_strategies.cases(shapes))
    def check(case: Any) -> None:
        assert (case.logits < np.inf).all()
        assert (case.logits > -np.inf).any(axis=1).all()
        assert 2 <= case.logits.shape[1] <= 300
        assert np.array_equal(rounded(case.logits, name), case.logits)
        ids = [token for text in (*case.prompts, *case.generated) for token in text]
        assert all(0 <= token < case.logits.shape[1] for token in ids)

    check()


@settings(max_examples=60)
@given(case_strategies.rows_with_top_p())
def test_masses_are_aimed(drawn: Any) -> None:
    row, p = drawn
    weights = np.sort(np.exp(row.astype(np.float64) - row.max()))[::-1]
    sums = np.cumsum(weights) / weights.sum()
    assert 0.0 < p <= 1.0
    assert np.abs(sums - p).min() <= 1.1e-3


@settings(max_examples=60)
@given(case_strategies.rows_with_min_p(), case_strategies.rows_with_top_k())
def test_shares_and_counts_are_legal(shares: Any, counts: Any) -> None:
    assert 0.0 <= shares[1] <= 1.0
    assert 1 <= counts[1] <= len(counts[0]) + 2


@settings(max_examples=60)
@given(st.text("abé", max_size=8), st.data())
def test_tokens_spell_their_text(text: str, data: Any) -> None:
    encoded = text.encode()
    assert b"".join(data.draw(case_strategies.tokens_of(encoded))) == encoded
    ids = data.draw(case_strategies.token_ids_of(encoded, BYTES))
    assert b"".join(BYTES[token] for token in ids) == encoded


@settings(max_examples=60)
@given(case_strategies.schemas_with_texts())
def test_schemas_hold_their_texts(drawn: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema, text = drawn
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))
