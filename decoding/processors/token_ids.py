"""`distinct`: checks a parameter of token ids and returns the ids sorted, each once."""

from __future__ import annotations

from collections.abc import Iterable

from decoding.checks import checked_token_ids


def distinct(name: str, token_ids: Iterable[int]) -> tuple[int, ...]:
    """The ids without repetition, ascending; raises `ParameterError` for anything but token ids."""
    return tuple(sorted(set(checked_token_ids(name, token_ids))))
