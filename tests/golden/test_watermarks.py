"""Golden watermarks: a key and a context give the same green list in all versions.

The permutation is torch's; the rest is ours, written down on 2026-11-25 at version 0.
"""

from __future__ import annotations

from decoding.watermark import GumbelScheme, philox
from decoding.watermark.prf import GREEN, context_hash, token_word
from decoding.watermark.scheme import MILLIONTH_PRIME
from decoding.watermark.shuffle import shuffled_prefix


def test_the_permutation() -> None:
    # `randperm(10)` of torch on a CPU, seeded with key · 5
    assert shuffled_prefix(MILLIONTH_PRIME * 5, 10, 10).tolist() == [8, 7, 4, 3, 0, 6, 9, 5, 2, 1]


def test_context_hashes() -> None:
    hashes = [context_hash(tokens, MILLIONTH_PRIME) for tokens in ((5,), (5, 6), (6, 5))]
    assert [f"{item:016x}" for item in hashes] == [
        "125c1fb7659b8a94",
        "bf4889c28a2d94b1",
        "18fec423272ba1d5",
    ]


def test_words() -> None:
    assert [f"{word:08x}" for word in (token_word(7, token, GREEN) for token in range(5))] == [
        "2690d20c",
        "e2a48dd6",
        "e2ac5575",
        "e5a63b8a",
        "0f58723c",
    ]
    assert philox().green([5], 12).nonzero()[0].tolist() == [0, 5, 8]


def test_uniforms() -> None:
    scheme = GumbelScheme(MILLIONTH_PRIME, context_width=2)
    assert [scheme.uniform([5, 6], token).hex() for token in (0, 9)] == [
        "0x1.5cdd7febbbbdbp-1",
        "0x1.aabc0c28d5ab2p-2",
    ]
