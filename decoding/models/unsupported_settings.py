"""Refuses configuration settings that change the logits and are not implemented.

A configuration of a known model type can have a setting of another type. Ignoring the setting would
load a model that computes other logits, so it is refused by name unless it has no effect.
"""

from __future__ import annotations

from types import MappingProxyType

from decoding.models.fields import Fields
from decoding.models.files import shown

_NOTHING: tuple[object, ...] = (False, 0, "", [], {})
_ONE: tuple[object, ...] = (1, *_NOTHING)
_JSON = MappingProxyType(
    dict.fromkeys(
        (
            # Numbers that are squeezed or clipped.
            "attn_logit_softcapping", "final_logit_softcapping", "logit_softcapping",
            "attn_logit_softcap", "final_logit_softcap", "attention_logit_cap", "clip_qkv",
            # Attention and positions of another kind.
            "alibi", "use_alibi", "attn_temperature_tuning", "attention_chunk_size",
            "no_rope_layers", "no_rope_layer_interval", "rotary_interleaved", "rope_interleaved",
            "mrope_section", "use_bidirectional_attention", "add_cross_attention",
            "is_encoder_decoder", "cross_attention_layers", "attention_sinks",
            # Layers of another kind.
            "num_local_experts", "num_experts", "n_routed_experts",
            "parallel_attn", "use_parallel_residual", "parallel_residual", "qk_layernorm",
            "use_qk_norm", "quantization",
        ),
        _NOTHING,
    )
    | dict.fromkeys(
        # Factors.
        (
            "logit_scale", "logits_scaling", "embedding_multiplier", "residual_multiplier",
            "lm_head_multiplier", "embedding_scale", "scale_emb", "residual_scale",
        ),
        _ONE,
    )
)  # fmt: skip
"""Key to the values that change nothing."""

_GGUF = MappingProxyType(
    dict.fromkeys(
        (
            "expert_count", "attention.clamp_kqv", "attention.max_alibi_bias",
            "attn_logit_softcapping", "final_logit_softcapping", "use_parallel_residual",
            "rope.scaling.yarn_log_multiplier", "rope.dimension_sections",
            "attention.temperature_length",
        ),
        _NOTHING,
    )
    | dict.fromkeys(
        (
            "logit_scale", "embedding_scale", "residual_scale", "rope.scaling.attn_factor",
            "attention.temperature_scale",
        ),
        _ONE,
    )
    | {"attention.causal": (True,)}
)  # fmt: skip


def refuse_settings(fields: Fields, head_dim: int) -> None:
    """Refuse what a `config.json` asks for beyond `LlamaConfig`.

    head_dim: attention scores are divided by its square root, whatever a file says.

    Raises:
        ModelFormatError: names the setting.
    """
    quantized = fields.get("quantization_config")
    if quantized is not None:
        raise fields.error(
            "quantization_config is set; only plain float weights are implemented,"
            f" got {shown(quantized)}"
        )
    _refuse(fields, _JSON)
    scale = fields.get("query_pre_attn_scalar")
    if scale is not None and scale != head_dim:
        raise fields.error(
            f"query_pre_attn_scalar must be the head width {head_dim}, got {shown(scale)}"
        )
    for key in ("attention_multiplier", "attention_scale"):
        scale = fields.get(key)
        if scale is not None and abs(fields.positive(key) - head_dim**-0.5) > 1e-6:
            raise fields.error(
                f"{key} must be 1 / √{head_dim}, of the head width {head_dim}, got {scale}"
            )


def refuse_metadata(fields: Fields, head_dim: int) -> None:
    """Refuse what GGUF metadata asks for beyond `LlamaConfig`; as `refuse_settings`."""
    _refuse(fields, _GGUF)
    scale = fields.get("attention.scale")
    if scale and abs(fields.positive("attention.scale") - head_dim**-0.5) > 1e-6:
        raise fields.error(
            f"{fields.prefix}attention.scale must be 1 / √{head_dim}, of the head width {head_dim},"
            f" got {scale}"
        )


def _refuse(fields: Fields, settings: MappingProxyType[str, tuple[object, ...]]) -> None:
    for key, neutral in settings.items():
        value = fields.get(key)
        if value is not None and value not in neutral:
            what = " (a mixture of experts)" if "expert" in key else ""
            raise fields.error(f"{fields.prefix}{key}{what} is not implemented, got {shown(value)}")
