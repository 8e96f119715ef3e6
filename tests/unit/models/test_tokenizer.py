from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from decoding.errors import ModelFormatError, ParameterError
from decoding.models.token_bytes import byte_alphabet
from decoding.models.tokenizer import HuggingFaceTokenizer

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
        ({"model": "llama"}, "tokenizer model 'llama' is not implemented"),
        ({"pre": "tekken"}, "pre-tokenizer 'tekken' is not implemented, only default, gpt-2"),
        ({"tokens": None}, "tokenizer.ggml.tokens must be a list of str"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "tokens must be distinct"),
        ({"token_type": [1]}, "with a type each"),
        ({"merges": ["a"]}, "the tokens make no tokenizer"),
        ({"merges": ["a zz"]}, "the tokens make no tokenizer"),
        ({"add_bos_token": True, "bos_token_id": 9999}, "the tokens make no tokenizer"),
    ],
)
def test_gguf_metadata_that_makes_no_tokenizer(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        HuggingFaceTokenizer.from_gguf(gguf_metadata(**changes))
