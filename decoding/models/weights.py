"""Where a model's tensors come from: safetensors shards or a GGUF file, under one set of names.

The names are those of Hugging Face checkpoints; `tensor_shapes` lists what a model needs, and
`check_tensors` compares that with what a source has before anything is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from decoding.errors import MissingDependencyError, ModelFormatError
from decoding.models.config import LlamaConfig
from decoding.models.gguf import GGUFFile
from decoding.models.jsonfile import read_json

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError(error.name or "torch", "torch") from error

_INDEX = "model.safetensors.index.json"
_FLOATS = ("F64", "F32", "F16", "BF16")
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


@dataclass(frozen=True, slots=True, eq=False)
class GGUFSource:
    """The tensors of a GGUF file, renamed and laid out as Hugging Face does.

    The converter of llama.cpp interleaves the rows of Llama's query and key projections for the
    rotary convention that pairs dimensions 2i and 2i + 1; reading undoes that.
    """

    file: GGUFFile
    config: LlamaConfig
    _originals: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        originals = {_from_gguf(name): name for name in self.file.tensors if name != ROPE_DIVISORS}
        object.__setattr__(self, "_originals", originals)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `TensorSource.shapes`."""
        return {name: self.file.tensors[raw].shape for name, raw in self._originals.items()}

    def read(self, name: str) -> Tensor:
        """See `TensorSource.read`."""
        array = self.file.read(self._originals[name])
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if self.file.metadata["general.architecture"] != "llama":
            return tensor
        if ".q_proj." not in name and ".k_proj." not in name:
            return tensor
        pairs = tensor.view(-1, self.config.head_dim // 2, 2, *tensor.shape[1:])
        return pairs.transpose(1, 2).reshape(tensor.shape)


def _from_gguf(name: str) -> str:
    """The Hugging Face name; a name that is not known stays as it is, to be called unexpected."""
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{_GGUF_NAMES.get(stem, stem)}.{kind}"
    _, layer, part = stem.split(".", 2) if stem.count(".") > 1 else ("", "", stem)
    return f"model.layers.{layer}.{_GGUF_NAMES[part]}.{kind}" if part in _GGUF_NAMES else name


@dataclass(frozen=True, slots=True, eq=False)
class SafetensorsSource:
    """The tensors of a folder: `model.safetensors`, or the shards that its index lists."""

    folder: Path
    shapes: Mapping[str, tuple[int, ...]]
    _shards: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> SafetensorsSource:
        """Map the shards and read their headers.

        Raises:
            ModelFormatError: a file is missing or damaged, a tensor is not of a float type, or
                the index and the shards disagree.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        shards: dict[str, Any] = {}
        index = _index(folder)
        for file in sorted(set(index.values())) if index else ["model.safetensors"]:
            path = folder / file
            try:
                shard: Any = safe_open(path, framework="pt")
                slices = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118 - no dict
            except (OSError, SafetensorError) as error:
                raise ModelFormatError(path, f"cannot be read: {error}") from error
            for name, part in slices.items():
                if part.get_dtype() not in _FLOATS:
                    problem = f"tensor {name} has type {part.get_dtype()}, not one of "
                    raise ModelFormatError(path, problem + ", ".join(_FLOATS))
                shapes[name], shards[name] = tuple(part.get_shape()), shard
        if absent := index.keys() - shapes.keys():
            raise ModelFormatError(folder / _INDEX, f"lists absent tensors: {_listed(absent)}")
        return cls(folder, shapes, shards)

    def read(self, name: str) -> Tensor:
        """See `TensorSource.read`."""
        tensor: Tensor = self._shards[name].get_tensor(name)
        return tensor


def _index(folder: Path) -> dict[str, str]:
    """Tensor name to shard; empty where there is a single file."""
    path = folder / _INDEX
    if not path.exists():
        return {}
    weights = read_json(path).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(v, str) for v in weights.values()):
        raise ModelFormatError(path, "weight_map must be an object of file names")
    return weights
