"""Loads LoRA adapters in PEFT's format on demand: two small matrices per linear layer.

    output = W x + B (A x) · scale,     scale = lora_alpha / r,  or lora_alpha / sqrt(r) for rsLoRA

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685;
Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
arXiv:2312.03732.
"""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decoding.checks import check_integer
from decoding.errors import MissingDependencyError, ModelFormatError, ParameterError, require
from decoding.models.config import LlamaConfig
from decoding.models.fields import MOST_SIZE
from decoding.models.files import is_present, member, shown
from decoding.models.json_files import read_json
from decoding.models.weights import open_shard

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingDependencyError("torch", "torch") from error

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FLOATS = ("F32", "F16", "BF16", "F64")
_NAME = re.compile(
    r"base_model\.model\.model\.layers\.(0|[1-9][0-9]{0,5})"
    r"\.((?:self_attn|mlp)\.[a-z]+_proj)\.lora_([AB])\.weight"
)
_SAYS_NOTHING = frozenset(
    (
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "exclude_modules",
        "inference_mode",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "loftq_config",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "target_modules",
        "task_type",
        "use_rslora",
    )
)
"""Fields of a configuration that are read here, or that the tensors' names and shapes say, too.

What any other field asks for is not implemented, unless it is empty or false.
"""


@dataclass(frozen=True, slots=True)
class Adapters:
    """A folder of adapters, each in a folder of its own, which requests name by its path.

    limit: most adapters that are held in memory beside those that running requests use.

    Raises:
        ParameterError: there is no such folder, or the limit is no integer >= 1.
    """

    folder: Path
    limit: int = 8

    def __post_init__(self) -> None:
        legal = isinstance(self.folder, str | Path)
        require("adapters", self.folder, legal, "a folder")
        object.__setattr__(self, "folder", Path(self.folder))
        require("adapters", str(self.folder), self.folder.is_dir(), "an existing folder")
        check_integer(self, "limit", 1)


@dataclass(frozen=True, slots=True, eq=False)
class LoraPair:
    """The low-rank update of one fused linear layer: `up @ (down @ x)`.

    down: `(ranks, inputs)`. up: `(outputs, ranks)`, scaled; of several layers that are fused, each
    has its own ranks and is zero for those of the others.
    """

    down: Tensor = field(repr=False)
    up: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class LoraLayer:
    """One layer's low-rank updates; None for a linear layer that the adapter does not change."""

    qkv: LoraPair | None
    output: LoraPair | None
    gate_up: LoraPair | None
    down: LoraPair | None


@dataclass(frozen=True, slots=True, eq=False)
class LoraAdapter:
    """An adapter that has been loaded for a model."""

    adapter_id: str
    layers: tuple[LoraLayer, ...] = field(repr=False)


