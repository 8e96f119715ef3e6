"""Checks of the calls of a `CachedModel` that hold for every model, whatever its state is."""

from __future__ import annotations

from collections.abc import Sequence

from decoding.errors import ParameterError


def check_states(states: Sequence[object], token_ids: Sequence[Sequence[int]]) -> None:
    """Check that a call names at least one state, each once, and a list of token ids for each.

    Raises:
        ParameterError: there is no state, one stands twice, or the lists are of another number.
    """
    if not states or len(states) != len(token_ids):
        expected = "as many lists as states, at least one"
        raise ParameterError("token_ids", f"{len(token_ids)} for {len(states)}", expected)
    if len({id(state) for state in states}) != len(states):
        raise ParameterError("states", "one state twice", "different states")


def check_rollback(count: int, length: int) -> None:
    """Check how many tokens of a sequence are to be forgotten.

    Raises:
        ParameterError: `count` is not in [0, length].
    """
    if not 0 <= count <= length:
        raise ParameterError("count", count, f"in [0, {length}], the sequence's length")
