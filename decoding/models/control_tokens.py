"""Encodes control tokens in a user's messages as text, so that they have no effect.

A control token in the words of a message would end the user's turn or begin the system's. So every
control token in the words is put between two private characters before the template is rendered;
when the rendered text is encoded, such a token is encoded as text, and the marks are left out. Each
token has marks of its own, which no word holds, so that nothing can be forged: a token that has
lost one of its marks, as where a template cuts a text, is still text, and a mark that stands alone
parts the text around it, so that no token comes about there. A text that ends with the beginning of
a control token gets a mark of another kind, the seam: a token that a template puts together across
a seam, from two messages or from two blocks of one, is text as well.

Source: `sanitize_control_tokens` of transformers 5.24, whose ids these are, but where it lets
tokens pass: after a slice, in JSON that is written in ASCII, as keys of dictionaries, in halves.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, runtime_checkable

from decoding.errors import ParameterError
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer

_PRIVATE = range(0xF0000, 0xFFFFE)
_NEVER = "(?!)"


@runtime_checkable
class PlainEncoder(Protocol):
    """A tokenizer that can encode a text without matching the tokens that were added to it."""

    def added_tokens(self) -> dict[str, bool]:
        """The texts of the added tokens, each with whether it is special."""

    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no added token is matched."""


def control_tokens(tokenizer: Tokenizer, template_text: str = "") -> tuple[str, ...]:
    """The texts of a tokenizer's control tokens (special added tokens).

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


@dataclass(frozen=True, slots=True)
class Marks:
    """Private characters that mark control tokens in a user's messages while a template renders.

    seam: the character that stands after a text which ends with the beginning of a token.
    begun: the tokens whose beginning and end are in the words, apart from each other.
    """

    around: Mapping[str, tuple[str, str]]
    seam: str = ""
    begun: tuple[str, ...] = ()

    @classmethod
    def for_words(cls, words: Iterable[str], tokens: Iterable[str]) -> Marks:
        """Choose marks that the messages do not contain, for the control tokens that they do."""
        texts, all_tokens = list(words), list(tokens)
        found = [token for token in all_tokens if any(token in text for text in texts)]
        begun = _halved(texts, all_tokens)
        if not found and not begun:
            return cls({})
        free = (
            mark
            for mark in map(chr, _PRIVATE)
            if not any(form in text for form in (mark, *_escaped(mark)) for text in texts)
        )
        pairs = zip(found, free, free, strict=False)
        around = {token: (start, end) for token, start, end in pairs}
        seam = next(free, "")
        if len(around) < len(found) or not seam:
            expected = f"at most {len(around)} different ones in the messages"
            raise ParameterError("control tokens", f"{len(found)} of them", expected)
        return cls(around, seam, begun)

    def put(self, value: Anything) -> Anything:  # JSON data
        """Mark every control token in the texts of plain data."""
        if not self.around and not self.begun:
            return value
        return self._put(value, re.compile(_any_of(self.around) or _NEVER))

    def _put(self, value: Anything, tokens: re.Pattern[str]) -> Anything:
        match value:
            case str():
                marked = tokens.sub(lambda match: match[0].join(self.around[match[0]]), value)
                kept = marked.rstrip()  # a template may strip what follows
                if not self.begun or not _unfinished([kept], self.begun):
                    return marked
                return kept + self.seam + marked[len(kept) :]
            case dict():
                return {self._put(k, tokens): self._put(item, tokens) for k, item in value.items()}
            case list() | tuple():
                return [self._put(item, tokens) for item in value]
        return value

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Split a rendered text at the marks; each piece has a flag for a marked token."""
        characters = "".join(map("".join, self.around.values()))
        for character in characters + self.seam:
            for escaped in _escaped(character):
                text = text.replace(escaped, character)
        longest_first = sorted(self.around.items(), key=lambda item: len(item[0]), reverse=True)
        tokens = (
            f"{start}{re.escape(token)}{end}?|{re.escape(token)}{end}"
            for token, (start, end) in longest_first
        )
        marked = re.compile("|".join([*tokens, f"[{characters}]" if characters else _NEVER]))
        pieces, done = [], 0
        for match in marked.finditer(text):
            pieces += self._joined(text[done : match.start()])
            pieces.append((match[0].strip(characters), True))
            done = match.end()
        return [*pieces, *self._joined(text[done:])]

    def _joined(self, text: str) -> list[tuple[str, bool]]:
        """A text in pieces without seams, each with whether it is a token across a seam."""
        if not self.seam or self.seam not in text:
            return [(text, False)]
        parts = text.split(self.seam)
        seams = list(accumulate(map(len, parts[:-1])))
        text = "".join(parts)
        pieces, done = [], 0
        for match in re.finditer(_any_of(self.begun) or _NEVER, text):
            if any(match.start() < seam < match.end() for seam in seams):
                pieces += [(text[done : match.start()], False), (match[0], True)]
                done = match.end()
        return [*pieces, (text[done:], False)]


