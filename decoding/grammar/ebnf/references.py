"""Makes the masks of the vocabulary's tokens that a grammar names by id or by text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.ebnf.syntax import Rules, TokenReference
from decoding.grammar.tokens.table import TokenTable, allow


def referenced(
    grammar: Rules, marks: Sequence[TokenReference], tokens: TokenTable
) -> list[NDArray[np.uint32]]:
    """For each token reference of a grammar, the mask of the tokens that it stands for.

    A name by text stands for all tokens with this text, special ones too. A negated name stands for
    all other tokens that have a text, so for no special token.

    Raises:
        GrammarUnsupportedError: the vocabulary has no such token, or it is an end token; end tokens
            are allowed where the text may end and nowhere else.
    """
    return [_mask(grammar, mark, tokens) for mark in marks]


def _mask(grammar: Rules, mark: TokenReference, tokens: TokenTable) -> NDArray[np.uint32]:
    known = tokens.vocabulary.token_bytes
    if isinstance(mark.token, int):
        found = [mark.token] if mark.token < len(known) else []
    else:
        found = [token for token, text in enumerate(known) if text == mark.token.encode()]
    if not found:
        raise _unsupported(grammar, mark, "the vocabulary has no such token")
    if mark.negated:
        found = [token for token, text in enumerate(tokens.spelled) if text and token not in found]
    elif set(found) & set(tokens.end_token_ids):
        raise _unsupported(
            grammar, mark, "it is an end token, which is allowed only where a text may end"
        )
    mask = tokens.empty_mask()
    allow(mask, found)
    return mask


def _unsupported(grammar: Rules, mark: TokenReference, reason: str) -> GrammarUnsupportedError:
    """The error for a token, at the first rule that names it."""
    where = next(
        rule.where
        for rule in grammar.rules
        if any(item.symbol == mark for alternative in rule.alternatives for item in alternative)
    )
    spelled = f"<[{mark.token}]>" if isinstance(mark.token, int) else mark.token
    return GrammarUnsupportedError(where, f"the token {spelled}", reason)
