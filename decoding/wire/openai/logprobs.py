"""Selects the tokens to show beside a text; writes their logprobs in OpenAI's two forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decoding.wire.details import PrefillToken, Token, TopToken


class Shown:
    """Selects the tokens to show: those that spell a part of the visible text, in order.

    End-of-sequence tokens write none, and a stop that is cut off the text takes its tokens along. A
    token whose text is held back waits.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Token, Sequence[TopToken]]] = []
        self._spelled = 0
        self._written = 0

    def push(
        self, token: Token, top_tokens: Sequence[TopToken], text: str
    ) -> list[tuple[Token, Sequence[TopToken]]]:
        """Take one token and the text it made final; return the tokens that can be shown now."""
        self._written += len(text.encode("utf-8", "surrogatepass"))
        if not token.special:
            spelled = token.text.encode() if token.bytes is None else token.bytes
            self._waiting.append((self._spelled, token, top_tokens))
            self._spelled += len(spelled)
        ready = 0
        while ready < len(self._waiting) and self._waiting[ready][0] < self._written:
            ready += 1
        taken, self._waiting = self._waiting[:ready], self._waiting[ready:]
        return [(token, top) for _, token, top in taken]


def shown_tokens(
    tokens: Sequence[Token], top_tokens: Sequence[Sequence[TopToken]], text: str
) -> list[tuple[Token, Sequence[TopToken]]]:
    """The tokens of a whole sequence that are shown beside its text, with their alternatives."""
    shown = Shown()
    steps = top_tokens or [()] * len(tokens)
    found: list[tuple[Token, Sequence[TopToken]]] = []
    for index, (token, top) in enumerate(zip(tokens, steps, strict=True)):
        found += shown.push(token, top, text if index == 0 else "")
    return found


def chat_logprobs(shown: Sequence[tuple[Token, Sequence[TopToken]]], most: int) -> dict[str, Any]:
    """Make the `logprobs` of a chat choice: `{content: [{token, logprob, ...}], refusal}`.

    most: alternatives for each token.
    """
    content = [
        {**_entry(token), "top_logprobs": [_entry(item) for item in top[:most]]}
        for token, top in shown
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(
    shown: Sequence[tuple[Token, Sequence[TopToken]]],
    most: int,
    *,
    offset: int = 0,
    prompt: Sequence[PrefillToken] = (),
) -> dict[str, Any]:
    """`{tokens, token_logprobs, top_logprobs, text_offset}`, the form of `/v1/completions`.

    offset: characters of the text before the first token. prompt: tokens that are shown in front.

    Each token is among its own `top_logprobs`, which may make these one more than `most`.
    """
    texts = [_spelled(item) for item in prompt] + [_spelled(token) for token, _ in shown]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    alternatives = [_alternatives(item, item.top_tokens, most) for item in prompt]
    alternatives += [_alternatives(token, top, most) for token, top in shown]
    return {
        "tokens": texts,
        "token_logprobs": [item.logprob for item in prompt] + [token.logprob for token, _ in shown],
        "top_logprobs": alternatives if most else None,
        "text_offset": offsets,
    }


def _alternatives(
    token: Token | PrefillToken, top: Sequence[TopToken], most: int
) -> dict[str, float] | None:
    """Logprobs by text of the likeliest tokens and the token itself; None where it has none."""
    if token.logprob is None:
        return None
    found: dict[str, float] = {}
    for item in top[:most]:
        found.setdefault(_spelled(item), item.logprob)  # U+FFFD may stand for several
    found.setdefault(_spelled(token), token.logprob)
    return found


def _entry(token: Token | TopToken) -> dict[str, Any]:
    spelled = token.bytes
    return {
        "token": _spelled(token),
        "logprob": token.logprob,
        "bytes": None if spelled is None else list(spelled),
    }


def _spelled(token: Token | TopToken | PrefillToken) -> str:
    """The token alone; U+FFFD for what is no whole character."""
    return token.text if token.bytes is None else token.bytes.decode("utf-8", "replace")
