"""The exact law of a draw from tokens of one block, by enumeration of its words.

Token i of a block wins with the probability

    P(i) = Σ_j P(lead = j) · E_v E_w [ Π_k (words of k that lose) / 2⁶⁴ ]

over the leads j, of which all but the few tokens of the row are nobody, the block's word v, and the
token's own word w where it does not lead. A larger word never lowers a score, so what loses is
found by bisection on the very scores that are compared in a draw, and the two expectations are
quadratures. Nothing is drawn. Left is the quadratures' error, below 7e-7 here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from profiles import spread

from decoding.kernels.randomness import BLOCK_SIZE
from decoding.kernels.vector.noise import exponential, natural_log
from decoding.testing.exact import total_variation

LIMIT = 1e-6
NODES_OF_BLOCK, NODES_OF_TOKEN = 60, 120
ROWS = [[0.0, 1.0, -2.0], [0.0, 0.0, 0.0], [5.0, 0.0, 3.0]]

Array = np.ndarray
Score = Callable[[float, Array, Array], Array]
"""A logit, the share of its block, and the words of a token that does not lead."""


def others(logit: float, share: Array, words: Array) -> Array:
    return logit - natural_log(share + exponential(words))


def words_of(uniforms: Array) -> Array:
    return np.minimum(uniforms * 2.0**64, 2.0**64 - 2.0**11).astype(np.uint64)


def losing(score: Score, logit: float, share: Array, bar: Array, *, ties: bool) -> Array:
    """The fraction of words with which a token's score is below `bar`, or equal to it."""
    count = np.zeros(bar.shape, np.uint64)
    for bit in reversed(range(14, 64)):
        following = count + np.uint64(1 << bit)
        found = score(logit, share, following - np.uint64(1))
        count = np.where((found <= bar) if ties else (found < bar), following, count)
    return count.astype(np.float64) / 2.0**64


def law_of_block(row: list[float], score: Score = others, rate: int = BLOCK_SIZE) -> Array:
    """The law of a draw from tokens 0, 1, ... of a block, whose lead has rate `rate`."""
    (block_points, block_weights), (points, weights) = (
        np.polynomial.legendre.leggauss(count) for count in (NODES_OF_BLOCK, NODES_OF_TOKEN)
    )
    block_weights, weights, uniforms = block_weights / 2, weights / 2, (points + 1) / 2
    share = (exponential(words_of((block_points + 1) / 2)) / rate)[:, np.newaxis]
    wide = np.repeat(share, NODES_OF_TOKEN, axis=1)
    tokens = range(len(row))

    def all_lose(token: int, bar: Array, lead: int | None) -> Array:
        """That the others do, who do not lead."""
        shares = share if bar.shape == share.shape else wide
        chance = np.ones(bar.shape)
        for rival in tokens:
            if rival not in (token, lead):
                chance *= losing(score, row[rival], shares, bar, ties=token < rival)
        return chance

    def wins(token: int, lead: int | None) -> float:
        if lead == token:
            bar = row[token] - natural_log(share)
            return float(block_weights @ all_lose(token, bar, lead)[:, 0])
        least = np.zeros(share.shape)
        if lead is not None:
            bar = row[lead] - natural_log(share)
            least = losing(score, row[token], share, bar, ties=lead < token)
        bar = score(row[token], wide, words_of(least + (1.0 - least) * uniforms))
        return float(block_weights @ (all_lose(token, bar, lead) * (1.0 - least)) @ weights)

    nobody = 1.0 - len(row) / BLOCK_SIZE
    return np.array(
        [
            nobody * wins(token, None) + sum(wins(token, lead) for lead in tokens) / BLOCK_SIZE
            for token in tokens
        ]
    )


def softmax(row: list[float]) -> Array:
    weights = np.exp(np.array(row) - max(row))
    return weights / weights.sum()


@pytest.mark.parametrize("row", spread(ROWS, 1), ids=str)
def test_the_law_is_softmax(row: list[float]) -> None:
    assert total_variation(law_of_block(row), softmax(row)) < LIMIT


@pytest.mark.slow
def test_a_wrong_law_is_seen() -> None:
    def without_share(logit: float, _share: Array, words: Array) -> Array:
        return logit - natural_log(exponential(words))

    def too_hot(logit: float, share: Array, words: Array) -> Array:
        return others(logit / 1.001, share, words)

    row = ROWS[0]
    for wrong in (
        law_of_block(row, without_share),
        law_of_block(row, too_hot),
        law_of_block(row, rate=BLOCK_SIZE - 16),
    ):
        assert total_variation(wrong, softmax(row)) > 10 * LIMIT
