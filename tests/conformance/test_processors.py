"""Every processor obeys the contract and its declarations; broken ones are caught."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount

import decoding.processors
from decoding.errors import ParameterError, ShapeError
from decoding.facts import EDIT, Facts
from decoding.grammar import Machine, compile_regex, token_table
from decoding.history import History
from decoding.processors import (
    AdaptiveP,
    AllowedTokens,
    AtLeast,
    BadWords,
    BeginSuppressTokens,
    Bitmask,
    BitmaskBias,
    ClassifierFreeGuidance,
    Dry,
    DynamicTemperature,
    EncoderNoRepeatNgram,
    EncoderRepetitionPenalty,
    EpsilonCutoff,
    ExponentialLengthDecay,
    ForcedFirstToken,
    ForcedLastToken,
    FrequencyPenalty,
    GrammarMask,
    GumbelWatermark,
    LogitBias,
    MinP,
    MinTokens,
    Mirostat1,
    Mirostat2,
    NaNPolicy,
    PrefixFunction,
    PresencePenalty,
    Renormalise,
    RepetitionPenalty,
    Scoped,
    SequenceBias,
    SuppressTokens,
    SynthIdWatermark,
    Temperature,
    TopH,
    TopK,
    TopP,
    TypicalP,
    Watermark,
    Xtc,
)
from decoding.testing import laws, strategies
from decoding.vocabulary import Vocabulary
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

_LETTERS = Machine(token_table(Vocabulary([b"a", b"b", b"c", b"ab", b""]), [4]))
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


@dataclass(frozen=True, slots=True)
class _Flat:
    """Unconditional logits that prefer the tokens a row has seen, and rule one out."""

    vocab_size: int

    def __call__(self, history: History) -> Any:
        logits = np.zeros((len(history), self.vocab_size))
        logits[:, -1] = -np.inf
        for row in range(len(history)):
            logits[row, history.row(row) % self.vocab_size] += 1.0
        return logits


def _after_the_last(history: History) -> list[int]:
    return [*(history.row(0) + 1).tolist(), 0, 2]


def _ids(vocab_size: int, *, beyond: int = 2) -> Any:
    return st.sets(st.integers(0, vocab_size - 1 + beyond), max_size=4).map(tuple)


_UNIT = st.floats(0.0, 1.0)
_BELOW_ONE = st.floats(0.0, 1.0, exclude_max=True)
_ABOVE_ZERO = st.floats(0.0, 1.0, exclude_min=True)
_SEQUENCES = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)


def _truncations(vocab_size: int) -> Any:
    return st.one_of(
        st.builds(TopP, _ABOVE_ZERO),
        st.builds(TypicalP, _ABOVE_ZERO),
        st.builds(MinP, _UNIT),
        st.builds(EpsilonCutoff, _BELOW_ONE),
        st.builds(Bitmask.of, st.sets(st.integers(0, vocab_size))),
    )


FEW = amount(check=4, full=25, nightly=1250)
SOME = amount(check=6, full=100, nightly=5000)
"""For laws that hardly look at the logits."""

# By name of a processor: how to make one for a vocabulary size, and its neutral values.
CASES: dict[str, tuple[Any, list[Any]]] = {
    "Mirostat1": (
        lambda _: st.builds(
            Mirostat1, st.floats(0.0, 9.0), st.floats(0.0, 1.0), st.integers(2, 50), st.booleans()
        ),
        [],
    ),
    "Mirostat2": (
        lambda _: st.builds(Mirostat2, st.floats(0.0, 9.0), st.floats(0.0, 1.0), st.booleans()),
        [],
    ),
    "AdaptiveP": (lambda _: st.builds(AdaptiveP, _UNIT, st.floats(0.0, 0.99)), [AdaptiveP(-1.0)]),
    "Temperature": (lambda _: st.floats(1e-3, 1e3).map(Temperature), [Temperature(1.0)]),
    "TopK": (
        lambda n: st.builds(TopK, st.integers(0, n + 2), st.booleans()),
        [TopK(0), TopK(10**6)],
    ),
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
    "GrammarMask": (
        lambda _: st.sampled_from(["(ab)*c", "[ab]*", "a{2,3}b|b"]).map(
            lambda pattern: GrammarMask(compile_regex(pattern, _LETTERS))
        ),
        [],
    ),
    "GumbelWatermark": (
        lambda _: st.builds(GumbelScheme, KEYS, st.integers(1, 4)).map(GumbelWatermark),
        [],
    ),
    "AtLeast": (
        lambda n: st.builds(AtLeast, _truncations(n), st.integers(0, n + 1)),
        [AtLeast(TopP(1.0), 3)],
    ),
    "AllowedTokens": (lambda n: _ids(n).filter(bool).map(AllowedTokens), []),
    "BadWords": (lambda _: st.lists(_SEQUENCES, max_size=4).map(BadWords), [BadWords([])]),
    "BeginSuppressTokens": (lambda n: _ids(n).map(BeginSuppressTokens), [BeginSuppressTokens(())]),
    "ClassifierFreeGuidance": (
        lambda n: st.builds(ClassifierFreeGuidance, st.floats(-3.0, 9.0), st.just(_Flat(n))),
        [ClassifierFreeGuidance(1.0, _Flat(0))],
    ),
    "Dry": (
        lambda n: st.builds(
            Dry,
            st.floats(0.0, 9.0),
            st.floats(1.0, 9.0),
            st.integers(1, 3),
            st.none() | st.integers(0, 9),
            _ids(n),
        ),
        [Dry(0.0), Dry(1.0, last_n=0)],
    ),
    "DynamicTemperature": (
        # Down to a tenth of the middle: at T near 0 rounding decides by how much one token wins.
        lambda _: st.builds(
            lambda middle, share, exponent: DynamicTemperature(middle, share * middle, exponent),
            st.floats(1e-3, 1e2),
            st.floats(0.0, 0.9),
            st.floats(0.0, 5.0),
        ),
        [DynamicTemperature(1.0)],
    ),
    "EncoderNoRepeatNgram": (
        lambda _: st.integers(0, 4).map(EncoderNoRepeatNgram),
        [EncoderNoRepeatNgram(0)],
    ),
    "EncoderRepetitionPenalty": (
        lambda _: st.floats(1e-3, 1e3).map(EncoderRepetitionPenalty),
        [EncoderRepetitionPenalty(1.0)],
    ),
    "ExponentialLengthDecay": (
        lambda n: st.builds(
            ExponentialLengthDecay, st.integers(0, 6), st.floats(1e-3, 1e3), _ids(n)
        ),
        [ExponentialLengthDecay(0, 1.0, (0,)), ExponentialLengthDecay(0, 2.0, ())],
    ),
    "ForcedFirstToken": (lambda n: st.integers(0, n).map(ForcedFirstToken), []),
    "ForcedLastToken": (
        lambda n: st.builds(ForcedLastToken, _ids(n).filter(bool), st.integers(1, 9)),
        [],
    ),
    "MinTokens": (
        lambda n: st.builds(MinTokens, st.integers(0, 9), _ids(n)),
        [MinTokens(0, (1,)), MinTokens(3, ())],
    ),
    "NaNPolicy": (
        lambda _: st.builds(NaNPolicy, st.floats(-9.0, 9.0), st.none() | st.floats(-9.0, 9.0)),
        [NaNPolicy()],
    ),
    "PrefixFunction": (lambda _: st.just(PrefixFunction(_after_the_last)), []),
    "Renormalise": (lambda _: st.just(Renormalise()), []),
    "Scoped": (
        lambda n: st.builds(
            Scoped,
            st.sampled_from([RepetitionPenalty(1.5), FrequencyPenalty(0.7), PresencePenalty(-0.7)]),
            st.sampled_from(["all", "prompt", "generated"]),
            st.none() | st.integers(0, 9),
            _ids(n),
        ),
        [Scoped(RepetitionPenalty(1.0), "prompt")],
    ),
    "SequenceBias": (
        lambda n: st.dictionaries(
            st.lists(st.integers(0, n - 1), min_size=1, max_size=3).map(tuple),
            st.floats(-9, 9) | st.just(-np.inf),
            max_size=4,
        ).map(SequenceBias),
        [SequenceBias({})],
    ),
    "SuppressTokens": (lambda n: _ids(n, beyond=0).map(SuppressTokens), [SuppressTokens(())]),
    "TopH": (
        lambda n: st.builds(TopH, _ABOVE_ZERO, st.none() | st.integers(1, n + 1)),
        [TopH(1.0), TopH(1.0, candidates=10**6)],
    ),
    "Xtc": (
        lambda n: st.builds(
            Xtc, _UNIT | st.just(1.0), _UNIT, st.integers(0, 2**64 - 1), _ids(n), st.integers(1, 4)
        ),
        [Xtc(0.0), Xtc(1.0, 0.51)],
    ),
}

CASES |= {
    item.__name__: (lambda _, made=made: made, strategies.neutral_of(item))
    for item in decoding.processors.PROCESSORS
    if item.__name__ not in CASES and (made := strategies.made_of_fields(item)) is not None
}
"""The others are made of the fields of requests that they state."""

NO_VALUES = {"GrammarMask"}
"""Equal only to themselves: a compiled grammar belongs to the vocabulary it is compiled for."""


@cache
def instances(name: str, vocab_size: int) -> st.SearchStrategy[Any]:
    """Made once for each size: Hypothesis validates every new strategy."""
    return CASES[name][0](vocab_size)


def test_every_public_processor_is_listed() -> None:
    assert set(CASES) == set(decoding.processors.__all__)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=SOME)
@given(data=st.data(), batch=strategies.batches())
def test_the_contract_and_what_it_declares(
    name: str, data: st.DataObject, batch: tuple[Any, History]
) -> None:
    processor = data.draw(instances(name, batch[0].shape[1]))
    laws.check_contract(processor, *batch)
    laws.check_declarations(processor, *batch)
    if name not in NO_VALUES:
        laws.check_value(processor)


@pytest.mark.parametrize("name", [name for name, (_, neutral) in CASES.items() if neutral])
@settings(max_examples=FEW)
@given(batch=strategies.batches())
def test_neutral_is_the_same_object(name: str, batch: tuple[Any, History]) -> None:
    for neutral in CASES[name][1]:
        laws.check_neutral(neutral, *batch)
        lowered = neutral.lower() if hasattr(neutral, "lower") else ()
        assert not [item for item in lowered if item.first < 10**6]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=FEW)
@given(data=st.data())
def test_an_all_masked_row_passes_through(name: str, data: st.DataObject) -> None:
    dead = np.full((1, 5), -np.inf, np.float32)
    processor = data.draw(instances(name, 5))
    assert np.array_equal(processor(dead, History.of([[1]], [[2]])), dead)


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


def _bans_the_last_column(logits: Any, history: History) -> Any:
    banned = logits.copy()
    if history.token_ids.shape[1]:
        for row, token_id in enumerate(history.token_ids[:, -1]):
            banned[row, token_id % logits.shape[1]] = -np.inf
    return banned


def _counts_the_padding(logits: Any, history: History) -> Any:
    counts = np.stack([np.bincount(row[row >= 0], minlength=3)[:3] for row in history.token_ids])
    return (logits - counts).astype(logits.dtype)


def _divides_by_the_width(logits: Any, history: History) -> Any:
    return (logits / max(1, history.token_ids.shape[1])).astype(logits.dtype)


def _reads_one_beyond(logits: Any, history: History) -> Any:
    banned = logits.copy()
    for row, length in enumerate(history.lengths):
        beyond = history.token_ids[row, length : length + 1]
        banned[row, beyond[(beyond >= 0) & (beyond < 3)]] = -np.inf
    return banned


@pytest.mark.parametrize(
    "broken", [_bans_the_last_column, _counts_the_padding, _divides_by_the_width, _reads_one_beyond]
)
@pytest.mark.parametrize(
    "history", [History.of([[1, 2]], [[1]]), History.of([[1, 2], [0, 2]], [[1], [2]])]
)
def test_a_processor_that_reads_padding_is_caught(broken: Any, history: History) -> None:
    logits = np.ones((len(history), 3), np.float32)
    with pytest.raises(AssertionError, match=r"beyond the length|stack of its rows"):
        laws.check_contract(broken, logits, history)


def test_paddings_change_nothing_but_the_padding() -> None:
    history = History.of([[1, 2], [3]], [[4], []])
    seen = list(laws.paddings(history))
    assert len({padded.token_ids.shape[1] for padded in seen}) == len(seen)
    for padded in seen:
        assert [padded.prompt(row).tolist() for row in range(2)] == [[1, 2], [3]]
        assert [padded.generated(row).tolist() for row in range(2)] == [[4], []]


_DTYPES = ["float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=FEW)
@given(data=st.data(), batch=strategies.batches(), dtype=st.sampled_from(_DTYPES))
def test_a_tensor_is_edited_as_its_array(
    name: str, data: st.DataObject, batch: tuple[Any, History], dtype: str
) -> None:
    torch = pytest.importorskip("torch")
    processor = data.draw(instances(name, batch[0].shape[1]))
    kind = getattr(torch, dtype)
    limit = torch.finfo(kind).max
    clipped = torch.from_numpy(batch[0]).double().clamp(min=-limit, max=limit)
    tensor = torch.where(torch.from_numpy(batch[0]) == -torch.inf, -torch.inf, clipped).to(kind)
    array = (tensor.float() if dtype == "bfloat16" else tensor).numpy()
    before = tensor.clone()
    result = processor(tensor, batch[1])
    assert torch.equal(tensor, before)
    assert isinstance(result, torch.Tensor)
    assert (result.dtype, result.device) == (kind, tensor.device)
    expected = torch.from_numpy(processor(array.copy(), batch[1]))
    bounded = torch.where(expected == -torch.inf, expected, expected.clamp(-limit, limit))
    assert torch.equal(result, bounded.to(kind))
    assert torch.equal(result == -torch.inf, expected == -torch.inf)
    assert not result.requires_grad


@pytest.mark.parametrize("name", [name for name, (_, neutral) in CASES.items() if neutral])
def test_a_neutral_processor_returns_the_very_tensor(name: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, 7, dtype=torch.bfloat16)
    history = History.of([[1, 2], [3]], [[3], []])
    for neutral in CASES[name][1]:
        assert neutral(tensor, history) is tensor


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3)
@given(data=st.data())
def test_wrong_arguments_are_named(name: str, data: st.DataObject) -> None:
    processor = data.draw(instances(name, 5))
    logits, history = np.zeros((2, 5), np.float32), History.of([[1], [2]])
    for wrong in (logits.astype(np.int64), logits[0], logits[:, :0], logits.tolist(), None):
        with pytest.raises(ShapeError, match=r"^logits must be"):
            processor(wrong, history)
    with pytest.raises(ShapeError, match="history must be of 2 rows, as the logits, got 3 rows"):
        processor(logits, History.empty(3))
    for nothing in (None, [[1], [2]]):
        with pytest.raises(ParameterError, match="history must be a History"):
            processor(logits, nothing)
    none = logits[:0]
    assert processor(none, History.empty(0)) is none


class _Liar:
    """Lowers the likeliest token to the bottom and claims to do nothing of the kind."""

    def __init__(self, lie: str, facts: Facts) -> None:
        self.lie = lie
        self.facts = facts

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
            case "shift_invariant" | "scale_invariant":
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
        "scale_invariant",
        "vocabulary_blind",
    ],
)
def test_a_false_declaration_is_caught(lie: str) -> None:
    facts = ("argmax_invariant", "only_removes", "never_empties", "idempotent", "shift_invariant")
    claims = {fact: fact == lie for fact in (*facts, "scale_invariant", "vocabulary_blind")}
    liar = _Liar(lie, replace(EDIT, needs_history=lie != "needs_history", **claims))
    logits = np.array([[0.5, 1.5, 1.25, 0.0, 3.0]], np.float32)
    with pytest.raises(AssertionError, match=lie):
        laws.check_declarations(liar, logits, History.of([[1]]))
