"""Protocols `TokenGrammar` and `TokenMatcher`: grammars and matchers of any engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TokenMatcher(Protocol):
    """Protocol: follows the tokens of one text through a grammar and masks the next tokens.

    Laws, for the vocabulary's ends and the width of the model's logits:

    - a token that is no end is in `mask()` if and only if `advance` of it returns True;
    - an end is in `mask()` if and only if `is_accepting`, and `advance` takes none;
    - special tokens that the grammar does not name itself, and ids beyond the vocabulary, are in no
      mask and are not taken;
    - n tokens taken and `rollback(n)` change nothing;
    - a fork and its origin do not change each other.
    """

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""

    def mask(self) -> NDArray[np.uint32]:
        """The tokens that may come next: bit i % 32 of word i // 32 is token i.

        ⌈width / 32⌉ words; bits from the width on are zero. The array is not to be changed, and
        nothing that is done to the matcher changes it.
        """

    def advance(self, token_id: int) -> bool:
        """Take one more token; False, and nothing changed, if the grammar does not allow it."""

    def rollback(self, count: int) -> None:
        """Take back the last tokens. Raises `ParameterError` if there are not so many."""

    def fork(self) -> TokenMatcher:
        """Another text with the same beginning."""


class TokenGrammar(Protocol):
    """Protocol of a compiled grammar: each `matcher()` follows a text of its own."""

    def matcher(self) -> TokenMatcher:
        """A matcher at the beginning of a new text."""
