"""SentencePiece vocabularies of GGUF files equal the sentencepiece package."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest

from decoding.errors import ModelFormatError
from decoding.models.gguf_tokenizer import scored_merges
from decoding.models.gguf_vocabulary import GGUFVocabulary
from decoding.models.tokenizer import HuggingFaceTokenizer

sentencepiece = pytest.importorskip("sentencepiece")

POOLS = ["ab ", "a ", "abcdefgé東 ", "abc 0123\n🙂ñ", "aé東  ▁"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def trained(*, prefix: bool) -> Any:
    """A small model as Llama 2's: BPE with bytes to fall back on, and no normalisation."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgé東", k=rng.randrange(1, 7))) for _ in range(300)]
    lines = [" ".join(rng.choices(words, k=12)) for _ in range(400)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines + ["aaaa aaaaa aa   bbbb  bb 012 12"] * 30),
        model_writer=model,
        vocab_size=600,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=prefix,
        split_digits=True,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def metadata_of(peer: Any, **changes: object) -> dict[str, object]:
    """As llama.cpp's converter writes it."""
    ids = range(peer.get_piece_size())

    def kind(token_id: int) -> int:
        kinds = ((peer.is_unknown, 2), (peer.is_control, 3), (peer.is_byte, 6))
        return next((kind for holds, kind in kinds if holds(token_id)), 1)

    metadata: dict[str, object] = {
        "model": "llama",
        "tokens": [peer.id_to_piece(token_id) for token_id in ids],
        "scores": [peer.get_score(token_id) for token_id in ids],
        "token_type": [kind(token_id) for token_id in ids],
        **changes,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}


@pytest.mark.parametrize("prefix", [True, False])
def test_texts_are_cut_as_the_peer_cuts_them(prefix: bool) -> None:
    peer = trained(prefix=prefix)
    ours = HuggingFaceTokenizer.from_gguf(metadata_of(peer, add_space_prefix=prefix))
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(rng.choices(rng.choice(POOLS), k=rng.randrange(40)))
        ids = ours.encode(text, add_special_tokens=False)
        assert ids == peer.encode(text), text
        assert ours.encode(text) == [peer.bos_id(), *ids]
        spelled = b"".join(map(ours.vocabulary.bytes_of, ids)).decode()
        assert spelled == (f" {text}" if prefix and text else text).replace("▁", " ")


def test_special_tokens_are_found_in_a_text() -> None:
    peer = trained(prefix=True)
    ours = HuggingFaceTokenizer.from_gguf(metadata_of(peer, add_bos_token=False))
    assert ours.encode("</s>") == [2]
    assert ours.encode("ab</s>ab") == [*peer.encode("ab"), 2, *peer.encode("ab")]
    assert ours.vocabulary.special_token_ids == {0, 1, 2}


def test_user_defined_tokens_are_text() -> None:
    tokens = ["<unk>", "<s>", "</s>", *BYTES, "▁", "a", "  "]
    metadata = {
        "tokens": tokens,
        "token_type": [2, 3, 3, *[6] * 256, 1, 1, 4],
        "scores": [0.0] * len(tokens),
    }
    ours = HuggingFaceTokenizer.from_gguf(
        {"tokenizer.ggml.model": "llama"}
        | {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    )
    assert ours.encode("a  a", add_special_tokens=False) == [259, 260, 261, 259, 260]
    assert ours.vocabulary.bytes_of(261) == b"  "


def test_merges_are_ordered_by_score() -> None:
    tokens = ["<unk>", "a", "b", "ab", "ba", "aba", "<x>", "<", "x>"]
    vocabulary = GGUFVocabulary.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [2, 1, 1, 1, 1, 1, 3, 1, 1],
            "tokenizer.ggml.scores": [0.0, -1.0, -2.0, -5.0, -3.0, -4.0, 9.0, 0.0, 0.0],
        }
    )
    assert vocabulary is not None
    merges = [("b", "a"), ("a", "ba"), ("ab", "a"), ("a", "b")]
    assert scored_merges(vocabulary) == merges  # and none makes the control token


def test_a_text_that_no_token_spells() -> None:
    """Without bytes to fall back on there is the unknown token; without both, an error."""
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "▁", "a"],
        "tokenizer.ggml.token_type": [2, 3, 3, 1, 1],
    }
    ours = HuggingFaceTokenizer.from_gguf(metadata)
    assert ours.encode("a東京a") == [1, 3, 4, 0, 4]
    assert ours.vocabulary.special_token_ids == {0, 1, 2}
    with pytest.raises(ModelFormatError, match=r"scores must be a list of float"):
        HuggingFaceTokenizer.from_gguf({**metadata, "tokenizer.ggml.scores": "x"})
