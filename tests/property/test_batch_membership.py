"""A `BatchSampler` whose rows come and go draws what each row draws alone."""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from decoding import BatchSampler, Sample, Sampler
from decoding.errors import DecodingError, ParameterError, ShapeError
from decoding.history import History, HistoryBuffer
from decoding.kernels.program import Instruction, Opcode
from decoding.pipeline import chain
from decoding.processors import (
    Bitmask,
    Dry,
    LogitBias,
    MinTokens,
    Mirostat2,
    NaNPolicy,
    NoRepeatNgram,
    RepetitionPenalty,
    SequenceBias,
    Temperature,
    TopK,
    TopP,
    Xtc,
)

VOCAB = 70
BACKENDS = ["numpy", "numba", pytest.param("torch", marks=pytest.mark.slow)]


@dataclass(frozen=True)
class Alternating:
    """A mask that changes with every token, as a grammar's does; it fails at a length."""

    fails_at: int

    def __call__(self, logits: Any, history: Any) -> Any:
        return np.where(np.arange(VOCAB) % 2 == history.lengths[0] % 2, logits, -np.inf)

    def lower(self) -> tuple[Instruction, ...]:
        return (Instruction(Opcode.BITMASK, bitmask=np.zeros(0, np.int32)),)

    def bitmask(self, history: History) -> NDArray[np.int32]:
        length = int(history.lengths[0])
        if length == self.fails_at:
            raise ValueError("no mask")
        return np.full(3, (0x55555555, -0x55555556)[length % 2], np.int32)


@dataclass(frozen=True)
class Coming:
    """A bias by a bitmask that is there at some lengths only, as a watermark's is."""

    def __call__(self, logits: Any, history: Any) -> Any:
        raise NotImplementedError

    def lower(self) -> tuple[Instruction, ...]:
        return (Instruction(Opcode.LOGIT_BIAS),)

    def instruction(self, history: History) -> Instruction:
        length = int(history.lengths[0])
        if length % 3 == 0:
            return Instruction(Opcode.LOGIT_BIAS, token_ids=(length % VOCAB,), values=(4.0,))
        words = np.array([length * 1_234_567, length], np.int32)
        return Instruction(Opcode.BITMASK_BIAS, 2.0, bitmask=words)


def python_only(logits: Any, history: Any) -> Any:
    """Splits a program."""
    return logits if history.lengths[0] % 2 else logits * 0.5


PIPELINES = [
    chain(),
    chain(Temperature(0.7), TopK(5)),
    chain(Temperature(0.7), TopK(5)),
    chain(RepetitionPenalty(1.3), TopP(0.8)),
    chain(LogitBias({3: 5.0, 60: -2.0}), NoRepeatNgram(2), Dry(0.8)),
    chain(Bitmask(np.array([-2, 7, 1], np.int32)), Temperature(1.5)),
    chain(MinTokens(3, (0, 1)), Xtc(0.9, 0.01, 5)),
    chain(SequenceBias({(2, 3): 3.0}), TopK(20)),
    chain(Alternating(9), Temperature(2.0)),
    chain(Coming(), TopK(9)),
    chain(NaNPolicy(), python_only, TopK(9), Mirostat2(3.0, 0.2), Temperature(1.2)),
    chain(LogitBias({VOCAB + 5: 1.0})),
]
SAMPLERS = st.builds(
    Sampler, st.sampled_from(PIPELINES), st.none() | st.integers(0, 9), st.integers(0, 3)
)
MOVES = st.one_of(
    st.tuples(st.just("add"), SAMPLERS, st.integers(0, 6)),
    st.tuples(st.just("remove"), st.integers(0, 99)),
    st.tuples(st.just("swap"), st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.just("step")),
    st.tuples(st.sampled_from(["copy", "pickle"])),
)


@dataclass
class Row:
    """What a row of the batch should be: everything that its tokens depend on."""

    sampler: Sampler
    prompt: list[int]
    generated: list[int]
    states: Any


def alone(row: Row, logits: Any, backend: str) -> Sample | DecodingError:
    """The same row in a batch of its own."""
    history = History.of([row.prompt], [row.generated])
    [drawn] = BatchSampler([row.sampler], backend=backend)(logits, history, [row.states])
    return drawn


