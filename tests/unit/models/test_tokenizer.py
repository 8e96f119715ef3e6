"""Tokenizers, and the bytes of their tokens."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from decoding.errors import ModelFormatError, ParameterError
from decoding.models.gguf_vocabulary import GGUFVocabulary
from decoding.models.pre_tokenizers import SPLITTERS, Splitter
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.vocabulary.token_bytes import byte_alphabet

UNKNOWN = "<unk>"
_CORPUS = ["the cat sat on the mat; the dog didn't", "naïve café 東京 🙂 123 456"] * 3


def byte_level() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    tokenizer.add_tokens(
        [AddedToken("two words", normalized=False), AddedToken("éé", special=False)]
    )
    return tokenizer


def sentence_piece() -> tokenizers.Tokenizer:
    """As Llama 2: metaspace by normaliser, byte fallback, the first space stripped at the end."""
    pieces = [UNKNOWN, "<s>", *(f"<0x{b:02X}>" for b in range(256)), "▁", "t", "h", "e", "▁t"]
    pieces += ["▁th", "▁the", "c", "a"]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e")]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    bpe = models.BPE(vocabulary, merges, unk_token=UNKNOWN, byte_fallback=True, fuse_unk=True)
    tokenizer = tokenizers.Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<s>", UNKNOWN])
    return tokenizer


def word_piece() -> tokenizers.Tokenizer:
    words = [UNKNOWN, "[CLS]", "play", "##ing", "##ed", "do", "not", "n't", ".", ",", "i", "'m"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


def id_of(tokenizer: HuggingFaceTokenizer, token: str) -> int:
    token_id = tokenizer.tokenizer.token_to_id(token)
    assert token_id is not None
    return token_id


def joined(tokenizer: HuggingFaceTokenizer, token_ids: list[int]) -> bytes:
    return b"".join(tokenizer.vocabulary.bytes_of(token_id) for token_id in token_ids)


BYTE_LEVEL = HuggingFaceTokenizer(byte_level())
SENTENCE_PIECE = HuggingFaceTokenizer(sentence_piece())


def test_the_byte_alphabet_is_the_librarys() -> None:
    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))
    assert byte_alphabet()["Ġ"] == 0x20


@given(st.text())
def test_byte_level_tokens_spell_the_text(text: str) -> None:
    assert joined(BYTE_LEVEL, BYTE_LEVEL.encode(text)).decode() == text


@given(st.lists(st.sampled_from(["the", " cat", "é", "éé", "two words", "<|end|>", "東", "🙂"])))
def test_byte_level_added_tokens_spell_themselves(parts: list[str]) -> None:
    text = "".join(parts)
    assert joined(BYTE_LEVEL, BYTE_LEVEL.encode(text)).decode() == text


@given(st.lists(st.integers(0, 250)))
def test_byte_level_agrees_with_the_decoder(token_ids: list[int]) -> None:
    expected = BYTE_LEVEL.tokenizer.decode(token_ids, skip_special_tokens=False)
    assert joined(BYTE_LEVEL, token_ids).decode(errors="replace") == expected


@given(st.text().filter(lambda text: "▁" not in text))
def test_sentence_piece_tokens_spell_the_text_after_a_space(text: str) -> None:
    spelled = joined(SENTENCE_PIECE, SENTENCE_PIECE.encode(text, add_special_tokens=False)).decode()
    assert spelled == (f" {text}" if text else "")


def test_sentence_piece_byte_tokens_are_bytes() -> None:
    vocabulary = SENTENCE_PIECE.vocabulary
    assert vocabulary.bytes_of(2 + 0xE2) == b"\xe2"
    assert vocabulary.bytes_of(id_of(SENTENCE_PIECE, "▁the")) == b" the"
    assert vocabulary.special_token_ids == {0, 1}


def test_metaspace() -> None:
    model = models.WordLevel({"▁the": 0, "▁cat": 1, "s": 2, UNKNOWN: 3}, unk_token=UNKNOWN)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.decoder = decoders.Metaspace()
    ours = HuggingFaceTokenizer(tokenizer)
    assert joined(ours, [0, 1, 2]).decode() == " " + tokenizer.decode([0, 1, 2])


@given(st.lists(st.integers(0, 11), min_size=1).filter(lambda ids: ids[0] not in (3, 4, 8, 9)))
def test_word_piece_agrees_with_the_decoder(token_ids: list[int]) -> None:
    ours = HuggingFaceTokenizer(word_piece())
    theirs = ours.tokenizer.decode(token_ids, skip_special_tokens=False)
    first = ours.tokenizer.decode(token_ids[:1], skip_special_tokens=False)
    spelled = joined(ours, token_ids).decode()
    # Only the space in front of the very first word differs.
    assert spelled == ours.vocabulary.text_of(token_ids[0]) + theirs.removeprefix(first)


def test_without_a_decoder_words_are_apart() -> None:
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({"a": 0, "b": 1, UNKNOWN: 2}, unk_token=UNKNOWN)
    )
    ours = HuggingFaceTokenizer(tokenizer)
    assert joined(ours, [0, 1, 0]).decode() == " " + tokenizer.decode([0, 1, 0])


def test_ids_that_no_token_has_spell_nothing() -> None:
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 3}, unk_token=UNKNOWN))
    vocabulary = HuggingFaceTokenizer(tokenizer).vocabulary
    assert list(vocabulary.token_bytes) == [b" a", b"", b"", b" b"]


@pytest.mark.parametrize(
    ("decoder", "named"),
    [
        (decoders.CTC(), "CTC"),
        (decoders.BPEDecoder(), "BPEDecoder"),
        (decoders.Replace(tokenizers.Regex("x+"), ""), "Regex"),
        (decoders.Sequence([decoders.Fuse(), decoders.Replace("a", "b")]), "Replace after Fuse"),
    ],
)
def test_an_unknown_decoder_is_named(decoder: decoders.Decoder, named: str) -> None:
    tokenizer = byte_level()
    tokenizer.decoder = decoder
    with pytest.raises(ModelFormatError, match=f"the decoder .*{named}.* is not implemented"):
        HuggingFaceTokenizer(tokenizer)


def test_special_ids_are_the_special_added_tokens() -> None:
    special = id_of(BYTE_LEVEL, "<|end|>")
    assert BYTE_LEVEL.vocabulary.special_token_ids == {special}
    assert BYTE_LEVEL.vocabulary.bytes_of(special) == b"<|end|>"


def test_truncation_and_padding_are_ignored() -> None:
    tokenizer = byte_level()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=100)
    ours = HuggingFaceTokenizer(tokenizer)
    assert ours.encode("the cat sat") == BYTE_LEVEL.encode("the cat sat")
    assert tokenizer.truncation is not None


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ParameterError, match="text without lone surrogates"):
        BYTE_LEVEL.encode("a\ud800")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    BYTE_LEVEL.tokenizer.save(str(path))
    assert HuggingFaceTokenizer.from_file(path).encode("the cat") == BYTE_LEVEL.encode("the cat")
    with pytest.raises(ModelFormatError, match="cannot be read"):
        HuggingFaceTokenizer.from_file(tmp_path / "absent.json")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFormatError, match="is no tokenizer"):
        HuggingFaceTokenizer.from_file(path)


def gguf_metadata(**changes: object) -> dict[str, object]:
    tokens = [*sorted(byte_alphabet()), "ab", "Ġab", "<s>", "<tool>"]
    metadata: dict[str, object] = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1] * (len(tokens) - 2) + [3, 4],
        "merges": ["a b", "Ġ ab"],
        "bos_token_id": len(tokens) - 2,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in (metadata | changes).items()}


def test_gguf_control_tokens_are_special_and_user_defined_ones_are_text() -> None:
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata())
    assert ours.vocabulary.special_token_ids == {258}
    assert ours.encode("ab ab<s><tool>") == [256, 257, 258, 259]
    assert joined(ours, [257, 259]) == b" ab<tool>"


def test_gguf_bos_is_put_in_front_where_the_file_says_so() -> None:
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(add_bos_token=True))
    assert ours.encode("ab") == [258, 256]
    assert ours.encode("ab", add_special_tokens=False) == [256]


def test_gguf_llama_bpe_puts_a_bos_in_front_unless_the_file_says_otherwise() -> None:
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(pre="llama-bpe"))
    assert ours.encode("ab") == [258, 256]
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(pre="llama-bpe", add_bos_token=False))
    assert ours.encode("ab") == [256]
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(pre="llama-bpe", bos_token_id=None))
    assert ours.encode("ab") == [256]


def test_gguf_eos_is_put_behind_where_the_file_says_so() -> None:
    both = gguf_metadata(add_bos_token=True, add_eos_token=True, eos_token_id=258)
    assert HuggingFaceTokenizer.from_gguf(both).encode("ab") == [258, 256, 258]
    assert HuggingFaceTokenizer.from_gguf(both).encode("ab", add_special_tokens=False) == [256]


def test_gguf_types_may_be_left_out() -> None:
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(token_type=None))
    assert ours.vocabulary.special_token_ids == frozenset()
    assert ours.encode("ab") == [256]


def test_gguf_merges_may_begin_with_a_space() -> None:
    merges = {"tokens": [*sorted(byte_alphabet()), " ", " a", "Ġa"], "token_type": [1] * 259}
    ours = GGUFVocabulary.from_metadata(gguf_metadata(**merges, merges=["  a", "Ġ a"]))
    assert ours is not None
    assert ours.merges == [(" ", "a"), ("Ġ", "a")]


def end_tokens(tokens: list[str], **keys: object) -> set[str]:
    metadata = gguf_metadata(tokens=tokens, token_type=[3] * len(tokens), **keys)
    vocabulary = GGUFVocabulary.from_metadata(metadata)
    assert vocabulary is not None
    return {tokens[token_id] for token_id in vocabulary.end_token_ids}


@pytest.mark.parametrize(
    "text",
    ["<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>", "<|eom_id|>",
     "<|end_of_text|>", "[EOS]", "<｜end▁of▁sentence｜>", "<|fim_pad|>", "<|file_sep|>"],
)  # fmt: skip
def test_gguf_tokens_that_end_a_turn_by_their_text(text: str) -> None:
    assert end_tokens(["a", text, "<|other|>"]) == {text}
    assert end_tokens(["a", text, "<|other|>"], eos_token_id=2) == {text, "<|other|>"}


def test_gguf_end_tokens_are_control_tokens_whatever_their_type_says() -> None:
    tokens = [*sorted(byte_alphabet()), "<|im_end|>"]
    ours = HuggingFaceTokenizer.from_gguf(
        gguf_metadata(tokens=tokens, token_type=[1] * 257, merges=[])
    )
    assert ours.encode("a<|im_end|>")[1:] == [256]
    assert ours.vocabulary.special_token_ids == {256}


def test_gguf_tokens_that_end_a_part_of_an_answer() -> None:
    assert end_tokens(["<|end|>", "<|return|>", "<|call|>"]) == {"<|return|>", "<|call|>"}
    assert end_tokens(["<|end|>", "<|flush|>", "<|calls|>"]) == {"<|flush|>", "<|calls|>"}
    assert end_tokens(["<|end|>", "<|return|>"]) == {"<|end|>", "<|return|>"}
    assert end_tokens(["</s>", "<|tool_response>"]) == {"<|tool_response>"}


def test_gguf_end_tokens_by_key() -> None:
    tokens = ["a", "b", "c", "d"]
    keys = {"eos_token_id": 0, "eot_token_id": 1, "eom_token_id": 2, "fim_pad_token_id": 3}
    assert end_tokens(tokens, **keys) == set(tokens)
    assert end_tokens(tokens, eos_token_id=4, eot_token_id=2**32 - 1) == set()


def test_gguf_default_ids_of_special_tokens() -> None:
    """Those of Llama for SentencePiece, that of Falcon for BPE; the latter only if it fits."""
    pieces = {"model": "llama", "scores": None, "bos_token_id": None}
    vocabulary = GGUFVocabulary.from_metadata(
        gguf_metadata(tokens=["<unk>", "<s>", "</s>"], token_type=[2, 3, 3], **pieces)
    )
    assert vocabulary is not None
    assert vocabulary.special_ids == {"unknown": 0, "bos": 1, "eos": 2}
    assert (vocabulary.begin, vocabulary.end, vocabulary.space_prefix) == ((1,), (), True)
    for kind, expected in ((3, {"bos": 11, "eos": 11}), (1, {})):
        made = GGUFVocabulary.from_metadata(
            gguf_metadata(
                tokens=list("abcdefghijklm"), token_type=[kind] * 13, merges=[], bos_token_id=None
            )
        )
        assert made is not None
        assert made.special_ids == expected


@functools.cache
def pre_tokenizer(splitter: Splitter) -> pre_tokenizers.PreTokenizer:
    steps = [
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated") for pattern in splitter.patterns
    ]
    return pre_tokenizers.Sequence(steps)


def pieces_of(splitter: Splitter, text: str) -> list[str]:
    return [piece for piece, _ in pre_tokenizer(splitter).pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("names", "text", "pieces"),
    [
        ("llama-bpe llama3 llama-v3 falcon3 lfm2 pixtral dbrx smaug-bpe glm4",
         "I'LL pay 12345 €\n\n x", ["I", "'LL", " pay", " ", "123", "45", " €\n\n", " x"]),
        ("qwen2 deepseek-r1-qwen megrez stablelm2 hunyuan",
         "I'LL pay 12 €\n\n x", ["I", "'LL", " pay", " ", "1", "2", " €\n\n", " x"]),
        ("gpt-2 phi-2 mpt olmo granite-docling jais",
         "I'LL pay 123 €\n\n x", ["I", "'", "LL", " pay", " 123", " €", "\n\n", " x"]),
        ("starcoder refact smollm command-r minerva-7b",
         "pay 12 €", ["pay", " ", "1", "2", " €"]),
        ("tekken", "HelloWorld isn't 12//\n",
         ["Hello", "World", " isn", "'t", " ", "1", "2", "//\n"]),
        ("gpt-4o llama4", "HelloWorld isn't 1234", ["Hello", "World", " isn't", " ", "123", "4"]),
        ("deepseek-llm", "to 東京 123\nx  ", ["to", " ", "東京", " ", "123", "\n", "x", "  "]),
        ("deepseek-coder", "x=1 東京\n12", ["x", "=", "1", " ", "東京", "\n", "1", "2"]),
        ("deepseek-v3", "x+y 1234 #if", ["x", "+y", " ", "123", "4", " #", "if"]),
        ("qwen35", "मा12", ["मा", "1", "2"]),
        ("viking", "ab, cd12", ["ab", ",", " cd", "1", "2"]),
        ("falcon", "x+1 12345", ["x", "+", "1", " ", "123", "45"]),
        ("default", "x+1 12345", ["x", "+", "1", " ", "123", "45"]),
        ("minicpm5", "a1234", ["a", "123", "4"]),
        ("exaone-moe", "on my own", ["on my own"]),
        ("bailingmoe", "a\n\nb's", ["a", "\n\n", "b", "'s"]),
    ],
)  # fmt: skip
def test_gguf_pre_tokenizers_cut_text(names: str, text: str, pieces: list[str]) -> None:
    for name in names.split():
        assert pieces_of(SPLITTERS[name], text) == pieces, name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_gguf_pre_tokenizers_lose_nothing(text: str) -> None:
    for splitter in set(SPLITTERS.values()):
        assert "".join(pieces_of(splitter, text)) == text


@pytest.mark.parametrize("pre", SPLITTERS)
def test_every_gguf_pre_tokenizer_makes_a_tokenizer(pre: str) -> None:
    ours = HuggingFaceTokenizer.from_gguf(gguf_metadata(pre=pre, add_bos_token=False))
    text = "ab ab 1234 東京 don't\n"
    assert joined(ours, ours.encode(text)).decode() == text


def test_gguf_smollm_cuts_digits_apart() -> None:
    merged = {
        "tokens": [*sorted(byte_alphabet()), "12"],
        "token_type": [1] * 257,
        "merges": ["1 2"],
    }
    gpt2 = HuggingFaceTokenizer.from_gguf(gguf_metadata(**merged))
    smollm = HuggingFaceTokenizer.from_gguf(gguf_metadata(**merged, pre="smollm"))
    assert gpt2.encode("12") == [256]
    assert len(smollm.encode("12")) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "t5"},
            "tokenizer model 't5' is not implemented; implemented are 'llama', 'gpt2'",
        ),
        ({"model": None}, "tokenizer model '' is not implemented"),
        ({"model": "none"}, "has no tokenizer"),
        ({"model": 7}, "tokenizer.ggml.model must be a string, got 7"),
        (
            {"pre": "kimi-k2"},
            "pre-tokenizer 'kimi-k2' is not implemented; implemented are llama-bpe",
        ),
        ({"pre": ["gpt-2"]}, r"tokenizer.ggml.pre must be a string, got \['gpt-2'\]"),
        ({"tokens": []}, "tokenizer.ggml.tokens must have at least one token"),
        ({"tokens": None}, "tokenizer.ggml.tokens must be a list of str"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "tokens must be distinct"),
        ({"token_type": [1]}, r"token_type must have a value for each of 260 tokens, got 1"),
        ({"merges": ["a"]}, r"tokenizer.ggml.merges\[0\] must be two tokens: 'a'"),
        ({"merges": None}, "tokenizer.ggml.merges must be a list of str"),
        ({"merges": ["a zz"]}, "the tokens make no tokenizer"),
        (
            {"add_bos_token": True, "bos_token_id": 9999},
            "bos_token_id must be a token, .* got 9999",
        ),
        (
            {"add_bos_token": True, "bos_token_id": None},
            "bos_token_id must be a token, .* got None",
        ),
        ({"add_bos_token": 1}, "tokenizer.ggml.add_bos_token must be true or false, got 1"),
        ({"bos_token_id": "<s>"}, "tokenizer.ggml.bos_token_id must be a token id, got '<s>'"),
        ({"model": "llama", "scores": [0.5]}, "scores must have a value for each of 260 tokens"),
        ({"model": "llama", "scores": [float("nan")] * 260}, "scores must be numbers, got nan"),
        ({"model": "llama", "scores": ["0"] * 260}, "scores must be a list of float"),
    ],
)
def test_gguf_metadata_that_makes_no_tokenizer(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        HuggingFaceTokenizer.from_gguf(gguf_metadata(**changes))
