"""A hash of numbers for tables that are a power of two long."""

from __future__ import annotations

from decoding.kernels.grammar.jit import inner

PRIME = 2_147_483_647
_FACTOR = 1_000_003


@inner
def mixed(value: int, more: int) -> int:
    """A hash that knows one more number; both are below 2^31, and so is the result."""
    return (value * _FACTOR + more) % PRIME
