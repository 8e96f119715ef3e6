"""The character span of each token of a text, for `/tokenize`."""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Any

from decoding.vocabulary import Tokenizer


def token_spans(
    tokenizer: Tokenizer, text: str, *, add_special_tokens: bool = True
) -> list[dict[str, Any]]:
    """`{id, text, start, stop}` of each token, `start` and `stop` in characters of `text`.

    The places are the tokenizer's own, where it is one of `tokenizers`; else those of the bytes
    that each token spells. What stands nowhere in the text, as a token that begins every text, is
    empty at 0. Of tokens that share a character, each is said to hold it.
    """
    inner: Any = getattr(tokenizer, "tokenizer", None)
    if inner is not None and hasattr(inner, "encode_batch"):
        encoding = inner.encode(text, add_special_tokens=add_special_tokens)
        places = list(zip(encoding.ids, encoding.offsets, strict=True))
    else:
        places = _places(tokenizer, text, add_special_tokens=add_special_tokens)
    return [
        {"id": int(token_id), "text": text[start:stop], "start": int(start), "stop": int(stop)}
        for token_id, (start, stop) in places
    ]


def _places(
    tokenizer: Tokenizer, text: str, *, add_special_tokens: bool
) -> list[tuple[int, tuple[int, int]]]:
    vocabulary = tokenizer.vocabulary
    decoder = getincrementaldecoder("utf-8")("replace")
    found, start = [], 0
    for token_id in tokenizer.encode(text, add_special_tokens=add_special_tokens):
        if vocabulary.is_special(token_id):
            found.append((token_id, (0, 0)))
            continue
        stop = start + len(decoder.decode(vocabulary.bytes_of(token_id)))
        open_character = bool(decoder.getstate()[0])
        found.append((token_id, (start, min(stop + open_character, len(text)))))
        start = stop
    return found
