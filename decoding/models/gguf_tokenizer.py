"""Builds a `tokenizers.Tokenizer` from the vocabulary of a GGUF file."""

from __future__ import annotations

from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from decoding.models.gguf_vocabulary import (
    BYTE,
    BYTE_LEVEL,
    CONTROL,
    UNKNOWN,
    USER_DEFINED,
    GGUFVocabulary,
)

_SPACE = "▁"


def gguf_tokenizer(vocabulary: GGUFVocabulary) -> tokenizers.Tokenizer:
    """Build the tokenizer that a vocabulary describes.

    Tokens of type control and unknown are special; those of type user-defined are matched whole but
    are text. Raises whatever `tokenizers` does where tokens and merges do not fit together.
    """
    make = _byte_level if vocabulary.model == BYTE_LEVEL else _sentence_piece
    tokenizer = make(vocabulary)
    tokenizer.add_tokens(
        [
            AddedToken(token, special=kind != USER_DEFINED, normalized=False)
            for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
            if kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ]
    )
    if vocabulary.begin or vocabulary.end:
        tokenizer.post_processor = _surrounded(vocabulary)
    return tokenizer


def _ids(vocabulary: GGUFVocabulary) -> dict[str, int]:
    return {token: token_id for token_id, token in enumerate(vocabulary.tokens)}


def _surrounded(vocabulary: GGUFVocabulary) -> processors.PostProcessor:
    """The post-processor that adds tokens before and after a prompt.

    Tokens are named by id: a colon in a token's text would be read as syntax.
    """
    names = [f"special-{token_id}" for token_id in (*vocabulary.begin, *vocabulary.end)]
    front, behind = names[: len(vocabulary.begin)], names[len(vocabulary.begin) :]
    ids = zip(names, (*vocabulary.begin, *vocabulary.end), strict=True)
    special: list[Any] = [
        {"id": name, "ids": [token_id], "tokens": [vocabulary.tokens[token_id]]}
        for name, token_id in dict(ids).items()
    ]
    return processors.TemplateProcessing(single=[*front, "$A", *behind], special_tokens=special)


def _byte_level(vocabulary: GGUFVocabulary) -> tokenizers.Tokenizer:
    splitter = vocabulary.splitter
    assert splitter is not None  # byte-level vocabularies have one
    bpe = BPE(_ids(vocabulary), vocabulary.merges, ignore_merges=splitter.ignore_merges)
    tokenizer = tokenizers.Tokenizer(bpe)
    if splitter.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splitter.patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(vocabulary: GGUFVocabulary) -> tokenizers.Tokenizer:
    """The BPE model of SentencePiece: merges in the order of the pieces' scores."""
    unknown = vocabulary.special_ids.get("unknown")
    bpe = BPE(
        _ids(vocabulary),
        scored_merges(vocabulary),
        unk_token=None if unknown is None else vocabulary.tokens[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = tokenizers.Tokenizer(bpe)
    prefix = [normalizers.Prepend(_SPACE)] if vocabulary.space_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", _SPACE)])
    stripped = [decoders.Strip(" ", 1, 0)] if vocabulary.space_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    return tokenizer


def scored_merges(vocabulary: GGUFVocabulary) -> list[tuple[str, str]]:
    """All merges of two pieces to a third, by descending score.

    Of equal scores, the lower id comes first, and of the ways to make one piece, the one whose
    left half is shorter.
    """
    ids = _ids(vocabulary)
    order = sorted(
        (
            token_id
            for token_id, kind in enumerate(vocabulary.types)
            if kind not in (UNKNOWN, CONTROL, BYTE) and len(vocabulary.tokens[token_id]) > 1
        ),
        key=lambda token_id: -vocabulary.scores[token_id],
    )
    merges: list[tuple[str, str]] = []
    for token_id in order:
        piece = vocabulary.tokens[token_id]
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in ids and right in ids:
                merges.append((left, right))
    return merges
