"""Hugging Face tokenizers, from a `tokenizer.json` or from a GGUF file's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import tokenizers
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from decoding.errors import ModelFormatError, ParameterError
from decoding.models.control_tokens import encode_sanitized
from decoding.models.token_bytes import vocabulary_of
from decoding.vocabulary import Vocabulary

_T = TypeVar("_T")
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # GGUF token types that are matched as a whole
_WORDS = (  # GPT-4's splitter, up to how many digits it keeps together
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class _Splitter:
    """How a GGUF pre-tokenizer cuts text before the merges.

    nfc: text is normalised first.
    ignore_merges: a piece that is a token as a whole is taken without merging.
    """

    steps: tuple[Any, ...]
    nfc: bool = False
    ignore_merges: bool = False


_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
_GPT2 = _Splitter((pre_tokenizers.ByteLevel(add_prefix_space=False),))
_SPLITTERS = MappingProxyType(
    {
        "default": _GPT2,
        "gpt-2": _GPT2,
        "smollm": _Splitter((pre_tokenizers.Digits(individual_digits=True), *_GPT2.steps)),
        "qwen2": _Splitter(
            (pre_tokenizers.Split(Regex(_WORDS.replace("DIGITS", "")), "isolated"), _BYTES),
            nfc=True,
        ),
        "llama-bpe": _Splitter(
            (pre_tokenizers.Split(Regex(_WORDS.replace("DIGITS", "{1,3}")), "isolated"), _BYTES),
            ignore_merges=True,
        ),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class HuggingFaceTokenizer:
    """A `tokenizers.Tokenizer` with the bytes that each of its tokens spells.

    tokenizer: one that truncates or pads is replaced by a copy that does not.
    source: named in errors.

    Special ids are those of the added tokens that are flagged special.

    Raises:
        ModelFormatError: the decoder is of a kind whose bytes are not known, as `CTC`.
    """

    tokenizer: tokenizers.Tokenizer = field(repr=False)
    source: object = "tokenizer"
    vocabulary: Vocabulary = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.tokenizer.truncation is not None or self.tokenizer.padding is not None:
            copy = tokenizers.Tokenizer.from_str(self.tokenizer.to_str())
            copy.no_truncation()
            copy.no_padding()
            object.__setattr__(self, "tokenizer", copy)
        object.__setattr__(self, "vocabulary", vocabulary_of(self.tokenizer, self.source))

    @classmethod
    def from_file(cls, path: str | Path) -> HuggingFaceTokenizer:
        """Read a `tokenizer.json`; raises ModelFormatError if it is absent or damaged."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelFormatError(path, f"cannot be read: {error}") from error
        try:
            tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the Rust side raises nothing narrower
            raise ModelFormatError(path, f"is no tokenizer: {error}") from error
        return cls(tokenizer, path)

    @classmethod
    def from_gguf(
        cls, metadata: Mapping[str, Any], path: object = "GGUF metadata"
    ) -> HuggingFaceTokenizer:
        """Rebuild a byte-level BPE tokenizer from a GGUF file's metadata.

        Tokens of type control and unknown are special; those of type user-defined are matched
        whole but are text. A file whose pre-tokenizer is "default" does not say how it splits
        text; it is read as GPT-2's, as transformers does.

        Raises:
            ModelFormatError: the model is not "gpt2", the pre-tokenizer is not known, or tokens,
                types and merges do not fit together.
        """
        model = metadata.get("tokenizer.ggml.model")
        if model != "gpt2":
            raise ModelFormatError(
                path, f"tokenizer model {model!r} is not implemented, only 'gpt2'"
            )
        pre = metadata.get("tokenizer.ggml.pre", "default")
        if pre not in _SPLITTERS:
            known = ", ".join(_SPLITTERS)
            raise ModelFormatError(path, f"pre-tokenizer {pre!r} is not implemented, only {known}")
        tokens = _list(metadata, "tokens", str, path)
        types = _list(metadata, "token_type", int, path)
        if len(set(tokens)) != len(tokens) or len(types) != len(tokens):
            raise ModelFormatError(path, "tokens must be distinct, with a type each")
        try:
            tokenizer = _byte_level_bpe(tokens, types, metadata, _SPLITTERS[pre], path)
        except Exception as error:  # the Rust side raises nothing narrower
            raise ModelFormatError(path, f"the tokens make no tokenizer: {error}") from error
        return cls(tokenizer, path)

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
        """
        if sanitize_control_tokens:
            return encode_sanitized(self, text, add_special_tokens=add_special_tokens)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ParameterError(
                "text", text[error.start], "text without lone surrogates"
            ) from error
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def added_tokens(self) -> dict[str, bool]:
        """The texts of the added tokens, each with whether it is special."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        return {token.content: token.special for token in added}

    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no added token is matched, special or not."""
        if self.tokenizer.normalizer is not None:
            text = self.tokenizer.normalizer.normalize_str(text)
        pieces = [text]
        if self.tokenizer.pre_tokenizer is not None:
            pieces = [piece for piece, _ in self.tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        return [token.id for piece in pieces for token in self.tokenizer.model.tokenize(piece)]


def _list(metadata: Mapping[str, Any], key: str, kind: type[_T], path: object) -> list[_T]:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ModelFormatError(path, f"tokenizer.ggml.{key} must be a list of {kind.__name__}")
    return values


def _byte_level_bpe(
    tokens: list[str],
    types: list[int],
    metadata: Mapping[str, Any],
    splitter: _Splitter,
    path: object,
) -> tokenizers.Tokenizer:
    merges = [merge.split(" ") for merge in _list(metadata, "merges", str, path)]
    pairs = [(left, right) for left, right in merges]
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(BPE(ids, pairs, ignore_merges=splitter.ignore_merges))
    if splitter.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(splitter.steps))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(
        [
            AddedToken(token, special=kind != _USER_DEFINED, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)
        ]
    )
    if metadata.get("tokenizer.ggml.add_bos_token"):
        bos = tokens[metadata["tokenizer.ggml.bos_token_id"]]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[bos, "$A"], special_tokens=[(bos, ids[bos])]
        )
    return tokenizer
