"""States are numbered in order of discovery, each once, and a limit on their number is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.worklist import Limit, explore, reachable


def _moves(state: int) -> Iterator[tuple[str, int]]:
    """Halve an even number, or step to the one below."""
    if state % 2 == 0 and state:
        yield "half", state // 2
    if state:
        yield "less", state - 1


def test_explore_numbers_states_in_order_of_discovery() -> None:
    states, rows = explore([6, 1, 6], _moves)
    assert states == [6, 1, 3, 5, 0, 2, 4]
    assert rows[0] == [("half", 2), ("less", 3)]
    assert rows[1] == [("less", 4)]
    assert rows[states.index(4)] == [("half", states.index(2)), ("less", states.index(3))]


def test_explore_raises_beyond_its_limit_and_not_at_it() -> None:
    assert len(explore([6], _moves, Limit("numbers", 7))[0]) == 7
    with pytest.raises(GrammarLimitError, match="6 numbers"):
        explore([6], _moves, Limit("numbers", 6))


def test_reachable_yields_every_state_once_and_asks_for_no_more_than_is_taken() -> None:
    asked: list[int] = []

    def following(state: int) -> Iterator[int]:
        asked.append(state)
        return (target for _, target in _moves(state))

    states = reachable([6], following)
    assert next(states) == 6
    assert asked == []
    assert [6, *states] == [6, 3, 5, 2, 4, 1, 0]
    assert sorted(asked) == list(range(7))
