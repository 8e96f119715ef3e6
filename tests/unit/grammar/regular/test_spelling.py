"""Characters as bytes: exhaustively, and what a universal state promises."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from nfa_oracle import runs

from decoding.grammar.regular.build import build
from decoding.grammar.regular.codepoints import (
    EVERY,
    Ranges,
    complement,
    difference,
    partition,
    union,
)
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
    ANY_STRING,
    NOTHING,
    Both,
    Characters,
    Choice,
    Expression,
    Not,
    Repeat,
    Sequence,
    Words,
)
from decoding.grammar.regular.nfa import Nfa, Spelling, UniversalState, trimmed
from decoding.grammar.regular.regex import parse_full, parse_search
from decoding.grammar.regular.spelling import EXIT, Spelled, spelled, universal_nfa

EDGES = [
    0, 8, 9, 0x1F, 0x20, 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD7FF,
    0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF,
]  # fmt: skip
PATTERNS = ["b+", "^a", "a$", "a.*b", "^[^a]*$", "^(?!x)", "(?:ab)*c", r"^[\s\S]{3,}$", "^(a|b+)"]


def spellings(code_point: int, spelling: Spelling) -> list[bytes]:
    """Every spelling of a character, from the definition."""
    character = chr(code_point)
    if spelling is Spelling.TEXT:
        return [character.encode()]
    short = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r"}
    if spelling is Spelling.CANONICAL:
        return [json.dumps(character, ensure_ascii=False)[1:-1].encode()]
    if code_point < 0x20:
        hexadecimal = f"{code_point:02x}"
        found = [f"\\u00{hexadecimal}".encode(), f"\\u00{hexadecimal.upper()}".encode()]
        return [*found, short[code_point]] if code_point in short else found
    escaped = {0x22: [b'\\"'], 0x5C: [b"\\\\"], 0x2F: [b"/", b"\\/"]}
    return escaped.get(code_point, [character.encode()])


def reads(nodes: Spelled, data: bytes) -> bool:
    node = 0
    for index, byte in enumerate(data):
        targets = [to for low, high, to in nodes[node] if low <= byte <= high]
        assert len(targets) <= 1, "deterministic"
        if not targets:
            return False
        if targets[0] == EXIT:
            return index == len(data) - 1
        assert targets[0] > node
        node = targets[0]
    return False


def sets() -> list[Ranges]:
    rng = random.Random(0)
    found: list[Ranges] = [EVERY, complement(((97, 97),)), ((10, 10),), ((0x2F, 0x2F),)]
    for _ in range(25):
        bounds = sorted(rng.sample([*EDGES, *rng.sample(range(0x110000), 6)], 4))
        pairs = ((bounds[0], bounds[1]), (bounds[2], bounds[3]))
        found.append(difference(union(pairs), ((0xD800, 0xDFFF),)))
    return found


@pytest.mark.parametrize("spelling", list(Spelling))
def test_a_set_is_spelled_as_its_members_are(spelling: Spelling) -> None:
    rng = random.Random(1)
    for ranges in sets():
        nodes = spelled(ranges, spelling)
        near = {max(0, min(c + d, 0x10FFFF)) for pair in ranges for c in pair for d in (-1, 0, 1)}
        for code_point in {*EDGES, *near, *rng.sample(range(0x110000), 40)}:
            if 0xD800 <= code_point <= 0xDFFF:
                continue
            member = any(low <= code_point <= high for low, high in ranges)
            for spelled_one in spellings(code_point, spelling):
                assert reads(nodes, spelled_one) == member, (ranges, code_point)


def test_no_other_bytes_spell_a_character() -> None:
    text, inside = spelled(EVERY, Spelling.TEXT), spelled(EVERY, Spelling.JSON)
    for data in (
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf5",
        b"ab",
    ):
        assert not reads(text, data)
        assert not reads(inside, data)
    assert not reads(text, b"\xf4\x90\x80\x80")
    for data in (
        b'"',
        b"\\",
        b"\n",
        b"\x1f",
        b"\\u0061",
        b"\\u0020",
        b"\\ud800",
        b"\\a",
        b"\\u000",
    ):
        assert not reads(inside, data)
    assert reads(inside, b"\x7f")


@pytest.mark.parametrize("spelling", list(Spelling))
def test_state_i_of_the_universe_is_loose_i(spelling: Spelling) -> None:
    nfa = universal_nfa(spelling)
    if spelling is Spelling.CANONICAL:
        assert set(nfa.universal.tolist()) == {UniversalState.NONE}
        return
    assert nfa.states == (8 if spelling is Spelling.TEXT else 14)
    assert nfa.universal.tolist() == list(range(nfa.states))
    moves = {(s, low): t for s, low, _, t in nfa.edges.tolist()}
    assert moves[UniversalState.BETWEEN, 0xE0] == UniversalState.AFTER_E0
    assert moves[UniversalState.BETWEEN, 0xED] == UniversalState.AFTER_ED
    assert moves[UniversalState.BETWEEN, 0xF4] == UniversalState.AFTER_F4
    assert moves[UniversalState.AFTER_F0, 0x90] == UniversalState.TWO_MORE
    assert moves[UniversalState.TWO_MORE, 0x80] == UniversalState.ONE_MORE
    assert moves[UniversalState.ONE_MORE, 0x80] == UniversalState.BETWEEN
    if spelling is Spelling.JSON:
        assert moves[UniversalState.BETWEEN, 0x5C] == UniversalState.ESCAPE
        assert moves[UniversalState.ESCAPE_U00, 0x31] == UniversalState.ESCAPE_U001


EXPRESSIONS: list[Expression] = [
    *(parse_search(pattern) for pattern in PATTERNS),
    ANY_STRING,
    NOTHING,
    Not(Words(("", "a", "ab", "é\n"))),
    Both((parse_search("b"), Repeat(ANY_CHARACTER, 2, 40))),
    Words(("", 'a"', "a/", "a/b", "\n\\", "é", "ab" * 60)),
    Sequence((Words(("x", "xy")), Choice((ANY_STRING, NOTHING)), Words(("z",)))),
    Sequence((Repeat(Characters(((97, 122),)), 3, 50), NOTHING)),
    Repeat(Sequence((Repeat(Words(("a",)), 0, None), Repeat(Words(("b",)), 0, None))), 0, None),
    Repeat(Repeat(Repeat(Words(("a", "")), 0, None), 2, None), 30, 40),
]


@pytest.mark.parametrize("spelling", list(Spelling))
@pytest.mark.parametrize("number", range(len(EXPRESSIONS)))
def test_an_automaton_is_as_its_type_says(number: int, spelling: Spelling) -> None:
    nfa = build(EXPRESSIONS[number], spelling)
    assert trimmed(nfa).states == nfa.states
    for array in (nfa.starts, nfa.accepts, nfa.edges[:, 0]):
        assert array.dtype == np.int32
        assert (np.diff(array) >= 0).all()
    assert len(nfa.universal) == nfa.states
    assert nfa.edges.shape[1] == 4
    for state in np.flatnonzero(nfa.universal != UniversalState.NONE).tolist():
        keeps_its_promise(nfa, state, spelling)


def keeps_its_promise(nfa: Nfa, state: int, spelling: Spelling) -> None:
    """Read every string from a universal state, along the automaton of all strings."""
    strings = universal_nfa(spelling)
    start = (frozenset((state,)), int(nfa.universal[state]))
    seen, stack = {start}, [start]
    while stack:
        current, place = stack.pop()
        for source, low, high, target in strings.edges.tolist():
            if source != place:
                continue
            for byte in {low, high, (low + high) // 2}:
                following = frozenset(
                    t for s, a, b, t in nfa.edges.tolist() if s in current and a <= byte <= b
                )
                assert following, (state, place, byte)
                if (following, target) not in seen:
                    seen.add((following, target))
                    stack.append((following, target))


def test_where_anything_may_follow_is_loose() -> None:
    for spelling in (Spelling.TEXT, Spelling.JSON):
        for pattern in ("b+", "^a", "^(?!x)"):
            kinds = set(build(parse_search(pattern), spelling).universal.tolist())
            rare = {UniversalState.ESCAPE_U000, UniversalState.ESCAPE_U001}
            assert set(range(len(universal_nfa(spelling).universal))) <= kinds | rare
        assert UniversalState.BETWEEN not in build(parse_full("[^a]*"), spelling).universal


def test_spelled_once_is_as_json_is_written() -> None:
    texts = ('"\\\b\f\n\r\t/', "\0\x0e\x1f\x7f", "é\N{GRINNING FACE}", "")
    for language in (ANY_STRING, Words(tuple(sorted(texts))), parse_full(r"[\s\S]*")):
        nfa = build(language, Spelling.CANONICAL)
        for text in texts:
            assert runs(nfa, json.dumps(text, ensure_ascii=False)[1:-1].encode())
        for other in (b"\\/", b"\\u000a", b"\\u001F", b"\\u0041"):
            assert not runs(nfa, other)


def test_words_are_spelled_in_every_way() -> None:
    words = ('say "x"', "a/b", "tab\there", "nul\0", "", "a", "a/", "\x7f", "\N{GRINNING FACE}")
    nfa = build(Words(tuple(sorted(words))), Spelling.JSON)
    for word in words:
        texts = [b""]
        for character in word:
            texts = [t + s for t in texts for s in spellings(ord(character), Spelling.JSON)]
        for text in texts:
            assert json.loads(b'"' + text + b'"') == word
            assert runs(nfa, text), text
            assert not runs(nfa, text + b"x")
    assert not runs(nfa, b"tab\there")
    assert not runs(nfa, b"\\ud83d\\ude00")


def test_classes_of_a_partition_are_what_sets_are_made_of() -> None:
    given = sets()
    classes = partition(given)
    assert union(*classes) == EVERY
    assert sum(high - low + 1 for c in classes for low, high in c) == 0x110000 - 0x800
    for ranges in given:
        inside = [c for c in classes if difference(c, ranges) == ()]
        assert union(*inside) == ranges
