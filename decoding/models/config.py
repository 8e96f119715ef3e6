"""Reads the configuration of a Llama-family model from `config.json` or GGUF metadata.

A setting that would change the logits and is not implemented is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from decoding.models.fields import Fields
from decoding.models.files import shown
from decoding.models.unsupported_settings import refuse_metadata, refuse_settings

_MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
_ARCHITECTURES = ("llama", "qwen2", "qwen3")  # of GGUF, which stores Mistral as Llama
_ACTIVATIONS = ("silu", "swish")
_LAYER_TYPES = ("full_attention", "sliding_attention")
_FIRST_SLIDING = 28  # of Qwen's layers, where a file does not say
_WINDOW = 4096  # of Mistral and of Qwen, where a file does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeScaling:
    """How rotary frequencies are stretched for contexts longer than the trained one.

    linear: every frequency is divided by `factor`.
    llama3: frequencies whose wavelength exceeds `original_context_length / low_frequency_factor`
        are divided by `factor`, those below `original_context_length / high_frequency_factor` are
        kept, and the ones between are interpolated.
    divisors: frequency i is divided by `divisors[i]` (a GGUF file's `rope_freqs.weight`).
    """

    kind: Literal["linear", "llama3", "divisors"]
    factor: float = 1.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context_length: float = 8192.0
    divisors: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """The sizes and options of a Llama-family model.

    heads: query heads, a multiple of `kv_heads`.
    head_dim: width of a head, even.
    context_length: where attention has a sliding window, at most the window: a context that ends
        there is computed as the model's makers did.
    tied: the output matrix is the embedding matrix.
    qkv_bias, output_bias, mlp_bias: which linear layers add a bias.
    qk_norm: queries and keys are normalised per head before rotation (Qwen3).
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context_length: int
    norm_eps: float
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    tied: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False

    @classmethod
    def from_json(cls, config: Mapping[str, Any], path: object = "config.json") -> LlamaConfig:
        """Read the `config.json` of transformers 4 or 5.

        Raises:
            ModelFormatError: a value is missing or impossible, or names something that is not
                implemented (model type, activation, rotary scaling, experts ...).
        """
        fields = Fields(config, path)
        model_type = fields.one_of("model_type", _MODEL_TYPES)
        fields.one_of("hidden_act", _ACTIVATIONS, "silu")
        heads = fields.size("num_attention_heads")
        hidden_size = fields.size("hidden_size")
        # Mistral's and Qwen3's own defaults for keys that a file may leave out.
        kv_default = 8 if model_type == "mistral" else heads
        head_default = 128 if model_type == "qwen3" else hidden_size // heads
        bias = model_type != "mistral" and fields.flag("attention_bias")
        head_dim = fields.size("head_dim", head_default)
        refuse_settings(fields, head_dim)
        rope_theta, rope_scaling = _rope_from_json(fields)
        return _checked(
            fields,
            cls(
                vocab_size=fields.size("vocab_size"),
                hidden_size=hidden_size,
                intermediate_size=fields.size("intermediate_size"),
                layers=fields.size("num_hidden_layers"),
                heads=heads,
                kv_heads=fields.size("num_key_value_heads", kv_default),
                head_dim=head_dim,
                context_length=fields.size("max_position_embeddings"),
                norm_eps=fields.positive("rms_norm_eps", 1e-6),
                rope_theta=rope_theta,
                rope_scaling=rope_scaling,
                tied=fields.flag("tie_word_embeddings"),
                qkv_bias=bias or model_type == "qwen2",
                output_bias=bias and model_type != "qwen2",
                mlp_bias=model_type == "llama" and fields.flag("mlp_bias"),
                qk_norm=model_type == "qwen3",
            ),
            window=_window_from_json(fields, model_type),
        )

    @classmethod
    def from_gguf(
        cls,
        metadata: Mapping[str, Any],
        tensor_names: Collection[str],
        *,
        rope_divisors: tuple[float, ...] = (),
        path: object = "GGUF metadata",
    ) -> LlamaConfig:
        """Read a GGUF file's metadata; optional tensors that exist set the options.

        Raises:
            ModelFormatError: as for `from_json`.
        """
        architecture = Fields(metadata, path).one_of("general.architecture", _ARCHITECTURES)
        fields = Fields(metadata, path, f"{architecture}.")
        heads = fields.size_of_every_layer("attention.head_count")
        hidden_size = fields.size("embedding_length")
        head_dim = fields.size("attention.key_length", hidden_size // heads)
        for key in ("attention.value_length", "rope.dimension_count"):
            size = fields.size(key, head_dim)
            if size != head_dim:
                raise fields.error(
                    f"{fields.prefix}{key} must equal the head width {head_dim}, got {size}"
                )
        refuse_metadata(fields, head_dim)
        tokens = metadata.get("tokenizer.ggml.tokens")
        counted = len(tokens) if isinstance(tokens, list) else None
        return _checked(
            fields,
            cls(
                vocab_size=fields.size("vocab_size", counted),
                hidden_size=hidden_size,
                intermediate_size=fields.size_of_every_layer("feed_forward_length"),
                layers=fields.size("block_count"),
                heads=heads,
                kv_heads=fields.size_of_every_layer("attention.head_count_kv", heads),
                head_dim=head_dim,
                context_length=fields.size("context_length"),
                norm_eps=fields.positive("attention.layer_norm_rms_epsilon"),
                rope_theta=fields.positive("rope.freq_base", 10_000.0),
                rope_scaling=_rope_from_gguf(fields, rope_divisors),
                tied="output.weight" not in tensor_names,
                qkv_bias="blk.0.attn_q.bias" in tensor_names,
                output_bias="blk.0.attn_output.bias" in tensor_names,
                mlp_bias="blk.0.ffn_up.bias" in tensor_names,
                qk_norm=architecture == "qwen3",
            ),
            window=fields.size("attention.sliding_window", 0, least=0) or None,
        )


def _checked(fields: Fields, config: LlamaConfig, window: int | None) -> LlamaConfig:
    """Check the relations between the sizes of a configuration.

    window: tokens that attention reaches back over; up to there a window changes nothing, so the
        context ends with it.
    """
    if config.heads % config.kv_heads:
        raise fields.error(
            f"{config.heads} query heads cannot share {config.kv_heads} key-value heads"
        )
    if config.head_dim % 2:
        raise fields.error(
            f"the head width must be even for rotary embeddings, got {config.head_dim}"
        )
    scaling = config.rope_scaling
    if scaling is not None and scaling.divisors:
        if len(scaling.divisors) != config.head_dim // 2:
            raise fields.error(
                f"rope_freqs.weight must have {config.head_dim // 2} values,"
                f" got {len(scaling.divisors)}"
            )
        for divisor in scaling.divisors:
            if not 0 < divisor < math.inf:
                raise fields.error(f"rope_freqs.weight must be positive numbers, got {divisor}")
    if window is not None and window < config.context_length:
        return replace(config, context_length=window)
    return config


def _window_from_json(fields: Fields, model_type: str) -> int | None:
    """The fewest tokens that a layer's attention reaches back over; None = all."""
    kinds = fields.get("layer_types", [])
    if not isinstance(kinds, list) or not all(kind in _LAYER_TYPES for kind in kinds):
        raise fields.error(
            f"layer_types {shown(kinds)} is not implemented; implemented are"
            f" {' and '.join(_LAYER_TYPES)}"
        )
    used = "sliding_attention" in kinds
    if model_type.startswith("qwen"):
        if fields.flag("use_sliding_window") and not kinds:  # the last layers slide
            first = fields.size("max_window_layers", _FIRST_SLIDING, least=0)
            used = first < fields.size("num_hidden_layers")
        return fields.size("sliding_window", _WINDOW) if used else None
    # A null says "no window"; a missing key means the model type's default.
    default = _WINDOW if model_type == "mistral" or used else None
    if fields.values.get("sliding_window", default) is None and not used:
        return None
    return fields.size("sliding_window", default)


def _rope_from_json(fields: Fields) -> tuple[float, RopeScaling | None]:
    """`rope_parameters` is transformers 5's spelling, `rope_theta` with `rope_scaling` 4's."""
    values = fields.get("rope_scaling") or fields.get("rope_parameters", {})
    if not isinstance(values, Mapping):
        raise fields.error(f"rope_parameters must be an object, got {shown(values)}")
    for key, value in values.items():
        if isinstance(value, Mapping) or key == "mrope_section":
            raise fields.error(f"rope_parameters with {shown(key)} is not implemented")
    rope = Fields(values, fields.path)
    theta = rope.positive("rope_theta", fields.positive("rope_theta", 10_000.0))
    for place in (rope, fields):
        for key in ("partial_rotary_factor", "rotary_pct"):
            if (factor := place.positive(key, 1.0)) != 1.0:
                raise fields.error(f"a {key} other than 1 is not implemented, got {factor}")
    if (factor := rope.positive("attention_factor", 1.0)) != 1.0:
        raise fields.error(f"an attention_factor other than 1 is not implemented, got {factor}")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling(kind="linear", factor=rope.positive("factor"))
    if kind == "llama3":
        low, high = rope.positive("low_freq_factor"), rope.positive("high_freq_factor")
        if low >= high:
            raise fields.error(f"low_freq_factor {low} must be below high_freq_factor {high}")
        return theta, RopeScaling(
            kind="llama3",
            factor=rope.positive("factor"),
            low_frequency_factor=low,
            high_frequency_factor=high,
            original_context_length=rope.positive("original_max_position_embeddings"),
        )
    raise fields.error(
        f"rope type {shown(kind)} is not implemented; implemented are default, linear, llama3"
    )


def _rope_from_gguf(fields: Fields, divisors: tuple[float, ...]) -> RopeScaling | None:
    """With llama.cpp's defaults: the type is linear, and the factor may have an older key."""
    kind = fields.text("rope.scaling.type", "linear")
    if kind not in ("none", "linear"):
        raise fields.error(
            f"rope scaling {shown(kind)} is not implemented; implemented are none and linear"
        )
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 1.0))
    factor = 1.0 if kind == "none" or factor == 0 else factor
    if factor < 0:
        raise fields.error(f"{fields.prefix}rope.scaling.factor must be positive, got {factor}")
    if divisors:
        return RopeScaling(kind="divisors", divisors=tuple(factor * value for value in divisors))
    return None if factor == 1 else RopeScaling(kind="linear", factor=factor)
