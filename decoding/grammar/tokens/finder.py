"""Finds tokens that contain given bytes; makes the mask of all but end-of-text tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.tokens.table import TokenTable


class TokenFinder:
    """Finds a vocabulary's text tokens that contain bytes, and special ones that equal them.

    table: the vocabulary.
    """

    def __init__(self, table: TokenTable) -> None:
        self.table = table
        self._holding: dict[bytes, tuple[int, ...]] = {}
        self._any: NDArray[np.uint32] | None = None

    def holding(self, needle: bytes) -> tuple[int, ...]:
        """The tokens of text that hold some bytes, at least one."""
        found = self._holding.get(needle)
        if found is None:
            spelled = self.table.spelled
            # Few tokens hold the byte that ends a tag, and every search for a tag asks for these.
            if len(needle) == 1:
                found = self._holding_byte(needle[0])
            else:
                among = self.holding(needle[-1:])
                found = tuple(item for item in among if needle in spelled[item])
            self._holding[needle] = found
        return found

    def _holding_byte(self, byte: int) -> tuple[int, ...]:
        spelled = self.table.spelled
        ends = np.cumsum(np.fromiter(map(len, spelled), np.int64, len(spelled)))
        places = np.flatnonzero(np.frombuffer(b"".join(spelled), np.uint8) == byte)
        return tuple(np.unique(np.searchsorted(ends, places, "right")).tolist())

    def special(self, text: bytes) -> tuple[int, ...]:
        """The special tokens that are shown as some bytes; ends are none of them."""
        table = self.table
        special = table.vocabulary.special_token_ids.difference(table.end_token_ids)
        return tuple(item for item in sorted(special) if table.vocabulary.bytes_of(item) == text)

    @property
    def any_token(self) -> NDArray[np.uint32]:
        """The mask of all tokens but the ends: text and special ones, and no padding."""
        if self._any is None:
            table = self.table
            allowed = np.zeros(32 * table.words, np.uint8)
            known = len(table.spelled)
            allowed[:known] = np.fromiter(map(bool, table.spelled), bool, known)
            special = np.array(sorted(table.vocabulary.special_token_ids), np.int64)
            allowed[special[special < known]] = 1
            allowed[np.array(table.end_token_ids, np.int64)] = 0
            self._any = np.packbits(allowed, bitorder="little").view(np.uint32)
        return self._any
