"""Bounds on lengths that are counted on the way: the same texts as by definition."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import pytest

from decoding.grammar import Machine, compile_json_schema, compile_regex, token_table
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.regular.counted import Counted, counted, has_length
from decoding.grammar.regular.expressions import ANY_CHARACTER, ANY_STRING, Both, Choice, Repeat
from decoding.grammar.regular.questions import accepts
from decoding.grammar.regular.regex import parse_full
from decoding.grammar.regular.subsets import symbolic
from decoding.vocabulary import Vocabulary

END = 256
BYTES = Vocabulary([*(bytes([byte]) for byte in range(256)), b"<end>"], frozenset({END}))
LETTERS = ("a", "b", "é", "\n", "\N{GRINNING FACE}")
TEXTS = ["".join(text) for size in range(6) for text in itertools.product(LETTERS, repeat=size)]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(token_table(BYTES, [END]))


def fits(matcher: Matcher, text: str) -> bool:
    """Whether a text is one of the grammar's, and every one of its beginnings leads on."""
    matcher = matcher.fork()
    for byte in text.encode():
        if not matcher.mask()[byte >> 5] >> (byte & 31) & 1:
            assert not matcher.advance(byte)
            return False
        assert matcher.advance(byte)
        assert matcher.mask().any()  # never a dead end
    return matcher.is_accepting


def spellings(text: str) -> Iterator[str]:
    yield json.dumps(text, ensure_ascii=False)
    if "\n" in text:
        yield json.dumps(text, ensure_ascii=False).replace("\\n", "\\u000a")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "minimum", "maximum"),
    [
        (r"^(a|é)*b*$", 2, 4),
        (r"^([^a]\n)*$", 3, None),  # only even lengths
        (r"^([^a]\n)*$", 3, 4),
        (r"^(ab?|é){2,4}$", 0, 3),
        (r"(aa|é\n|\N{GRINNING FACE})$", 1, 2),
        (r"^a{0,30}\n?$", 0, 3),
        (r"^[ab]{3,30}$", 0, None),
    ],
)
def test_strings_of_a_pattern_and_a_length(
    machine: Machine, pattern: str, minimum: int, maximum: int | None
) -> None:
    pattern = pattern.replace(r"\N{GRINNING FACE}", "\N{GRINNING FACE}")
    schema = {"type": "string", "pattern": pattern, "minLength": minimum}
    start = compile_json_schema(
        schema if maximum is None else {**schema, "maxLength": maximum}, machine
    ).matcher()
    longest = 99 if maximum is None else maximum
    found = 0
    for text in TEXTS:
        valid = minimum <= len(text) <= longest and re.search(pattern.replace("$", r"\Z"), text)
        found += bool(valid)
        for spelling in spellings(text):
            assert fits(start, spelling) == bool(valid), spelling
    assert found > 2


def test_alternatives_with_their_own_bounds(machine: Machine) -> None:
    options = [
        {"pattern": "^a", "maxLength": 2},
        {"pattern": "b$", "minLength": 3},
        {"pattern": "^é*$"},
        {"maxLength": 1},
    ]
    start = compile_json_schema({"type": "string", "anyOf": options}, machine).matcher()
    for text in TEXTS:
        valid = (
            (text.startswith("a") and len(text) < 3)
            or (text.endswith("b") and len(text) > 2)
            or not text.strip("é")
            or len(text) < 2
        )
        assert fits(start, json.dumps(text, ensure_ascii=False)) == valid, text


def test_texts_of_a_regex(machine: Machine) -> None:
    start = compile_regex(r"a[\\aé]{3,25}b", machine).matcher()
    for middle in ("", "aa", "aaa", "\\é" * 12, "é" * 25, "a" * 26):
        assert fits(start, f"a{middle}b") == (3 <= len(middle) <= 25)


def test_far_from_its_bounds_a_state_shares_the_mask_of_all_lengths() -> None:
    pieces = [b'a"', b'ab",', 'é ab"'.encode(), "ab é".encode(), b'b", "']
    spelled = [*BYTES.token_bytes[:END], *pieces, b"<end>"]
    last = len(spelled) - 1
    schema = {"type": "string", "pattern": "^(ab|[^a] ?)*$", "minLength": 2, "maxLength": 900}
    sizes = []
    for asked in (True, False):
        machine = Machine(token_table(Vocabulary(spelled, frozenset({last})), [last]))
        matcher = compile_json_schema(schema, machine).matcher()
        masks = set()
        for byte in ('"' + "ab" * 200).encode():
            assert matcher.advance(byte)
            if asked:
                masks.add(matcher.mask().tobytes())
        assert len(masks) <= 5  # behind a pair, and inside of one, but for the first ones
        sizes.append(machine.store().size)
    assert sizes[0] - sizes[1] < 400_000


def test_what_is_set_apart() -> None:
    bounded = Repeat(ANY_CHARACTER, 2, 9)
    a, b = parse_full("(ab)*"), parse_full("c[de]{0,64}")
    assert list(counted(a)) == [Counted(a, 0, None)]
    assert list(counted(Both((a, bounded)))) == [Counted(a, 2, 9)]
    assert list(counted(b)) == [Counted(parse_full("c[de]*"), 1, 65)]
    assert list(counted(Choice((a, Both((b, bounded)))))) == [
        Counted(parse_full("c[de]*"), 2, 9),
        Counted(a, 0, None),
    ]
    assert list(counted(Repeat(ANY_CHARACTER, 0, 20_000))) == [Counted(ANY_STRING, 0, 20_000)]


def test_lengths_of_members_equal_those_of_texts() -> None:
    for pattern in ("(aaa|aaaaa)*", "a{3}|a{5,}", "(ab)*c?", ""):
        expression = parse_full(pattern)
        sizes = {size for size in range(12) for letters in ("a", "ab", "ababababc")
                 if accepts(expression, (letters * 12)[-size:] if size else "")}  # fmt: skip
        nfa, _ = symbolic(expression)
        for low, high in itertools.combinations_with_replacement(range(9), 2):
            assert has_length(nfa, low, high) == any(low <= size <= high for size in sizes)
        assert has_length(nfa, 9, None) == (max(sizes) >= 9)


def test_order_of_alternatives_does_not_matter(machine: Machine) -> None:
    # One alternative counts characters and the other, which is written first, does not.
    bounded = {"type": "string", "pattern": "^a*$", "maxLength": 1}
    for first, second in itertools.permutations(({"const": "aab"}, bounded)):
        schema = {
            "anyOf": [
                {"properties": {"k": one}, "required": ["k"], "additionalProperties": False}
                for one in (first, second)
            ],
            "type": "object",
        }
        matcher = compile_json_schema(schema, machine).matcher()
        assert fits(matcher, '{"k":"a"}')
        assert fits(matcher, '{"k":"aab"}')
        assert not fits(matcher, '{"k":"aa"}')
