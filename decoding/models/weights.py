"""Where a model's tensors come from: safetensors shards or a GGUF file, under one set of names.

The names are those of Hugging Face checkpoints; `tensor_shapes` lists what a model needs, and
`check_tensors` compares that with what a source has before anything is read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from decoding.errors import MissingDependencyError, ModelFormatError
from decoding.models.config import LlamaConfig
from decoding.models.gguf import GGUFFile

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError(error.name or "torch", "torch") from error

_INDEX = "model.safetensors.index.json"
_LISTED = 5  # names an error message spells out
_GGUF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ROPE_DIVISORS = "rope_freqs.weight"
"""A GGUF tensor that belongs to the configuration, not to the weights."""


class TensorSource(Protocol):
    """Tensors by Hugging Face name."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every tensor there is."""
        ...

    def read(self, name: str) -> Tensor:
        """One of them, of any float type, in the Hugging Face layout."""
        ...


def tensor_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor a checkpoint of this configuration must hold, by Hugging Face name."""
    hidden, width = config.hidden_size, config.head_dim
    queries, keys = config.heads * width, config.kv_heads * width
    linears = {
        "self_attn.q_proj": (queries, hidden, config.qkv_bias),
        "self_attn.k_proj": (keys, hidden, config.qkv_bias),
        "self_attn.v_proj": (keys, hidden, config.qkv_bias),
        "self_attn.o_proj": (hidden, queries, config.output_bias),
        "mlp.gate_proj": (config.intermediate_size, hidden, config.mlp_bias),
        "mlp.up_proj": (config.intermediate_size, hidden, config.mlp_bias),
        "mlp.down_proj": (hidden, config.intermediate_size, config.mlp_bias),
    }
    norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
    if config.qk_norm:
        norms |= {"self_attn.q_norm": width, "self_attn.k_norm": width}
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    for layer in (f"model.layers.{index}" for index in range(config.layers)):
        for name, (rows, columns, bias) in linears.items():
            shapes[f"{layer}.{name}.weight"] = (rows, columns)
            if bias:
                shapes[f"{layer}.{name}.bias"] = (rows,)
        shapes |= {f"{layer}.{name}.weight": (size,) for name, size in norms.items()}
    return shapes


def check_tensors(config: LlamaConfig, source: TensorSource, path: object) -> None:
    """Hold the tensors of a source against the configuration.

    Raises:
        ModelFormatError: names the missing, unexpected or misshapen tensors.
    """
    expected = tensor_shapes(config)
    ignored = {"lm_head.weight"} if config.tied else set()
    present = {
        name: shape
        for name, shape in source.shapes.items()
        if name not in ignored and not name.endswith(".rotary_emb.inv_freq")
    }
    if missing := expected.keys() - present.keys():
        raise ModelFormatError(path, f"missing tensors: {_listed(missing)}")
    if unexpected := present.keys() - expected.keys():
        raise ModelFormatError(path, f"unexpected tensors: {_listed(unexpected)}")
    for name, shape in expected.items():
        if present[name] != shape:
            raise ModelFormatError(
                path, f"tensor {name} must have the shape {shape}, got {present[name]}"
            )


def _listed(names: Collection[str]) -> str:
    listed = ", ".join(sorted(names)[:_LISTED])
    return listed if len(names) <= _LISTED else f"{listed} and {len(names) - _LISTED} more"


@dataclass(frozen=True, slots=True)
class GGUFSource:
    """The tensors of a GGUF file, renamed and laid out as Hugging Face does.

    The converter of llama.cpp interleaves the rows of Llama's query and key projections for the
    rotary convention that pairs dimensions 2i and 2i + 1; reading undoes that.
    """

    file: GGUFFile
    config: LlamaConfig

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `TensorSource.shapes`."""
        tensors = self.file.tensors.items()
        return {_from_gguf(name): info.shape for name, info in tensors if name != ROPE_DIVISORS}

    def read(self, name: str) -> Tensor:
        """See `TensorSource.read`."""
        original = next(key for key in self.file.tensors if _from_gguf(key) == name)
        tensor = torch.tensor(self.file.read(original))
        interleaved = self.file.metadata["general.architecture"] == "llama"
        if interleaved and ".q_proj." in name or ".k_proj." in name:
            pairs = tensor.unflatten(0, (-1, self.config.head_dim // 2, 2))
            tensor = pairs.transpose(1, 2).flatten(0, 2)
        return tensor
