"""A tokenizer of bytes for tests: a token a byte, and one that ends the text."""

from __future__ import annotations

from decoding.vocabulary import Vocabulary

END = 256


class ByteTokenizer:
    """A token a byte, and one that ends the text."""

    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b"<end>"], frozenset({END}))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())
