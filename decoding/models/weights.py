"""Reads a model's tensors from safetensors shards or a GGUF file, by Hugging Face names.

The names are those of Hugging Face checkpoints; `tensor_shapes` lists what a model needs, and
`check_tensors` compares that with what a source has before anything is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from decoding.errors import MissingDependencyError, ModelFormatError
from decoding.models.config import LlamaConfig
from decoding.models.files import is_present, member, require_regular, shown
from decoding.models.gguf import GGUFFile
from decoding.models.json_files import MOST_VALUES, parse_json, read_json

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError(error.name or "torch", "torch") from error

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth")
_MOST_HEADER = 32 << 20  # bytes of a shard's list of tensors
_EMBEDDING, _OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
_FLOATS = ("F64", "F32", "F16", "BF16")
_LISTED, _LISTED_CHARACTERS = 5, 80  # names an error message spells out
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
    """Protocol of a checkpoint whose tensors are read by their Hugging Face names."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor."""

    def read(self, name: str) -> Tensor:
        """Read one tensor, of any float type, in the Hugging Face layout."""


def tensor_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that a configuration needs, by Hugging Face name."""
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
        _EMBEDDING: (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.tied:
        shapes[_OUTPUT] = (config.vocab_size, hidden)
    for layer in (f"model.layers.{index}" for index in range(config.layers)):
        for name, (rows, columns, bias) in linears.items():
            shapes[f"{layer}.{name}.weight"] = (rows, columns)
            if bias:
                shapes[f"{layer}.{name}.bias"] = (rows,)
        shapes |= {f"{layer}.{name}.weight": (size,) for name, size in norms.items()}
    return shapes


def settled(config: LlamaConfig, source: TensorSource) -> tuple[LlamaConfig, TensorSource]:
    """Decide by the file's tensors whether the output matrix is tied, as in transformers.

    A configuration that ties the output matrix to the embedding does not hold for a file with a
    matrix of each. A file with the output matrix alone has the embedding under its name.
    """
    if not config.tied or _OUTPUT not in source.shapes:
        return config, source
    if _EMBEDDING in source.shapes:
        return replace(config, tied=False), source
    return config, _EmbeddingOfOutput(source)


@dataclass(frozen=True, slots=True, eq=False)
class _EmbeddingOfOutput:
    """A source that reads the output matrix as the embedding."""

    source: TensorSource

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `TensorSource.shapes`."""
        shapes = dict(self.source.shapes)
        shapes[_EMBEDDING] = shapes.pop(_OUTPUT)
        return shapes

    def read(self, name: str) -> Tensor:
        """See `TensorSource.read`."""
        return self.source.read(_OUTPUT if name == _EMBEDDING else name)


def check_tensors(config: LlamaConfig, source: TensorSource, path: object) -> None:
    """Check the names and shapes of a source's tensors against the configuration.

    Raises:
        ModelFormatError: names the missing, unexpected or misshapen tensors.
    """
    present = {
        name: shape
        for name, shape in source.shapes.items()
        if not name.endswith(".rotary_emb.inv_freq")
    }
    # Before the names of all layers are spelled out: a configuration can claim any number.
    if config.layers > len(present):
        raise ModelFormatError(
            path, f"missing tensors: {config.layers} layers need more than {len(present)}"
        )
    expected = tensor_shapes(config)
    if missing := expected.keys() - present.keys():
        raise ModelFormatError(path, f"missing tensors: {_listed(missing)}")
    if unexpected := present.keys() - expected.keys():
        raise ModelFormatError(path, f"unexpected tensors: {_listed(unexpected)}")
    for name, shape in expected.items():
        if present[name] != shape:
            raise ModelFormatError(
                path, f"tensor {name} must have the shape {shape}, got {shown(present[name])}"
            )


def _listed(names: Collection[str]) -> str:
    listed = ", ".join(name[:_LISTED_CHARACTERS] for name in sorted(names)[:_LISTED])
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
        originals: dict[str, str] = {}
        for name in self.file.tensors:
            if name == ROPE_DIVISORS:
                continue
            known = _from_gguf(name)
            # A tensor under its Hugging Face name has an unknown layout.
            if known == name and name.startswith(("model.", "lm_head.")):
                raise ModelFormatError(self.file.path, f"unexpected tensors: {shown(name)}")
            originals[known] = name
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
    files: tuple[Path, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> SafetensorsSource:
        """Map the shards and read their headers.

        Raises:
            ModelFormatError: a file is missing, damaged or outside the folder, a tensor is not of a
                float type, or the index and the shards disagree.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        shards: dict[str, Any] = {}
        index = _index(folder)
        paths: list[Path] = []
        for file in sorted(set(index.values())) or [_SINGLE]:
            # One after the other: the first that is missing is the last that is looked for.
            path = member(folder, file)
            paths.append(path)
            shard, slices = open_shard(path)
            for name, (shape, kind) in slices.items():
                if index.get(name, file) != file:  # the index says where a tensor's values are
                    continue
                if kind not in _FLOATS:
                    listed = ", ".join(_FLOATS)
                    raise ModelFormatError(
                        path, f"tensor {shown(name)} has type {kind}, not one of {listed}"
                    )
                if name in shapes:
                    raise ModelFormatError(path, f"has {shown(name)}, which another shard has too")
                shapes[name], shards[name] = shape, shard
        if absent := index.keys() - shapes.keys():
            raise ModelFormatError(folder / _INDEX, f"lists absent tensors: {_listed(absent)}")
        return cls(folder, shapes, shards, tuple(paths))

    def read(self, name: str) -> Tensor:
        """See `TensorSource.read`."""
        try:
            tensor: Tensor = self._shards[name].get_tensor(name)
        except (OSError, SafetensorError, RuntimeError, ValueError) as error:
            raise ModelFormatError(self.folder, f"{shown(name)} cannot be read: {error}") from error
        return tensor


def open_shard(path: Path) -> tuple[Any, dict[str, tuple[tuple[int, ...], str]]]:
    """A mapped shard, with the shape and the type of each of its tensors."""
    _check_header(path)
    try:
        shard: Any = safe_open(path, framework="pt")
        parts = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118 -- no dict
        return shard, {
            name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in parts.items()
        }
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error


def _check_header(path: Path) -> None:
    """Bound the list of tensors before the library builds it.

    The file begins with the length of a JSON object, in 8 bytes; tensors follow the object.
    """
    size = require_regular(path)
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size - 8, _MOST_HEADER):
            raise ModelFormatError(
                path,
                f"cannot be read: its list of tensors claims {length} bytes; the file has {size},"
                f" and {_MOST_HEADER} are read",
            )
        header = stream.read(length)
    try:
        parse_json(header.decode("utf-8"), path, MOST_VALUES)
    except UnicodeDecodeError as error:
        raise ModelFormatError(path, f"cannot be read: {error}") from error


def _index(folder: Path) -> dict[str, str]:
    """Tensor name to shard; empty where there is a single file, which wins as in transformers."""
    path = folder / _INDEX
    if is_present(folder / _SINGLE):
        return {}
    if not is_present(path):
        found = [name for name in _PICKLES if is_present(folder / name)]
        hint = f"; {found[0]}, which can run code, is not read" if found else ""
        raise ModelFormatError(folder / _SINGLE, f"cannot be read: it is missing{hint}")
    weights = read_json(member(folder, _INDEX)).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(v, str) for v in weights.values()):
        raise ModelFormatError(
            path, f"weight_map must be an object of file names, got {shown(weights)}"
        )
    if not weights:
        raise ModelFormatError(path, "weight_map must name at least one tensor, got {}")
    return weights
