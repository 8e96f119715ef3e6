"""Checks a `tokenizer.json` against limits before a tokenizer is built from it.

A short file can need any amount of memory: steps that rewrite text can double it repeatedly, a
token id is an index of a list, and a long token is a deep tree.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError
from decoding.models.files import read_text, shown
from decoding.models.json_files import parse_json
from decoding.vocabulary.limits import MOST_CHARACTERS, MOST_TOKENS

_MOST_BYTES = 64 << 20  # Gemma's has 33 MB
_MOST_VALUES = 4_000_000
_MOST_STEPS = 64
_MOST_PATTERN = 1 << 16  # characters that the steps of one chain spell
_MOST_AROUND = 1_000  # tokens that are put around a text
_MOST_GROWTH = 64  # of a text by one chain; and by one table of replacements
_STEPS = ("normalizer", "pre_tokenizer", "decoder")


def read_tokenizer_json(path: Path) -> tuple[str, dict[str, int]]:
    """The text of a `tokenizer.json` whose tokenizer takes memory that its size bounds.

    And the ids that it gives its added tokens, by their texts.

    Raises:
        ModelFormatError: the file cannot be read, is no JSON object, has more than 64 MiB or
            4,000,000 values, an id of `MOST_TOKENS` or more, two tokens with one id, a token that
            is empty or has more than `MOST_CHARACTERS` characters, more than 64 steps in a chain,
            steps that can make a text 64 times as long, or more than 1,000 tokens around a text.
    """
    text = read_text(path, _MOST_BYTES)
    values = parse_json(text, path, _MOST_VALUES)
    added = _added_tokens(values)
    _check_tokens(values, added, path)
    for chain in _STEPS:
        _check_steps(values.get(chain), chain, path)
    _check_around(values.get("post_processor"), path)
    return text, {token["content"]: token["id"] for token in added}


def _added_tokens(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [token for token in _list(values.get("added_tokens")) if isinstance(token, dict)]


def _check_tokens(values: Mapping[str, Any], added: list[dict[str, Any]], path: Path) -> None:
    """Check ids and texts of tokens, those of the model and those that are added to it."""
    vocabulary = _member(values.get("model"), "vocab")
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    for token_id in [*ids, *(token.get("id") for token in added)]:
        if type(token_id) is not int or not 0 <= token_id < MOST_TOKENS:
            raise ModelFormatError(
                path, f"token ids must be in [0, {MOST_TOKENS}), got {shown(token_id)}"
            )
    if len(set(ids)) != len(ids):
        twice = next(token_id for token_id, count in Counter(ids).items() if count > 1)
        raise ModelFormatError(path, f"token ids must be distinct, got {twice} for two tokens")
    texts = list(vocabulary) if isinstance(vocabulary, dict) else _pieces(vocabulary)
    for token in added:
        content = token.get("content")
        if not isinstance(content, str) or not content:
            raise ModelFormatError(
                path, f"added token {token['id']} must have a text, got {shown(content)}"
            )
        texts.append(content)
    longest = max(texts, key=len, default="")
    if len(longest) > MOST_CHARACTERS:
        problem = f"a token of {len(longest)} characters; at most {MOST_CHARACTERS} are read"
        raise ModelFormatError(path, f"has {problem}: {shown(longest)}")


def _pieces(vocabulary: object) -> list[str]:
    """List the token texts of a Unigram vocabulary, which is pairs of text and score."""
    pairs = (item for item in _list(vocabulary) if isinstance(item, list) and item)
    return [pair[0] for pair in pairs if isinstance(pair[0], str)]


def _check_steps(root: object, chain: str, path: Path) -> None:
    growth, spelled, tables = 1, 0, 0
    for count, step in enumerate(_steps(root), start=1):
        if count > _MOST_STEPS:
            raise ModelFormatError(path, f"its {chain} has more than {_MOST_STEPS} steps")
        pattern = _text(step.get("pattern"))
        spelled += len(pattern) + sum(len(_text(step.get(key))) for key in ("content", "prepend"))
        if spelled > _MOST_PATTERN:
            raise ModelFormatError(path, f"its {chain} spells more than {_MOST_PATTERN} characters")
        if step.get("type") == "Replace":
            growth *= _growth(step, pattern)
        elif step.get("type") == "ByteLevel" and chain != "decoder":
            growth *= 2  # a byte beyond ASCII is spelled by a character of two
        elif step.get("type") == "Precompiled":
            tables += 1
            _check_table(step.get("precompiled_charsmap"), chain, path)
        if tables > 1:
            raise ModelFormatError(path, f"its {chain} has more than one Precompiled step")
        if growth > _MOST_GROWTH:
            raise ModelFormatError(
                path, f"its {chain} can make a text more than {_MOST_GROWTH} times as long"
            )


def _check_table(charsmap: object, chain: str, path: Path) -> None:
    """Refuse a SentencePiece normalization table that has a replacement of more than 64 bytes.

    A table is the size of a tree, the tree, and texts. What is none is refused where the tokenizer
    is built.
    """
    try:
        table = base64.b64decode(charsmap if isinstance(charsmap, str) else "")
    except (binascii.Error, ValueError):
        return
    texts = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
    longest = max(map(len, texts))
    if longest > _MOST_GROWTH:
        problem = f"a replacement of {longest} bytes, more than {_MOST_GROWTH}"
        raise ModelFormatError(path, f"its {chain} has {problem}")


def _check_around(root: object, path: Path) -> None:
    """Bound what templates put around a text: each special token of one can stand for many."""
    count = 0
    for step in _steps(root):
        tokens = step.get("special_tokens")
        for part in _list(step.get("single")):
            name = _member(_member(part, "SpecialToken"), "id")
            ids = _member(_member(tokens, name) if isinstance(name, str) else None, "ids")
            count += 1 + len(_list(ids))
    if count > _MOST_AROUND:
        raise ModelFormatError(path, f"it puts more than {_MOST_AROUND} tokens around a text")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _member(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _steps(root: object) -> Iterator[Mapping[str, Any]]:
    """Every step of a chain, those within sequences too."""
    waiting = [root]
    while waiting:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        yield step
        for value in step.values():
            waiting.extend(value if isinstance(value, list) else [])


def _text(value: object) -> str:
    """A pattern is a string or an object with a string in it."""
    if isinstance(value, dict):
        value = next(iter(value.values()), "")
    return value if isinstance(value, str) else ""


def _growth(step: Mapping[str, Any], pattern: str) -> int:
    """How many times as long a replacement can make a text."""
    content = len(_text(step.get("content")).encode())
    kind = step.get("pattern")
    literal = isinstance(kind, str) or (isinstance(kind, dict) and "String" in kind)
    if literal and pattern:
        return max(1, -(-content // len(pattern.encode())))
    return 1 + content  # an expression, or nothing, matches between all characters
