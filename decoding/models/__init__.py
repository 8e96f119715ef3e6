"""Models: the protocol that the engine calls, and loading of Llama-family models.

Reads GGUF and safetensors files, tokenizers and chat templates. Importing this package imports none
of torch, tokenizers and jinja2.
"""

from __future__ import annotations

import os
from pathlib import Path

from decoding.errors import ParameterError
from decoding.models.callable import CallableModel
from decoding.models.grammars import ModelGrammars
from decoding.models.padding import HeadPadding
from decoding.models.protocol import (
    AdaptedModel,
    AdapterModel,
    CacheBudget,
    CachedModel,
    LanguageModel,
    StartingModel,
)

__all__ = [
    "AdaptedModel",
    "AdapterModel",
    "CacheBudget",
    "CachedModel",
    "CallableModel",
    "HeadPadding",
    "LanguageModel",
    "ModelGrammars",
    "StartingModel",
    "load",
]

_DEFAULT = "smollm2"


def load(
    source: str | Path | None = None,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    cache_tokens: int | None = None,
    adapters: str | Path | None = None,
    adapter_limit: int = 8,
) -> LanguageModel:
    """Load a model with its tokenizer, end tokens and chat template.

    source: a known name ("smollm2", downloaded on first use), a `.gguf` file, or a folder with
        `config.json`, `*.safetensors` and `tokenizer.json`. None takes `$DECODING_MODEL`, else
        "smollm2". Only regular files of the folder are read: a link that leads out of it is
        refused, but for those of Hugging Face's cache.
    dtype: "float32", "bfloat16" or "float16"; anything but float32 changes near-ties.
    device: as torch spells it.
    cache_tokens: most tokens that the KV cache holds, prompts included; None takes those of 32
        whole contexts, or half of the available memory where that is less.
    adapters: a folder of LoRA adapters in PEFT's format, each in a folder of its own, whose name is
        a request's `adapter_id`. An adapter is loaded when it is first asked for.
    adapter_limit: most adapters in memory beside those that running requests use.

    Raises:
        ParameterError: the source is none of these.
        ModelFormatError: it is damaged or holds something that is not implemented.
        FetchError: a known model could not be downloaded.
        MissingDependencyError: torch or safetensors is not installed, or gguf, which reads the
            weights of some GGUF files.
    """
    if source is not None and not isinstance(source, str | Path):
        raise ParameterError("source", source, "a string or a path")
    # Imported here so that processors and samplers never wait for what downloads, or for torch.
    from decoding.models import fetch

    source = source or os.environ.get("DECODING_MODEL") or _DEFAULT
    path = Path(source)
    known = isinstance(source, str) and source in fetch.KNOWN_MODELS
    # Of a name that is too long, `Path.is_file` raises OSError.
    is_gguf = os.path.isfile(path) and path.suffix.lower() == ".gguf"  # noqa: PTH113
    is_folder = os.path.isdir(path)  # noqa: PTH112
    if not known and not is_gguf and not is_folder:
        raise ParameterError(
            "source",
            str(source),
            f"a known model ({', '.join(fetch.KNOWN_MODELS)}), an existing .gguf file, or a folder"
            " with config.json, *.safetensors and tokenizer.json",
        )
    from decoding.models.checkpoint import Placement, load_folder, load_gguf
    from decoding.models.lora import Adapters

    folder = None if adapters is None else Adapters(Path(adapters), adapter_limit)
    placement = Placement(dtype, device, cache_tokens, folder)
    if is_folder and not known:
        return load_folder(path, placement)
    return load_gguf(fetch.fetch(str(source)) if known else path, placement)