def _halved(texts: list[str], tokens: list[str]) -> tuple[str, ...]:
    """The control tokens that two neighbouring texts may spell together."""
    begun = _unfinished((text.rstrip() for text in texts), tokens)
    longest = max(map(len, begun), default=0)
    heads = (text.lstrip()[:longest][::-1] for text in texts)
    ended = _unfinished(heads, [token[::-1] for token in begun])
    return tuple(token[::-1] for token in ended)


def _unfinished(texts: Iterable[str], tokens: Iterable[str]) -> list[str]:
    """The control tokens of which a text ends with a beginning."""
    ordered = sorted(filter(None, tokens))
    starts, longest = {token[0] for token in ordered}, max(map(len, ordered), default=0)
    found: dict[str, None] = {}
    for text in texts:
        tail = text[max(len(text) - longest + 1, 0) :]
        for place in (place for place, character in enumerate(tail) if character in starts):
            beginning = tail[place:]
            index = bisect_left(ordered, beginning)
            while index < len(ordered) and ordered[index].startswith(beginning):
                if ordered[index] != beginning:
                    found[ordered[index]] = None
                index += 1
    return list(found)


def _any_of(tokens: Iterable[str]) -> str:
    """A pattern of texts; the longest match comes first."""
    return "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))


def _escaped(character: str) -> tuple[str, str]:
    """The escapes of a private character in ASCII JSON and in Python's `repr`."""
    units = character.encode("utf-16-be").hex()
    return f"\\u{units[:4]}\\u{units[4:]}", f"\\U{ord(character):08x}"


def texts_in(value: object) -> Iterator[str]:
    """Every text in plain data, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_in(key)
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def encode_marked(tokenizer: Tokenizer, text: str, marks: Marks) -> list[int]:
    """Encode a rendered chat; marked control tokens are encoded as text.

    Raises:
        ParameterError: the tokenizer makes a control token of its text even so.
    """
    (first, _), *others = marks.split(text)
    ids = _encode(tokenizer, first)
    for piece, is_token in others:
        if piece:
            ids += _spelled(tokenizer, piece) if is_token else _inner(tokenizer, piece)
    return ids


def encode_sanitized(
    tokenizer: Tokenizer, text: str, *, add_special_tokens: bool = True
) -> list[int]:
    """Encode a prompt; all special tokens in it are encoded as text.

    add_special_tokens: put those around it that the model expects.

    Raises:
        ParameterError: the tokenizer makes a control token of its text even so.
    """
    marks = Marks.for_words([text], control_tokens(tokenizer))
    ids = encode_marked(tokenizer, marks.put(text), marks)
    if not add_special_tokens:
        return ids
    inner, whole = _encode(tokenizer, "a"), tokenizer.encode("a")
    start = next(at for at in range(len(whole)) if whole[at : at + len(inner)] == inner)
    return [*whole[:start], *ids, *whole[start + len(inner) :]]


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _inner(tokenizer: Tokenizer, text: str) -> list[int]:
    return _after_newline(lambda piece: _encode(tokenizer, piece), _encode(tokenizer, "\n"), text)


def _spelled(tokenizer: Tokenizer, token: str) -> list[int]:
    """Encode the text of a control token as text."""
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


def _after_newline(encode: Callable[[str], list[int]], newline: list[int], text: str) -> list[int]:
    """Encode a text as inside another: SentencePiece adds a space at a beginning."""
    ids = encode("\n" + text)
    return ids[len(newline) :] if ids[: len(newline)] == newline else encode(text)
