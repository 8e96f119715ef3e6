"""Model files to a `LanguageModel`: a Hugging Face folder, or one GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decoding.errors import ModelFormatError
from decoding.models.config import LlamaConfig
from decoding.models.gguf import GGUFFile
from decoding.models.jsonfile import read_json
from decoding.models.llama import LlamaModel
from decoding.models.protocol import LanguageModel
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.models.weights import (
    ROPE_DIVISORS,
    GGUFSource,
    SafetensorsSource,
    TensorSource,
    check_tensors,
)

_GGUF_EOS = ("eos_token_id", "eot_token_id", "eom_token_id")


def load_folder(folder: Path, *, dtype: str = "float32", device: str = "cpu") -> LanguageModel:
    """Load a folder with `config.json`, `*.safetensors` and, for text, `tokenizer.json`.

    Also read, where they exist: `generation_config.json` (end tokens), `tokenizer_config.json`
    (template variables, chat template) and `chat_template.jinja`, which wins.

    Raises:
        ModelFormatError: a file is missing, damaged or holds something that is not implemented.
        ParameterError: an unknown dtype.
    """
    values = read_json(folder / "config.json")
    config = LlamaConfig.from_json(values, folder / "config.json")
    model = _build(config, SafetensorsSource.open(folder), folder, dtype, device)
    generation = read_json(folder / "generation_config.json", optional=True)
    eos = generation.get("eos_token_id", values.get("eos_token_id"))
    tokenizer_path = folder / "tokenizer.json"
    texts = read_json(folder / "tokenizer_config.json", optional=True)
    return LanguageModel(
        forward=model,
        tokenizer=HuggingFaceTokenizer.from_file(tokenizer_path)
        if tokenizer_path.exists()
        else None,
        eos_token_ids=_token_ids(eos, folder),
        logits_width=config.vocab_size,
        context_length=config.context_length,
        chat_template=_chat_template(folder, texts),
        template_variables=_template_variables(texts),
        name=folder.resolve().name,
    )


def load_gguf(path: Path, *, dtype: str = "float32", device: str = "cpu") -> LanguageModel:
    """Load one GGUF file; its weights are dequantised.

    Raises:
        ModelFormatError: the file is damaged or holds something that is not implemented.
        ParameterError: an unknown dtype.
    """
    file = GGUFFile.open(path)
    metadata = file.metadata
    divisors: tuple[float, ...] = ()
    if ROPE_DIVISORS in file.tensors:
        divisors = tuple(file.read(ROPE_DIVISORS).ravel().tolist())
    config = LlamaConfig.from_gguf(metadata, file.tensors, rope_divisors=divisors, path=path)
    model = _build(config, GGUFSource(file, config), path, dtype, device)
    tokenizer = HuggingFaceTokenizer.from_gguf(metadata, path)
    eos = [metadata.get(f"tokenizer.ggml.{key}") for key in _GGUF_EOS]
    template = metadata.get("tokenizer.chat_template")
    return LanguageModel(
        forward=model,
        tokenizer=tokenizer,
        eos_token_ids=_token_ids([token_id for token_id in eos if token_id is not None], path),
        logits_width=config.vocab_size,
        context_length=config.context_length,
        chat_template=template if isinstance(template, str) else None,
        template_variables=_gguf_variables(metadata, tokenizer),
        name=path.stem,
    )


def _build(
    config: LlamaConfig, source: TensorSource, path: Path, dtype: str, device: str
) -> LlamaModel:
    check_tensors(config, source, path)
    return LlamaModel.from_tensors(config, source.read, dtype=dtype, device=device)


def _token_ids(value: object, path: Path) -> frozenset[int]:
    """End tokens as files spell them: an id, a list of ids, or null."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(isinstance(token_id, bool) or not isinstance(token_id, int) for token_id in ids):
        raise ModelFormatError(path, f"eos_token_id must be an id or a list of ids, got {value!r}")
    return frozenset(ids)


def _chat_template(folder: Path, texts: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelFormatError(path, f"cannot be read: {error}") from error
    template = texts.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry["name"]: entry["template"] for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _template_variables(texts: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like; each is a string or an object with the string in `content`."""
    variables: dict[str, str] = {}
    for key, value in texts.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            variables[key] = text
    return variables


def _gguf_variables(metadata: Mapping[str, Any], tokenizer: HuggingFaceTokenizer) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token_id = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(token_id, int) and 0 <= token_id < len(tokenizer.vocabulary):
            variables[f"{name}_token"] = tokenizer.vocabulary.text_of(token_id)
    return variables
