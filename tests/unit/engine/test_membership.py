"""Who joins or leaves a batch costs only what is that row's own, and changes nobody's tokens."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hashed_models import VOCAB, ByteTokenizer

from decoding import (
    Engine,
    GenerationParameters,
    Grammar,
    LanguageModel,
    LogitBias,
    Mirostat2,
    NaNPolicy,
    Request,
    Temperature,
    TopK,
    Xtc,
    chain,
    generate,
)
from decoding.errors import ParameterError, ShapeError
from decoding.history import History, HistoryBuffer
from decoding.kernels.program import Instruction, Opcode, Program, assemble
from decoding.sampling.batch import BatchSampler, Sampler
from decoding.sampling.programs import joined, selected
from decoding.testing.models import hash_model

WORDS = [np.array([5, -1], np.int32), np.array([1, 2, 3, 4], np.int32)]
ROWS: list[tuple[Instruction, ...]] = [
    (),
    (Instruction(Opcode.TEMPERATURE, 0.5), Instruction(Opcode.TOP_K, 4.0, 1.0)),
    (Instruction(Opcode.LOGIT_BIAS, token_ids=(7, 3), values=(1.0, -1.0)),),
    (
        Instruction(Opcode.BITMASK, bitmask=WORDS[0]),
        Instruction(Opcode.REPETITION_PENALTY, 1.2, token_ids=(9,), values=(0.0,), last_n=4),
    ),
    (Instruction(Opcode.BITMASK, bitmask=WORDS[1]), Instruction(Opcode.XTC, 0.1, seed=2**63)),
]


def same(one: Program, other: Program) -> None:
    """Equal arrays of equal dtypes; the words of bitmasks are filled up with zeros."""
    words = max(one.bitmasks.shape[1], other.bitmasks.shape[1])
    for name, mine, expected in zip(Program._fields, one, other, strict=True):
        if name == "bitmasks":
            filled = [
                np.pad(item, ((0, 0), (0, words - item.shape[1]))) for item in (mine, expected)
            ]
            assert (filled[0] == filled[1]).all()
            continue
        assert mine.dtype == expected.dtype, name
        assert mine.tolist() == expected.tolist(), name


@pytest.mark.parametrize("cut", range(len(ROWS) + 1))
def test_joined_programs_are_the_program_of_all_rows(cut: int) -> None:
    parts = [assemble(ROWS[:cut]), assemble(ROWS[cut:]), assemble(ROWS[1:2])]
    same(joined(parts), assemble([*ROWS, ROWS[1]]))


@pytest.mark.parametrize("kept", range(2 ** len(ROWS)))
def test_selected_rows_have_the_program_of_these_rows(kept: int) -> None:
    rows = [row for row in range(len(ROWS)) if kept >> row & 1]
    same(selected(assemble(ROWS), rows), assemble([ROWS[row] for row in rows]))


def test_histories_are_cut_and_joined() -> None:
    buffer = HistoryBuffer.of([[1, 2, 3], [4], [5, 6]], [3, 1, 1])
    buffer.append([7, 8, 9])
    buffer.extend_row(1, list(range(100)))
    part = buffer.selected([0, 2])
    part.append([10, 11])
    both = HistoryBuffer.joined([part, buffer])
    for _ in range(70):
        both.append([1, 2, 3, 4, 5])
    view = both.view()
    assert view.row(0).tolist() == [1, 2, 3, 7, 10] + [1] * 70
    assert view.row(1).tolist() == [5, 6, 9, 11] + [2] * 70
    assert view.row(3).tolist() == [4, 8, *range(100)] + [4] * 70
    assert view.prompt_lengths.tolist() == [3, 1, 3, 1, 1]
    assert buffer.view().row(2).tolist() == [5, 6, 9]
    assert part.view().row(1).tolist() == [5, 6, 9, 11]


SAMPLERS = [
    Sampler(chain(Temperature(0.7), TopK(5)), seed=1, top_n=2),
    Sampler(),
    Sampler(chain(LogitBias({VOCAB + 5: 1.0})), seed=3),
    Sampler(chain(NaNPolicy(), lambda logits, _: logits, Temperature(2.0)), seed=4),
    Sampler(chain(Temperature(1.5), Mirostat2(3.0, 0.2)), seed=5),
    Sampler(chain(Xtc(0.5, 0.1, 9)), seed=6),
]


def test_a_sampler_of_some_rows_draws_what_a_new_one_draws() -> None:
    logits = np.random.default_rng(0).normal(size=(len(SAMPLERS), VOCAB)).astype(np.float32)
    logits[3, 8] = np.nan
    history = History.of([[row, 3] for row in range(len(SAMPLERS))])
    states = [item.start() for item in SAMPLERS]
    whole = BatchSampler(SAMPLERS, backend="numpy")
    expected = whole(logits, history, states)
    assert isinstance(expected[2], ShapeError)
    for rows in ([0], [2, 4], [1, 3, 5], [0, 1, 2, 3, 4, 5]):
        part = whole.selected(rows)
        got = part(logits[rows], History.of([[row, 3] for row in rows]), [states[r] for r in rows])
        for mine, row in zip(got, rows, strict=True):
            assert repr(mine) == repr(expected[row])
    parts = [whole.selected([1, 3]), whole.selected([0, 4, 5])]
    order = [1, 3, 0, 4, 5]
    got = BatchSampler.joined(parts)(
        logits[order], History.of([[row, 3] for row in order]), [states[row] for row in order]
    )
    assert [repr(item) for item in got] == [repr(expected[row]) for row in order]
    assert [repr(item) for item in whole(logits, history, states)] == list(map(repr, expected))


def test_no_sampler_can_be_made_of_nothing() -> None:
    with pytest.raises(ParameterError, match="parts must be at least one sampler"):
        BatchSampler.joined([])


class Counted:
    """A processor that counts how often it is lowered and asked for what it is."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts

    def __call__(self, logits: Any, history: Any) -> Any:
        return logits

    def lower(self) -> Any:
        return (Instruction(Opcode.TEMPERATURE, 1.5),)

    def __getattr__(self, name: str) -> Any:
        # What `isinstance` with a protocol asks for; nothing else looks for what is not there.
        self.counts[name] += 1
        raise AttributeError(name)


