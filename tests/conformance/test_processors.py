"""Every built-in processor obeys the contract; broken ones are caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import decoding.processors
from decoding.history import History
from decoding.processors import (
    Bitmask,
    BitmaskBias,
    FrequencyPenalty,
    GumbelWatermark,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    SynthIdWatermark,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Watermark,
)
from decoding.testing import laws, strategies
from decoding.watermark import (
    ContextHash,
    GumbelScheme,
    LastToken,
    Permuted,
    Scheme,
    SelfHash,
    SynthId,
    Thresholded,
    TokenSum,
)

KEYS = st.integers(0, 2**64 - 1)
SEEDINGS = st.one_of(
    st.builds(kind, st.integers(1, 4)) for kind in (LastToken, TokenSum, ContextHash)
) | st.just(SelfHash(1))
SCHEMES = st.builds(
    Scheme,
    SEEDINGS,
    st.floats(0.01, 0.99),
    st.floats(-9, 9),
    KEYS,
    st.sampled_from([Permuted(), Thresholded()]),
    st.integers(1, 50),
)

# One line a processor: how to make one from a vocabulary size, and its neutral values.
CASES: dict[str, tuple[Any, list[Any]]] = {
    "Temperature": (lambda _: st.floats(1e-3, 1e3).map(Temperature), [Temperature(1.0)]),
    "TopK": (
        lambda n: st.builds(TopK, st.integers(0, n + 2), st.booleans()),
        [TopK(0), TopK(10**6)],
    ),
    "TopP": (lambda _: st.floats(0.0, 1.0, exclude_min=True).map(TopP), [TopP(1.0)]),
    "MinP": (lambda _: st.floats(0.0, 1.0).map(MinP), [MinP(0.0)]),
    "TypicalP": (lambda _: st.floats(0.0, 1.0, exclude_min=True).map(TypicalP), [TypicalP(1.0)]),
    "RepetitionPenalty": (
        lambda _: st.floats(1e-3, 1e3).map(RepetitionPenalty),
        [RepetitionPenalty(1.0)],
    ),
    "FrequencyPenalty": (lambda _: st.floats(-9, 9).map(FrequencyPenalty), [FrequencyPenalty(0.0)]),
    "PresencePenalty": (lambda _: st.floats(-9, 9).map(PresencePenalty), [PresencePenalty(0.0)]),
    "LogitBias": (
        lambda n: st.dictionaries(
            st.integers(0, n - 1), st.floats(-9, 9) | st.just(-np.inf), max_size=4
        ).map(LogitBias),
        [LogitBias({})],
    ),
    "Bitmask": (
        lambda n: st.sets(st.integers(0, n + 40)).map(Bitmask.of),
        [],
    ),
    "BitmaskBias": (
        lambda n: st.builds(BitmaskBias.of, st.sets(st.integers(0, n + 40)), st.floats(-9, 9)),
        [BitmaskBias.of([0, 1], 0.0)],
    ),
    "Watermark": (
        lambda n: st.builds(Watermark, SCHEMES, st.none() | st.integers(1, n + 40)),
        [Watermark(Scheme(LastToken(), delta=0.0)), Watermark(Scheme(SelfHash(), delta=0.0), 9)],
    ),
    "SynthIdWatermark": (
        lambda _: st.builds(
            SynthIdWatermark,
            st.builds(
                SynthId,
                st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=9).map(tuple),
                ngram_len=st.integers(2, 5),
                table_size=st.integers(1, 5000),
                history_size=st.integers(1, 9),
                skips_first=st.booleans(),
            ),
        ),
        [],
    ),
    "GumbelWatermark": (
        lambda _: st.builds(GumbelScheme, KEYS, st.integers(1, 4)).map(GumbelWatermark),
        [],
    ),
}


def test_every_public_processor_is_listed() -> None:
    assert set(CASES) == set(decoding.processors.__all__)


@pytest.mark.parametrize("name", CASES)
@given(data=st.data(), batch=strategies.batches())
def test_the_contract(name: str, data: st.DataObject, batch: tuple[Any, History]) -> None:
    processor = data.draw(CASES[name][0](batch[0].shape[1]))
    laws.check_contract(processor, *batch)


@pytest.mark.parametrize("name", CASES)
@given(data=st.data(), batch=strategies.batches())
def test_what_it_declares_is_true(
    name: str, data: st.DataObject, batch: tuple[Any, History]
) -> None:
    processor = data.draw(CASES[name][0](batch[0].shape[1]))
    laws.check_declarations(processor, *batch)
    laws.check_value(processor)


@pytest.mark.parametrize("name", CASES)
@given(batch=strategies.batches())
def test_neutral_is_the_same_object(name: str, batch: tuple[Any, History]) -> None:
    for neutral in CASES[name][1]:
        laws.check_neutral(neutral, *batch)
        assert not [item for item in neutral.lower() if item.first < 10**6]


@pytest.mark.parametrize(
    "name",
    sorted(name for name in CASES if not name.endswith(("Bias", "Bitmask", "Watermark"))),
)
def test_an_all_masked_row_passes_through(name: str) -> None:
    dead = np.full((1, 5), -np.inf, np.float32)
    history = History.of([[1]], [[2]])
    for parameter in (0.5, 2.0) if name.endswith(("Penalty", "Temperature")) else (0.5,):
        value = int(parameter * 4) if name == "TopK" else parameter
        processor = getattr(decoding.processors, name)(value)
        assert np.array_equal(processor(dead, history), dead)


def _writes(logits: Any, history: History) -> Any:
    logits[0, 0] = 0.0
    return logits


def _narrows(logits: Any, history: History) -> Any:
    return logits.astype(np.float16)


def _drops_a_column(logits: Any, history: History) -> Any:
    return logits[:, :-1]


def _makes_nan(logits: Any, history: History) -> Any:
    return logits * np.nan


def _resurrects(logits: Any, history: History) -> Any:
    return np.where(np.isneginf(logits), np.float32(0.0), logits)


def _looks_at_its_neighbours(logits: Any, history: History) -> Any:
    return logits - logits.max()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (_writes, "read-only"),
        (_narrows, "dtype"),
        (_drops_a_column, "shape"),
        (_makes_nan, "finite"),
        (_resurrects, "returns to life"),
        (_looks_at_its_neighbours, "stack of its rows"),
    ],
)
def test_a_broken_processor_is_caught(broken: Any, law: str) -> None:
    logits = np.array([[0.0, 1.0, -np.inf], [5.0, 1.0, 2.0]], np.float32)
    with pytest.raises((AssertionError, ValueError), match=law):
        laws.check_contract(broken, logits, History.empty(2))


class _Liar:
    """Lowers the likeliest token to the bottom and claims to do nothing of the kind."""

    argmax_invariant = only_removes = idempotent = shift_invariant = vocabulary_blind = True
    needs_history = False
    never_empties = True

    def __init__(self, lie: str) -> None:
        self.lie = lie

    def __call__(self, logits: Any, history: History) -> Any:
        match self.lie:
            case "argmax_invariant":
                return np.where(logits == logits.max(axis=1, keepdims=True), -np.inf, logits)
            case "only_removes" | "idempotent":
                return logits - np.arange(logits.shape[1])
            case "never_empties":
                return np.full_like(logits, -np.inf)
            case "needs_history":
                return np.where(history.lengths[:, np.newaxis] > 0, np.minimum(logits, 0), logits)
            case "shift_invariant":
                return np.where(logits > 1.0, logits, -np.inf)
            case _:
                return np.where(np.arange(logits.shape[1]) < 2, logits, -np.inf)


@pytest.mark.parametrize(
    "lie",
    [
        "argmax_invariant",
        "only_removes",
        "never_empties",
        "idempotent",
        "needs_history",
        "shift_invariant",
        "vocabulary_blind",
    ],
)
def test_a_false_declaration_is_caught(lie: str) -> None:
    liar = _Liar(lie)
    for fact in ("argmax_invariant", "only_removes", "never_empties", "idempotent"):
        setattr(liar, fact, fact == lie)
    liar.shift_invariant = lie == "shift_invariant"
    liar.vocabulary_blind = lie == "vocabulary_blind"
    liar.needs_history = lie != "needs_history"
    logits = np.array([[0.5, 1.5, 1.25, 0.0, 3.0]], np.float32)
    with pytest.raises(AssertionError, match=lie):
        laws.check_declarations(liar, logits, History.of([[1]]))
