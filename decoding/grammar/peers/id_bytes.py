"""Lists the bytes of every token id for adapters of other engines; tells if an id has any."""

from __future__ import annotations

from decoding.checks import checked_token_id
from decoding.errors import require
from decoding.grammar.tokens.table import TokenTable


def padded(tokens: TokenTable) -> list[bytes]:
    """The bytes of each token id below the width; empty for special, end and padding tokens.

    Raises `ParameterError` for a vocabulary without end tokens, which the engines do not support.
    """
    require("end_token_ids", tokens.end_token_ids, bool(tokens.end_token_ids), "at least one id")
    return [*tokens.spelled, *[b""] * (tokens.width - len(tokens.spelled))]


def spells(tokens: TokenTable, token_id: int) -> bool:
    """Whether a token has a text, so that a matcher may take it.

    Raises:
        ParameterError: `token_id` is no integer.
    """
    token_id = checked_token_id("token_id", token_id)
    return 0 <= token_id < len(tokens.spelled) and tokens.spelled[token_id] != b""