def test_a_row_that_stays_is_prepared_once_whoever_joins_and_leaves() -> None:
    counts: Counter[str] = Counter()
    engine = Engine(hash_model(VOCAB))
    asked = GenerationParameters(max_new_tokens=30, seed=1)
    staying = engine.submit(Request([5], asked, chain(Counted(counts))))
    engine.step()
    prepared = counts.copy()
    assert prepared
    others = []
    for token in range(6, 20):
        parameters = GenerationParameters(max_new_tokens=1 + token % 5, seed=token)
        others.append(engine.submit(Request([token], parameters)))
        engine.step()
    assert counts == prepared
    while engine.busy:
        engine.step()
    alone = generate(hash_model(VOCAB), [5], asked, pipeline=chain(Temperature(1.5)))
    assert [item.id for item in staying.result().tokens] == [item.id for item in alone.tokens]


def test_who_joins_and_leaves_changes_nobodys_tokens() -> None:
    model = LanguageModel(
        forward=hash_model(VOCAB), tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0})
    )
    grammar = Grammar("regex", "<(yes|no), said (he|she)>")
    kinds: list[dict[str, Any]] = [
        {"seed": 1, "top_k": 20, "repetition_penalty": 1.3, "repeat_last_n": 3},
        {"grammar": grammar, "seed": 2, "best_of": 2},
        {"grammar": grammar, "jump_forward": True},
        {"seed": 4, "mirostat": 2, "temperature": 1.4},
        {"logit_bias": {9: 3.0, 11: -2.0}, "xtc_probability": 0.5, "seed": 5},
    ]
    engine = Engine(model, max_batch_size=7)
    submitted = []
    for number in range(25):
        kind = kinds[number % len(kinds)]
        parameters = GenerationParameters(max_new_tokens=2 + number % 7, **kind)
        submitted.append(engine.submit(Request([2 + number, 3], parameters)))
        if number % 3 == 0:
            engine.step()
        if number % 8 == 7:
            engine.cancel(submitted[number - 2])
    while engine.busy:
        engine.step()
    for item in submitted:
        if item.error is None:
            alone = generate(model, list(item.plan.prompt), item.request.parameters)
            got = item.result()
            assert got.generated_text == alone.generated_text
            assert [token.id for token in got.tokens] == [token.id for token in alone.tokens]