def text(outcome: Sample | DecodingError) -> str:
    """A row's outcome; an error without the row's number, which is another one alone."""
    if isinstance(outcome, Sample):
        return f"{outcome.token_id} {outcome.rank} {outcome.support_size} {len(outcome.top)}"
    return f"{type(outcome).__name__} {str(outcome).partition('row')[0]}"


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(moves=st.lists(MOVES, min_size=1, max_size=30), seed=st.integers(0, 2**32 - 1))
def test_a_changing_batch_draws_what_each_row_draws_alone(
    backend: str, moves: list[tuple[Any, ...]], seed: int
) -> None:
    if backend != "numpy":
        pytest.importorskip(backend)
    generator = np.random.default_rng(seed)
    batch, history = BatchSampler(backend=backend), HistoryBuffer()
    rows: list[Row] = []
    for move in [*moves, ("step",), ("step",)]:
        match move:
            case ("add", Sampler() as sampler, int(length)):
                prompt = generator.integers(0, VOCAB, length).tolist()
                assert batch.add(sampler) == history.add(prompt) == len(rows)
                rows.append(Row(sampler, prompt, [], sampler.start()))
            case ("remove", int(number)) if rows:
                number %= len(rows)
                batch.remove(number)
                history.remove(number)
                rows[number] = rows[-1]
                rows.pop()
            case ("swap", int(one), int(two)) if rows:
                one, two = one % len(rows), two % len(rows)
                batch.swap(one, two)
                history.swap(one, two)
                rows[one], rows[two] = rows[two], rows[one]
            case ("copy",):
                batch = copy.deepcopy(batch)
            case ("pickle",):
                batch = pickle.loads(pickle.dumps(batch))
            case ("step",):
                step(batch, history, rows, generator, backend)
        assert len(batch) == len(history) == len(rows)
    assert [item.seed for item in batch.samplers] == [row.sampler.seed for row in rows]


def step(
    batch: BatchSampler, history: HistoryBuffer, rows: list[Row], generator: Any, backend: str
) -> None:
    """One token for each row; it is what the row draws alone, on this backend and on NumPy."""
    logits = 3.0 * generator.standard_normal((len(rows), VOCAB)).astype(np.float32)
    drawn = batch(logits, history.view(), [row.states for row in rows])
    fresh = BatchSampler([row.sampler for row in rows], backend=backend)
    again = fresh(logits, history.view(), [row.states for row in rows])
    assert [repr(item) for item in drawn] == [repr(item) for item in again]
    token_ids = []
    for number, (row, outcome) in enumerate(zip(rows, drawn, strict=True)):
        expected = alone(row, logits[number : number + 1], "numpy")
        assert text(outcome) == text(expected)
        token_id = 0
        if isinstance(outcome, Sample):
            token_id, row.states = outcome.token_id, outcome.states
        row.generated.append(token_id)
        token_ids.append(token_id)
    history.append(token_ids)


class Broken:
    """A processor that cannot be asked what it is."""

    def __call__(self, logits: Any, history: Any) -> Any:
        return logits

    def lower(self) -> Any:
        return None

    def observe(self, state: Any, drawn: Any) -> Any:
        return state

    def filter(self, logits: Any, states: Any) -> Any:
        return logits

    def start(self) -> Any:
        raise OSError("no state")


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_fails_half_way_leaves_the_batch_as_it_was(backend: str) -> None:
    if backend != "numpy":
        pytest.importorskip(backend)
    samplers = [Sampler(item, seed=3) for item in PIPELINES[:5]]
    logits = np.random.default_rng(1).standard_normal((5, VOCAB))
    history = History.of([[row, 2] for row in range(5)])
    batch = BatchSampler(samplers, backend=backend)
    expected = batch(logits, history)
    with pytest.raises(OSError, match="no state"):
        batch.add(Sampler(chain(Broken())))
    for wrong in (None, chain(), "x"):
        with pytest.raises(ParameterError, match="sampler must be a Sampler"):
            batch.add(wrong)
    for row in (5, -1, True, None):
        with pytest.raises(ParameterError, match="row must be the number of a row"):
            batch.remove(row)
        with pytest.raises(ParameterError, match="row must be the number of a row"):
            batch.swap(0, row)
    with pytest.raises(ShapeError):
        batch(logits[:4], history)
    assert batch(logits, history) == expected
    batch.add(Sampler(chain(interrupting), 1))
    more = np.concatenate([logits, logits[:1]])
    longer = History.of([[row, 2] for row in range(6)])
    with pytest.raises(KeyboardInterrupt):
        batch(more, longer)
    batch.remove(5)
    assert batch(logits, history) == expected
    empty = BatchSampler(backend=backend)
    assert empty(logits[:0], History.empty(0)) == []
    with pytest.raises(ParameterError, match="and there is none"):
        empty.remove(0)


def interrupting(logits: Any, history: Any) -> Any:
    """Ctrl-C in the middle of a step."""
    raise KeyboardInterrupt


def test_a_forked_child_goes_on_with_the_batch_and_changes_nothing_here() -> None:
    samplers = [Sampler(PIPELINES[1], seed) for seed in range(40)]
    logits = np.random.default_rng(2).standard_normal((40, VOCAB)).astype(np.float32)
    history = History.empty(40)
    batch = BatchSampler(samplers, backend="numba", threads=2)
    expected = batch(logits, history)
    child = os.fork()
    if not child:  # pragma: no cover -- another process
        try:
            batch.remove(39)
            got = batch(logits[:39], History.empty(39))
            batch.add(samplers[39])
            os._exit(0 if [*got, expected[39]] == batch(logits, history) == expected else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert batch(logits, history) == expected
