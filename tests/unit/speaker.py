"""A test model that generates one text, for the command `decoding`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from decoding import LanguageModel
from decoding.cli import main as cli
from decoding.vocabulary import Vocabulary

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}>"
EOS = 256


class ByteTokenizer:
    """A token a byte, one that ends the text, and, where it is asked for, one that begins it."""

    def __init__(self, begin: int | None = None) -> None:
        spelled = [*(bytes([byte]) for byte in range(256)), b"<end>"]
        self.vocabulary = Vocabulary(spelled, frozenset({EOS} if begin is None else {EOS, begin}))
        self.front = [] if begin is None else [begin]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return (self.front if add_special_tokens else []) + list(text.encode())


class Speaker:
    """A forward function that says one text, then ends; it remembers the first prompt it saw."""

    def __init__(self, text: str) -> None:
        self.tokens = [*text.encode(), EOS]
        self.prompt: str | None = None

    def __call__(self, sequences: list[list[int]]) -> np.ndarray:
        if self.prompt is None:
            self.prompt = bytes(sequences[0]).decode()
        logits = np.zeros((len(sequences), 257), np.float32)
        for row, sequence in enumerate(sequences):
            said = len(sequence) - len(self.prompt.encode())
            logits[row, self.tokens[min(said, len(self.tokens) - 1)]] = 9.0
        return logits


def model_of(forward: Any, **facts: Any) -> LanguageModel:
    given = {
        "tokenizer": ByteTokenizer(),
        "context_length": 4096,
        "chat_template": TEMPLATE,
        **facts,
    }
    return LanguageModel(forward=forward, eos_token_ids=frozenset({EOS}), **given)


def code_of(arguments: Sequence[str]) -> int:
    """The exit code, also where argparse ends the program itself."""
    try:
        return cli.main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
