"""Masks against the definition: a token is allowed if and only if its bytes can be taken."""

from __future__ import annotations

import json
import random

import jsonschema
import numpy as np
import pytest
from case_marks import mostly_slow
from mask_cases import END, SCHEMAS, SPECIAL, SPELLED, STRING, TWIN, WIDTH, token_table_of_pieces
from profiles import amount

from decoding.errors import (
    GrammarUnsatisfiableError,
    ParameterError,
)
from decoding.grammar import (
    JsonStyle,
    Machine,
    compile_choices,
    compile_json_schema,
    compile_regex,
    token_table,
)
from decoding.grammar.compiled import CompiledGrammar
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.masking.routes import INTERPRETED, KERNELS
from decoding.vocabulary import Vocabulary

# What ends a text soon: the first two above all.
WAY_OUT = [ord("}"), ord("]"), *(SPELLED.index(name) for name in (b"age", b"name", b"kind"))]
WAY_OUT += [ord(character) for character in '":,bax10']


STYLE = JsonStyle(whitespace="free", longest=2)


@pytest.fixture(scope="module", params=[KERNELS, INTERPRETED], ids=["kernels", "interpreted"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(token_table_of_pieces(), route=request.param)


def allowed(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).tolist()


def by_definition(matcher: Matcher) -> list[int]:
    taken = [t for t in range(WIDTH) if t not in (END, SPECIAL) and matcher.count_allowed([t])]
    return [*taken, END] if matcher.is_accepting else taken


def walk(grammar: CompiledGrammar, rng: random.Random, steps: int = 40) -> str | None:
    """A random text; every mask on the way is compared with the definition."""
    matcher = grammar.matcher()
    spelled = b""
    for count in range(600):
        tokens = allowed(matcher)
        if count < steps:
            assert tokens == by_definition(matcher), spelled
        assert tokens, spelled
        if END in tokens and (rng.random() < 0.3 or count > steps):
            return spelled.decode()
        choice = rng.choice(tokens)
        if count > steps and rng.random() < 0.9:
            names = rng.sample(WAY_OUT[2:], len(WAY_OUT) - 2)
            choice = next((t for t in [*WAY_OUT[:2], *names] if t in tokens), choice)
        if choice == END:
            return spelled.decode()
        assert matcher.advance(choice)
        spelled += SPELLED[choice]
    return None


@pytest.mark.parametrize("number", mostly_slow(range(len(SCHEMAS))))
def test_masks_equal_the_definition_and_texts_are_valid(machine: Machine, number: int) -> None:
    grammar = compile_json_schema(SCHEMAS[number], machine, style=STYLE)
    rng = random.Random(number)
    finished = 0
    for _ in range(amount(check=2, full=4)):
        text = walk(grammar, rng)
        if text is not None:
            finished += 1
            jsonschema.validate(json.loads(text), SCHEMAS[number])
    # A text of anything at all may be long in coming to an end.
    assert finished or number == 1


@pytest.mark.parametrize(
    ("schema", "text", "fits"),
    [
        (SCHEMAS[1], '{"age": 10, "name": "ab"}', True),
        (SCHEMAS[1], '{"name": "ab", "zz": [], "age": 1}', True),
        (SCHEMAS[1], '{"name": "ab"}', False),
        (SCHEMAS[1], '{"age": 1, "age": 2}', False),
        (SCHEMAS[1], '{"age": 1, "\\u0061ge": "x"}', False),
        (SCHEMAS[2], '{"name": "😀é\\n"}', True),
        (SCHEMAS[2], '{"name": "\\ud83d\\ude00ab"}', True),
        (SCHEMAS[2], '{"name": "\\ud83d\\ude00abc"}', False),
        (SCHEMAS[2], '{"name": "\\ud83d"}', False),
        (SCHEMAS[5], '[1, "a"]', True),
        (SCHEMAS[5], "[1, 2]", False),
        (SCHEMAS[6], '{"x1": 1, "kind": "a"}', True),
        (SCHEMAS[6], '{"x1": 1, "kind": "b"}', False),
        (SCHEMAS[7], '{"x1": 1, "y": true}', True),
        (SCHEMAS[7], '{"x1": -1}', False),
        (SCHEMAS[8], '{"a": 1, "a": 2}', False),
        (SCHEMAS[9], '{"a": 1, "abc": 2}', False),
        (SCHEMAS[11], '{"b": 1, "a": 1}', True),
        (SCHEMAS[11], '{"a": 1, "c": 1}', False),
        (STRING, '"\\ud83d"', False),
        (STRING, '"\\ude00"', False),
        (STRING, '"\\ud83d\\udbff"', False),
        (STRING, '"\\ud83da"', False),
        ({"minLength": 2, "type": "string"}, '"😀"', False),
        ({"type": "string", "pattern": "b+"}, '"abc"', True),
        ({"type": "string", "pattern": "^[^a]$"}, '"\\n"', True),
        ({"type": "string"}, '"a\tb"', False),
        (True, '{"a":[{"b":[1,null,{"c":[]}]}]}', True),
        ({"type": "integer"}, "01", False),
    ],
)
def test_texts(machine: Machine, schema: bool | dict, text: str, fits: bool) -> None:
    matcher = compile_json_schema(schema, machine).matcher()
    taken = matcher.count_allowed(text.encode())
    for byte in text.encode()[:taken]:
        assert matcher.advance(byte)
    assert (taken == len(text.encode()) and matcher.is_accepting) == fits


def test_a_key_is_any_string_only_where_those_left_allow_it(machine: Machine) -> None:
    free = {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]}
    strict = {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"],
              "patternProperties": {"^[a-c]*$": {}}, "additionalProperties": False}  # fmt: skip
    grammar = compile_json_schema({"anyOf": [free, strict]}, machine)
    for text in (b'{"kind":"a","a', b'{"kind":"b","a', b'{"a'):
        matcher = grammar.matcher()
        assert matcher.follow(text)
        assert allowed(matcher) == by_definition(matcher), text


def test_special_tokens_and_what_is_beyond_the_vocabulary_never_fit(machine: Machine) -> None:
    matcher = compile_json_schema({"type": "string"}, machine).matcher()
    assert matcher.advance(ord('"'))
    tokens = allowed(matcher)
    assert TWIN in tokens
    assert not {END, SPECIAL} & set(tokens)
    assert max(tokens) < len(SPELLED)
    assert not matcher.advance(SPECIAL)
    assert not matcher.advance(WIDTH + 5)


def test_a_token_longer_than_a_trie_is_deep_never_fits() -> None:
    vocabulary = Vocabulary([b"a", b"a" * 1023, b"a" * 1024])
    tokens = token_table(vocabulary, [])
    assert [len(spelled) for spelled in tokens.spelled] == [1, 1023, 0]
    matcher = compile_regex("a*", Machine(tokens)).matcher()
    assert allowed(matcher) == [0, 1]
    assert matcher.count_allowed([1, 0, 2]) == 2


@pytest.mark.parametrize("pattern", [".+", "[^a]"])
def test_a_character_is_not_ended_by_half(machine: Machine, pattern: str) -> None:
    matcher = compile_regex(pattern, machine).matcher()
    for byte in "😀".encode()[:3]:
        assert matcher.advance(byte)
        assert not matcher.is_accepting
        assert END not in allowed(matcher)
        assert matcher.state != 0
    assert matcher.advance("😀".encode()[3])
    assert matcher.is_accepting


def test_rollback_and_fork_equal_a_replay(machine: Machine) -> None:
    grammar = compile_json_schema(SCHEMAS[1], machine)
    rng = random.Random(5)
    matcher, taken = grammar.matcher(), []
    for _ in range(60):
        if taken and rng.random() < 0.4:
            count = rng.randint(1, len(taken))
            matcher.rollback(count)
            del taken[-count:]
        tokens = [token for token in allowed(matcher) if token != END]
        if tokens:
            taken.append(rng.choice(tokens))
            assert matcher.advance(taken[-1])
        replayed = grammar.matcher()
        assert replayed.count_allowed(taken) == len(taken)
        for token in taken:
            replayed.advance(token)
        assert replayed.state == matcher.state == matcher.fork().state
    with pytest.raises(ParameterError):
        matcher.rollback(len(taken) + 1)


def test_what_must_come_is_forced(machine: Machine) -> None:
    schema = {"type": "object", "properties": {"name_of_it": {"type": "string"}},
              "required": ["name_of_it"], "additionalProperties": False}  # fmt: skip
    matcher = compile_json_schema(schema, machine, style=JsonStyle(whitespace="compact")).matcher()
    assert matcher.forced_bytes() == b'{"name_of_it":"'
    choices = compile_choices(["orderId", "orderName"], machine).matcher()
    assert choices.forced_bytes() == b"order"


def test_a_regex_masks_by_definition(machine: Machine) -> None:
    rng = random.Random(1)
    for pattern in ("[0-9]{4}-[0-9]{2}", "(?:ab|abc)+é?", "[^a]{1,3}", ".*name.*", '"[^"]*"'):
        for _ in range(3):
            walk(compile_regex(pattern, machine), rng, 15)


@pytest.mark.parametrize(
    ("pattern", "most"),
    [("(a|b)*a(a|b){200}", 1 << 20), ("((((a*)*)*)*)*", 1 << 12)],
)
def test_what_has_no_small_deterministic_form_is_masked_in_little_memory(
    machine: Machine, pattern: str, most: int
) -> None:
    before = machine.store().size
    matcher = compile_regex(pattern, machine).matcher()
    text = "a" + "ab" * 150 if "b" in pattern else "a" * 300
    letters = {ord(letter) for letter in set(text)}
    for count in range(len(text)):
        ends = "b" not in pattern or (count > 200 and text[count - 201] == "a")
        assert matcher.is_accepting == (END in allowed(matcher)) == ends
        assert {token for token in allowed(matcher) if token < 256} == letters
        assert matcher.advance(ord(text[count]))
    assert machine.store().size - before < most


def test_nothing_fits_is_an_error(machine: Machine) -> None:
    with pytest.raises(GrammarUnsatisfiableError):
        compile_regex("[^\\s\\S]", machine)
    with pytest.raises(GrammarUnsatisfiableError):
        compile_json_schema({"type": "integer", "minimum": 5, "maximum": 3}, machine)
    with pytest.raises(ParameterError):
        compile_choices([], machine)
