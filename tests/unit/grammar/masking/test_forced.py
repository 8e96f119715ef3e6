"""Forced tokens begin the tokenisation of every text that goes on so."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from decoding.grammar import (
    Machine,
    compile_gbnf,
    compile_json_schema,
    compile_regex,
    forced_tokens,
    token_table,
)
from decoding.grammar.masking.matcher import Matcher
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.vocabulary import Vocabulary

CORPUS = [
    '{"name_of_the_person": "the name", "name":"x","orderId":1, "orderName": "a", "order": 123}',
    "the order of the names; the  orders   of a person, order 12345, Id é è ê à 😀 😁 éé èè",
    "if a then b else c\n\n    return the_person\n        name('it's')  \n1 + 22 + 333",
] * 40


@pytest.fixture(scope="module")
def tokenizer() -> HuggingFaceTokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<end>"],
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    return HuggingFaceTokenizer(made)


@pytest.fixture(scope="module")
def machine(tokenizer: HuggingFaceTokenizer) -> Machine:
    end = tokenizer.tokenizer.token_to_id("<end>")
    return Machine(token_table(tokenizer.vocabulary, [end]))


@pytest.fixture(scope="module")
def encode(tokenizer: HuggingFaceTokenizer) -> Callable[[str], list[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False)


def text_tokens(matcher: Matcher) -> list[int]:
    bits = np.unpackbits(matcher.mask().view(np.uint8), bitorder="little")
    ends = matcher.tokens.end_token_ids
    return [token for token in np.flatnonzero(bits).tolist() if token not in ends]


def ending(matcher: Matcher, rng: random.Random) -> bytes:
    """The bytes of a random way to the end of a text."""
    ahead, spelled = matcher.fork(), b""
    for _ in range(300):
        tokens = text_tokens(ahead)
        if ahead.is_accepting and (not tokens or rng.random() < 0.2):
            return spelled
        token = rng.choice(tokens)
        assert ahead.advance(token)
        spelled += ahead.tokens.spelled[token]
    pytest.fail("a text without end")


def person(*names: str) -> dict[str, object]:
    properties = {name: {"enum": [1, "order", "the person"]} for name in names}
    return {
        "type": "object",
        "properties": properties,
        "required": list(names),
        "additionalProperties": False,
    }


def test_keys_are_forced_up_to_what_a_longer_token_could_take(
    machine: Machine, encode: Callable[[str], list[int]], tokenizer: HuggingFaceTokenizer
) -> None:
    matcher = compile_json_schema(person("name_of_the_person"), machine).matcher()
    assert all(matcher.advance(token) for token in encode('{"'))
    forced = b"".join(tokenizer.vocabulary.bytes_of(t) for t in forced_tokens(matcher, encode))
    assert matcher.forced_bytes() == b'name_of_the_person"'
    assert encode('":')[:1] != encode('"')
    assert forced == b"name_of_the_person"


def test_what_may_go_on_as_another_token_is_not_forced(
    machine: Machine, encode: Callable[[str], list[int]]
) -> None:
    matcher = compile_json_schema(person("orderId", "orderName"), machine).matcher()
    assert all(matcher.advance(token) for token in encode('{"'))
    assert matcher.forced_bytes() == b"order"
    assert forced_tokens(matcher, encode) == []


GRAMMARS = [
    r'root ::= "{\"name\":" ("1" | "\"x\"" | "12") ",\"order" ("Id" | "s")? "\":" [0-9]* "}"',
    'root ::= "the order" ("s" | "Id" | " of" | "")',
    'root ::= "if a" " "* "then" "\\n"+ "    return" [ab]',
    'root ::= "1" [0-9]? "2 + 3" [0-9]*',
    'root ::= "a  " " "* ("é" | "è" | "ê" "é") " 😀😁" "😀"?',
    'root ::= "name(\'it" ("\'s" | "\'") "\')" root?',
    'root ::= "else" ("😀" | "😁") | "else c"',
]


def test_forced_tokens_begin_every_text(
    machine: Machine, encode: Callable[[str], list[int]]
) -> None:
    rng = random.Random(0)
    forced_at, bytes_left = 0, 0
    for text in GRAMMARS:
        grammar = compile_gbnf(text, machine)
        for _ in range(3):
            matcher = grammar.matcher()
            for _ in range(12):
                forced = forced_tokens(matcher, encode)
                assert matcher.count_allowed(forced) == len(forced)
                for _ in range(4):
                    spelled = ending(matcher, rng).decode(errors="ignore")
                    assert encode(spelled)[: len(forced)] == forced, (text, spelled)
                forced_at += bool(forced)
                bytes_left += bool(matcher.forced_bytes()) and not forced
                following = forced or text_tokens(matcher)
                if not following:
                    break
                assert matcher.advance(rng.choice(following[:1] if forced else following))
                while b"\x80" <= matcher.forced_bytes()[:1] < b"\xc0":
                    # A text can only be encoded from the beginning of a character.
                    assert matcher.advance(rng.choice(text_tokens(matcher)))
    assert forced_at > 30
    assert bytes_left > 10


def test_a_tokeniser_that_changes_the_text_forces_nothing(
    machine: Machine, encode: Callable[[str], list[int]]
) -> None:
    matcher = compile_regex("the order", machine).matcher()
    assert forced_tokens(matcher, encode) == encode("the order")
    assert forced_tokens(matcher, lambda text: encode(" " + text)) == []
    assert matcher.forced_bytes() == b"the order"


def test_a_token_that_alone_is_allowed_is_forced() -> None:
    names = [b"a", b"b", b"<think>", b"<end>"]
    machine = Machine(token_table(Vocabulary(names, frozenset({2, 3})), [3]))
    matcher = compile_gbnf('root ::= <think> "ab" <think> ("a" | "b")', machine).matcher()
    assert forced_tokens(matcher, lambda text: [names.index(c.encode()) for c in text]) == [
        2,
        0,
        1,
        2,
    ]
