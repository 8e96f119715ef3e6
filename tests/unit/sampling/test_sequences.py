"""Sequences that another program steps: the same as a loop of ours, whatever that program does."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from decoding import BatchSampler, GenerationParameters, History, Sampler, chain, pipeline_of
from decoding.errors import (
    DecodingError,
    EmptySupportError,
    InvalidLogitsError,
    ParameterError,
    ProcessorError,
    ShapeError,
)
from decoding.processors import (
    Dry,
    Mirostat2,
    NaNPolicy,
    RepetitionPenalty,
    Temperature,
    TopK,
    Xtc,
)
from decoding.sampling.followed import FollowedTexts, drawn, edited
from decoding.sampling.sequences import (
    MOST_STATES,
    SequenceProcessor,
    SequenceSampler,
    Turn,
    _StatesByLength,
    draw,
)

VOCAB = 30
PIPELINES = [
    chain(Temperature(0.8), TopK(10)),
    chain(RepetitionPenalty(1.3), Dry(0.8, 1.75, 1), Temperature(0.9), Xtc(0.5, 0.05, 3)),
    chain(Mirostat2(2.0, 1.0)),
    chain(TopK(20), lambda logits, history: logits * 0.7, Mirostat2(2.0, 1.5)),
]


def logits_after(token_ids: Any, dtype: Any = np.float32) -> np.ndarray:
    generator = np.random.default_rng([int(item) for item in token_ids[-3:]])
    return (3 * generator.standard_normal(VOCAB)).astype(dtype)


def loop(pipeline: Any, seed: int | None, prompt: list[int], count: int) -> list[int]:
    """The tokens of a loop of ours."""
    sampler = Sampler(pipeline, seed)
    batch, states, found = BatchSampler([sampler]), [sampler.start()], list[int]()
    for _ in range(count):
        row = logits_after([*prompt, *found])[None]
        [sample] = batch(row, History.of([prompt], [found]), states)
        found.append(sample.token_id)
        states = [sample.states]
    return found


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("seed", [None, 5])
def test_tokens_are_those_of_a_loop_though_the_program_goes_back(pipeline: Any, seed: int) -> None:
    prompt = [1, 2]
    expected = loop(pipeline, seed, prompt, 12)
    sequence = SequenceSampler(Sampler(pipeline, seed), len(prompt))
    for length in (0, 1, 2, 3, 2, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11):
        known = [*prompt, *expected[:length]]
        assert sequence(logits_after(known), known).token_id == expected[length]
        assert sequence(logits_after(known)[None], np.array(known)).token_id == expected[length]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_turns_of_drafts_are_drawn_in_one_call(pipeline: Any) -> None:
    prompts = [[1, 2], [3]]
    expected = [loop(pipeline, 5, prompt, 8) for prompt in prompts]
    sequences = [SequenceSampler(Sampler(pipeline, 5), len(prompt)) for prompt in prompts]
    for start in range(0, 6, 2):
        turns, rows, want = [], [], []
        for sequence, prompt, tokens in zip(sequences, prompts, expected, strict=True):
            for drafts in range(3):
                known = [*prompt, *tokens[: start + drafts]]
                turns.append(Turn(sequence, np.array(known, np.int32)))
                rows.append(logits_after(known))
                want.append(tokens[start + drafts])
        found = draw(turns, np.stack(rows))
        assert [sample.token_id for sample in found] == want


def test_states_behind_a_place_that_a_program_goes_back_to_are_forgotten() -> None:
    states = _StatesByLength(("start",))
    assert states.at(5) == ("start",)
    for length in range(1, 6):
        states.put(length, (length,))
    assert [states.at(length) for length in (1, 3, 9)] == [(1,), (3,), (5,)]
    states.put(2, ("new",))
    # Tokens that the program forced have no states of their own.
    assert [states.at(length) for length in (1, 2, 4, 9)] == [(1,), *[("new",)] * 3]
    for length in range(3, 2 * MOST_STATES):
        states.put(length, (length,))
    assert states.at(2 * MOST_STATES) == (2 * MOST_STATES - 1,)
    assert states.at(2) == ("start",)


def test_a_row_that_fails_leaves_its_neighbours_alone() -> None:
    sequences = [SequenceSampler(Sampler(chain(Temperature(0.9)), seed), 1) for seed in range(3)]
    turns = [Turn(sequence, np.array([7], np.int32)) for sequence in sequences]
    rows = np.stack([logits_after([7])] * 3)
    expected = draw(turns, rows)
    rows[1] = np.nan
    found = draw(turns, rows)
    assert isinstance(found[1], DecodingError)
    assert [found[0], found[2]] == [expected[0], expected[2]]
    assert draw([], rows[:0]) == []


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edited_row_is_what_a_sampler_of_ours_draws_from(pipeline: Any, dtype: Any) -> None:
    # Another program draws greedily from the edited rows, as our own greedy loop does.
    prompt, known = [1, 2], [1, 2]
    expected = []
    sampler = Sampler(pipeline)
    batch, states = BatchSampler([sampler]), [sampler.start()]
    processor = SequenceProcessor(pipeline, len(prompt))
    for _ in range(10):
        row = logits_after(known, dtype)
        before = row.copy()
        edit = processor(row, known)
        assert edit.dtype == dtype
        assert edit.shape == row.shape
        assert np.array_equal(row, before)
        [sample] = batch(row[None], History.of([prompt], [known[2:]]), states)
        states = [sample.states]
        expected.append(sample.token_id)
        assert np.isfinite(edit).sum() == sample.support_size
        known.append(int(np.argmax(edit)))
    assert known[2:] == expected


def test_half_precision_and_torch_rows_become_arrays() -> None:
    torch = pytest.importorskip("torch")
    row = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16)
    found = SequenceProcessor(TopK(1), 0)(row, [])
    assert found.tolist() == [[-np.inf, 3.0, -np.inf]]
    assert SequenceSampler(Sampler(), 0)(row[0], torch.tensor([], dtype=torch.int64)).token_id == 1


def test_bad_rows_and_ids_are_refused() -> None:
    processor, sequence = SequenceProcessor(TopK(3), 1), SequenceSampler(Sampler(), 1)
    broken = logits_after([1])
    broken[4] = np.nan
    with pytest.raises(InvalidLogitsError, match="token id 4"):
        processor(broken, [1])
    with pytest.raises(InvalidLogitsError):
        sequence(broken, [1])
    assert np.isfinite(SequenceProcessor(chain(NaNPolicy(), TopK(3)), 1)(broken, [1])).sum() == 3
    with pytest.raises(ShapeError, match="one row"):
        processor(np.zeros((2, 5)), [1])
    for ids in ([1.5], [[1]], ["a"], [2**40]):
        with pytest.raises(ParameterError, match="token_ids"):
            processor(logits_after([1]), ids)
    with pytest.raises(ParameterError, match="prompt_length"):
        SequenceSampler(Sampler(), -1)
    with pytest.raises(EmptySupportError):
        SequenceProcessor(lambda logits, history: logits - np.inf, 1)(logits_after([1]), [1])
    with pytest.raises(ProcessorError):
        SequenceProcessor(lambda logits, history: logits[:, :3], 1)(logits_after([1]), [1])
    impossible = np.full(5, -np.inf, np.float32)
    with pytest.raises(EmptySupportError):
        SequenceProcessor(TopK(3), 1)(impossible, [1])


def test_a_neutral_pipeline_copies_nothing() -> None:
    for neutral in (chain(), chain(Temperature(1.0), TopK(0))):
        processor = SequenceProcessor(neutral, 1)
        row = logits_after([1])
        assert np.shares_memory(processor(row, [1]), row)
        row[4] = np.nan
        with pytest.raises(InvalidLogitsError, match="token id 4"):
            processor(row, [1])


def test_a_callback_follows_one_text_after_another() -> None:
    lengths: list[int] = []

    def begin(length: int) -> Any:
        lengths.append(length)
        return lambda logits, token_ids: logits

    texts = FollowedTexts(begin)
    row = logits_after([1])
    for known in ([1, 2], [1, 2, 5], [1, 2, 5, 6], [1, 2, 7], [3], [3, 4], [1, 2], [1, 2, 5]):
        assert texts(row, np.array(known, np.int32)) is row
    assert lengths == [2, 1, 2]


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copy_of_a_callback_follows_texts_of_its_own(again: Any) -> None:
    pipeline = chain(Temperature(0.9), Mirostat2(2.0, 1.0))
    for made in (drawn(Sampler(pipeline, 9)), edited(pipeline)):
        known = np.array([1, 2])
        before = made(logits_after(known), known)
        twin = again(made)
        assert np.array_equal(twin(logits_after(known), known), before)
        other = np.array([5])
        assert np.isfinite(twin(logits_after(other), other)).any()
        longer = np.array([1, 2, 3])
        expected = again(made)
        expected(logits_after(known), known)
        assert np.array_equal(
            made(logits_after(longer), longer), expected(logits_after(longer), longer)
        )


def test_a_drawn_row_has_one_token_and_an_edited_one_what_is_kept() -> None:
    prompt, pipeline = [1, 2], pipeline_of(GenerationParameters(top_k=5, temperature=0.9))
    expected = loop(pipeline, 9, prompt, 6)
    draws, edits, known = drawn(Sampler(pipeline, 9)), edited(pipeline), list(prompt)
    for token in expected:
        row = logits_after(known)
        one = draws(row, np.array(known))
        assert np.flatnonzero(one > -np.inf).tolist() == [token]
        assert one[token] == 0.0
        assert (edits(row[None], np.array(known)) > -np.inf).sum() == 5
        known.append(token)
    with pytest.raises(ParameterError, match="a Sampler"):
        drawn(pipeline)
