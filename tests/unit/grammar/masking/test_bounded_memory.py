"""What compiles is followed to the end of every text, however little may be stored of it."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from mask_cases import END, SCHEMAS, SPELLED, token_table_of_pieces
from profiles import amount, spread

from decoding.errors import GrammarLimitError
from decoding.grammar import (
    CompiledGrammar,
    Machine,
    Matcher,
    compile_gbnf,
    compile_json_schema,
    compile_lark,
    compile_regex,
    forced_tokens,
    masks_for_draft,
    precompute,
    prefetch,
    token_table,
)
from decoding.grammar.json import automaton_store as store
from decoding.grammar.json import configurations as places
from decoding.grammar.json import keys, records
from decoding.grammar.masking import rebuilding
from decoding.grammar.masking.routes import INTERPRETED, KERNELS, Route
from decoding.grammar.regular import lazy_dfa
from decoding.kernels.grammar import layout
from decoding.vocabulary import Vocabulary

pytestmark = pytest.mark.kernels

Compile = Callable[[Machine], CompiledGrammar]


def overlapping(items: dict[str, object]) -> dict[str, object]:
    """Eight alternatives that begin alike."""
    alternatives = [
        {
            "type": "object",
            "properties": {"name": {"const": word}, "kind": {"type": "array", "items": items}},
            "additionalProperties": {"type": "integer"},
            "required": [key],
        }
        for key in ("name", "age")
        for word in ("a", "ab", "abc", "aa")
    ]
    return {"anyOf": alternatives}


FLAT, NESTED = overlapping({"type": "integer"}), overlapping({"$ref": "#"})
CONTAINING = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
    "allOf": [{"contains": {"minimum": number}} for number in (1, 12)],
}
FEW = {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "ab", "abc", 1, 12, None]}}
MANY_NAMES = {
    "anyOf": [
        {
            "type": "object",
            "properties": {f"name{number}{letter}": {"const": number} for letter in "abc"},
            "required": [f"name{number}a"],
            "additionalProperties": False,
        }
        for number in range(5)
    ]
}
PATTERNS = {
    "anyOf": [
        {
            "type": "object",
            "patternProperties": {f"^{letters}": {"const": number}, "a$": {"type": "integer"}},
        }
        for number, letters in enumerate(("a", "ab", "n", "na"))
    ]
}  # fmt: skip
GRAMMARS = [
    'root ::= "a" root "b" | "a" "a" root "b" | "12"',
    'root ::= root root root | root root | "a" | ""',
    'root ::= "a" root "a" | "b" root "b" | [ab]?',
    'root ::= root "," root | "{" root "}" | "name" | <[97]>',
]


@contextmanager
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Bounds so low that most texts meet them; yields the scales of the acceptors made."""
    made: list[int] = []
    before = rebuilding.RebuildingAcceptor.__init__

    def counting(self: rebuilding.RebuildingAcceptor, make: rebuilding.Make) -> None:
        def counted(scale: int) -> rebuilding.BoundedAcceptor:
            made.append(scale)
            return make(scale)

        before(self, counted)

    with monkeypatch.context() as patch:
        patch.setattr(lazy_dfa, "MAX_FIELDS", 1 << 18)
        patch.setattr(store, "_ROOM", 1 << 18)
        patch.setattr(places, "MAX_FRAMES", 1 << 10)
        patch.setattr(rebuilding.RebuildingAcceptor, "__init__", counting)
        yield made


