"""The token table: a vocabulary's bytes, tries and end tokens, as grammars use them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.checks import LARGEST_TOKEN_ID, checked_integer, checked_token_ids
from decoding.errors import require
from decoding.grammar.tokens.trie import MAX_DEPTH, Trie
from decoding.grammar.tokens.trie_files import tries
from decoding.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """The tokens of a vocabulary, prepared for grammars.

    spelled: index = token id; the bytes, empty for tokens that no text spells (special ones).
    end_token_ids: allowed exactly where a text may end.
    width: of the logits, ≥ the number of tokens; ids beyond the tokens are never allowed.
    bare, quoted: the tries of the tokens without and with a double quote: only the latter can leave
        a JSON string.
    vocabulary: the vocabulary that the table was made of.
    alone, used: the bytes that are a token by themselves, and those that occur in any token.
    """

    spelled: tuple[bytes, ...]
    end_token_ids: tuple[int, ...]
    width: int
    bare: Trie = field(repr=False)
    quoted: Trie = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    alone: bytes = field(repr=False)
    used: bytes = field(repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        """A pickle holds the vocabulary, and makes the table again."""
        return token_table, (self.vocabulary, self.end_token_ids, self.width)

    @property
    def words(self) -> int:
        """32-bit words of a mask."""
        return (self.width + 31) // 32

    def empty_mask(self) -> NDArray[np.uint32]:
        """A mask that allows nothing."""
        return np.zeros(self.words, np.uint32)


def token_table(
    vocabulary: Vocabulary, end_token_ids: Iterable[int], width: int | None = None
) -> TokenTable:
    """Make the `TokenTable` of a vocabulary: token bytes, tries, end tokens, mask width.

    Special tokens have no bytes, so that no text allows them; nor do tokens of more than
    `trie.MAX_DEPTH` bytes. The tries of a large vocabulary are cached in `cache_folder()`. Raises
    `ParameterError` for anything but a `Vocabulary`, and for an end token or a width outside it.
    """
    require("vocabulary", vocabulary, isinstance(vocabulary, Vocabulary), "a Vocabulary")
    ends = tuple(sorted(set(checked_token_ids("end_token_ids", end_token_ids))))
    least = f">= {len(vocabulary)}, the tokens"
    width = len(vocabulary) if width is None else width
    width = checked_integer("width", width, len(vocabulary), LARGEST_TOKEN_ID, least)
    for token_id in ends:
        require("end_token_ids", token_id, 0 <= token_id < width, f"token ids below {width}")
    hidden = vocabulary.special_token_ids | set(ends)
    spelled = tuple(
        b"" if token_id in hidden or len(text) > MAX_DEPTH else bytes(text)
        for token_id, text in enumerate(vocabulary.token_bytes)
    )
    bare, quoted = tries(spelled)
    return TokenTable(
        spelled,
        ends,
        width,
        bare,
        quoted,
        vocabulary,
        bytes(sorted({text[0] for text in spelled if len(text) == 1})),
        np.flatnonzero(np.bincount(np.frombuffer(b"".join(spelled), np.uint8), minlength=256))
        .astype(np.uint8)
        .tobytes(),
    )


def allows(mask: NDArray[np.uint32], token: int) -> bool:
    """Whether the bit of a token below the mask's width is set."""
    return bool(int(mask[token >> 5]) >> (token & 31) & 1)


def allow(mask: NDArray[np.uint32], tokens: Iterable[int]) -> None:
    """Set the bits of some tokens."""
    for token in tokens:
        mask[token >> 5] |= np.uint32(1 << (token & 31))


def disallow(mask: NDArray[np.uint32], tokens: Iterable[int]) -> None:
    """Clear the bits of some tokens."""
    for token in tokens:
        mask[token >> 5] &= ~np.uint32(1 << (token & 31))
