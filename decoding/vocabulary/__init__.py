"""`Vocabulary`: bytes of each token id, and the special ids; `Tokenizer`: encodes text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from decoding.checks import checked_token_ids
from decoding.errors import require
from decoding.typing import Anything

__all__ = ["Tokenizer", "Vocabulary"]

_MOST_KNOWN = 16_384
"""Of how many tokens a vocabulary remembers the spelling."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The bytes of every token id, and which ids are special tokens.

    token_bytes: index = token id; the bytes a decoder would write, special tokens included.
    special_token_ids: tokens that are structure, not text: shown in details, absent from text. Any
        collection; it is kept as a frozenset.

    A model's logits may be wider than the vocabulary (padding); never narrower.

    Raises:
        ParameterError: `token_bytes` is no sequence of bytes, or `special_token_ids` no collection
            of token ids.
    """

    token_bytes: Sequence[bytes]
    special_token_ids: frozenset[int] = field(default=frozenset())
    _known: dict[int, tuple[bytes, str, bool]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        # The bytes of every token of a large vocabulary are not looked at: the ends tell.
        spelled = isinstance(self.token_bytes, Sequence) and not isinstance(
            self.token_bytes, str | bytes
        )
        ends = (*self.token_bytes[:1], *self.token_bytes[-1:]) if spelled else ()
        legal = spelled and all(isinstance(item, bytes) for item in ends)
        require("token_bytes", self.token_bytes, legal, "a sequence of bytes, one a token")
        special, expected = self.special_token_ids, "a collection of token ids"
        legal = isinstance(special, Collection) and not isinstance(special, Mapping)
        require("special_token_ids", special, legal, expected)
        ids = frozenset(checked_token_ids("special_token_ids", special, expected))
        object.__setattr__(self, "special_token_ids", ids)

    @classmethod
    def from_tokenizers(cls, tokenizer: Anything, *, source: object = "tokenizer") -> Vocabulary:
        """The vocabulary of a `tokenizers.Tokenizer`; its special tokens are those so flagged.

        source: named in errors.

        Raises:
            ModelFormatError: its decoder is of a kind whose bytes are not known, as `CTC`, an id is
                2**21 or more, or the tokens spell more than 64 MiB.
            ParameterError: it is no such tokenizer.
        """
        legal = callable(getattr(tokenizer, "get_added_tokens_decoder", None))
        require("tokenizer", tokenizer, legal, "a Tokenizer of the package tokenizers")
        from decoding.vocabulary.token_bytes import tokens_of

        return cls(*tokens_of(tokenizer, source))

    @classmethod
    def from_transformers(cls, tokenizer: Anything) -> Vocabulary:
        """The vocabulary of a tokenizer of transformers, fast, SentencePiece or byte-level.

        Raises:
            ModelFormatError: see `from_tokenizers`.
            ParameterError: it is no tokenizer, or of a kind whose tokens' bytes are not known.
        """
        from decoding.vocabulary.sources import transformers_tokens

        return cls(*transformers_tokens(tokenizer))

    @classmethod
    def from_sentencepiece(cls, processor: Anything) -> Vocabulary:
        """The vocabulary of a `sentencepiece.SentencePieceProcessor`.

        `▁` is a space and `<0xE9>` a byte; control tokens and the unknown token are special, unused
        ids spell nothing.

        Raises:
            ParameterError: it is no such processor.
        """
        from decoding.vocabulary.sources import sentencepiece_tokens

        return cls(*sentencepiece_tokens(processor))

    @classmethod
    def from_tiktoken(cls, encoding: Anything) -> Vocabulary:
        """The vocabulary of a `tiktoken.Encoding`; gaps between its ids spell nothing.

        Raises:
            ParameterError: it is no such encoding.
        """
        from decoding.vocabulary.sources import tiktoken_tokens

        return cls(*tiktoken_tokens(encoding))

    @classmethod
    def from_ranks(
        cls, ranks: Mapping[bytes, int], special_tokens: Mapping[str, int] = MappingProxyType({})
    ) -> Vocabulary:
        """The vocabulary of tokens given as bytes, as tiktoken's files hold them.

        ranks: the bytes of each token, to its id. special_tokens: their text, to their id.

        Raises:
            ParameterError: keys that are no bytes, or an id that is used twice or out of range.

        >>> Vocabulary.from_ranks({b"a": 0, b"b": 1}, {"<end>": 3}).token_bytes
        [b'a', b'b', b'', b'<end>']
        """
        from decoding.vocabulary.sources import ranked_tokens

        return cls(*ranked_tokens(ranks, special_tokens))

    def __len__(self) -> int:
        return len(self.token_bytes)

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes of one token; empty for ids beyond the vocabulary."""
        return self.token_bytes[token_id] if 0 <= token_id < len(self.token_bytes) else b""

    def text_of(self, token_id: int) -> str:
        """One token decoded alone; U+FFFD stands for bytes that are no whole character."""
        return self.bytes_of(token_id).decode("utf-8", errors="replace")

    def is_special(self, token_id: int) -> bool:
        """Whether the token is special: shown in details, absent from text."""
        return token_id in self.special_token_ids

    def spelling(self, token_id: int) -> tuple[bytes, str, bool]:
        """The bytes and the text of one token, and whether it is special; remembered for a time."""
        known = self._known.get(token_id)
        if known is None:
            known = self.bytes_of(token_id), self.text_of(token_id), self.is_special(token_id)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[token_id] = known
        return known


class Tokenizer(Protocol):
    """Encodes text as token ids; its vocabulary decodes them."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The bytes of every token id."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Encode a prompt as token ids.

        add_special_tokens: put those in front that the model expects; a rendered chat has them.
        """
