"""Converts bad words to sequences of token ids, and DRY's sequence breakers to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from decoding.errors import ParameterError
from decoding.vocabulary import Tokenizer, Vocabulary

DRY_SEQUENCE_BREAKERS = ("\n", ":", '"', "*")
"""The breakers that DRY's author proposed; the default of llama.cpp, koboldcpp and others."""

_BEFORE = ("", "\n")
"""What stands before a word when it is encoded: nothing, and what no tokenizer joins with it."""


def bad_word_sequences(
    words: Sequence[str], tokenizer: Tokenizer | None
) -> Sequence[Sequence[int]]:
    """Tokenise bad words, each as at the beginning of a text and as after a space.

    words: each with or without a leading space, which makes no difference. A word is banned as the
        tokenizer encodes it; other splits of its letters into tokens are not.

    Raises:
        ParameterError: there are words but no tokenizer.

    Source: `bad_words` of vLLM.
    """
    if words and tokenizer is None:
        raise ParameterError("bad_words", words, "empty for a model without a tokenizer")
    found: dict[tuple[int, ...], None] = {}
    for word in words:
        bare = word.lstrip(" ")
        forms = (bare, f" {bare}") if bare else (word,)
        for form in forms:
            found |= dict.fromkeys(_encodings(form, tokenizer)) if tokenizer is not None else {}
    return tuple(found)


def breaker_ids(texts: Sequence[str] | None, tokenizer: Tokenizer | None) -> tuple[int, ...]:
    """The token ids at which DRY ends a repetition, ascending.

    texts: a breaker stands for every token that contains it (llama.cpp, koboldcpp); one that no
        token contains stands for the last token of its encoding (text-generation-webui). None for
        `DRY_SEQUENCE_BREAKERS`, or nothing where there is no tokenizer.

    Raises:
        ParameterError: breakers are given but there is no tokenizer.
    """
    if tokenizer is None:
        if texts:
            expected = "empty for a model without a tokenizer"
            raise ParameterError("dry_sequence_breakers", texts, expected)
        return ()
    chosen: set[int] = set()
    for text in DRY_SEQUENCE_BREAKERS if texts is None else texts:
        containing = _containing(text.encode("utf-8", "surrogatepass"), tokenizer.vocabulary)
        chosen.update(containing or _plain_ids(f"a{text}", tokenizer)[-1:])
    return tuple(sorted(chosen))


def _encodings(text: str, tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """Tokenise a text as at the beginning of a text and as after a line end; keep exact ones.

    A tokenizer may put a space in front of what it encodes; after a line end it does not.
    """
    vocabulary, wanted = tokenizer.vocabulary, text.encode("utf-8", "surrogatepass")
    found = []
    for before in _BEFORE:
        token_ids, spelled = _plain_ids(before + text, tokenizer), b""
        for start in reversed(range(len(token_ids))):
            spelled = vocabulary.bytes_of(token_ids[start]) + spelled
            if len(spelled) >= len(wanted):
                if spelled == wanted:
                    found.append(tuple(token_ids[start:]))
                break
    return found


def _plain_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """The token ids of a text; none if it has lone surrogates, which no token spells."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return []
    return [int(token_id) for token_id in tokenizer.encode(text, add_special_tokens=False)]


@lru_cache(maxsize=64)  # every request with DRY asks for those of the default breakers
def _containing(text: bytes, vocabulary: Vocabulary) -> tuple[int, ...]:
    spelled = enumerate(vocabulary.token_bytes)
    return tuple([token_id for token_id, letters in spelled if text in letters])
