"""Assertions anywhere, flags, possessive quantifiers, atomic groups and properties of Unicode.

The oracles are Python's `re` and the package `regex`, over every short text of an alphabet.
"""

from __future__ import annotations

import itertools
import random
import re

import pytest
import regex
from profiles import spread

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar import Machine, compile_json_schema, compile_regex, token_table
from decoding.grammar.regular.codepoints import contains
from decoding.grammar.regular.expressions import Sequence
from decoding.grammar.regular.questions import accepts
from decoding.grammar.regular.regex import parse_full, parse_search
from decoding.grammar.regular.unicode_properties import property_of
from decoding.grammar.regular.work import WORK_SECONDS, Work, counting
from decoding.vocabulary import Vocabulary

LOOKS = [
    (r"^(?!-)[a-b-]{1,4}(?<!-)$", "ab-"),
    (r"(?:(?!ab).)*", "abc"),
    (r"(?:(?!ab).)*ab", "abc"),
    (r"(?:(?!\*/)[\s\S])*", "*/a"),
    (r"^(?:(?!\.\.)[a.])+$", "a.b"),
    (r"((?!a).)*$", "ab"),
    (r"(ab(?=c))*c", "abc"),
    (r"(?<=^|,)a", "a,b"),
    (r"a(?<!ba)b", "ab"),
    (r"(?<!\w)a(?!\w)", "ab-"),
    (r"(?:a(?<=ba)|b)*", "ab"),
    (r"(?:\ba|b\b| )*", "ab "),
    (r"(?=(?:a|b(?!a))*c)[abc]{2,5}", "abc"),
    (r"(?<=(?<!a)b)c", "abc"),
    (r"(?:(?=a)a|(?!a)b){2,}", "ab"),
    (r"((?=a)|b)*c", "abc"),
    (r"(?<![ab])c(?<=c)|a(?=b)(?!bb)", "abc"),
    (r"\A(?:a\B|b\b)+\Z", "ab"),
]
PLAIN = [
    (r"(?m)^a$", "a\nb"),
    (r"(?m:^a$)\nb", "a\nb"),
    (r"(?m)a$\n^b", "ab\n"),
    (r"(?ms)^.*?b$", "ab\n"),
    (r"(?i)(?m)^a", "aA\n"),
    (r"(?s:.)a(?i:b)", "aB\n"),
    ("(?x) a [ b] # c\n c", "abc "),
    (r"(?x: a + b )c", " abc"),
    (r"a(?-i:b)(?i:c(?-i:a))", "abcAC"),
    (r"a++b", "ab"),
    (r"a*+a", "ab"),
    (r"a?+ab", "ab"),
    (r"a{1,2}+a", "ab"),
    (r"(?:ab)*+a", "ab"),
    (r"(?:ab|c)++c", "abc"),
    (r"(?>a|ab)c", "abc"),
    (r"(?>ab|a)c", "abc"),
    (r"(?>a*)ab", "ab"),
    (r"(?>a+b|a)c", "abc"),
    (r"x(?>a{2,3})a", "xab"),
    (r"(?>a|b|ab)+c", "abc"),
]


def texts(alphabet: str, most: int) -> list[str]:
    return [
        "".join(w) for size in range(most + 1) for w in itertools.product(alphabet, repeat=size)
    ]


@pytest.mark.parametrize(("pattern", "alphabet"), spread(LOOKS, 8))
def test_assertions_anywhere_are_those_of_regex(pattern: str, alphabet: str) -> None:
    full, search = parse_full(pattern), parse_search(pattern)
    for text in texts(alphabet, 6):
        assert accepts(full, text) == bool(regex.fullmatch(pattern, text)), text
        assert accepts(search, text) == bool(regex.search(pattern, text)), text


@pytest.mark.skipif(
    not hasattr(re, "NOFLAG"), reason="re has no possessive quantifiers before 3.11"
)
@pytest.mark.parametrize(("pattern", "alphabet"), PLAIN)
def test_flags_and_what_does_not_go_back_are_those_of_re(pattern: str, alphabet: str) -> None:
    full, search = parse_full(pattern), parse_search(pattern)
    for text in texts(alphabet, 5):
        assert accepts(full, text) == bool(re.fullmatch(pattern, text)), text
        assert accepts(search, text) == bool(re.search(pattern, text)), text


def test_a_line_ends_as_ecma_262_says() -> None:
    pattern = parse_search("(?m)^a$")
    for end in "\n\r\u2028\u2029":
        assert accepts(pattern, f"b{end}a{end}")
    assert not accepts(pattern, "b\x85a")
    assert not accepts(parse_search("^a$"), "a\n")


