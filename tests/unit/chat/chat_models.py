"""Models for chats: byte tokenizers with a few longer tokens, random logits, scripted answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding import GenerationParameters, LanguageModel
from decoding.chat import ChatDelta, ChatMessage, Prepared, fold
from decoding.engine import Engine
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary
from decoding.wire.details import Response

CHATML = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CALLS = (
    "{% for c in m.tool_calls or [] %}[{{ c.function.name }}({{ c.function.arguments | tojson }})]"
    "{% endfor %}"
)
KNOWING = "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML.replace(
    "{% endfor %}", f"{CALLS}{{% endfor %}}", 1
)
HERMES = KNOWING + "{# #}{% if false %}<tool_call>{% endif %}"
LLAMA_3 = KNOWING + "{% if false %}<|python_tag|>{% endif %}"
MISTRAL = KNOWING + "{% if false %}[TOOL_CALLS]{% endif %}"
REASONING = HERMES + "{% if false %}<think></think>{% endif %}"
OPENED = (
    CHATML + "{% if add_generation_prompt %}{% if enable_thinking | default(true) %}<think>\n"
    "{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)

PIECES = (
    b"<tool_call>", b"</tool_call>", b'"}}', b"}}\n", b"}\n</", b"</think>", b"k>\n\n{", b'{"name"',
    b'>{"', b"hi <tool", b"]}", b"; {", b"}]", b" [",
)  # fmt: skip
SPECIAL = (b"<end>", b"[TOOL_CALLS]", b"<|python_tag|>", b"<think>", b"<other>")
VOCABULARY = Vocabulary(
    [*(bytes([byte]) for byte in range(256)), *PIECES, *SPECIAL],
    frozenset(range(256 + len(PIECES), 256 + len(PIECES) + len(SPECIAL))),
)
WIDTH = len(VOCABULARY) + 3
END = VOCABULARY.token_bytes.index(b"<end>")


class ByteTokenizer:
    vocabulary = VOCABULARY

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


def ids_of(*parts: str | bytes) -> list[int]:
    """Token ids: of texts a byte each, of bytes the one token."""
    found: list[int] = []
    for part in parts:
        if isinstance(part, str):
            found += part.encode()
        else:
            found.append(VOCABULARY.token_bytes.index(part))
    return found


def model_of(template: str, forward: Any = None) -> LanguageModel:
    return LanguageModel(
        forward=forward or hash_model(WIDTH, scale=2.0), tokenizer=ByteTokenizer(),
        eos_token_ids=frozenset({END}), logits_width=WIDTH, context_length=100_000,
        chat_template=template,
    )  # fmt: skip


class Scripted:
    """Wants to write these tokens, one after the other, and then to end.

    Where a mask allows others only, it has no preference, and goes on with the next one then.
    """

    def __init__(self, script: Sequence[int]) -> None:
        self.script = [*script, END]
        self.prompt_length: int | None = None

    def __call__(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        rows = np.zeros((len(sequences), WIDTH), np.float32)
        for row, token_ids in zip(rows, sequences, strict=True):
            if self.prompt_length is None:
                self.prompt_length = len(token_ids)
            at = min(len(token_ids) - self.prompt_length, len(self.script) - 1)
            row[self.script[at]] = 30.0
        return rows


def answer(prepared: Prepared, model: LanguageModel) -> tuple[Response, ChatMessage]:
    """What the engine answers, read from its stream; `Prepared.message` says the same."""
    engine = Engine(model)
    generation = engine.submit(prepared.request)
    reader, deltas = prepared.reader(), list[ChatDelta]()
    while engine.busy:
        engine.step()
        for event in generation.take_events():
            deltas += reader.read(event)
    response = generation.result()
    message = fold(deltas, reader.finish(response.finish_reason))
    whole = prepared.message(response)
    assert without_ids(whole) == without_ids(message)
    return response, message


def without_ids(message: ChatMessage) -> tuple[Any, ...]:
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    return message.content, message.reasoning_content, calls, message.finish_reason


def sampled(seed: int, max_new_tokens: int = 400, **others: Any) -> GenerationParameters:
    return GenerationParameters(temperature=1.2, seed=seed, max_new_tokens=max_new_tokens, **others)
