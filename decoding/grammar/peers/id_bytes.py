"""What the adapters of all engines do alike."""

from __future__ import annotations

from decoding.errors import require
from decoding.grammar.tokens.table import TokenTable


def padded(tokens: TokenTable) -> list[bytes]:
    """What each id below the width spells; nothing for special tokens, ends and padding.

    Raises `ParameterError` for a vocabulary without ends: the engines know none such.
    """
    require("end_token_ids", tokens.end_token_ids, bool(tokens.end_token_ids), "one at least")
    return [*tokens.spelled, *[b""] * (tokens.width - len(tokens.spelled))]


def spells(tokens: TokenTable, token_id: int) -> bool:
    """Whether a token is text, so that a matcher may take it."""
    return 0 <= token_id < len(tokens.spelled) and tokens.spelled[token_id] != b""
