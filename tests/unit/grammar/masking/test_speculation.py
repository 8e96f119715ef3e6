"""Masks of a tree of drafted tokens are those of taking the tokens one by one."""

from __future__ import annotations

import random
from itertools import takewhile

import numpy as np
import pytest

from decoding.errors import ParameterError
from decoding.grammar import (
    Machine,
    Matcher,
    compile_gbnf,
    compile_json_schema,
    masks_for_draft,
    token_table,
)
from decoding.vocabulary import Vocabulary

WORDS = [b"ab", b'{"', b'":', b"12", b'"}', b"((", b"))", b"a+"]
SPELLED = [bytes([byte]) for byte in range(256)] + WORDS + [b"<end>"]
END = len(SPELLED) - 1


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(token_table(Vocabulary(SPELLED, frozenset({END})), [END], 300))


def path_to(node: int, token_ids: list[int], parents: list[int]) -> list[int]:
    path = []
    while node >= 0:
        path.append(token_ids[node])
        node = parents[node]
    return path[::-1]


def stepped(matcher: Matcher, path: list[int]) -> Matcher | None:
    ahead = matcher.fork()
    return ahead if all(ahead.advance(token) for token in path) else None


def drafted(matcher: Matcher, rng: random.Random, nodes: int) -> tuple[list[int], list[int]]:
    """A tree of tokens, most of which fit."""
    token_ids: list[int] = []
    parents: list[int] = []
    for node in range(nodes):
        parents.append(rng.randint(max(-1, node - 4), node - 1))
        before = stepped(matcher, path_to(parents[-1], token_ids, parents))
        tokens = rng.sample(range(300), 2) if before is None else allowed(before)
        token_ids.append(rng.choice(tokens if rng.random() < 0.9 else range(300)))
    return token_ids, parents


def allowed(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    tokens: list[int] = np.flatnonzero(bits).tolist()
    return tokens


def test_a_tree_is_as_its_tokens_one_by_one(machine: Machine) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    grammars = [
        compile_json_schema(schema, machine),
        compile_gbnf('root ::= root "+" root | "(" root ")" | "a" "b"?', machine),
    ]
    rng = random.Random(0)
    fitted = ended = 0
    for grammar in grammars * 6:
        matcher = grammar.matcher()
        while rng.random() < 0.7:
            matcher.advance(rng.choice(allowed(matcher)))
        state = matcher.state
        token_ids, parents = drafted(matcher, rng, 24)
        masks, fits = masks_for_draft(matcher, token_ids, parents)
        assert matcher.state == state
        assert (masks[0] == matcher.mask()).all()
        for node, token in enumerate(token_ids):
            before = stepped(matcher, path_to(parents[node], token_ids, parents))
            assert fits[node] == (before is not None and token in allowed(before))
            path = path_to(node, token_ids, parents)
            after = stepped(matcher, path)
            ahead = matcher.fork()
            assert matcher.count_allowed(path) == len(list(takewhile(ahead.advance, path)))
            assert (masks[1 + node] == (0 if after is None else after.mask())).all()
            fitted += bool(fits[node])
            ended += bool(fits[node]) and token == END
    assert fitted > 60
    assert ended > 0


def test_a_row_of_tokens_is_counted_as_far_as_it_fits(machine: Machine) -> None:
    matcher = compile_gbnf('root ::= "(" root ")" | "a"', machine).matcher()
    row = list(b"((a)a))")
    _, fits = masks_for_draft(matcher, row, range(-1, len(row) - 1))
    assert fits.tolist() == [True] * 4 + [False] * 3
    assert matcher.count_allowed(row) == 4
    masks, fits = masks_for_draft(matcher, [], [])
    assert (masks.shape[0], len(fits)) == (1, 0)


@pytest.mark.parametrize("parents", [[0, 0], [-1, 1], [-1, -2], [-1], [-1, 0, 1]])
def test_parents_come_first(machine: Machine, parents: list[int]) -> None:
    matcher = compile_gbnf('root ::= "a"*', machine).matcher()
    with pytest.raises(ParameterError):
        masks_for_draft(matcher, [ord("a")] * 2, parents)
