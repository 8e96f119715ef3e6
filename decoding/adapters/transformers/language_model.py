"""Wraps a transformers model as a `LanguageModel`, and its tokenizer as a `Tokenizer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from decoding.adapters.transformers.cached import context_length_of, forward
from decoding.errors import ParameterError, require
from decoding.models.chat_templates import DEFAULT
from decoding.models.protocol import LanguageModel
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer, Vocabulary


def language_model(model: Anything, tokenizer: Anything = None) -> LanguageModel:
    """Wrap a CausalLM and its tokenizer as a `LanguageModel`, for `generate` and `Engine`.

    model: see `forward`. Its end tokens are those of its generation configuration, its context
        length and width those of its configuration.
    tokenizer: of transformers, with its chat templates; None = token ids in and out.

    Raises:
        UnsupportedFeatureError, ParameterError, ModelFormatError: see `forward` and `tokenizer`.
    """
    made = forward(model)
    ends = getattr(model.generation_config, "eos_token_id", None)
    heads = model.get_output_embeddings()
    templates = getattr(tokenizer, "chat_template", None) or {}
    templates = {DEFAULT: templates} if isinstance(templates, str) else dict(templates)
    return LanguageModel(
        forward=made,
        tokenizer=None if tokenizer is None else _tokenizer(tokenizer),
        eos_token_ids=end_tokens(ends),
        logits_width=None if heads is None else len(heads.weight),
        context_length=context_length_of(model),
        chat_template=templates.pop(DEFAULT, None),
        chat_templates=templates,
        template_variables=_special_texts(tokenizer),
        name=getattr(model, "name_or_path", "") or type(model).__name__,
    )


def end_tokens(given: Anything) -> frozenset[int]:
    """The end tokens of a configuration: None, an id, several, or a tensor of them."""
    if given is None:
        return frozenset()
    values = given.tolist() if hasattr(given, "tolist") else given
    return frozenset([values] if isinstance(values, int) else values)


def tokenizer(tokenizer: Anything) -> Tokenizer:
    """Wrap a tokenizer of transformers as a `Tokenizer`.

    Raises:
        ModelFormatError: its decoder is of a kind whose bytes are not known.
        ParameterError: it is no tokenizer, or of a kind whose tokens' bytes are not known.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return TransformersTokenizer(tokenizer)
    from decoding.models.tokenizer import HuggingFaceTokenizer

    made = HuggingFaceTokenizer(backend, getattr(tokenizer, "name_or_path", "") or "tokenizer")
    if made.vocabulary.special_token_ids >= set(tokenizer.all_special_ids):
        return made
    return TransformersTokenizer(tokenizer)


_tokenizer = tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class TransformersTokenizer:
    """A tokenizer of transformers that only transformers can run, with the bytes of its tokens."""

    tokenizer: Any = field(repr=False)
    vocabulary: Vocabulary = field(init=False, repr=False)

    def __post_init__(self) -> None:
        legal = callable(getattr(self.tokenizer, "encode", None))
        require("tokenizer", self.tokenizer, legal, "a tokenizer of transformers")
        object.__setattr__(self, "vocabulary", Vocabulary.from_transformers(self.tokenizer))

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """See `Tokenizer.encode`; raises ParameterError for a lone surrogate."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            expected = "text without lone surrogates"
            raise ParameterError("text", text[error.start], expected) from error
        return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens))


def _special_texts(tokenizer: Anything) -> Mapping[str, str]:
    """The special tokens that a chat template may name."""
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    found = {name: getattr(tokenizer, name, None) for name in names}
    return {name: str(text) for name, text in found.items() if text is not None}
