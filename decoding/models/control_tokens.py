"""Control tokens that a user's words spell: they are marked, rendered, and encoded as text.

A control token in the words of a message would end the user's turn or begin the system's. So every
control token in the words is put between two characters of a private-use plane before the template
is rendered; when the text is encoded, what stands between them is encoded as text, and the marks
are left out. A mark that has lost the other one, as where a template splits a text, still parts the
text around it. Source: `sanitize_control_tokens` of transformers 5.24, which this equals; beyond it,
the keys of dictionaries are marked too, and so are tokens in JSON that is written in ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from decoding.errors import ParameterError
from decoding.vocabulary import Tokenizer

START, END = "\U000f0000", "\U000f0001"
_ASCII_MARKS = {"\\udb80\\udc00": START, "\\udb80\\udc01": END}  # the marks in JSON
_NEVER = "(?!)"


@runtime_checkable
class PlainEncoder(Protocol):
    """A tokenizer that can encode a text without matching the tokens that were added to it."""

    def added_tokens(self) -> dict[str, bool]:
        """The texts of the added tokens, each with whether it is special."""
        ...

    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no added token is matched."""
        ...


def control_tokens(tokenizer: Tokenizer, template_text: str = "") -> tuple[str, ...]:
    """The texts of a tokenizer's control tokens.

    These are its special tokens, and the added tokens that a chat template's own text spells, as
    `<think>`.
    """
    if isinstance(tokenizer, PlainEncoder):
        found = (
            text
            for text, special in tokenizer.added_tokens().items()
            if special or (text in template_text and not text.isspace())
        )
    else:
        vocabulary = tokenizer.vocabulary
        found = (vocabulary.text_of(item) for item in sorted(vocabulary.special_token_ids))
    return tuple(text for text in found if text)


def mark(value: Any, tokens: Iterable[str]) -> Any:  # noqa: ANN401 -- JSON data
    """Plain data with every control token in its texts marked; marks that were there are dropped."""
    return _marked(value, re.compile(_any_of(tokens)))


def _any_of(tokens: Iterable[str]) -> str:
    """Of several that begin at one place, the longest is found."""
    return "|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or _NEVER


def _marked(value: Any, tokens: re.Pattern[str]) -> Any:  # noqa: ANN401
    match value:
        case str():
            return tokens.sub(f"{START}\\g<0>{END}", value.replace(START, "").replace(END, ""))
        case dict():
            return {_marked(key, tokens): _marked(item, tokens) for key, item in value.items()}
        case list() | tuple():
            return [_marked(item, tokens) for item in value]
    return value


def encode_marked(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a rendered chat; what is marked is encoded as text.

    Raises:
        ParameterError: the tokenizer makes a control token of its text even so.
    """
    for written, character in _ASCII_MARKS.items():
        text = text.replace(written, character)
    if START not in text and END not in text:
        return tokenizer.encode(text, add_special_tokens=False)
    tokens = (
        tokenizer.added_tokens() if isinstance(tokenizer, PlainEncoder) else control_tokens(tokenizer)
    )
    marked = re.compile(f"{START}({_any_of(tokens)}){END}|[{START}{END}]")
    # Texts and marked tokens in turn; None in place of a token for a mark that stands alone.
    first, *others = marked.split(text)
    ids = _encode(tokenizer, first)
    for index, piece in enumerate(others):
        if piece:
            ids += _spelled(tokenizer, piece) if index % 2 == 0 else _inner(tokenizer, piece)
    return ids


def encode_text_only(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text whose special tokens are encoded as text, without any in front."""
    return encode_marked(tokenizer, mark(text, control_tokens(tokenizer)))


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _inner(tokenizer: Tokenizer, text: str) -> list[int]:
    return _after_newline(lambda piece: _encode(tokenizer, piece), _encode(tokenizer, "\n"), text)


def _spelled(tokenizer: Tokenizer, token: str) -> list[int]:
    """A control token's text, as text."""
    if isinstance(tokenizer, PlainEncoder):
        ids = _after_newline(tokenizer.encode_as_text, _encode(tokenizer, "\n"), token)
    else:  # parted, so that the tokenizer does not see the token
        ids = _inner(tokenizer, token[:1]) + _inner(tokenizer, token[1:])
    vocabulary = tokenizer.vocabulary
    whole = set(_encode(tokenizer, token))
    if any(vocabulary.is_special(item) or (len(whole) == 1 and item in whole) for item in ids):
        expected = "one that the tokenizer can spell as text; or pass sanitize_control_tokens=False"
        raise ParameterError("control token", token, expected)
    return ids


def _after_newline(
    encode: Callable[[str], list[int]], newline: list[int], text: str
) -> list[int]:
    """Encode what stands within a text: SentencePiece puts a space before the text's beginning."""
    ids = encode("\n" + text)
    return ids[len(newline) :] if ids[: len(newline)] == newline else encode(text)
