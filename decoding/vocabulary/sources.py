"""Reads token bytes and special ids off SentencePiece, tiktoken and transformers objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from decoding.checks import checked_integer
from decoding.errors import ParameterError, require, shown
from decoding.typing import Anything
from decoding.vocabulary.limits import MOST_TOKENS

Tokens: TypeAlias = tuple[list[bytes], frozenset[int]]
"""The bytes of every token id, and the special ids."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "▁"
_SPECIAL = "a mapping of text that UTF-8 can encode to token ids"
_AN_ID = f"an id in [0, {MOST_TOKENS})"


def sentencepiece_tokens(processor: Anything) -> Tokens:
    """The token bytes and special ids of a `sentencepiece.SentencePieceProcessor`."""
    names = ("get_piece_size", "id_to_piece", "is_byte", "is_control", "is_unknown", "is_unused")
    legal = all(callable(getattr(processor, name, None)) for name in names)
    require("processor", processor, legal, "a SentencePieceProcessor with a model")
    spelled: list[bytes] = []
    special: set[int] = set()
    for token_id in range(processor.get_piece_size()):
        piece = processor.id_to_piece(token_id)
        if processor.is_control(token_id) or processor.is_unknown(token_id):
            special.add(token_id)
            spelled.append(piece.encode())
        elif processor.is_unused(token_id):
            spelled.append(b"")
        else:
            spelled.append(_piece_bytes(piece, is_byte=processor.is_byte(token_id)))
    return spelled, frozenset(special)


def tiktoken_tokens(encoding: Anything) -> Tokens:
    """The token bytes and special ids of a `tiktoken.Encoding`."""
    names = ("n_vocab", "decode_single_token_bytes", "encode_single_token", "special_tokens_set")
    legal = all(hasattr(encoding, name) for name in names)
    require("encoding", encoding, legal, "a tiktoken Encoding")
    require("encoding", encoding, encoding.n_vocab <= MOST_TOKENS, f"of {MOST_TOKENS} ids at most")
    spelled: list[bytes] = []
    for token_id in range(encoding.n_vocab):
        try:
            spelled.append(encoding.decode_single_token_bytes(token_id))
        except KeyError:  # a gap
            spelled.append(b"")
    special = {encoding.encode_single_token(text) for text in encoding.special_tokens_set}
    return spelled, frozenset(special)


def ranked_tokens(ranks: Mapping[bytes, int], special_tokens: Mapping[str, int]) -> Tokens:
    """The token bytes and special ids of mappings of bytes, and of special texts, to ids."""
    require("ranks", ranks, isinstance(ranks, Mapping), "a mapping of bytes to token ids")
    require("special_tokens", special_tokens, isinstance(special_tokens, Mapping), _SPECIAL)
    entries = [("ranks", *entry) for entry in ranks.items()]
    for text, token_id in special_tokens.items():
        require("special_tokens", text, isinstance(text, str), _SPECIAL)
        try:
            entries.append(("special_tokens", text.encode(), token_id))
        except UnicodeEncodeError:
            raise ParameterError("special_tokens", text, _SPECIAL) from None
    spelled_by_id: dict[int, bytes] = {}
    for name, spelled_token, token_id in entries:
        require(name, spelled_token, isinstance(spelled_token, bytes), "bytes as keys")
        where = f"{name}[{shown(spelled_token)}]"
        number = checked_integer(where, token_id, 0, MOST_TOKENS - 1, _AN_ID)
        require(where, token_id, number not in spelled_by_id, "an id that no other token has")
        spelled_by_id[number] = spelled_token
    spelled = [spelled_by_id.get(index, b"") for index in range(1 + max(spelled_by_id, default=-1))]
    return spelled, frozenset(map(int, special_tokens.values()))


def transformers_tokens(tokenizer: Anything) -> Tokens:
    """The token bytes and special ids of a tokenizer of transformers."""
    legal = callable(getattr(tokenizer, "get_vocab", None)) and hasattr(
        tokenizer, "all_special_ids"
    )
    require("tokenizer", tokenizer, legal, "a tokenizer of transformers")
    special = frozenset(tokenizer.all_special_ids)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        from decoding.vocabulary.token_bytes import tokens_of

        spelled, flagged = tokens_of(backend, getattr(tokenizer, "name_or_path", "tokenizer"))
        return spelled, special | flagged
    added = getattr(tokenizer, "added_tokens_decoder", {})
    spell = _speller(tokenizer)
    vocabulary = tokenizer.get_vocab()
    count = 1 + max((*vocabulary.values(), *added), default=-1)
    require("tokenizer", f"{count} ids", count <= MOST_TOKENS, f"at most {MOST_TOKENS}")
    spelled = [b""] * count
    for token, token_id in vocabulary.items():
        known = token_id in special or token_id in added
        spelled[token_id] = token.encode() if known else spell(token)
    for token_id, token in added.items():
        spelled[token_id] = str(token).encode()
    return spelled, special


def _speller(tokenizer: Anything) -> Callable[[str], bytes]:
    """Return the function that spells the tokens of a tokenizer written in Python."""
    if hasattr(tokenizer, "sp_model"):
        return lambda token: _piece_bytes(token, is_byte=True)
    alphabet = getattr(tokenizer, "byte_decoder", None)
    if isinstance(alphabet, Mapping):
        return lambda token: bytes(alphabet[character] for character in token)
    raise ParameterError(
        "tokenizer",
        type(tokenizer).__name__,
        "one of tokenizers, of SentencePiece or byte-level, whose tokens' bytes are known",
    )


def _piece_bytes(piece: str, *, is_byte: bool) -> bytes:
    match = _BYTE_PIECE.fullmatch(piece) if is_byte else None
    return bytes([int(match[1], 16)]) if match else piece.replace(_SPACE, " ").encode()
