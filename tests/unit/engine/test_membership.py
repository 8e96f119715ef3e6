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
    Request,
    Temperature,
    TopK,
    chain,
    generate,
)
from decoding.engine.drawing import rows_of
from decoding.errors import ParameterError, ShapeError
from decoding.history import History, HistoryBuffer
from decoding.kernels.program import (
    Instruction,
    Opcode,
    Program,
    assemble,
    fit_bitmasks,
    unshared,
    words_of,
)
from decoding.pipeline import Fused
from decoding.sampling.batch import BatchSampler, Sampler
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, SharedRows
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


def same(one: Program, other: Program, words: Any, other_words: Any) -> None:
    """Rows of equal instructions, whose bitmasks have the same bits."""
    one, other = unshared(one), unshared(other)
    for name, mine, expected in zip(Program._fields, one, other, strict=True):
        if name == "bitmasks":
            continue
        assert mine.dtype == expected.dtype, name
        if name == "slots":
            assert [slot >= 0 for slot in mine] == [slot >= 0 for slot in expected]
            chosen = words[mine[mine >= 0]], other_words[expected[expected >= 0]]
            assert chosen[0].tolist() == chosen[1].tolist()
        else:
            assert mine.tolist() == expected.tolist(), name


def test_programs_of_rows_that_come_and_go_are_those_of_the_rows_that_are_there() -> None:
    generator = np.random.default_rng(5)
    shared, programs = SharedRows(), RowPrograms()
    segments = [Fused(row, (None,) * len(row)) for row in ROWS]
    present: list[int] = []
    longest = 0
    for step in range(300):
        present += generator.integers(0, len(ROWS), generator.integers(0, 4)).tolist()
        for _ in range(generator.integers(0, 4)):
            if present:
                present.pop(int(generator.integers(0, len(present))))
        # Some rows are new objects, as where a pipeline is made for every request.
        programs.arrange(
            [
                shared.row_of(segments[row])
                if generator.random() < 0.5
                else ProgramRow.of(Fused(ROWS[row], segments[row].processors))
                for row in present
            ]
        )
        width = (64, 100, 128)[step % 3]
        history = History.empty(len(present))
        expected = assemble([ROWS[row] for row in present])
        words, failed = programs.bitmasks(history, width)
        assert not failed
        fitted = fit_bitmasks(list(expected.bitmasks), words_of(width))
        same(programs.program_for(history, width), expected, words, fitted)
        longest = max(longest, len(programs.program.opcodes) - 2 * len(expected.opcodes))
    # What rows have left behind is no more than what there is.
    assert longest <= 64


def test_rows_that_run_the_same_share_their_instructions() -> None:
    sampler = BatchSampler(backend="numpy")
    for seed in range(40):
        sampler.add(Sampler(chain(Temperature(0.7), TopK(5)), seed))
    sampler(np.zeros((40, VOCAB), np.float32), History.empty(40))
    ready = sampler._ready
    assert ready is not None
    assert len(ready.programs.program.opcodes) == 2


def test_rows_of_a_history_join_leave_and_change_places() -> None:
    buffer = HistoryBuffer()
    assert [buffer.add([1, 2, 3]), buffer.add([4], [5]), buffer.add([6])] == [0, 1, 2]
    before = buffer.view()
    buffer.append([7, 8, 9])
    assert [before.row(row).tolist() for row in range(3)] == [[1, 2, 3], [4, 5], [6]]
    buffer.extend_row(1, list(range(100)))
    buffer.remove(0)
    buffer.swap(0, 1)
    buffer.add(np.arange(3), (1,))
    for _ in range(70):
        buffer.append([1, 2, 3])
    view = buffer.view()
    assert view.row(0).tolist() == [4, 5, 8, *range(100)] + [1] * 70
    assert view.row(1).tolist() == [6, 9] + [2] * 70
    assert view.row(2).tolist() == [0, 1, 2, 1] + [3] * 70
    assert view.prompt_lengths.tolist() == [1, 1, 3]
    for wrong in (3, -1, True, "0", None, 1.0):
        with pytest.raises(ParameterError, match=r"row must be the number of a row, in \[0, 3\)"):
            buffer.remove(wrong)
    for given in ("ab", 5, [2**31], [0.5], [[1]]):
        with pytest.raises(ParameterError):
            buffer.add(given)
    with pytest.raises(ShapeError, match="2 token ids"):
        buffer.append([1, 2])
    assert len(buffer) == 3
    assert buffer.view().lengths.tolist() == view.lengths.tolist()


def test_rows_that_leave_together_leave_as_one_after_the_other() -> None:
    one, other = ([Sampler(seed=seed) for seed in range(6)] for _ in range(2))
    together, singly = BatchSampler(one), BatchSampler(other)
    together.remove_all([5, 0, 2])
    for row in (5, 0, 2):
        singly.remove(row)
    assert together.samplers == singly.samplers
    assert [item.seed for item in together.samplers] == [4, 1, 3]
    with pytest.raises(ParameterError, match=r"row must be the number of a row, in \[0, 2\)"):
        together.remove_all([0, 2])
    assert together.samplers == singly.samplers


def test_a_history_whose_longest_rows_leave_grows_no_further() -> None:
    buffer = HistoryBuffer()
    buffer.add([3])
    for _ in range(200):
        buffer.add([1, 2])
        for _ in range(20):
            buffer.append([4] * len(buffer))
        buffer.remove(0)
    assert buffer.view().row(0).tolist() == [1, 2] + [4] * 20
    assert buffer.view().token_ids.base.nbytes < 2_000


def test_a_history_that_is_empty_again_keeps_little_memory() -> None:
    buffer = HistoryBuffer()
    buffer.add([1] * 2_000_000)
    buffer.remove(0)
    assert buffer.view().token_ids.base.nbytes < 100_000
    buffer.add([4])
    assert buffer.view().row(0).tolist() == [4]


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
    engine.cancel(others[-1])
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


def test_rows_one_after_the_other_are_not_copied() -> None:
    logits = np.arange(20.0).reshape(5, 4)
    assert rows_of(logits, [0, 1, 2, 3, 4]) is logits
    for rows in ([0, 1], [1, 2, 3], [4]):
        found = rows_of(logits, rows)
        assert np.array_equal(found, logits[rows])
        assert np.shares_memory(found, logits)
    for rows in ([], [2, 2], [1, 0], [0, 2]):
        assert np.array_equal(rows_of(logits, rows), logits[rows].reshape(len(rows), 4))
