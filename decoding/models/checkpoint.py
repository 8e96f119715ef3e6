"""Loads a `LanguageModel` from a Hugging Face folder or a GGUF file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError
from decoding.models.chat_templates import DEFAULT, templates_of_folder, templates_of_metadata
from decoding.models.config import LlamaConfig
from decoding.models.files import is_present, member, shown
from decoding.models.fingerprint import fingerprint_of
from decoding.models.gguf import GGUFFile
from decoding.models.gguf_vocabulary import GGUFVocabulary
from decoding.models.json_files import read_json
from decoding.models.llama import LlamaModel
from decoding.models.lora import Adapters
from decoding.models.protocol import LanguageModel
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.models.weights import (
    ROPE_DIVISORS,
    GGUFSource,
    SafetensorsSource,
    TensorSource,
    check_tensors,
    settled,
)

_NO_TOKENIZER = ("tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "spiece.model")
_ADAPTER = "adapter_config.json"
_MOST_DIVISORS = 1 << 16


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model is loaded: dtype, device, KV cache size and adapters; see `models.load`."""

    dtype: str = "float32"
    device: str = "cpu"
    cache_tokens: int | None = None
    adapters: Adapters | None = None

    def place(self, config: LlamaConfig, source: TensorSource) -> LlamaModel:
        """Build the `LlamaModel` of a configuration from a source of tensors."""
        return LlamaModel.from_tensors(
            config,
            source.read,
            dtype=self.dtype,
            device=self.device,
            cache_tokens=self.cache_tokens,
            adapters=self.adapters,
        )


def load_folder(folder: Path, placement: Placement = Placement()) -> LanguageModel:
    """Load a folder with `config.json`, `*.safetensors` and, for text, `tokenizer.json`.

    Also read, where they exist: `generation_config.json` (end tokens), `tokenizer_config.json`
    and `special_tokens_map.json` (template variables, chat templates, the end token's text), and
    the files of chat templates, which win; see `decoding.models.chat_templates`.

    End tokens are those of all three configurations: a fine-tuned model often names the token that
    ends its turns in one of them only.

    Nothing outside the folder is read: see `decoding.models.files.member` for links.

    Raises:
        ModelFormatError: a file is missing, damaged or elsewhere, or holds something that is not
            implemented.
        ParameterError: an unknown dtype.
    """
    values = read_json(member(folder, "config.json"))
    config = LlamaConfig.from_json(values, folder / "config.json")
    tensors = SafetensorsSource.open(folder)
    config, source = _fitting(config, tensors, folder)
    generation = read_json(member(folder, "generation_config.json"), optional=True)
    texts = {
        **read_json(member(folder, "special_tokens_map.json"), optional=True),
        **read_json(member(folder, "tokenizer_config.json"), optional=True),
    }
    if is_present(folder / _ADAPTER):
        raise ModelFormatError(
            folder / _ADAPTER,
            "adapters are not read from a model's folder; load the model with"
            " adapters=FOLDER_OF_ADAPTERS, or merge it into the model's weights",
        )
    tokenizer = _tokenizer(folder)
    variables = _template_variables(texts)
    eos = _token_ids(generation.get("eos_token_id"), config, folder / "generation_config.json")
    eos |= _token_ids(values.get("eos_token_id"), config, folder / "config.json")
    if tokenizer is not None and "eos_token" in variables:
        token_id = tokenizer.tokenizer.token_to_id(variables["eos_token"])
        eos |= set() if token_id is None else {token_id}
    templates = templates_of_folder(folder, texts)
    return LanguageModel(
        forward=placement.place(config, source),
        tokenizer=None if tokenizer is None else tokenizer.within(config.vocab_size),
        eos_token_ids=frozenset(token_id for token_id in eos if token_id < config.vocab_size),
        logits_width=config.vocab_size,
        context_length=config.context_length,
        chat_template=templates.pop(DEFAULT, None),
        chat_templates=templates,
        template_variables=variables,
        name=folder.resolve().name,
        fingerprint=fingerprint_of(
            [member(folder, "config.json"), *tensors.files], placement.dtype
        ),
    )


