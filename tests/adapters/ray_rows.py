"""Models of the tests for Ray, made by functions that workers import or unpickle."""

from __future__ import annotations

from decoding import LanguageModel
from decoding.testing.models import hash_model
from decoding.vocabulary import Vocabulary


class Bytes:
    """A tokenizer with a token for every byte, and 256 that ends a text."""

    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)] + [b"</s>"], frozenset({256}))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())


def model() -> LanguageModel:
    """A model whose logits are a hash of the text: the same in any batch."""
    return LanguageModel(
        forward=hash_model(257, scale=2.0),
        tokenizer=Bytes(),
        eos_token_ids=frozenset({256}),
        logits_width=257,
        context_length=200,
    )
