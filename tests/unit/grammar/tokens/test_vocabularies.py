"""Masks over vocabularies of every kind, and over some that cannot spell all texts."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from decoding.errors import GrammarVocabularyError, ParameterError
from decoding.grammar import (
    Machine,
    compile_choices,
    compile_gbnf,
    compile_json_schema,
    compile_regex,
    token_table,
)
from decoding.grammar.masking.matcher import Matcher
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.vocabulary import Vocabulary
from decoding.vocabulary.token_bytes import byte_alphabet

Encode = Callable[[str], list[int]]
PIECES = ["na", "me", "name", '":', '{"', " a", "1", "12", "é"]


def byte_level() -> tuple[Vocabulary, Encode]:
    """GPT-2's kind: merges of characters that stand for bytes."""
    spelled = {byte: character for character, byte in byte_alphabet().items()}
    vocabulary = {character: number for number, character in enumerate(spelled.values())}
    merges = []
    for piece in PIECES:
        written = "".join(spelled[byte] for byte in piece.encode())
        parts = ("na", "me") if piece == "name" else (written[:1], written[1:])
        if len(written) > 1:
            merges.append(parts)
            vocabulary.setdefault(written, len(vocabulary))
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<end>", "<name>"])
    return of(made)


def sentence_piece() -> tuple[Vocabulary, Encode]:
    """Llama-2's kind: characters, pieces, and a token for each byte of what is neither."""
    names = ["<end>", "<name>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [*'▁abemnst123:,{}"', "na", "me", "name", "▁a", '":', '{"', "12"]
    merges = [("n", "a"), ("m", "e"), ("na", "me"), ("▁", "a"), ('"', ":"), ("{", '"'), ("1", "2")]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    made.normalizer = normalizers.Replace(" ", "▁")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence(steps)
    made.add_special_tokens(["<end>", "<name>", "<unk>"])
    return of(made)


def gguf() -> tuple[Vocabulary, Encode]:
    """A byte-level vocabulary as a GGUF file has it."""
    names = [*byte_alphabet(), "na", "me", "name", "<end>", "<name>"]
    made = HuggingFaceTokenizer.from_gguf(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.tokens": names,
            "tokenizer.ggml.token_type": [1] * (len(names) - 2) + [3, 3],
            "tokenizer.ggml.merges": ["n a", "m e", "na me"],
        }
    )
    return made.vocabulary, lambda text: made.encode(text, add_special_tokens=False)


def ranks() -> tuple[Vocabulary, Encode]:
    """Tiktoken's kind: bytes by rank, merged as long as two neighbours are a token together."""
    rank = {bytes([byte]): byte for byte in range(256)}
    for piece in PIECES:
        rank.setdefault(piece.encode(), len(rank))
    end = len(rank)

    def encode(text: str) -> list[int]:
        parts = [bytes([byte]) for byte in text.encode()]
        while True:
            pairs = [
                (rank[a + b], i)
                for i, (a, b) in enumerate(itertools.pairwise(parts))
                if a + b in rank
            ]
            if not pairs:
                return [rank[part] for part in parts]
            at = min(pairs)[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    return Vocabulary([*rank, b"<end>", b"<name>"], frozenset({end, end + 1})), encode


def of(made: Tokenizer) -> tuple[Vocabulary, Encode]:
    tokenizer = HuggingFaceTokenizer(made)
    return tokenizer.vocabulary, lambda text: tokenizer.encode(text, add_special_tokens=False)


KINDS = [byte_level, sentence_piece, gguf, ranks]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 6}}}


def allows(matcher: Matcher, token: int) -> bool:
    return bool(int(matcher.mask()[token >> 5]) >> (token & 31) & 1)


