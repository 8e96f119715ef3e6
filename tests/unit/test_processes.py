"""What crosses seams pickles, copies, and does the same in processes that are forked or spawned."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from decoding import (
    BatchSampler,
    GenerationParameters,
    GrammarMask,
    LanguageModel,
    Request,
    Sampler,
    Temperature,
    TopP,
    Watermark,
    chain,
    generate,
)
from decoding.engine import Ending, StopStrings, TokenText, Transcript
from decoding.grammar import Machine, apply_mask, compile_json_schema, compile_regex, token_table
from decoding.history import History, HistoryBuffer
from decoding.processors import Mirostat2
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary
from decoding.watermark.presets import tgi
from decoding.wire.openai import Chunks, Head

VOCABULARY = Vocabulary([bytes([byte]) for byte in range(256)] + [b"</s>"], frozenset({256}))
MACHINE = Machine(token_table(VOCABULARY, {256}))
LOGITS = np.random.default_rng(0).normal(size=(2, 257)).astype(np.float32)
HISTORY = History.of([[1, 2], [3]], [[4], [5]])


def draw(sampler: BatchSampler) -> object:
    drawn = sampler(LOGITS, HISTORY)
    return [(item.token_id, item.rank) for item in drawn if not isinstance(item, Exception)]


def grown(buffer: HistoryBuffer) -> object:
    buffer.append([7, 8])
    view = buffer.view()
    return [view.row(row).tolist() for row in range(len(view))]


def spell(text: TokenText) -> object:
    return [*map(text.push, b"ND caf\xc3\xa9"), text.flush(), text.stop]


def masked(grammar: Any) -> object:
    return apply_mask(LOGITS, grammar.matcher().mask()).tolist()


def next_mask(matcher: Any) -> object:
    return [int(word) for word in matcher.mask()]


def written(transcript: Transcript) -> object:
    [sample] = BatchSampler([Sampler()])(LOGITS[:1], History.of([[1]]))
    assert not isinstance(sample, Exception)
    return transcript.push(sample), transcript.tokens


def answered(model: LanguageModel) -> object:
    asked = GenerationParameters(max_new_tokens=5, seed=3, temperature=1.2)
    response = generate(model, "ab", asked)
    return response, response.tokens


def chunk(chunks: Chunks) -> object:
    return chunks.text(0, "é")


class ByteTokenizer:
    vocabulary = VOCABULARY

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


def begun() -> TokenText:
    text = TokenText(VOCABULARY, ["END"])
    text.push(ord("E"))
    return text


def advanced() -> object:
    matcher = compile_regex("(ab)+", MACHINE).matcher()
    matcher.advance(ord("a"))
    return matcher


PIPELINE = chain(Watermark(tgi()), Temperature(0.9), TopP(0.9))
MASKED = chain(GrammarMask(compile_regex("[a-z]+", MACHINE)), Mirostat2(3.0, 0.1))
WORKS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "sampler": (lambda: BatchSampler([Sampler(PIPELINE, 1), Sampler(MASKED, 2)]), draw),
    "sampler of numpy": (
        lambda: BatchSampler([Sampler(PIPELINE, 1)] * 2, backend="numpy", threads=2),
        draw,
    ),
    "history": (
        lambda: HistoryBuffer.of([[1, 2], [3]], [1, 1]),
        grown,
    ),
    "text": (begun, spell),
    "grammar": (lambda: compile_json_schema({"type": "integer"}, MACHINE), masked),
    "matcher": (advanced, next_mask),
    "transcript": (
        lambda: Transcript(Ending(3, {256}, StopStrings(("x",))), VOCABULARY),
        written,
    ),
    "model": (
        lambda: LanguageModel(
            forward=hash_model(257), tokenizer=ByteTokenizer(), eos_token_ids=frozenset({256})
        ),
        answered,
    ),
    "chunks": (lambda: Chunks(Head("a", "b", 1, "c", "d"), include_usage=True), chunk),
}


@pytest.mark.parametrize("name", WORKS)
def test_a_copy_does_the_same(name: str) -> None:
    make, work = WORKS[name]
    want = work(make())
    assert work(pickle.loads(pickle.dumps(make()))) == want
    assert work(copy.deepcopy(make())) == want
    used = make()
    work(used)
    if name in ("sampler", "sampler of numpy", "grammar", "model", "matcher", "chunks"):
        # What was used before is copied without what the use has left in it.
        assert work(pickle.loads(pickle.dumps(used))) == want


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_another_process_does_the_same(method: str) -> None:
    want = {name: work(make()) for name, (make, work) in WORKS.items()}
    with multiprocessing.get_context(method).Pool(1) as pool:
        waiting = {name: pool.apply_async(work, (make(),)) for name, (make, work) in WORKS.items()}
        got = {name: item.get(timeout=300) for name, item in waiting.items()}
    assert got == want


def test_requests_and_parameters() -> None:
    request = Request([1, 2], GenerationParameters(seed=1, stop=("x",)), PIPELINE)
    for twin in (pickle.loads(pickle.dumps(request)), copy.deepcopy(request)):
        assert twin == request


def test_what_ran_can_be_asked() -> None:
    sampler = BatchSampler([Sampler(PIPELINE, 1)] * 40, backend="numpy")
    assert sampler.execution is None
    sampler.draw(np.repeat(LOGITS, 20, 0), History.of([[1]] * 40))
    assert sampler.execution is not None
    assert tuple(sampler.execution) == ("numpy", 1)
    assert sampler.selected([0]).execution == sampler.execution
    assert BatchSampler.joined([sampler, sampler]).execution == sampler.execution
    assert copy.deepcopy(sampler).execution is None


@pytest.mark.kernels
def test_what_ran_of_the_compiled_kernels() -> None:
    for threads, rows in ((3, 40), (3, 2), (None, 2)):
        sampler = BatchSampler([Sampler(PIPELINE, 1)] * rows, backend="numba", threads=threads)
        sampler.process(np.repeat(LOGITS[:1], rows, 0), History.of([[1]] * rows))
        assert sampler.execution is not None
        assert tuple(sampler.execution) == ("numba", min(threads or 1, rows))


def test_what_ran_of_torch() -> None:
    torch = pytest.importorskip("torch")
    sampler = BatchSampler([Sampler(PIPELINE, 1)] * 2, backend="torch")
    sampler(torch.from_numpy(LOGITS), HISTORY)
    assert sampler.execution is not None
    assert tuple(sampler.execution) == ("torch", 1)
