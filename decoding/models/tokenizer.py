"""Loads Hugging Face tokenizers from a `tokenizer.json` or a GGUF file's vocabulary."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers

from decoding.errors import ModelFormatError, ParameterError
from decoding.models.control_tokens import encode_sanitized
from decoding.models.files import shown
from decoding.models.gguf_tokenizer import gguf_tokenizer
from decoding.models.gguf_vocabulary import GGUFVocabulary
from decoding.models.tokenizer_file import read_tokenizer_json
from decoding.vocabulary import Vocabulary

_PROBE = "A b's 12\n"
"""A tokenizer that fails does so for nearly every text."""


@dataclass(frozen=True, slots=True, eq=False)
class HuggingFaceTokenizer:
    """A `tokenizers.Tokenizer` with the bytes that each of its tokens spells.

    tokenizer: one that truncates or pads is replaced by a copy that does not.
    source: named in errors.

    Special ids are those of the added tokens that are flagged special.

    Raises:
        ModelFormatError: the decoder is of a kind whose bytes are not known, as `CTC`, or spells
            more than `tokenizers` tokens can.
    """

    tokenizer: tokenizers.Tokenizer = field(repr=False)
    source: object = "tokenizer"
    vocabulary: Vocabulary = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.tokenizer.truncation is not None or self.tokenizer.padding is not None:
            plain = tokenizers.Tokenizer.from_str(self.tokenizer.to_str())
            plain.no_truncation()
            plain.no_padding()
            object.__setattr__(self, "tokenizer", plain)
        vocabulary = Vocabulary.from_tokenizers(self.tokenizer, source=self.source)
        object.__setattr__(self, "vocabulary", vocabulary)

    @classmethod
    def from_file(cls, path: str | Path) -> HuggingFaceTokenizer:
        """Read a `tokenizer.json`.

        Raises:
            ModelFormatError: the file is absent, damaged or too large, or what it describes fails
                or grows without bound.
        """
        text, added = read_tokenizer_json(Path(path))
        with _refusing(path, "is no tokenizer"):
            made = cls(tokenizers.Tokenizer.from_str(text), path)
            ids = made.tokenizer.encode(_PROBE).ids
        # The library gives an added token the next free id, whatever the file says.
        for content, token_id in added.items():
            found = made.tokenizer.token_to_id(content)
            if found != token_id:
                problem = f"has the id {token_id}, but behind the model's tokens it gets {found}"
                raise ModelFormatError(path, f"added token {shown(content)} {problem}")
        if max(ids, default=0) >= len(made.vocabulary):
            problem = f"{max(ids)} around a text; it has {len(made.vocabulary)} tokens"
            raise ModelFormatError(path, f"puts token {problem}")
        return made

    @classmethod
    def from_gguf(
        cls, metadata: Mapping[str, Any], path: object = "GGUF metadata"
    ) -> HuggingFaceTokenizer:
        """Rebuild the tokenizer of a GGUF file from its metadata.

        Raises:
            ModelFormatError: the file has no tokenizer, one of a kind that is not implemented, or
                one whose parts do not fit together.
        """
        vocabulary = GGUFVocabulary.from_metadata(metadata, path)
        if vocabulary is None:
            raise ModelFormatError(path, "has no tokenizer")
        return cls.from_gguf_vocabulary(vocabulary, path)

    @classmethod
    def from_gguf_vocabulary(
        cls, vocabulary: GGUFVocabulary, path: object = "GGUF metadata"
    ) -> HuggingFaceTokenizer:
        """Rebuild the tokenizer of a GGUF vocabulary."""
        with _refusing(path, "the tokens make no tokenizer"):
            made = cls(gguf_tokenizer(vocabulary), path)
            made.tokenizer.encode(_PROBE)
        return made

    def within(self, width: int) -> HuggingFaceTokenizer:
        """The same tokenizer for a model of `width` logits: tokens beyond them spell nothing.

        A fine-tuned model's tokenizer often has a token more than its matrices, as `[PAD]`; a
        prompt with such a token is refused where it is submitted.
        """
        if len(self.vocabulary) <= width:
            return self
        special = frozenset(
            token_id for token_id in self.vocabulary.special_token_ids if token_id < width
        )
        made = copy.copy(self)
        vocabulary = Vocabulary(self.vocabulary.token_bytes[:width], special)
        object.__setattr__(made, "vocabulary", vocabulary)
        return made

    def encode(
        self,
        text: str,
        *,
        add_special_tokens: bool = True,
        sanitize_control_tokens: bool = False,
    ) -> list[int]:
        """The ids of a text.

        add_special_tokens: put those in front that the model expects; a rendered chat has them.
        sanitize_control_tokens: encode special tokens that the text spells as text, so that they
            have no effect.

        Raises:
            ParameterError: the text holds a lone surrogate, which no encoding can spell, or a
                special token that the tokenizer cannot spell as text.
            ModelFormatError: the tokenizer fails, as one without a token for unknown text.
        """
        if sanitize_control_tokens:
            return encode_sanitized(self, text, add_special_tokens=add_special_tokens)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ParameterError(
                "text", text[error.start], "text without lone surrogates"
            ) from error
        with _refusing(self.source, "the tokenizer fails"):
            return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def added_tokens(self) -> dict[str, bool]:
        """The texts of the added tokens, each with whether it is special."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        return {token.content: token.special for token in added}

    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no added token is matched, special or not."""
        tokenizer = self.tokenizer
        with _refusing(self.source, "the tokenizer fails"):
            if tokenizer.normalizer is not None:
                text = tokenizer.normalizer.normalize_str(text)
            pieces = [text]
            if tokenizer.pre_tokenizer is not None:
                pieces = [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
            return [token.id for piece in pieces for token in tokenizer.model.tokenize(piece)]


@contextmanager
def _refusing(path: object, problem: str) -> Iterator[None]:
    """Turn exceptions of the tokenizers package into ModelFormatError.

    Plain errors are `Exception` itself and nothing narrower. A panic is raised as a
    `PanicException`, which is no `Exception`, and whose class cannot be imported.
    """
    try:
        yield
    except ModelFormatError:
        raise
    except Exception as error:
        raise ModelFormatError(path, f"{problem}: {_short(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ModelFormatError(path, f"{problem}: {_short(error)}") from error


def _short(error: BaseException) -> str:
    text = str(error)
    return text if len(text) <= 300 else f"{text[:300]} ..."