def taken(matcher: Matcher, tokens: list[int]) -> int:
    """How many tokens are taken; each of them, and those that spell the same, as masks say."""
    spelled = matcher.tokens.spelled
    for count, token in enumerate(tokens):
        allowed = allows(matcher, token)
        for other, text in enumerate(spelled):
            assert text != spelled[token] or allows(matcher, other) == allowed
        assert matcher.advance(token) == allowed
        if not allowed:
            return count
    return len(tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_tokeniser_makes_of_a_text_fits_as_the_text_does(
    kind: Callable[[], tuple[Vocabulary, Encode]],
) -> None:
    vocabulary, encode = kind()
    ends = sorted(vocabulary.special_token_ids)[:2]
    machine = Machine(token_table(vocabulary, ends, len(vocabulary) + 45))
    grammars = [
        compile_json_schema(SCHEMA, machine),
        compile_gbnf(r'root ::= "{\"name\": \"" [^"]{0,6} "\"}"', machine),
    ]
    for grammar in grammars:
        for text in ('{"name": "a é1"}', '{"name": "12 😀 a"}', '{"name": ""}'):
            matcher = grammar.matcher()
            tokens = encode(text)
            assert b"".join(map(vocabulary.bytes_of, tokens)).decode() == text
            assert taken(matcher, tokens) == len(tokens)
            assert matcher.is_accepting
            assert all(allows(matcher, token) for token in ends)
        for text in ('{"name": "1234567"}', '{"name": "<name>"}{'):
            matcher = grammar.matcher()
            assert taken(matcher, encode(text)) < len(encode(text))
        matcher = grammar.matcher()
        assert taken(matcher, encode('{"name": "')) > 0
        assert not any(
            allows(matcher, token) for token in range(len(vocabulary), 32 * machine.tokens.words)
        )
        assert not any(map(matcher.advance, vocabulary.special_token_ids))
    assert any(len(vocabulary.bytes_of(token)) > 1 for token in encode('{"name": 12}'))


def ascii_and(*others: bytes) -> Machine:
    return Machine(token_table(Vocabulary([bytes([byte]) for byte in range(128)] + [*others]), []))


def test_texts_that_could_not_be_finished_are_refused_with_the_missing_bytes() -> None:
    half = ascii_and(b"\xc3", b"\xc3\xa9", b"\xa8")
    for compiled in (
        lambda: compile_choices(["é", "e"], half),
        lambda: compile_regex("e|é", half),
        lambda: compile_gbnf('root ::= "e" | "(" root ")" | "é"', half),
    ):
        with pytest.raises(GrammarVocabularyError, match="no token for the bytes A9") as raised:
            compiled()
        assert raised.value.missing == b"\xa9"
    # Any other character goes on with A8, so that nothing is ever stuck.
    assert compile_regex("[éè]*", half).matcher().mask().any()
    assert compile_gbnf('root ::= [éè] root | "e"', half).matcher().mask().any()
    with pytest.raises(GrammarVocabularyError, match=r"the bytes 80 81 .* \.\.\."):
        compile_json_schema({"type": "string"}, half)


def test_a_schema_needs_what_it_spells_and_what_ends_a_character() -> None:
    spelled = [bytes([byte]) for byte in range(256) if byte not in b"\xe2\xf1"]
    common = Machine(token_table(Vocabulary([*spelled, b"\xe2\x82", b'"\xf1']), []))
    schema = {"type": "string", "description": "\N{EURO SIGN}"}
    matcher = compile_json_schema(schema, common).matcher()
    assert matcher.advance(len(spelled) + 1)
    assert matcher.follow(b"\x80\x80\x80")
    assert allows(matcher, spelled.index(b'"'))
    with pytest.raises(GrammarVocabularyError, match="the bytes E2") as raised:
        compile_json_schema({"items": {"enum": ["\N{EURO SIGN}"]}}, common)
    assert raised.value.missing == b"\xe2"
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256) if byte != 0x7E])
    with pytest.raises(GrammarVocabularyError, match=r"the bytes 7E$"):
        compile_json_schema(True, Machine(token_table(vocabulary, [])))


def test_what_no_token_begins_need_not_be_finished() -> None:
    letters = ascii_and()
    for grammar in (
        compile_regex(".*é?", letters),
        compile_gbnf('root ::= "é" | "e" root?', letters),
    ):
        matcher = grammar.matcher()
        assert matcher.advance(ord("e"))
        assert matcher.is_accepting
    with pytest.raises(GrammarVocabularyError, match=r"the bytes C3$"):
        compile_gbnf('root ::= "e" "é"', letters)


def test_json_does_without_characters_that_no_token_begins() -> None:
    matcher = compile_json_schema({"type": "string"}, ascii_and()).matcher()
    assert taken(matcher, list(rb'"e\u00e9"')) == 9
    assert matcher.is_accepting


def test_end_tokens_belong_to_the_width() -> None:
    with pytest.raises(ParameterError, match="token ids below 3"):
        token_table(Vocabulary([b"a", b"b"]), [3], 3)
    with pytest.raises(ParameterError, match=">= 2, the tokens"):
        token_table(Vocabulary([b"a", b"b"]), [], 1)
