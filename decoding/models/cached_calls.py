"""Checks the arguments of a call of any `CachedModel`: states, lengths, ids and rollbacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from decoding.errors import ParameterError

Kept = TypeVar("Kept")


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


def check_lengths(
    lengths: Iterable[int], token_ids: Sequence[Sequence[int]], limit: int | None = None
) -> None:
    """Check that each sequence gets at least one token, and does not outgrow the model.

    lengths: of the sequences so far. limit: the model's context length; None = not bounded.

    Raises:
        ParameterError: a list is empty, or a sequence would have more than `limit` tokens.
    """
    for index, (known, new) in enumerate(zip(lengths, token_ids, strict=True)):
        if not len(new):
            raise ParameterError(f"token_ids[{index}]", [], "at least one token")
        length = known + len(new)
        if limit is not None and length > limit:
            expected = f"at most {limit}, the model's context length"
            raise ParameterError(f"length of sequence {index}", length, expected)


def check_token_range(token_ids: Sequence[Sequence[int]], vocabulary: int) -> None:
    """Check that each token id of a call is in the model's vocabulary.

    Raises:
        ParameterError: a token id is not in [0, vocabulary).
    """
    for new in token_ids:
        for wrong in (min(new), max(new)):
            if not 0 <= wrong < vocabulary:
                raise ParameterError("token id", wrong, f"in [0, {vocabulary})")


def in_use(kept: Kept | None) -> Kept:
    """Return a state's contents; raise if the state was released.

    Raises:
        ParameterError: it is None.
    """
    if kept is None:
        raise ParameterError("state", "a released one", "one that was not released")
    return kept


def check_rollback(count: int, length: int) -> None:
    """Check how many tokens of a sequence are to be forgotten.

    Raises:
        ParameterError: `count` is not in [0, length].
    """
    if not 0 <= count <= length:
        raise ParameterError("count", count, f"in [0, {length}], the sequence's length")