def allowed(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def follow_both(pair: tuple[Matcher, Matcher], rng: random.Random, length: int) -> None:
    """Take the same random tokens, and compare all that the two matchers say on the way."""
    for _ in range(length):
        masks = [matcher.mask().copy() for matcher in pair]
        np.testing.assert_array_equal(*masks)
        assert pair[0].is_accepting == pair[1].is_accepting
        tokens = [token for token in allowed(masks[0]) if token != END]
        if not tokens:
            break
        if rng.random() < 0.2:
            assert pair[0].forced_bytes() == pair[1].forced_bytes()
            count = rng.randrange(3)
            if all(len(matcher._states) > count for matcher in pair):
                for matcher in pair:
                    matcher.rollback(count)
                continue
        token = rng.choice(tokens)
        assert pair[0].advance(token)
        assert pair[1].advance(token)
        refused = rng.randrange(len(SPELLED))
        assert pair[0].fork().advance(refused) == pair[1].fork().advance(refused)


def compare(limited: Compile, free: Compile, route: Route, *, seed: int, length: int = 40) -> None:
    tokens = token_table_of_pieces()
    rng = random.Random(seed)
    grammars = limited(Machine(tokens, 0, route=route)), free(Machine(tokens, route=route))
    for _ in range(3):
        follow_both((grammars[0].matcher(), grammars[1].matcher()), rng, length)


@pytest.mark.parametrize("number", spread(range(len(SCHEMAS)), 6))
def test_masks_of_schemas_are_the_same_with_little_memory(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    free = compile_json_schema(SCHEMAS[number], Machine(token_table_of_pieces()))
    with little_memory(monkeypatch) as made:
        compare(
            lambda machine: compile_json_schema(SCHEMAS[number], machine),
            lambda _: free,
            KERNELS,
            seed=number,
            length=60,
        )
    assert set(made) <= {1, 2}


@pytest.mark.parametrize("route", [KERNELS, INTERPRETED], ids=["kernels", "interpreted"])
def test_states_are_dropped_and_made_again(monkeypatch: pytest.MonkeyPatch, route: Route) -> None:
    # So many states are met by a few of its texts that no store keeps them all.
    schema = {
        "type": "array",
        "items": {"type": "string", "pattern": "a[ab\n]{9}1$"},
        "minItems": 9,
    }
    free = compile_json_schema(schema, Machine(token_table_of_pieces(), route=route))
    with little_memory(monkeypatch) as made:
        compare(
            lambda machine: compile_json_schema(schema, machine),
            lambda _: free, route, seed=1, length=150,
        )  # fmt: skip
    assert len(made) > 3


def test_a_mask_that_needs_more_than_all_memory_is_made_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [
        "".join(word).encode() for size in (1, 11) for word in itertools.product("ab", repeat=size)
    ]
    tokens = token_table(Vocabulary([*words, b""], frozenset({len(words)})), [len(words)])
    pattern = "[ab]*a[ab]{12}"
    expected = compile_regex(pattern, Machine(tokens)).matcher()
    with little_memory(monkeypatch) as made:
        found = compile_regex(pattern, Machine(tokens)).matcher()
        for word in (b"a", b"ab" * 5 + b"a", b"b"):
            np.testing.assert_array_equal(found.mask(), expected.mask())
            assert expected.advance(words.index(word))
            assert found.advance(words.index(word))
        np.testing.assert_array_equal(found.mask(), expected.mask())
    assert len(made) > 3
    assert max(made) == 1


@pytest.mark.parametrize("route", [KERNELS, INTERPRETED], ids=["kernels", "interpreted"])
@pytest.mark.parametrize(
    "most", [1, *(pytest.param(most, marks=pytest.mark.slow) for most in (2, 4))]
)
@pytest.mark.parametrize(
    "schema",
    spread([FLAT, CONTAINING, FEW, MANY_NAMES, PATTERNS, SCHEMAS[5], SCHEMAS[6], SCHEMAS[8]], 3),
)
def test_values_with_many_alternatives_are_shared_by_several_records(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, object], most: int, route: Route
) -> None:
    tokens, rng = token_table_of_pieces(), random.Random(most)
    free = compile_json_schema(schema, Machine(tokens, route=route))
    # What is not patched is made before the patch.
    texts: list[list[tuple[int, list[int], bytes]]] = []
    for _ in range(amount(check=3, full=6)):
        matcher, text = free.matcher(), []
        for _ in range(40):
            here = allowed(matcher.mask())
            taken = [token for token in here if token != END]
            if not taken:
                break
            token = rng.choice(taken)
            text.append((token, here, matcher.forced_bytes()))
            assert matcher.advance(token)
        texts.append(text)
    monkeypatch.setattr(layout, "MAX_SET", most)
    monkeypatch.setattr(keys, "MAX_NAMES", 3)
    monkeypatch.setattr(records, "MOST_WAYS", 1 << 40)
    if schema is PATTERNS and most < 4:
        with pytest.raises(GrammarLimitError, match="classes of keys"):
            compile_json_schema(schema, Machine(token_table_of_pieces()))
        return
    grammar = compile_json_schema(schema, Machine(tokens, 0, route=route))
    for text in texts:
        matcher = grammar.matcher()
        for token, here, forced in text:
            assert allowed(matcher.mask()) == here
            assert matcher.forced_bytes() == forced
            assert matcher.advance(token)


def test_more_ways_than_are_followed_leave_texts_that_can_be_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = compile_json_schema(NESTED, Machine(token_table_of_pieces()))
    monkeypatch.setattr(layout, "MAX_SET", 2)
    monkeypatch.setattr(records, "MOST_WAYS", 6)
    grammar = compile_json_schema(NESTED, Machine(token_table_of_pieces()))
    assert any("combinations are followed" in one.sentence for one in grammar.restrictions)
    rng = random.Random(3)
    for _ in range(10):
        found, expected = grammar.matcher(), free.matcher()
        for _ in range(60):
            tokens = allowed(found.mask())
            assert tokens
            for token in tokens:
                if token != END:
                    assert found.fork().advance(token)
            assert set(tokens) <= set(allowed(expected.mask()))
            texts = [token for token in tokens if token != END]
            if not texts:
                break
            token = rng.choice(texts)
            assert found.advance(token)
            assert expected.advance(token)


@pytest.mark.parametrize("text", GRAMMARS)
def test_masks_of_context_free_grammars_are_the_same_with_little_memory(text: str) -> None:
    free = compile_gbnf(text, Machine(token_table_of_pieces()))
    compare(
        lambda machine: compile_gbnf(text, machine, memory=1 << 17),
        lambda _: free, KERNELS, seed=len(text), length=120,
    )  # fmt: skip


@pytest.mark.slow
def test_a_text_of_a_context_free_grammar_gets_the_memory_that_it_needs() -> None:
    machine = Machine(token_table_of_pieces())
    matcher = compile_lark('start: "(" start ")" | "a"', machine, memory=1 << 16).matcher()
    depth = 5_000
    for _ in range(depth):
        assert matcher.advance(ord("("))
    assert allowed(matcher.mask()) == [ord("("), ord("a")]
    assert matcher.advance(ord("a"))
    for _ in range(depth):
        assert not matcher.is_accepting
        assert matcher.advance(ord(")"))
    assert allowed(matcher.mask()) == [END]
    matcher.rollback(2 * depth)
    assert allowed(matcher.mask()) == [ord("("), ord("a")]


@pytest.mark.parametrize(
    "text",
    [
        'root ::= root root | "a"',
        'root ::= "a" root "b" | "a" "a" root "b" | "c"',
        'root ::= "a" root "a" | "b" root "b" | "a" | "b" | ""',
    ],
)
def test_ambiguous_texts_are_followed_however_long(text: str) -> None:
    matcher = compile_gbnf(text, Machine(token_table_of_pieces())).matcher()
    for _ in range(2_500):
        assert matcher.advance(ord("a"))
    assert ord("a") in allowed(matcher.mask())


def test_what_else_follows_texts_meets_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = token_table_of_pieces()

    def asked(grammar: CompiledGrammar) -> list[object]:
        matcher = grammar.matcher()
        assert matcher.advance(ord("["))
        assert matcher.advance(ord('"'))
        prefetch([matcher]).join()
        masks, fits = masks_for_draft(matcher, [*b'abab1"]'], range(-1, 6))
        precompute(matcher, 0.05)
        forced = forced_tokens(matcher, lambda text: list(text.encode()))
        return [
            masks.tolist(),
            fits.tolist(),
            forced,
            matcher.count_allowed(b"abab"),
            matcher.mask().tolist(),
        ]

    schema = {"type": "array", "items": {"type": "string", "pattern": "a[ab]{9}1$"}}
    expected = asked(compile_json_schema(schema, Machine(tokens)))
    with little_memory(monkeypatch):
        assert asked(compile_json_schema(schema, Machine(tokens, 0))) == expected


def test_threads_share_what_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "array", "items": {"type": "string", "pattern": "a[ab]{9}1$"}, "minItems": 9}
    free = compile_json_schema(schema, Machine(token_table_of_pieces()))
    failures: list[BaseException] = []
    with little_memory(monkeypatch) as made:
        grammar = compile_json_schema(schema, Machine(token_table_of_pieces(), 0))

        def work(seed: int) -> None:
            try:
                follow_both((grammar.matcher(), free.matcher()), random.Random(seed), 60)
            except BaseException as error:  # shown below, in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(made) > 3


