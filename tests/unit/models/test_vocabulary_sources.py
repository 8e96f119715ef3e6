"""`Vocabulary.from_...`: the bytes of the tokens of other packages' tokenizers."""

from __future__ import annotations

import copy
import io
import pickle
import random
from types import SimpleNamespace
from typing import Any

import pytest
import tokenizers

from decoding.errors import ParameterError
from decoding.vocabulary import Vocabulary
from decoding.vocabulary.token_bytes import byte_alphabet

BYTES = {bytes([byte]): byte for byte in range(256)}


def byte_level() -> tokenizers.Tokenizer:
    vocabulary = byte_alphabet()
    vocabulary |= {"th": 256, "Ġth": 257}
    merges = [("t", "h"), ("Ġ", "th")]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["</s>"])
    return made


def joined(vocabulary: Vocabulary, token_ids: list[int]) -> bytes:
    return b"".join(map(vocabulary.bytes_of, token_ids))


def test_tokenizers() -> None:
    made = byte_level()
    vocabulary = Vocabulary.from_tokenizers(made)
    text = "the the naïve 東京 🙂"
    assert joined(vocabulary, made.encode(text).ids) == text.encode()
    assert vocabulary.special_token_ids == {258}
    assert vocabulary.bytes_of(258) == b"</s>"
    with pytest.raises(ParameterError, match="tokenizer"):
        Vocabulary.from_tokenizers("gpt2")


def test_a_fast_tokenizer_of_transformers() -> None:
    transformers: Any = pytest.importorskip("transformers")
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), pad_token="th")
    vocabulary = Vocabulary.from_transformers(made)
    assert list(vocabulary.token_bytes) == list(
        Vocabulary.from_tokenizers(byte_level()).token_bytes
    )
    # What transformers calls special is special, whether the backend flags it or not.
    assert vocabulary.special_token_ids == {256, 258}
    with pytest.raises(ParameterError, match="tokenizer"):
        Vocabulary.from_transformers(byte_level())


def trained() -> Any:
    sentencepiece = pytest.importorskip("sentencepiece")
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgé東", k=rng.randrange(1, 7))) for _ in range(200)]
    lines = [" ".join(rng.choices(words, k=12)) for _ in range(200)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        user_defined_symbols=["<sep>"],
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def test_sentencepiece() -> None:
    processor = trained()
    vocabulary = Vocabulary.from_sentencepiece(processor)
    for text in ("abc é東 fg", "🙂 naïve\n", "a<sep>b"):
        assert joined(vocabulary, processor.encode(text)) == text.encode()
    assert len(vocabulary) == processor.get_piece_size() == 400
    assert vocabulary.special_token_ids == {0, 1, 2}
    with pytest.raises(ParameterError, match="processor"):
        Vocabulary.from_sentencepiece(byte_level())


def test_a_sentencepiece_tokenizer_in_python() -> None:
    # As transformers' own: ids of its vocabulary, pieces of its model, tokens that were added.
    processor = trained()
    pieces = {processor.id_to_piece(index): index + 1 for index in range(400)}
    made = SimpleNamespace(
        sp_model=processor,
        get_vocab=lambda: pieces | {"<extra>": 401},
        all_special_ids=[1, 2, 3],
        added_tokens_decoder={401: "<extra>"},
    )
    vocabulary = Vocabulary.from_transformers(made)
    text = "abc é東 🙂"
    assert joined(vocabulary, [index + 1 for index in processor.encode(text)]) == text.encode()
    assert vocabulary.token_bytes[0] == b""
    assert vocabulary.token_bytes[401] == b"<extra>"
    assert vocabulary.special_token_ids == {1, 2, 3}


def test_a_byte_level_tokenizer_in_python() -> None:
    made = SimpleNamespace(
        byte_decoder=byte_alphabet(),
        get_vocab=lambda: {"Ġa": 0, "Ã©": 1, "<end>": 3},
        all_special_ids=[3],
        added_tokens_decoder={},
    )
    vocabulary = Vocabulary.from_transformers(made)
    assert list(vocabulary.token_bytes) == [b" a", "é".encode(), b"", b"<end>"]
    with pytest.raises(ParameterError, match="whose tokens' bytes are known"):
        Vocabulary.from_transformers(SimpleNamespace(get_vocab=dict, all_special_ids=[]))


def test_tiktoken() -> None:
    tiktoken = pytest.importorskip("tiktoken")
    ranks = BYTES | {b"th": 256, b" th": 257}
    encoding = tiktoken.Encoding(
        "small", pat_str=r"\s?\w+|\s+|.", mergeable_ranks=ranks, special_tokens={"<end>": 260}
    )
    vocabulary = Vocabulary.from_tiktoken(encoding)
    text = "the the naïve 東京 🙂"
    assert joined(vocabulary, encoding.encode(text)) == text.encode()
    assert list(vocabulary.token_bytes[258:]) == [b"", b"", b"<end>"]
    assert vocabulary.special_token_ids == {260}
    same = Vocabulary.from_ranks(ranks, {"<end>": 260})
    assert same.token_bytes == vocabulary.token_bytes


class Encoding:
    """The methods of `tiktoken.Encoding` that are called."""

    n_vocab = 5
    special_tokens_set = frozenset({"<end>"})

    def decode_single_token_bytes(self, token_id: int) -> bytes:
        return {0: b"a", 1: b"\xff", 4: b"<end>"}[token_id]

    def encode_single_token(self, text: str) -> int:
        return {"<end>": 4}[text]


def test_an_encoding_with_gaps() -> None:
    vocabulary = Vocabulary.from_tiktoken(Encoding())
    assert list(vocabulary.token_bytes) == [b"a", b"\xff", b"", b"", b"<end>"]
    assert vocabulary.special_token_ids == {4}
    with pytest.raises(ParameterError, match="encoding"):
        Vocabulary.from_tiktoken(byte_level())


def test_ranks() -> None:
    vocabulary = Vocabulary.from_ranks(BYTES, {"<end>": 300})
    assert len(vocabulary) == 301
    assert vocabulary.bytes_of(255) == b"\xff"
    for ranks, special in (
        ({"a": 0}, {}),
        ({b"a": -1}, {}),
        ({b"a": True}, {}),
        ({b"a": 1 << 40}, {}),
        ({b"a": 0, b"b": 0}, {}),
        ({b"a": 0}, {"<end>": 0}),
        ([b"a"], {}),
    ):
        with pytest.raises(ParameterError, match=r"ranks|special_tokens"):
            Vocabulary.from_ranks(ranks, special)
    assert len(Vocabulary.from_ranks({})) == 0


def test_a_vocabulary_pickles_and_copies() -> None:
    vocabulary = Vocabulary.from_ranks(BYTES, {"<end>": 300})
    for twin in (pickle.loads(pickle.dumps(vocabulary)), copy.deepcopy(vocabulary)):
        assert (twin.token_bytes, twin.special_token_ids) == (
            vocabulary.token_bytes,
            vocabulary.special_token_ids,
        )