def load_gguf(path: Path, placement: Placement = Placement()) -> LanguageModel:
    """Load one GGUF file; its weights are dequantised.

    Raises:
        ModelFormatError: the file is damaged or holds something that is not implemented.
        MissingDependencyError: its weights have a format that the package gguf reads, and that is
            not installed.
        ParameterError: an unknown dtype.
    """
    file = GGUFFile.open(path)
    metadata = file.metadata
    config = LlamaConfig.from_gguf(
        metadata, file.tensors, rope_divisors=_rope_divisors(file), path=path
    )
    config, source = _fitting(config, GGUFSource(file, config), path)
    vocabulary = GGUFVocabulary.from_metadata(metadata, path)
    if vocabulary is not None and len(vocabulary.tokens) > config.vocab_size:
        count = len(vocabulary.tokens)
        raise ModelFormatError(path, f"{count} tokens do not fit {config.vocab_size} logits")
    templates = templates_of_metadata(metadata)
    tokenizer = None
    if vocabulary is not None:
        tokenizer = HuggingFaceTokenizer.from_gguf_vocabulary(vocabulary, path)
    return LanguageModel(
        forward=placement.place(config, source),
        tokenizer=tokenizer,
        eos_token_ids=frozenset() if vocabulary is None else vocabulary.end_token_ids,
        logits_width=config.vocab_size,
        context_length=config.context_length,
        chat_template=templates.pop(DEFAULT, None),
        chat_templates=templates,
        template_variables={} if vocabulary is None else _gguf_variables(vocabulary),
        name=path.stem,
        fingerprint=fingerprint_of([path], placement.dtype),
    )


def _fitting(
    config: LlamaConfig, source: TensorSource, path: Path
) -> tuple[LlamaConfig, TensorSource]:
    """Check that the files hold the tensors of a configuration, in its shapes."""
    config, source = settled(config, source)
    check_tensors(config, source, path)
    return config, source


def _rope_divisors(file: GGUFFile) -> tuple[float, ...]:
    """Read the tensor of rotary divisors, if there is one; check its size first."""
    info = file.tensors.get(ROPE_DIVISORS)
    if info is None:
        return ()
    if math.prod(info.shape) > _MOST_DIVISORS:
        raise ModelFormatError(
            file.path, f"{ROPE_DIVISORS} has the shape {info.shape}, too large for a head"
        )
    return tuple(file.read(ROPE_DIVISORS).ravel().tolist())


def _tokenizer(folder: Path) -> HuggingFaceTokenizer | None:
    path = folder / "tokenizer.json"
    if is_present(path):
        return HuggingFaceTokenizer.from_file(member(folder, "tokenizer.json"))
    for name in _NO_TOKENIZER:
        if is_present(folder / name):
            raise ModelFormatError(
                path,
                f"is missing; {name} alone is not read. Write tokenizer.json with transformers:"
                " AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
            )
    return None


def _token_ids(value: object, config: LlamaConfig, path: Path) -> set[int]:
    """Read end tokens from JSON: an id, a list of ids, or null."""
    ids: set[int] = set()
    for token_id in value if isinstance(value, list) else [] if value is None else [value]:
        if (
            isinstance(token_id, bool)
            or not isinstance(token_id, int)
            or not 0 <= token_id < config.vocab_size
        ):
            raise ModelFormatError(
                path,
                "eos_token_id must be an id or a list of ids,"
                f" each in [0, {config.vocab_size}), got {shown(token_id)}",
            )
        ids.add(token_id)
    return ids


def _template_variables(texts: Mapping[str, Any]) -> dict[str, str]:
    """Read `bos_token`, `eos_token` and others: strings, or objects with `content`."""
    variables: dict[str, str] = {}
    for key, value in texts.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            variables[key] = text
    return variables


def _gguf_variables(vocabulary: GGUFVocabulary) -> dict[str, str]:
    names = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}
    return {
        f"{name}_token": vocabulary.tokens[vocabulary.special_ids[key]]
        for key, name in names.items()
        if key in vocabulary.special_ids
    }
