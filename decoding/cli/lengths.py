"""The default of `--max-new-tokens`, from the model's context length and the prompt's length."""

from __future__ import annotations

from decoding.cli.flags import DEFAULT_MAX_NEW_TOKENS
from decoding.engine.prompts import Inputs
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters


def default_length(model: LanguageModel, prompt: Inputs, parameters: GenerationParameters) -> int:
    """The default number of new tokens: the library's, or less where the context has less room."""
    if model.context_length is None or model.tokenizer is None:
        return DEFAULT_MAX_NEW_TOKENS
    length = len(model.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt)
    if parameters.truncate is not None:
        length = min(length, parameters.truncate)
    return max(1, min(DEFAULT_MAX_NEW_TOKENS, model.context_length - length))
