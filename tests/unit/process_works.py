"""What crosses seams, and what each is used for; a module that a spawned process can import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from decoding import (
    BatchSampler,
    GenerationParameters,
    GrammarMask,
    LanguageModel,
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


def two_rows() -> HistoryBuffer:
    buffer = HistoryBuffer()
    buffer.add([1], [2])
    buffer.add([3])
    return buffer


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
        two_rows,
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