def random_pattern(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(
            ["a", "b", "[ab]", ".", "^", "$", r"\b", "(?!a)", "(?<=b)", "(?<!ab)", "c"]
        )
    parts = [random_pattern(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    made = rng.choice(["", "|"]).join(parts)
    form = rng.choice(["(?:{})*", "(?={})", "(?!{})", "(?:{})", "(?:{}){{1,2}}"])
    return form.format(made)


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[] if n < 20 else [pytest.mark.slow]) for n in range(60)]
)
def test_random_patterns_are_those_of_regex(seed: int) -> None:
    rng = random.Random(seed)
    pattern = random_pattern(rng, 2) + random_pattern(rng, 1) + random_pattern(rng, 0)
    full, search = parse_full(pattern), parse_search(pattern)
    known = regex.compile(pattern)
    for text in texts("ab", 5):
        assert accepts(full, text) == bool(known.fullmatch(text)), (pattern, text)
        assert accepts(search, text) == bool(known.search(text)), (pattern, text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "Script=Greek", "sc=Latn", "Script=Han", "scx=Deva", "Script_Extensions=Common",
        "Alphabetic", "Alpha", "Uppercase", "White_Space", "Emoji", "Extended_Pictographic",
        "ASCII_Hex_Digit", "ID_Start", "XIDC", "Math",
    ],
)  # fmt: skip
def test_properties_of_unicode_are_those_of_regex(name: str) -> None:
    found = property_of(name)
    assert found is not None
    # What one version of Unicode does not have assigned may be assigned in the next one.
    for code in (*range(0x3000), *range(0x3000, 0x110000, 97)):
        character = chr(code)
        if not 0xD800 <= code <= 0xDFFF and regex.match(r"\P{Cn}", character):
            assert contains(found, code) == bool(regex.match(rf"\p{{{name}}}", character)), code


def test_masks_follow_such_patterns() -> None:
    spelled = [*(bytes([byte]) for byte in range(256)), b"-a", b"a-", b"END", b"EN", b""]
    machine = Machine(token_table(Vocabulary(spelled, frozenset({260})), [260]))
    label = compile_regex("^(?!-)[a-z0-9-]{1,63}(?<!-)$", machine).matcher()
    assert not label.advance(ord("-"))
    assert not label.fork().advance(256)
    assert label.advance(257)
    assert not label.is_accepting
    assert label.advance(ord("b"))
    assert label.is_accepting
    dots = compile_json_schema({"type": "string", "pattern": "^(?:(?!END).)*$"}, machine).matcher()
    assert dots.advance(ord('"'))
    assert dots.advance(259)
    assert not dots.fork().advance(ord("D"))
    assert dots.advance(ord("d"))
    assert dots.advance(ord('"'))
    assert dots.is_accepting


@pytest.mark.parametrize(
    ("pattern", "offset", "named", "instead"),
    [
        (r"(a)\1", 3, "a back-reference", "alternatives"),
        (r"(?P<n>a)(?P=n)", 8, "a back-reference", "alternatives"),
        (r"a(?>(?:a|ab)(?:c|bcd))", 1, "an atomic group", "(?:...)"),
        (r"(?:a|ab)++", 9, "a possessive quantifier", "(?:...)"),
        (r"(a)?(?(1)b|c)", 4, "a conditional group", "alternatives"),
        (r"(a(?1)?b)", 2, "a recursive pattern", "compile_gbnf"),
        (r"\p{Klingon}", 0, r"\p{Klingon}", r"\p{Script=Greek}"),
        (r"\07", 0, "an octal escape", r"\x08"),
    ],
)
def test_a_refusal_says_what_cannot_be_held_and_what_to_write(
    pattern: str, offset: int, named: str, instead: str
) -> None:
    with pytest.raises(GrammarUnsupportedError) as raised:
        parse_full(pattern)
    assert raised.value.where == f"offset {offset}"
    assert raised.value.keyword == named
    assert instead in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern", ["(?:(?!a.{16}b).)*", "(?:(?<=(?:a|b){1,900})c)*", "(?:(?!x).){1,9999}"]
)
def test_patterns_with_too_many_states_are_refused(pattern: str) -> None:
    work = counting(Work(WORK_SECONDS))
    with work, pytest.raises(GrammarLimitError, match=r"of a pattern|seconds of work"):
        parse_full(pattern)


def test_a_large_set_that_comes_often_is_kept_once() -> None:
    for pattern in (r"\p{L}\p{L}", r"[\p{L}_][\p{L}_]", r"(?i)\p{Lu}\p{Lu}"):
        parsed = parse_full(pattern)
        assert isinstance(parsed, Sequence)
        assert parsed.parts[0] is parsed.parts[1], pattern
