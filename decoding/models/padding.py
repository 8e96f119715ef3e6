"""Finds and masks the padding of a model's output layer: logit ids without a token."""

from __future__ import annotations

from collections.abc import Collection

from decoding.processors.bitmask import Bitmask
from decoding.vocabulary import Vocabulary


class HeadPadding:
    """The logit ids without a token of the tokenizer, and the mask that bans them.

    Heads are often wider than the vocabulary, rounded up to a multiple of 64 or 128, and
    vocabularies have gaps. Such an id adds no text: a model that draws it wastes a token.
    """

    def __init__(self, vocabulary: Vocabulary, end_token_ids: Collection[int]) -> None:
        self._vocabulary, self._end_token_ids = vocabulary, end_token_ids
        self._masks: dict[int, Bitmask | None] = {}

    def mask(self, width: int) -> Bitmask | None:
        """The mask of the tokenizer's ids below `width`; None if no id is banned.

        Special tokens and those that end a sequence stay, whatever they spell.
        """
        if width not in self._masks:
            self._masks[width] = self._made(width)
        return self._masks[width]

    def _made(self, width: int) -> Bitmask | None:
        spelled = list(self._vocabulary.token_bytes[:width])
        kept = {token_id for token_id, text in enumerate(spelled) if text}
        kept |= {item for item in self._vocabulary.special_token_ids if 0 <= item < width}
        kept |= {item for item in self._end_token_ids if 0 <= item < width}
        return Bitmask.of(kept) if len(kept) < width else None
