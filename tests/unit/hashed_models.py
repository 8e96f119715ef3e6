"""Test models: logits are a hash of the text; one also counts its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decoding import LanguageModel
from decoding.models import CallableModel
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary

VOCAB = 300


class ByteTokenizer:
    """Token 0 ends the text; token 1 begins it; the rest are bytes, then some longer pieces."""

    vocabulary = Vocabulary(
        [b"</s>", b"<s>", *(bytes([byte]) for byte in range(256)), *[b"the END of"] * 42],
        frozenset({0, 1}),
    )

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [byte + 2 for byte in text.encode()]


MODEL = LanguageModel(
    forward=hash_model(VOCAB),
    tokenizer=ByteTokenizer(),
    eos_token_ids=frozenset({0}),
    context_length=200,
)


class Counting:
    """A cached model over `hash_model` that keeps account of its states."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.inner = CallableModel(hash_model(VOCAB))
        self.live: set[int] = set()
        self.states: list[Any] = []
        self.tokens = 0
        self.calls = 0
        self.fail_at = fail_at

    def _note(self, states: Sequence[Any]) -> None:
        self.states += states
        self.live |= {id(state) for state in states}

    def prefill(self, prompts: Any, *, all_positions: bool = False) -> Any:
        self.tokens += sum(map(len, prompts))
        states, logits = self.inner.prefill(prompts, all_positions=all_positions)
        self._note(states)
        return states, logits

    def extend(self, states: Any, token_ids: Any, *, all_positions: bool = False) -> Any:
        self.calls += 1
        if self.calls == self.fail_at:
            raise MemoryError("out of cache")
        self.tokens += sum(map(len, token_ids))
        return self.inner.extend(states, token_ids, all_positions=all_positions)

    def fork(self, state: Any) -> Any:
        copy = self.inner.fork(state)
        self._note([copy])
        return copy

    def rollback(self, state: Any, count: int) -> None:
        self.inner.rollback(state, count)

    def release(self, state: Any) -> None:
        self.live.remove(id(state))
