"""Arguments of another type than the grammar functions take are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mask_cases import token_table_of_pieces

from decoding.errors import ParameterError
from decoding.grammar import Machine, compile_choices, compile_gbnf, compile_regex, token_table
from decoding.grammar.masking.prefetch import precompute, prefetch

TOKENS = token_table_of_pieces()
VOCABULARY = TOKENS.vocabulary
MACHINE = Machine(TOKENS)


def matcher() -> Any:
    return compile_regex("ab*", MACHINE).matcher()


CALLS: dict[str, Callable[[Any], object]] = {
    "vocabulary": lambda value: token_table(value, (0,)),
    "end_token_ids": lambda value: token_table(VOCABULARY, value),
    "width": lambda value: token_table(VOCABULARY, (0,), value),
    "tokens": Machine,
    "masks_memory": lambda value: Machine(TOKENS, value),
    "texts": lambda value: compile_choices(value, MACHINE),
    "memory": lambda value: compile_gbnf('root ::= "a"', MACHINE, memory=value),
    "matchers": prefetch,
    "matcher": lambda value: precompute(value, 1.0),
    "seconds": lambda value: precompute(matcher(), value),
    "count": lambda value: matcher().rollback(value),
}
WRONG = ("x", b"x", 1.5, object(), [[1]], {None: 2}, True, -1, float("nan"))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_a_foreign_argument_is_refused_by_name(name: str, value: object) -> None:
    if name == "seconds" and value == 1.5:
        return
    with pytest.raises(ParameterError, match=name):
        CALLS[name](value)
