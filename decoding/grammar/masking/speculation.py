"""Computes grammar masks for a tree of drafted tokens, as speculative decoding needs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoding.errors import require
from decoding.grammar.protocol import TokenMatcher
from decoding.grammar.tokens.table import allows


def masks_for_draft(
    matcher: TokenMatcher, token_ids: Sequence[int], parents: Sequence[int]
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """The masks before and after every token of a tree of drafted tokens, and which tokens fit.

    token_ids: of the nodes, each behind its parent.
    parents: as many: the number of the node that comes before, −1 for the text so far. A row of
        tokens has the parents −1, 0, 1, ...

    The masks are `(1 + nodes, words)`: the first is what may come next, the one after it what may
    come after node 0, and so on. Node i fits if its parent does and `masks[1 + parents[i]]` has its
    token. What comes after a token that does not fit, or after an end token, is nothing: zeros. All
    is as if the tokens had been taken one by one; the matcher stays where it is.

    Raises:
        ParameterError: a parent is no earlier node, or there are not as many as tokens.
        GrammarLimitError: a mask needs too much.
    """
    expected = f"{len(token_ids)}, one for each token"
    require("the number of parents", len(parents), len(parents) == len(token_ids), expected)
    first = matcher.mask()
    masks = np.zeros((1 + len(token_ids), len(first)), np.uint32)
    fits = np.zeros(len(token_ids), np.bool_)
    masks[0] = first
    matchers: list[TokenMatcher | None] = [matcher]
    for node, (token, parent) in enumerate(zip(token_ids, parents, strict=True)):
        require("a parent", parent, -1 <= parent < node, f"-1 or a node before node {node}")
        before, after = matchers[1 + parent], None
        mask = masks[1 + parent]
        fits[node] = 0 <= token < 32 * len(mask) and allows(mask, token)
        if before is not None and fits[node]:
            branch = before.fork()
            if branch.advance(token):
                after = branch
                masks[1 + node] = branch.mask()
        matchers.append(after)
    return masks, fits
