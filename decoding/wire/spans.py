"""The character span of each token of a text, for `/tokenize`."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any, TypeAlias

from decoding.typing import Anything
from decoding.vocabulary import Tokenizer, Vocabulary

Places: TypeAlias = Sequence[tuple[int, int]]


def token_spans(tokenizer: Tokenizer, text: str) -> list[dict[str, Any]]:
    """`{id, text, start, stop}` of each token of a prompt, also of those that are put around it.

    `start` and `stop` are in characters of `text`, as in `spans_of`.
    """
    inner: Any = _inner(tokenizer)
    if inner is not None:
        encoding = inner.encode(text)
        return _spans(text, encoding.ids, encoding.offsets)
    token_ids = tokenizer.encode(text)
    return _spans(text, token_ids, _places(tokenizer.vocabulary, text, token_ids))


def spans_of(tokenizer: Tokenizer, text: str, token_ids: Sequence[int]) -> list[dict[str, Any]]:
    """`{id, text, start, stop}` of tokens that spell a text.

    The places are the tokenizer's own, where it is one of `tokenizers` and makes these tokens of
    the text; else those of the bytes that each token spells. What stands nowhere in the text, as a
    token that begins every text, is empty at 0. Of tokens that share a character, each is said to
    hold it.
    """
    inner: Any = _inner(tokenizer)
    if inner is not None:
        encoding = inner.encode(text, add_special_tokens=False)
        if encoding.ids == list(token_ids):
            return _spans(text, encoding.ids, encoding.offsets)
    return _spans(text, token_ids, _places(tokenizer.vocabulary, text, token_ids))


def _inner(tokenizer: Tokenizer) -> Anything:  # of `tokenizers`, which may not be there
    inner = getattr(tokenizer, "tokenizer", None)
    return inner if hasattr(inner, "encode_batch") else None


def _spans(text: str, token_ids: Sequence[int], places: Places) -> list[dict[str, Any]]:
    return [
        {"id": int(token_id), "text": text[start:stop], "start": int(start), "stop": int(stop)}
        for token_id, (start, stop) in zip(token_ids, places, strict=True)
    ]


def _places(vocabulary: Vocabulary, text: str, token_ids: Sequence[int]) -> Places:
    decoder = getincrementaldecoder("utf-8")("replace")
    found: list[tuple[int, int]] = []
    start = 0
    for token_id in token_ids:
        spelled = vocabulary.bytes_of(token_id)
        if vocabulary.is_special(token_id) and not text.startswith(
            spelled.decode("utf-8", "replace"), start
        ):
            found.append((0, 0))
            continue
        stop = start + len(decoder.decode(spelled))
        open_character = bool(decoder.getstate()[0])
        found.append((start, min(stop + open_character, len(text))))
        start = stop
    return found