class LoadedAdapters:
    """The adapters of a folder, as one model has loaded them; may be used by several threads."""

    def __init__(
        self, adapters: Adapters, config: LlamaConfig, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._adapters, self._config = adapters, config
        self._dtype, self._device = dtype, device
        self._loaded: OrderedDict[str, LoraAdapter] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy loads what it is asked for.
        return LoadedAdapters, (self._adapters, self._config, self._dtype, self._device)

    def names(self) -> tuple[str, ...]:
        """The adapters directly in the folder."""
        folder = self._adapters.folder
        found = (item.name for item in folder.iterdir() if is_present(item / _CONFIG))
        return tuple(sorted(found))

    def load(self, adapter_id: str) -> LoraAdapter:
        """An adapter; read from its files unless it is in memory.

        Raises:
            ParameterError: there is no such adapter in the folder.
            ModelFormatError: its files are damaged, ask for what is not implemented, or do not fit
                the model.
        """
        with self._lock:
            if adapter_id not in self._loaded:
                self._loaded[adapter_id] = self._read(adapter_id)
            self._loaded.move_to_end(adapter_id)
            while len(self._loaded) > self._adapters.limit:
                self._loaded.popitem(last=False)
            return self._loaded[adapter_id]

    def _read(self, adapter_id: str) -> LoraAdapter:
        root = self._adapters.folder
        try:
            member(root, f"{adapter_id}/{_CONFIG}")
            weights = member(root, f"{adapter_id}/{_WEIGHTS}")
            folder = weights.parent
            known = adapter_id.strip("./\\") != "" and is_present(folder / _CONFIG)
        except ModelFormatError as error:
            raise ParameterError("adapter_id", adapter_id, "an adapter of this model") from error
        require("adapter_id", adapter_id, known, "an adapter of this model")
        scale_of = _scaling(read_json(folder / _CONFIG), folder / _CONFIG)
        return LoraAdapter(adapter_id, self._layers(weights, *scale_of))

    def _layers(self, path: Path, rank: int, scale: float) -> tuple[LoraLayer, ...]:
        """Every layer's pairs, once the names, types and shapes of all tensors are known to fit."""
        shard, slices = open_shard(path)
        sizes = _sizes(self._config)
        for name, (shape, kind) in slices.items():
            match = _NAME.fullmatch(name)
            if match is None or match[2] not in sizes or int(match[1]) >= self._config.layers:
                raise ModelFormatError(path, f"tensor {shown(name)} is of no layer of the model")
            if kind not in _FLOATS:
                problem = f"tensor {shown(name)} has type {kind}, not one of {', '.join(_FLOATS)}"
                raise ModelFormatError(path, problem)
            inputs, outputs = sizes[match[2]]
            expected = (rank, inputs) if match[3] == "A" else (outputs, rank)
            if shape != expected:
                problem = f"tensor {shown(name)} must have the shape {expected}, got {shown(shape)}"
                raise ModelFormatError(path, problem)
        if not slices:
            raise ModelFormatError(path, "has no tensors")
        swapped = {"lora_A": "lora_B", "lora_B": "lora_A"}
        for name in slices:
            other = re.sub("lora_[AB]", lambda match: swapped[match[0]], name)
            if other not in slices:
                raise ModelFormatError(path, f"tensor {shown(other)} is missing")

        def pair(index: int, *parts: str) -> LoraPair | None:
            names = [f"base_model.model.model.layers.{index}.{part}" for part in parts]
            present = [f"{name}.lora_A.weight" in slices for name in names]
            if not any(present):
                return None
            inputs = sizes[parts[0]][0]
            outputs = [sizes[part][1] for part in parts]
            down = torch.zeros(rank * sum(present), inputs, dtype=self._dtype, device=self._device)
            up = torch.zeros(
                sum(outputs), rank * sum(present), dtype=self._dtype, device=self._device
            )
            row = column = 0
            for name, found, width in zip(names, present, outputs, strict=True):
                if found:
                    down[column : column + rank] = shard.get_tensor(f"{name}.lora_A.weight")
                    own = shard.get_tensor(f"{name}.lora_B.weight").float() * scale
                    up[row : row + width, column : column + rank] = own
                    column += rank
                row += width
            return LoraPair(down, up)

        return tuple(
            LoraLayer(
                pair(index, *(f"self_attn.{part}_proj" for part in "qkv")),
                pair(index, "self_attn.o_proj"),
                pair(index, "mlp.gate_proj", "mlp.up_proj"),
                pair(index, "mlp.down_proj"),
            )
            for index in range(self._config.layers)
        )


def _sizes(config: LlamaConfig) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each linear layer that an adapter can name."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "self_attn.q_proj": (hidden, queries),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (queries, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }


def _scaling(values: Mapping[str, Any], path: Path) -> tuple[int, float]:
    """The rank and the scale of an adapter's configuration.

    Raises:
        ModelFormatError: it is no LoRA, is malformed, or asks for what is not implemented.
    """
    if values.get("peft_type") != "LORA":
        raise ModelFormatError(
            path, f"peft_type must be 'LORA', got {shown(values.get('peft_type'))}"
        )
    refused = [name for name, value in values.items() if value and name not in _SAYS_NOTHING]
    refused += [name for name in ("alpha_pattern", "rank_pattern") if values.get(name)]
    if values.get("bias", "none") != "none":
        refused.append("bias")
    # Other ways to begin change the model's own weights, which are then not what this model has.
    if values.get("init_lora_weights", True) not in (True, False, None, "gaussian", "orthogonal"):
        refused.append("init_lora_weights")
    if refused:
        listed = ", ".join(shown(name) for name in sorted(refused)[:8])
        raise ModelFormatError(path, f"has settings that are not implemented: {listed}")
    rank, alpha = values.get("r"), values.get("lora_alpha", 8)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= MOST_SIZE:
        problem = f"r must be an integer from 1 to {MOST_SIZE}, got {shown(rank)}"
        raise ModelFormatError(path, problem)
    is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not is_number or not abs(alpha) < math.inf or abs(alpha) > 1e9:
        raise ModelFormatError(path, f"lora_alpha must be a number, got {shown(alpha)}")
    return rank, alpha / (math.sqrt(rank) if values.get("use_rslora") else rank)
