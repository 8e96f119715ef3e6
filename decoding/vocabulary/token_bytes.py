"""The bytes that each token of a Hugging Face tokenizer spells, derived from its decoder.

A decoder is a chain of rewriting steps over a list of tokens. Most steps treat each token alone;
those become a function from one token to its bytes. What a decoder does to the text as a whole
(dropping the space in front of the very first token) is no property of a token and is left out, so
a token that begins a word always spells its space.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import tokenizers

from decoding.errors import ModelFormatError
from decoding.vocabulary.limits import MOST_CHARACTERS, MOST_TOKENS

Step: TypeAlias = Callable[[str | bytes], str | bytes]
"""One token on its way to bytes; once it is bytes, it is left alone."""

_MOST_BYTES = 64 << 20
"""Most bytes that all tokens together spell. The largest vocabularies known spell 5 MB."""
_MOST_STEPS = 64

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# The library's own list, applied in this order to one token at a time.
_CLEANUP = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def tokens_of(
    tokenizer: tokenizers.Tokenizer, source: object
) -> tuple[list[bytes], frozenset[int]]:
    """The bytes of each token id, empty where it has no token, and the set of special ids.

    Raises:
        ModelFormatError: the decoder has a step whose bytes are not known; names it. Or an id is
            `MOST_TOKENS` or more, or the tokens spell more than 64 MiB.
    """
    added = tokenizer.get_added_tokens_decoder()
    # A decoder's pickle is its JSON, and much shorter than the whole tokenizer's.
    decoder = tokenizer.decoder and json.loads(tokenizer.decoder.__getstate__())
    steps = _steps(decoder, source)
    byte_level = _spell_bytes in steps
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    count = max(vocabulary.values(), default=-1) + 1
    if count > MOST_TOKENS:
        raise ModelFormatError(source, f"token ids must be below {MOST_TOKENS}, got {count - 1}")
    spelled = [b""] * count
    left = _MOST_BYTES
    for token, token_id in vocabulary.items():
        if len(token) > MOST_CHARACTERS:
            problem = f"has {len(token)} characters; at most {MOST_CHARACTERS} are read"
            raise ModelFormatError(source, f"token {token_id} {problem}")
        # Added tokens are matched in the raw text, so a byte-level alphabet does not apply to them;
        # but a single character is the token of a byte before it is anything else.
        raw = byte_level and token_id in added and len(token) > 1
        value: str | bytes = token.encode() if raw else token
        for step in steps:
            value = step(value)
            if len(value) > left:
                raise ModelFormatError(source, f"its tokens spell more than {_MOST_BYTES} bytes")
        spelled[token_id] = value.encode() if isinstance(value, str) else value
        left -= len(spelled[token_id])
    special = frozenset(token_id for token_id, token in added.items() if token.special)
    return spelled, special


def byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters stand for their own byte.

    The other 68 bytes are the characters from U+0100 on, in order.
    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


_ALPHABET = byte_alphabet()


def _on_text(rewrite: Callable[[str], str | bytes]) -> Step:
    return lambda token: rewrite(token) if isinstance(token, str) else token


def _spell_bytes(token: str | bytes) -> str | bytes:
    """A byte-level token; one with a character outside the alphabet spells itself."""
    if isinstance(token, bytes):
        return token
    try:
        return bytes([_ALPHABET[character] for character in token])
    except KeyError:
        return token.encode()


def _byte_fallback(token: str) -> str | bytes:
    match = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token


def _replace(old: str, new: str) -> Callable[[str], str]:
    return lambda token: token.replace(old, new)


def _strip(content: str, start: int, stop: int) -> Callable[[str], str]:
    def strip(token: str) -> str:
        for _ in range(start):
            if not content or not token.startswith(content):
                break
            token = token.removeprefix(content)
        for _ in range(stop):
            if not content or not token.endswith(content):
                break
            token = token.removesuffix(content)
        return token

    return strip


def _word_piece(prefix: str, *, cleanup: bool) -> Callable[[str], str]:
    def join(token: str) -> str:
        text = token.removeprefix(prefix) if token.startswith(prefix) else f" {token}"
        for old, new in _CLEANUP if cleanup else ():
            text = text.replace(old, new)
        return text

    return join


def _steps(decoder: Mapping[str, Any] | None, source: object) -> list[Step]:
    """The per-token functions of a serialised decoder."""
    if decoder is None:
        return [_on_text(lambda token: f" {token}")]
    steps: list[Step] = []
    fused = False
    parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    if len(parts) > _MOST_STEPS:
        _unknown(f"of {len(parts)} steps", source)
    for part in parts:
        if part["type"] == "Fuse":
            fused = True
        elif not fused:
            steps.append(_step(part, source))
        elif part["type"] != "Strip":
            _unknown(f"{part['type']} after Fuse", source)
    return steps


def _step(part: Mapping[str, Any], source: object) -> Step:
    match part:
        case {"type": "ByteLevel"}:
            step: Step = _spell_bytes
        case {"type": "ByteFallback"}:
            step = _on_text(_byte_fallback)
        case {"type": "Metaspace", "replacement": str(mark)}:
            step = _on_text(_replace(mark, " "))
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
            step = _on_text(_replace(old, new))
        case {"type": "Strip", "content": str(content), "start": int(start), "stop": int(stop)}:
            step = _on_text(_strip(content, start, stop))
        case {"type": "WordPiece", "prefix": str(prefix), "cleanup": bool(cleanup)}:
            step = _on_text(_word_piece(prefix, cleanup=cleanup))
        case _:
            _unknown(json.dumps(part)[:200], source)
    return step


def _unknown(kind: str, source: object) -> NoReturn:
    raise ModelFormatError(source, f"the decoder {kind} is not implemented")
