"""`BatchSampler`: greedy, ties, top-n, errors by row, and Python processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from decoding.errors import (
    DecodingError,
    EmptySupportError,
    InvalidLogitsError,
    ParameterError,
    ProcessorError,
    ShapeError,
)
from decoding.history import History
from decoding.kernels.backends import Backend
from decoding.pipeline import chain
from decoding.processors import LogitBias, MinP, NaNPolicy, Temperature, TopK, TopP
from decoding.sampling.batch import BatchSampler, Sample, Sampler, sample

ROW = np.log(np.array([[0.1, 0.4, 0.4, 0.1]], np.float32))
SEEN = History.of([[0, 1, 2]], [[3]])


def one(sampler: Sampler, logits: Any = ROW, history: History = SEEN) -> Sample | DecodingError:
    [result] = sample(logits, history, [sampler])
    return result


def error(sampler: Sampler, logits: Any = ROW) -> DecodingError:
    result = one(sampler, logits)
    assert isinstance(result, DecodingError)
    return result


def drawn(sampler: Sampler, logits: Any = ROW) -> Sample:
    result = one(sampler, logits)
    assert isinstance(result, Sample)
    return result


def alike(one: Sample, other: Sample) -> bool:
    """The same but for rounding: formats may be served by different backends."""
    pairs = [(one, other), *zip(one.top, other.top, strict=True)]
    return (one.token_id, one.rank, one.support_size) == (
        other.token_id,
        other.rank,
        other.support_size,
    ) and all(
        first.token_id == second.token_id
        and abs(first.raw_logprob - second.raw_logprob) < 1e-6
        and abs(first.processed_logprob - second.processed_logprob) < 1e-6
        for first, second in pairs
    )


def test_greedy_takes_the_lowest_id_of_a_tie() -> None:
    result = drawn(Sampler(top_n=1))
    assert result.token_id == 1
    assert result.rank == 1
    assert [other.token_id for other in result.top] == [1, 2], "a tie with the n-th comes too"


def test_raw_and_processed_logprobs_stand_side_by_side() -> None:
    result = drawn(Sampler(chain(LogitBias({1: -np.inf}), TopK(1))))
    assert result.token_id == 2
    assert result.raw_logprob == pytest.approx(np.log(0.4), rel=1e-6)
    assert result.processed_logprob == 0.0
    assert (result.entropy, result.support_size) == (0.0, 1)


def test_top_n_never_returns_an_impossible_token() -> None:
    assert len(drawn(Sampler(chain(TopK(2)), top_n=4)).top) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_invalid_logits_name_row_position_count_and_step(value: float) -> None:
    logits = np.vstack([ROW, ROW])
    logits[1, 2:] = value
    first, second = sample(logits, History.of([[0], [1]], [[], [1, 2]]), [Sampler(), Sampler()])
    assert isinstance(first, Sample)
    assert isinstance(second, InvalidLogitsError)
    assert (second.row, second.position, second.count, second.step) == (1, 2, 2, 2)


def test_an_empty_support_names_who_emptied_it() -> None:
    ban = LogitBias(dict.fromkeys(range(4), -np.inf))
    result = error(Sampler(chain(Temperature(0.5), ban, TopP(0.9)), seed=1))
    assert isinstance(result, EmptySupportError)
    assert result.processor == repr(ban)
    assert result.step == 1
    result = error(Sampler(seed=1), np.full((1, 4), -np.inf, np.float32))
    assert isinstance(result, EmptySupportError)
    assert result.processor is None
    assert "the model allows none" in str(result)


def test_an_error_leaves_the_other_rows_as_they_are() -> None:
    logits = np.vstack([ROW, np.full_like(ROW, np.nan), ROW])
    sampler = Sampler(chain(TopP(0.9)), seed=3, top_n=2)
    results = sample(logits, History.of([[0, 1, 2, 3]] * 3), [sampler] * 3)
    [alone] = sample(ROW, History.of([[0, 1, 2, 3]]), [sampler])
    assert results[0] == results[2] == alone
    assert isinstance(results[1], InvalidLogitsError)


def _raises(logits: Any, history: History) -> Any:
    raise KeyError("no such thing")


def _writes(logits: Any, history: History) -> Any:
    logits[:] = 0.0
    return logits


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (_raises, "raised KeyError: 'no such thing'"),
        (_writes, "read-only"),
        (lambda z, _: z[:, :-1], r"must return logits of shape \(1, 4\), got \(1, 3\)"),
        (lambda z, _: z * np.nan, "got NaN or \\+inf"),
        (lambda z, _: z.tolist(), "must return logits: .*got a list"),
        (lambda z, _: np.zeros_like(z), "must not bring an impossible token back to life"),
    ],
)
def test_a_processor_that_breaks_its_contract_ends_its_row(processor: Any, message: str) -> None:
    logits = np.vstack([ROW, ROW])
    samplers = [Sampler(chain(LogitBias({0: -np.inf}), processor)), Sampler()]
    bad, good = sample(logits, History.of([[0], [1]]), samplers)
    assert isinstance(bad, ProcessorError)
    with pytest.raises(ProcessorError, match=message):
        raise bad
    assert bad.row == 0
    assert isinstance(good, Sample)


@pytest.mark.parametrize(
    "backend", [Backend.NUMPY, pytest.param(Backend.NUMBA, marks=pytest.mark.kernels)]
)
def test_a_row_without_a_token_is_an_error_before_any_processor(backend: Backend) -> None:
    def unchanged(logits: Any, _history: History) -> Any:
        return logits

    pipeline = chain(LogitBias({3: 3.0}), MinP(0.1), unchanged)
    sampler = BatchSampler([Sampler(pipeline, seed=1)] * 2, backend=backend)
    rows = np.zeros((2, 64), np.float32)
    rows[1] = -np.inf
    for _ in range(5):
        drawn, empty = sampler(rows, History.empty(2))
        assert isinstance(drawn, Sample)
        assert isinstance(empty, EmptySupportError)
        assert "the model allows none (row 1, step 0)" in str(empty)


def test_a_processor_that_empties_the_row_is_named() -> None:
    def everything_goes(logits: Any, history: History) -> Any:
        return np.full_like(logits, -np.inf)

    result = error(Sampler(chain(everything_goes, TopK(2))))
    assert isinstance(result, EmptySupportError)
    assert "everything_goes" in str(result.processor)


def test_a_python_processor_sees_its_row_and_its_history() -> None:
    seen: list[tuple[Any, list[int], list[int]]] = []

    def look(logits: Any, history: History) -> Any:
        seen.append((logits.copy(), history.prompt(0).tolist(), history.generated(0).tolist()))
        return logits

    logits = np.vstack([ROW, ROW * 2])
    history = History.of([[1], [2, 3]], [[7, 8], []])
    sample(logits, history, [Sampler(chain(TopK(2), look)), Sampler(chain(look))])
    assert np.array_equal(np.isneginf(seen[0][0]), [[True, False, False, True]])
    assert np.array_equal(seen[1][0], ROW * 2)
    assert [entry[1:] for entry in seen] == [([1], [7, 8]), ([2, 3], [])]


def test_the_raw_logprob_stays_raw_behind_a_python_processor() -> None:
    result = drawn(Sampler(chain(lambda z, _: z * 3)))
    assert result.raw_logprob == pytest.approx(np.log(0.4), rel=1e-6)


def test_a_bias_beyond_the_vocabulary_ends_its_row_only() -> None:
    logits = np.vstack([ROW, ROW])
    samplers = [Sampler(chain(LogitBias({4: 1.0}))), Sampler()]
    bad, good = sample(logits, History.empty(2), samplers)
    assert isinstance(bad, ShapeError)
    assert isinstance(good, Sample)


@pytest.mark.parametrize(
    "logits",
    [np.zeros(4, np.float32), np.zeros((1, 4), np.int64), [[0.0]], np.zeros((1, 0), np.float32)],
)
def test_what_is_not_logits_is_refused(logits: Any) -> None:
    with pytest.raises(ShapeError, match="logits must be"):
        sample(logits, SEEN, [Sampler()])


def test_row_counts_must_agree() -> None:
    with pytest.raises(ShapeError, match="2 rows, one a sampler"):
        sample(ROW, SEEN, [Sampler(), Sampler()])


def test_half_precision_is_widened_once() -> None:
    half = ROW.astype(np.float16)
    sampler = Sampler(seed=4, top_n=3)
    assert alike(drawn(sampler, half), drawn(sampler, half.astype(np.float32)))


def test_torch_logits_give_the_same_samples() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(ROW)
    for kind in (tensor, tensor.bfloat16(), tensor.half(), tensor.double()):
        widened = kind.to(torch.float64).numpy()
        sampler = Sampler(seed=4, top_n=3)
        assert alike(drawn(sampler, kind), drawn(sampler, widened))
    with pytest.raises(ShapeError, match=r"torch\.int64"):
        one(Sampler(), tensor.long())


def test_padding_the_vocabulary_with_impossible_tokens_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    row = generator.standard_normal((1, 50)).astype(np.float32)
    padded = np.concatenate([row, np.full((1, 14), -np.inf, np.float32)], axis=1)
    for seed in range(50):
        plain = drawn(Sampler(chain(TopP(0.9)), seed), row)
        assert drawn(Sampler(chain(TopP(0.9)), seed), padded).token_id == plain.token_id


def test_coupling_the_unfiltered_winner_stays_the_winner_if_it_survives() -> None:
    generator = np.random.default_rng(1)
    survived = 0
    for seed in range(300):
        row = generator.standard_normal((1, 60)).astype(np.float32) * 2
        winner = drawn(Sampler(seed=seed), row).token_id
        filtered = drawn(Sampler(chain(TopK(5)), seed), row).token_id
        if winner in np.argsort(-row[0])[:5]:
            survived += 1
            assert filtered == winner
    assert survived > 100


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_64_bits_is_refused(seed: int) -> None:
    with pytest.raises(ParameterError, match=r"seed must be None or in \[0, 2\*\*64\)"):
        Sampler(seed=seed)


def test_a_batch_sampler_can_be_used_again() -> None:
    sampler = BatchSampler([Sampler(chain(TopP(0.9)), seed=9)])
    again = [sampler(ROW, SEEN), sampler(ROW, SEEN)]
    assert again[0] == again[1]


def test_a_nan_policy_comes_before_the_check() -> None:
    row = np.array([np.nan, 1.0, np.inf, 0.0], np.float32)
    logits = np.stack([row, row])
    before = logits.copy()
    repairing = Sampler(chain(NaNPolicy(infinity=2.0), TopK(2)), top_n=4)
    other = Sampler(chain(TopK(2), NaNPolicy(infinity=2.0)))
    repaired, refused = BatchSampler([repairing, other])(logits, History.empty(2))
    assert isinstance(repaired, Sample)
    assert repaired.token_id == 2
    assert repaired.raw_logprob == pytest.approx(2.0 - np.log(np.exp([1.0, 2.0, 0.0]).sum()))
    assert isinstance(refused, InvalidLogitsError)
    assert np.array_equal(logits, before, equal_nan=True)
    assert BatchSampler([repairing]).draw(logits[:1], History.empty(1)) == [2]


def test_a_row_is_repaired_once(monkeypatch: pytest.MonkeyPatch) -> None:
    repaired: list[int] = []
    repair = NaNPolicy.__call__

    def counted(self: NaNPolicy, logits: Any, history: History) -> Any:
        repaired.append(len(logits))
        return repair(self, logits, history)

    monkeypatch.setattr(NaNPolicy, "__call__", counted)
    batch = BatchSampler([Sampler(chain(NaNPolicy(infinity=2.0), TopK(2)))] * 2, backend="numpy")
    logits = np.array([[1.0, np.nan, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]], np.float32)
    history = History.empty(2)
    assert batch.draw(logits, history) == [2, 3]
    assert repaired == [1]  # the row that is none, once; the other not at all
    kept = np.isfinite(batch.process(logits, history).logits)
    assert kept.tolist() == [[False, False, True, True]] * 2
    assert repaired == [1, 1]
