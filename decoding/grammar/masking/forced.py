"""Forced tokens: the tokens that must come next, which need no forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.protocol import TokenMatcher
from decoding.grammar.tokens.trie import Trie, find, is_token, tokens_below

Encode = Callable[[str], list[int]]
"""Text to token ids, without special tokens in front."""


def forced_tokens(matcher: TokenMatcher, encode: Encode) -> list[int]:
    """The next tokens common to the `encode` tokenisations of all texts that the matcher allows.

    Whatever is sampled, the text goes on with `Matcher.forced_bytes()`. A token is forced if it
    stands there in the tokenisation of every text that goes on so: no token of the vocabulary that
    the grammar allows reaches from within it, or from a token before it, beyond the bytes that are
    known. Without `encode`'s choice another row of tokens could spell the same bytes; so to take
    these is to decide for one spelling of a text, never for one text. A token that alone is allowed
    is forced however it is spelled; of matchers of other engines, only such tokens are known.

    All are allowed, one after the other; the matcher stays where it is. Where a tokeniser does not
    spell the forced bytes as they are, as with a space in front, none is forced.

    encode: what it makes of a text, up to where one of its tokens ends, has to be what it makes of
        that part alone; so it is for byte pair encoding behind a splitter.

    Raises:
        GrammarLimitError: a mask on the way needs too much.
    """
    branch = matcher.fork()
    forced: list[int] = []
    while not branch.is_accepting:
        found = _certain(branch, encode) if isinstance(branch, Matcher) else []
        if not found:
            found = _alone(branch)
        for token in found:
            if not branch.advance(token):
                return forced
            forced.append(token)
        if not found:
            break
    return forced


def _alone(matcher: TokenMatcher) -> list[int]:
    """The token that is allowed, if there is only one."""
    mask = matcher.mask()
    words = np.flatnonzero(mask)
    if len(words) != 1:
        return []
    word = int(mask[words[0]])
    return [32 * int(words[0]) + word.bit_length() - 1] if word & (word - 1) == 0 else []


def _certain(matcher: Matcher, encode: Encode) -> list[int]:
    """The tokens that begin the tokenisation of every text that may come next.

    The last token that ends within the bytes ends at one of a few offsets, and the tokens before it
    are the encoding of the bytes up to there. So the common prefix of these encodings is certain.
    """
    text = matcher.forced_bytes()
    common: list[int] | None = None
    for end in _ends(matcher, text) if text else ():
        tokens = encode(text[:end].decode())
        spelled = [matcher.tokens.spelled[token] for token in tokens]
        if b"".join(spelled) != text[:end]:
            return []
        common = tokens if common is None else _shared(common, tokens)
    return common or []


def _shared(tokens: list[int], others: list[int]) -> list[int]:
    """The common prefix of two token sequences."""
    for index, (token, other) in enumerate(zip(tokens, others, strict=False)):
        if token != other:
            return tokens[:index]
    return min(tokens, others, key=len)


def _ends(matcher: Matcher, text: bytes) -> Iterator[int]:
    """Yield the offsets at which the last token that ends within a text may end."""
    tries = (matcher.tokens.bare, matcher.tokens.quoted)
    inside: set[int] = set()
    longest = max(trie.depth for trie in tries)
    branch = matcher.fork()
    for length in range(len(text)):
        if length > len(text) - longest and _reaches_beyond(branch, tries, text[length:]):
            inside.add(length)
        branch.follow(text[length : length + 1])
    inside.add(len(text))
    # Half a character cannot be encoded: the token that ends there begins before it.
    while inside:
        end = inside.pop()
        if _is_whole(text[:end]):
            yield end
        else:
            inside |= {
                begin
                for begin in range(max(0, end - longest), end)
                if any(is_token(trie, text[begin:end]) for trie in tries)
            }


def _reaches_beyond(matcher: Matcher, tries: tuple[Trie, Trie], text: bytes) -> bool:
    """Whether a token that may come next is longer than a text, and begins with it."""
    for trie in tries:
        longer = tokens_below(trie, find(trie, text))
        if len(longer):
            mask = matcher.mask()
            if np.any(mask[longer >> 5] >> (longer & 31).astype(np.uint32) & 1):
                return True
    return False


def _is_whole(text: bytes) -> bool:
    """Whether some bytes are UTF-8 of whole characters."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
