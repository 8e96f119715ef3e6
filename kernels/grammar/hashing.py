"""Numba: a hash of integer sequences, for hash tables whose length is a power of two."""

from __future__ import annotations

from decoding.kernels.grammar.jit import inner

PRIME = 2_147_483_647
_FACTOR = 1_000_003


@inner
def mixed(value: int, more: int) -> int:
    """Extend the hash of a sequence by one number; hashes and numbers are below 2^31."""
    return (value * _FACTOR + more) % PRIME
