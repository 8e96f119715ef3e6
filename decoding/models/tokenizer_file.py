"""Checks a `tokenizer.json` against limits before a tokenizer is built from it.

A short file can need any amount of memory: steps that rewrite text can double it repeatedly, and a
token id is an index of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError
from decoding.models.files import read_text, shown
from decoding.models.json_files import parse_json
from decoding.vocabulary.limits import MOST_TOKENS

_MOST_BYTES = 64 << 20  # Gemma's has 33 MB
_MOST_VALUES = 4_000_000
_MOST_STEPS = 64
_MOST_PATTERN = 1 << 16  # characters that the steps of one chain spell
_MOST_AROUND = 1_000  # tokens that are put around a text
_MOST_GROWTH = 64
_STEPS = ("normalizer", "pre_tokenizer", "decoder")


def read_tokenizer_json(path: Path) -> str:
    """The text of a `tokenizer.json` whose tokenizer takes memory that its size bounds.

    Raises:
        ModelFormatError: the file cannot be read, is no JSON object, has more than 64 MiB or
            4,000,000 values, an id of `MOST_TOKENS` or more, more than 64 steps in a chain, steps
            that can make a text 64 times as long, or more than 1,000 tokens around a text.
    """
    text = read_text(path, _MOST_BYTES)
    values = parse_json(text, path, _MOST_VALUES)
    _check_ids(values, path)
    for chain in _STEPS:
        _check_steps(values.get(chain), chain, path)
    _check_around(values.get("post_processor"), path)
    return text


def _check_ids(values: Mapping[str, Any], path: Path) -> None:
    model = values.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    added = values.get("added_tokens")
    if isinstance(added, list):
        ids += [token.get("id") for token in added if isinstance(token, dict)]
    for token_id in ids:
        if not isinstance(token_id, int) or not 0 <= token_id < MOST_TOKENS:
            raise ModelFormatError(
                path, f"token ids must be in [0, {MOST_TOKENS}), got {shown(token_id)}"
            )


def _check_steps(root: object, chain: str, path: Path) -> None:
    growth, spelled = 1, 0
    for count, step in enumerate(_steps(root), start=1):
        if count > _MOST_STEPS:
            raise ModelFormatError(path, f"its {chain} has more than {_MOST_STEPS} steps")
        pattern = _text(step.get("pattern"))
        spelled += len(pattern) + sum(len(_text(step.get(key))) for key in ("content", "prepend"))
        if spelled > _MOST_PATTERN:
            raise ModelFormatError(path, f"its {chain} spells more than {_MOST_PATTERN} characters")
        if step.get("type") == "Replace":
            growth *= _growth(step, pattern)
        if growth > _MOST_GROWTH:
            raise ModelFormatError(
                path, f"its {chain} can make a text more than {_MOST_GROWTH} times as long"
            )


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