@pytest.mark.parametrize(
    ("schema", "where", "what"),
    [
        (
            {"properties": {"a": {"properties": {f"n{n}": {} for n in range(600)}}}},
            "/properties/a",
            "properties of one object",
        ),
        (
            {"items": {"patternProperties": {f"^x{n}": {"minimum": n} for n in range(40)}}},
            "/items",
            "different patterns of the keys of one object",
        ),
        (
            {"properties": {"a": {"items": {"type": "integer", "multipleOf": 1_000_003}}}},
            "/properties/a/items",
            "remainders of a `multipleOf`",
        ),
        (
            {"prefixItems": [{}, {"type": "string", "pattern": "^([^b]{1000}b){3000}$"}]},
            "/prefixItems/1",
            "of a string",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_its_place(
    schema: dict[str, object], where: str, what: str
) -> None:
    with pytest.raises(GrammarLimitError, match=what) as raised:
        compile_json_schema(schema, Machine(token_table_of_pieces()))
    assert raised.value.where.startswith(where)


def test_keys_whose_patterns_cannot_be_held_together_are_never_produced() -> None:
    once = {"contains": {"type": "integer"}, "maxContains": 1}
    schema = {
        "type": "object",
        "patternProperties": {"^n": once, "e$": {"contains": {"minimum": 3}, "maxContains": 1}},
        "additionalProperties": False,
    }
    grammar = compile_json_schema(schema, Machine(token_table_of_pieces()))
    assert any("keys in several patterns" in one.sentence for one in grammar.restrictions)
    for _ in range(2):
        matcher = grammar.matcher()
        assert matcher.follow(b'{"nb":[1],')
        assert matcher.fork().follow(b'"age":[4]}')
        assert not matcher.fork().follow(b'"name"')
        assert allowed(matcher.mask())
