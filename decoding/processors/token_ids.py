"""Sets of token ids as parameters."""

from __future__ import annotations

from collections.abc import Iterable

from decoding.errors import require


def distinct(name: str, token_ids: Iterable[int]) -> tuple[int, ...]:
    """The ids without repetition, ascending; raises `ParameterError` for a negative one."""
    chosen = tuple(sorted({int(token_id) for token_id in token_ids}))
    if chosen:
        require(name, chosen[0], chosen[0] >= 0, "token ids >= 0")
    return chosen
