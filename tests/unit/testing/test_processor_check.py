"""`check_processor` finds planted faults in functions that know nothing of this library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import strangers as s
from profiles import spread

from decoding import chain
from decoding.errors import ParameterError
from decoding.processors import (
    FrequencyPenalty,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)
from decoding.testing import CheckFailedError, check_processor
from decoding.testing.cases import Shapes, draw_case
from decoding.testing.processor_check import _spread as spread_rows

P, T, R = TopP(0.9), Temperature(0.7), RepetitionPenalty(1.3)
HOT = chain(Temperature(1.5), TopP(0.9))

RIGHT: list[tuple[Any, Any, dict[str, Any]]] = [
    (s.top_p, P, {}),
    (s.top_p_float64, P, {}),
    (s.top_p_ascending, P, {}),
    (s.top_p_renormalised, P, {}),
    (s.top_p_row, P, {"batched": False}),
    (s.top_p_in_place, P, {"in_place": True}),
    (s.top_p_in_float64_forgets, P, {"format": "float64"}),
    (s.top_k, TopK(3), {}),
    (s.top_k_exact, TopK(3), {}),
    (s.min_p, MinP(0.1), {}),
    (s.typical, TypicalP(0.7), {}),
    (s.temperature, T, {}),
    (s.temperature_stable, T, {}),
    (s.temperature_top_p, HOT, {}),
    (s.repetition, R, {}),
    (s.repetition, R, {"ragged": True}),
    (s.repetition, R, {"pad_id": None}),
    (s.repetition_by_lengths, R, {}),
    (s.frequency, FrequencyPenalty(0.5), {}),
    (s.presence, PresencePenalty(0.5), {}),
]

FAULTS: list[tuple[Any, Any, str]] = [
    # Nine of the ten planted faults; the tenth, a missed stop, is one of streams.
    (s.top_p_one_too_many, P, "claim"),
    (s.temperature_five_percent_off, T, "claim"),
    (s.top_p_summed_in_float16, P, "claim"),
    (s.repetition_of_padding, R, "claim"),
    (s.top_p_never_the_same, P, "deterministic"),
    (s.top_p_not_the_same_at_one_percent, P, "deterministic"),
    (s.top_p_writes_its_input, P, "input"),
    (s.top_p_of_the_first_row, P, "claim"),
    (s.temperature_revives, T, "resurrection"),
    # Others.
    (s.repetition_beyond_lengths, R, "claim"),
    (s.top_k_drops_ties, TopK(3), "support"),
    (s.top_k_one_too_few, TopK(3), "claim"),
    (s.min_p_absolute, MinP(0.1), "claim"),
    (s.min_p_strict, MinP(1.0), "support"),
    (s.top_p_before_temperature, HOT, "claim"),
    (s.repetition_sign, R, "claim"),
    (s.repetition_per_count, R, "claim"),
    (s.frequency_once, FrequencyPenalty(0.5), "claim"),
    (s.frequency_as_a_reward, FrequencyPenalty(0.5), "finite"),
    (s.repetition_of_the_prompt_left_out, R, "claim"),
    (s.TopPWithAMemory(), P, "alone"),
    (s.top_p_in_float64_forgets, P, "format"),
    (s.temperature_along_the_batch, T, "claim"),
    (s.top_p_without_maximum, P, "finite"),
    (s.top_p_of_one_row, P, "claim"),
    (s.repetition_of_the_last, R, "claim"),
    (s.top_p_unsorted, P, "claim"),
    (s.top_p_without_the_crossing, P, "support"),
    (s.temperature_almost, T, "resurrection"),
]


def name_of(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)


@pytest.mark.slow
@pytest.mark.parametrize(("candidate", "claim", "options"), RIGHT, ids=name_of)
def test_right_functions_pass(candidate: Any, claim: Any, options: dict[str, Any]) -> None:
    # 10,000 in all, of narrow rows; `make nightly` has a million of any width.
    report = check_processor(candidate, claim, examples=500, widths=(3, 32), **options)
    assert report.examples == 500


@pytest.mark.nightly
@pytest.mark.parametrize(("candidate", "claim", "options"), RIGHT, ids=name_of)
def test_right_functions_pass_a_million(candidate: Any, claim: Any, options: Any) -> None:
    # A million rows in all, of any width, in batches of 32.5 on average.
    each = 1_000_000 // len(RIGHT)
    report = check_processor(candidate, claim, examples=each // 31, rows=64, seed=1, **options)
    assert report.rows >= each


@pytest.mark.parametrize(("candidate", "claim", "law"), spread(FAULTS, 8), ids=name_of)
def test_faults_are_found(candidate: Any, claim: Any, law: str) -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_processor(candidate, claim)
    assert caught.value.finding.law == law


def test_laws_without_a_claim() -> None:
    check_processor(s.top_p, examples=100)
    with pytest.raises(CheckFailedError, match="−inf became"):
        check_processor(s.temperature_revives, extreme=False)


def test_a_message_shows_the_smallest_row() -> None:
    with pytest.raises(CheckFailedError) as caught:
        check_processor(s.top_p_one_too_many, TopP(0.9))
    text = str(caught.value)
    assert text.startswith("top_p_one_too_many is not TopP(top_p=0.9)")
    assert "keep the smallest set of most likely tokens whose mass reaches 0.9" in text
    assert "one too many" in text
    assert caught.value.finding.kept == [[0, 1]]
    assert caught.value.finding.expected in ([[0]], [[1]])


@pytest.mark.slow
def test_a_wrong_row_function_of_torch() -> None:
    torch = pytest.importorskip("torch")

    def softmax_twice(logits: Any) -> Any:
        return torch.softmax(torch.softmax(logits, dim=-1), dim=-1).log()

    with pytest.raises(CheckFailedError):
        check_processor(softmax_twice, Temperature(1.0))


@pytest.mark.parametrize("name", spread(["float32", "float16", "bfloat16", "float64"], 2))
def test_torch_in_every_format(name: str) -> None:
    torch = pytest.importorskip("torch")

    def top_p(scores: Any) -> Any:
        ordered, order = torch.sort(scores.float().double(), dim=-1, descending=True)
        probs = torch.softmax(ordered, dim=-1)
        gone = (torch.cumsum(probs, dim=-1) - probs) >= 0.9
        return scores.masked_fill(gone.scatter(-1, order, gone), -torch.inf)

    if name == "float64":  # float() rounds what the claim does not
        name = "float32"
    check_processor(top_p, TopP(0.9), examples=100, format=name, arrays="torch")


def test_half_precision_sums_are_found() -> None:
    torch = pytest.importorskip("torch")

    def top_p(scores: Any) -> Any:
        ordered, order = torch.sort(scores, dim=-1, descending=True)
        probs = torch.softmax(ordered, dim=-1)
        gone = (torch.cumsum(probs, dim=-1) - probs) >= 0.9
        return scores.masked_fill(gone.scatter(-1, order, gone), -torch.inf)

    for name in ("float16", "bfloat16"):
        with pytest.raises(CheckFailedError, match="is not TopP"):
            check_processor(top_p, TopP(0.9), format=name)


def test_any_right_function_is_a_claim() -> None:
    def halved(logits: Any, history: Any) -> Any:
        return logits / 2.0

    check_processor(lambda logits: logits * 0.5, halved, examples=100, pad_id=None)
    with pytest.raises(CheckFailedError, match=r"became .*, not"):
        check_processor(lambda logits: logits * 0.51, halved)


def test_expected_failures_have_reasons_and_occur() -> None:
    expected = {"format": "it returns float64 on purpose"}
    report = check_processor(
        s.top_p_in_float64_forgets, TopP(0.9), examples=20, expected_failures=expected
    )
    assert [finding.law for finding in report.findings] == ["format"]
    assert report.reasons == expected
    with pytest.raises(AssertionError, match="expected to fail and did not"):
        check_processor(s.top_p, TopP(0.9), examples=20, expected_failures=expected)
    with pytest.raises(ParameterError, match="a reason in words"):
        check_processor(s.top_p, expected_failures={"format": " "})
    with pytest.raises(ParameterError, match="a law"):
        check_processor(s.top_p, expected_failures={"speed": "slow"})


def test_the_examples_depend_on_the_seed_alone() -> None:
    seen: list[list[float]] = []

    def recording(logits: Any) -> Any:
        seen.append(logits.tolist())
        return logits.copy()

    check_processor(recording, examples=30, seed=5)
    first = seen.copy()
    seen.clear()
    check_processor(recording, examples=30, seed=5)
    assert first == seen
    check_processor(recording, examples=30, seed=6)
    assert seen[len(first) :] != first


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((None, P), "a function of logits"),
        ((s.top_p, "top_p"), "a processor such as"),
        ((s.top_p, TopP), "a processor such as"),
        ((s.top_p, R), "a function of logits and token_ids"),
        ((lambda a, b, c, d, e: a, P), "a function of logits and at most"),
    ],
)
def test_arguments_that_make_no_sense(arguments: Any, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        check_processor(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"examples": 0},
        {"widths": (0, 5)},
        {"widths": (5, 2)},
        {"format": "int8"},
        {"arrays": "jax"},
    ],
)
def test_options_out_of_range(options: Any) -> None:
    with pytest.raises(ParameterError):
        check_processor(s.top_p, P, **options)


def test_a_candidate_that_raises_is_a_finding() -> None:
    def narrow(logits: Any) -> Any:
        return logits.reshape(1, -1)[:, :7] + np.zeros(7, np.float32)

    with pytest.raises(CheckFailedError, match="answers"):
        check_processor(narrow, LogitBias({}))
    with pytest.raises(CheckFailedError, match="in_place=True"):
        check_processor(s.top_p_in_place, P)
    with pytest.raises(CheckFailedError, match="not an array"):
        check_processor(lambda logits: logits.tolist(), P)


def test_a_batch_has_as_many_rows_as_are_asked_for() -> None:
    sizes: list[int] = []

    def recording(logits: Any) -> Any:
        sizes.append(len(logits))
        return s.top_p(logits)

    report = check_processor(recording, P, examples=12, rows=100, seed=2)
    assert 20 < max(sizes) <= 100
    assert 12 < report.rows <= 1200
    assert check_processor(s.top_p, P, examples=12, seed=2).rows <= 48
    with pytest.raises(ParameterError, match="rows must be from 1 to"):
        check_processor(s.top_p, P, rows=0)


def test_a_row_of_a_large_batch_that_differs_from_itself_alone_is_found() -> None:
    def likeliest_row_is_halved(logits: Any) -> Any:
        result = s.top_p(logits)
        if len(logits) > 40:
            row = logits.max(axis=1).argmax()
            result[row] = np.where(result[row] > -np.inf, result[row] / 2, -np.inf)
        return result

    with pytest.raises(CheckFailedError) as caught:
        check_processor(likeliest_row_is_halved, examples=300, rows=64)
    assert caught.value.finding.law in ("alone", "order")


@pytest.mark.parametrize("count", [2, 8, 9, 64, 100])
def test_every_row_of_a_large_batch_is_asked_for_alone_in_its_turn(count: int) -> None:
    chosen = [spread_rows(count, example) for example in range(0, 2 * count, 2)]
    assert max(map(len, chosen)) <= min(8, count)
    assert min(map(len, chosen)) >= min(4, count)
    assert {row for rows in chosen for row in rows} == set(range(count))


def test_what_a_format_cannot_hold_is_no_fault() -> None:
    def lowered(logits: Any, history: Any) -> Any:
        return logits - np.array([1e5, 1.0])

    def candidate(logits: Any) -> Any:
        with np.errstate(over="ignore"):
            return lowered(logits.astype(np.float64), None).astype(logits.dtype)

    options: dict[str, Any] = {"widths": (2, 2), "examples": 100, "extreme": False}
    for name in ("float16", "float32"):
        check_processor(candidate, lowered, format=name, **options)
    for wrong in (
        lambda logits: np.where([True, False], -np.inf, logits - 1).astype(logits.dtype),
        lambda logits: np.where([False, True], -np.inf, logits).astype(logits.dtype),
    ):
        with pytest.raises(CheckFailedError):
            check_processor(wrong, lowered, **options)


def test_a_row_that_a_format_cannot_hold_may_be_empty() -> None:
    def lowered(logits: Any, history: Any) -> Any:
        return logits - 1e5

    def candidate(logits: Any) -> Any:
        with np.errstate(over="ignore"):
            return (logits.astype(np.float64) - 1e5).astype(logits.dtype)

    for name in ("float16", "float32"):
        check_processor(candidate, lowered, format=name, examples=100, extreme=False)


def test_float16_rows_of_edits_leave_room_for_arithmetic() -> None:
    shapes = Shapes(widths=(40_000, 40_040), format="float16", extreme=False)
    generator = np.random.default_rng(0)
    for _ in range(40):
        logits = draw_case(generator, shapes).logits
        assert np.abs(logits[logits > -np.inf]).max() <= 16384.0
