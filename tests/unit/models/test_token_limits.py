"""Token texts and ids of a file are bounded, distinct, and those that its tokenizer has."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from test_tokenizer_file import tokenizer_json, written

from decoding.errors import ModelFormatError
from decoding.models import weights
from decoding.models.control_tokens import _unfinished
from decoding.models.gguf_vocabulary import GGUFVocabulary
from decoding.models.json_files import parse_json
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.models.weights import SafetensorsSource
from decoding.vocabulary.limits import MOST_CHARACTERS

LONG = "b" * (MOST_CHARACTERS + 1)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def added(content: object, token_id: int) -> dict[str, Any]:
    tokens = tokenizer_json()["added_tokens"]
    return {"added_tokens": [*tokens, {**tokens[0], "content": content, "id": token_id}]}


def model(**changes: Any) -> dict[str, Any]:
    return {"model": tokenizer_json()["model"] | changes}


def table(replacement: bytes) -> dict[str, Any]:
    """A step of SentencePiece with an empty tree and one replacement."""
    charsmap = base64.b64encode((0).to_bytes(4, "little") + replacement + b"\0").decode()
    return {"type": "Precompiled", "precompiled_charsmap": charsmap}


def chain_of(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"normalizer": {"type": "Sequence", "normalizers": list(steps)}}


UNIGRAM = {"type": "Unigram", "unk_id": 0, "byte_fallback": False}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (model(vocab={"a": 0, LONG: 1}, merges=[]), "a token of 4097 characters"),
        (
            model(**UNIGRAM, vocab=[["<unk>", 0.0], ["b" * 200_000, -2.0]]),
            "a token of 200000 characters",
        ),
        (added(LONG, 5), "a token of 4097 characters"),
        (added("", 5), "added token 5 must have a text, got ''"),
        (added(7, 5), "added token 5 must have a text, got 7"),
        (added("<eot>", 1000), "'<eot>' has the id 1000, but behind the model's tokens it gets 5"),
        (added("<eot>", 4), "'<eot>' has the id 4, but"),
        (added("<s>", 5), "'<s>' has the id 5, but"),
        (
            model(vocab={"a": 0, "b": 1, "ab": 1, "<unk>": 2}, merges=[]),
            "token ids must be distinct, got 1 for two tokens",
        ),
        (chain_of(*[{"type": "ByteLevel"}] * 7), "its normalizer can make a text more than 64"),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 7}},
            "its pre_tokenizer can make a text more than 64",
        ),
        (chain_of(table(b"A" * 65)), "a replacement of 65 bytes, more than 64"),
        (chain_of(table(b"A"), table(b"B")), "more than one Precompiled step"),
        (
            {
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [
                        {"SpecialToken": {"id": "<s>", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                    ],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
                    "special_tokens": {"<s>": {"id": "<s>", "ids": [264], "tokens": ["<s>"]}},
                }
            },
            "puts token 264 around a text; it has 5 tokens",
        ),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_a_tokenizer_file_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = written(tmp_path, tokenizer_json(**changes))
    with pytest.raises(ModelFormatError) as raised:
        HuggingFaceTokenizer.from_file(path)
    assert problem in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1_000


def test_what_is_at_a_limit_is_read(tmp_path: Path) -> None:
    longest = added("q" * MOST_CHARACTERS, 5)
    ours = HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(**longest)))
    assert ours.encode("q" * MOST_CHARACTERS) == [5]
    for changes in (
        chain_of(*[{"type": "ByteLevel"}] * 6),
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 6}},
    ):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(**changes)))


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (["<unk>", "<s>", "</s>", "▁" + LONG], "at most 4096 characters each, got 4098"),
        (
            ["<unk>", "<s>", "</s>", *(f"{n:04}" * 1_000 for n in range(70))],
            "the squares of their lengths have a sum above 1073741824",
        ),
    ],
)
def test_tokens_of_a_gguf_file_are_short(tokens: list[str], problem: str) -> None:
    metadata = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens}
    with pytest.raises(ModelFormatError, match=problem):
        GGUFVocabulary.from_metadata(metadata, "a file")


def test_the_first_shard_that_is_missing_is_the_last_that_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for = []

    def member(folder: Path, name: str) -> Path:
        looked_for.append(name)
        return original(folder, name)

    original = weights.member
    monkeypatch.setattr(weights, "member", member)
    names = {f"a{index}": f"{index:03}.safetensors" for index in range(100)}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    with pytest.raises(ModelFormatError, match=r"000\.safetensors"):
        SafetensorsSource.open(tmp_path)
    assert [name for name in looked_for if name.endswith(".safetensors")] == ["000.safetensors"]


def test_a_number_of_json_is_finite() -> None:
    with pytest.raises(ModelFormatError, match="1e400 is beyond all finite numbers"):
        parse_json('{"metadata": {"deep": [1e400]}}', "a file")
    assert parse_json('{"a": -1.5e308}', "a file") == {"a": -1.5e308}


def test_long_control_tokens_cost_no_more_than_their_text(tmp_path: Path) -> None:
    values = tokenizer_json()
    first = values["added_tokens"][0]
    values["added_tokens"] += [
        {**first, "content": f"{chr(0x4E00 + n)}{'q' * 4_000}", "id": 5 + n} for n in range(300)
    ]
    ours = HuggingFaceTokenizer.from_file(written(tmp_path, values))
    ids = ours.encode("ab" + chr(0x4E00) + "q" * 3_999, sanitize_control_tokens=True)
    assert ids[0] == 2


@pytest.mark.parametrize(
    ("texts", "tokens", "found"),
    [
        (["a <|"], ["<|im|>", "<s>", "|x"], ["<|im|>", "|x"]),
        (["<s>"], ["<s>"], []),
        (["<"], ["<s>", "<"], ["<s>"]),
        ([""], ["<s>"], []),
        (["aab"], ["abaab", "aaba"], ["aaba", "abaab"]),
        (["x<s"], [], []),
        (["x<s"], ["", "s"], []),
    ],
)
def test_tokens_that_a_text_begins(texts: list[str], tokens: list[str], found: list[str]) -> None:
    assert sorted(_unfinished(texts, tokens)) == sorted(found)
