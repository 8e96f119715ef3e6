"""`tokenizer.json` files that need more memory than their size suggests are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers

from decoding.errors import ModelFormatError
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.vocabulary.limits import MOST_TOKENS

DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


def tokenizer_json(**changes: Any) -> dict[str, Any]:
    tokenizer = tokenizers.Tokenizer(
        models.BPE({"a": 0, "b": 1, "ab": 2, "<unk>": 3}, [("a", "b")], unk_token="<unk>")
    )
    tokenizer.decoder = decoders.Replace("▁", " ")
    tokenizer.add_tokens([AddedToken("<s>", special=True)])
    values: dict[str, Any] = json.loads(tokenizer.to_str())
    return values | changes


def written(path: Path, values: object) -> Path:
    (path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    return path / "tokenizer.json"


def test_the_file_itself_is_read(tmp_path: Path) -> None:
    ours = HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json()))
    assert ours.encode("ab<s>") == [2, 4]


def vocabulary_with(token_id: object) -> dict[str, Any]:
    model = tokenizer_json()["model"]
    return {"model": {**model, "vocab": {**model["vocab"], "far": token_id}}}


def added_with(token_id: object) -> dict[str, Any]:
    (token,) = tokenizer_json()["added_tokens"]
    return {"added_tokens": [{**token, "id": token_id}]}


@pytest.mark.parametrize("make", [vocabulary_with, added_with])
@pytest.mark.parametrize("token_id", [50_000_000, MOST_TOKENS, -1, 10**14, None, "1", 1.5])
def test_ids_that_are_no_place_in_a_list(tmp_path: Path, make: Any, token_id: object) -> None:
    with pytest.raises(ModelFormatError, match=r"token ids must be in \[0, 2097152\)"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(**make(token_id))))


def test_an_id_of_a_tokenizer_that_is_far() -> None:
    far = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": MOST_TOKENS}, unk_token="a"))
    with pytest.raises(ModelFormatError, match="token ids must be below 2097152, got 2097152"):
        HuggingFaceTokenizer(far)


@pytest.mark.parametrize("chain", ["normalizer", "decoder"])
@pytest.mark.parametrize(
    "step",
    [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 65},
        {"type": "Replace", "pattern": {"String": ""}, "content": "a" * 64},
        {"type": "Replace", "pattern": {"Regex": ""}, "content": "a" * 64},
        {"type": "Sequence", "STEPS": [DOUBLING] * 7},
        {"type": "Sequence", "STEPS": [{"type": "Sequence", "STEPS": [DOUBLING] * 4}] * 2},
    ],
)
def test_steps_that_make_a_text_long(tmp_path: Path, chain: str, step: dict[str, Any]) -> None:
    text = json.dumps(step).replace("STEPS", f"{chain}s")
    values = tokenizer_json(**{chain: json.loads(text)})
    with pytest.raises(ModelFormatError, match=f"its {chain} can make a text more than 64 times"):
        HuggingFaceTokenizer.from_file(written(tmp_path, values))


def test_steps_without_end(tmp_path: Path) -> None:
    strips = [{"type": "Strip", "content": "a", "start": 1, "stop": 0}] * 65
    values = tokenizer_json(decoder={"type": "Sequence", "decoders": strips})
    with pytest.raises(ModelFormatError, match="its decoder has more than 64 steps"):
        HuggingFaceTokenizer.from_file(written(tmp_path, values))
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.decoder = decoders.Sequence([decoders.Strip("a", 1, 0)] * 65)
    with pytest.raises(ModelFormatError, match="the decoder of 65 steps is not implemented"):
        HuggingFaceTokenizer(tokenizer)


def test_a_strip_takes_what_is_there_and_no_more(tmp_path: Path) -> None:
    """The count is a bound; counting to it took minutes."""
    strip = {"type": "Strip", "content": "a", "start": 10**12, "stop": 10**12}
    ours = HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(decoder=strip)))
    assert [ours.vocabulary.bytes_of(token_id) for token_id in range(3)] == [b"", b"b", b"b"]
    one = {"type": "Strip", "content": "a", "start": 1, "stop": 0}
    ours = HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(decoder=one)))
    assert [ours.vocabulary.bytes_of(token_id) for token_id in range(3)] == [b"", b"b", b"b"]


def test_patterns_and_tokens_are_bounded(tmp_path: Path) -> None:
    pattern = {"type": "Replace", "pattern": {"String": "x" * 70_000}, "content": "x"}
    with pytest.raises(ModelFormatError, match="its normalizer spells more than 65536"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(normalizer=pattern)))
    prepend = {"type": "Prepend", "prepend": "x" * 7_000}
    chain = {"type": "Sequence", "normalizers": [prepend] * 10}
    with pytest.raises(ModelFormatError, match="its normalizer spells more than 65536"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(normalizer=chain)))
    model = tokenizer_json()["model"]
    model["vocab"]["x" * 70_000] = 9
    with pytest.raises(ModelFormatError, match="a token of 70000 characters"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(model=model)))


def test_tokens_that_spell_too_much_together() -> None:
    tokens = {"a" * 4_000 + str(number): number for number in range(400)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(tokens, unk_token="0"))
    tokenizer.decoder = decoders.Replace("a", "x" * 50)
    with pytest.raises(ModelFormatError, match="its tokens spell more than 67108864 bytes"):
        HuggingFaceTokenizer(tokenizer)


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "absent", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            }
        },
        {"model": {**tokenizer_json()["model"], "continuing_subword_prefix": "ééé"}},
        {"model": {**tokenizer_json()["model"], "unk_token": "absent"}},
        {"model": {**tokenizer_json()["model"], "merges": ["a"]}},
        {"model": None},
        {"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]]}},
    ],
)
def test_what_the_rust_side_panics_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A panic is a `BaseException` of a class that nobody can import."""
    with pytest.raises(ModelFormatError, match="is no tokenizer"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(**changes)))


@pytest.mark.parametrize(("parts", "ids"), [(2, 600), (1_001, 1), (1, 10**5)])
@pytest.mark.parametrize("nested", [False, True])
def test_tokens_around_a_text_are_bounded(
    tmp_path: Path, parts: int, ids: int, *, nested: bool
) -> None:
    special = {"SpecialToken": {"id": "b", "type_id": 0}}
    text = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    template = {
        "type": "TemplateProcessing",
        "single": [*[special] * parts, text[0]],
        "pair": text,
        "special_tokens": {"b": {"id": "b", "ids": [1] * ids, "tokens": ["b"] * ids}},
    }
    around = {"type": "Sequence", "processors": [template]} if nested else template
    with pytest.raises(ModelFormatError, match="it puts more than 1000 tokens around a text"):
        HuggingFaceTokenizer.from_file(written(tmp_path, tokenizer_json(post_processor=around)))


def test_a_panic_over_one_text() -> None:
    """What a probe cannot see is met where it happens."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="absent"))
    ours = HuggingFaceTokenizer(tokenizer)
    assert ours.encode("a") == [0]
    with pytest.raises(ModelFormatError, match="the tokenizer fails: WordLevel error"):
        ours.encode("b")


def test_an_interrupt_is_no_error_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.normalizer = normalizers.NFC()
    ours = HuggingFaceTokenizer(tokenizer)

    class Interrupted:
        def encode(self, text: str, *, add_special_tokens: bool) -> None:
            raise KeyboardInterrupt

    object.__setattr__(ours, "tokenizer", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ours.encode("a")
