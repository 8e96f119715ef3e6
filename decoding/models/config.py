"""What a Llama-family model is made of, read from a `config.json` or from GGUF metadata.

Whatever would change the numbers and is not implemented is refused here, by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from decoding.errors import ModelFormatError

_MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
_ACTIVATIONS = ("silu", "swish")
_MISTRAL_WINDOW = 4096


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
    """The sizes and switches of one model; all sizes are at least 1.

    heads: query heads, a multiple of `kv_heads`.
    head_dim: width of a head, even.
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
        """From a Hugging Face configuration, of transformers 4 or 5.

        Raises:
            ModelFormatError: a value is missing or impossible, or names something that is not
                implemented (model type, activation, rotary scaling, short sliding window ...).
        """
        fields = _Fields(config, path)
        model_type = fields.one_of("model_type", _MODEL_TYPES)
        fields.one_of("hidden_act", _ACTIVATIONS, "silu")
        if config.get("quantization_config") is not None:
            raise fields.error(
                "quantization_config is set; only plain float weights are implemented"
            )
        heads = fields.size("num_attention_heads")
        hidden_size = fields.size("hidden_size")
        # Mistral's and Qwen3's own defaults for keys that a file may leave out.
        kv_default = 8 if model_type == "mistral" else heads
        head_default = 128 if model_type == "qwen3" else hidden_size // heads
        bias = model_type != "mistral" and fields.flag("attention_bias")
        rope_theta, rope_scaling = _rope_from_json(fields)
        return fields.checked(
            cls(
                vocab_size=fields.size("vocab_size"),
                hidden_size=hidden_size,
                intermediate_size=fields.size("intermediate_size"),
                layers=fields.size("num_hidden_layers"),
                heads=heads,
                kv_heads=fields.size("num_key_value_heads", kv_default),
                head_dim=fields.size("head_dim", head_default),
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
        """From a GGUF file's metadata; which optional tensors exist decides the switches.

        Raises:
            ModelFormatError: as for `from_json`.
        """
        architecture = _Fields(metadata, path).one_of("general.architecture", _MODEL_TYPES)
        fields = _Fields(metadata, path, f"{architecture}.")
        if fields.size("expert_count", 0, least=0):
            raise fields.error("it is a mixture of experts, which is not implemented")
        heads = fields.size("attention.head_count")
        hidden_size = fields.size("embedding_length")
        head_dim = fields.size("attention.key_length", hidden_size // heads)
        for key in ("attention.value_length", "rope.dimension_count"):
            if fields.size(key, head_dim) != head_dim:
                raise fields.error(f"{fields.prefix}{key} must equal the head width {head_dim}")
        tokens = metadata.get("tokenizer.ggml.tokens", ())
        return fields.checked(
            cls(
                vocab_size=fields.size("vocab_size", len(tokens)),
                hidden_size=hidden_size,
                intermediate_size=fields.size("feed_forward_length"),
                layers=fields.size("block_count"),
                heads=heads,
                kv_heads=fields.size("attention.head_count_kv", heads),
                head_dim=head_dim,
                context_length=fields.size("context_length"),
                norm_eps=fields.positive("attention.layer_norm_rms_epsilon"),
                rope_theta=fields.positive("rope.freq_base", 10_000.0),
                rope_scaling=_rope_from_gguf(fields, rope_divisors),
                tied="output.weight" not in tensor_names,
                qkv_bias="blk.0.attn_q.bias" in tensor_names,
                output_bias="blk.0.attn_output.bias" in tensor_names,
                mlp_bias="blk.0.ffn_up.bias" in tensor_names,
                qk_norm="blk.0.attn_q_norm.weight" in tensor_names,
            ),
            window=fields.size("attention.sliding_window", 0, least=0) or None,
        )


@dataclass(frozen=True, slots=True)
class _Fields:
    """Typed reads of a mapping; every failure names the file and the key."""

    values: Mapping[str, Any]
    path: object
    prefix: str = ""

    def error(self, problem: str) -> ModelFormatError:
        return ModelFormatError(self.path, problem)

    def get(self, key: str, default: object) -> Any:  # noqa: ANN401 - a configuration holds anything
        value = self.values.get(self.prefix + key)
        return default if value is None else value

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(
                f"{self.prefix}{key} must be an integer of at least {least}, got {value!r}"
            )
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < float("inf"):
            raise self.error(f"{self.prefix}{key} must be a positive number, got {value!r}")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.get(key, default=False)
        if not isinstance(value, bool):
            raise self.error(f"{self.prefix}{key} must be true or false, got {value!r}")
        return value

    def one_of(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        value = self.get(key, default)
        if value not in known:
            raise self.error(
                f"{key} {value!r} is not implemented; implemented are {', '.join(known)}"
            )
        return str(value)

    def checked(self, config: LlamaConfig, window: int | None) -> LlamaConfig:
        """The relations between sizes that no single field can show."""
        if config.heads % config.kv_heads:
            raise self.error(
                f"{config.heads} query heads cannot share {config.kv_heads} key-value heads"
            )
        if config.head_dim % 2:
            raise self.error(
                f"the head width must be even for rotary embeddings, got {config.head_dim}"
            )
        if window is not None and window < config.context_length:
            raise self.error(
                f"a sliding window of {window} tokens is not implemented;"
                f" the context has {config.context_length}"
            )
        scaling = config.rope_scaling
        if (
            scaling is not None
            and scaling.divisors
            and len(scaling.divisors) != config.head_dim // 2
        ):
            raise self.error(
                f"rope_freqs.weight must have {config.head_dim // 2} values,"
                f" got {len(scaling.divisors)}"
            )
        return config


def _window_from_json(fields: _Fields, model_type: str) -> int | None:
    if model_type.startswith("qwen"):
        return fields.size("sliding_window", 4096) if fields.flag("use_sliding_window") else None
    if model_type != "mistral":
        return None
    # A null says "no window"; a missing key means the model type's default.
    if fields.values.get("sliding_window", _MISTRAL_WINDOW) is None:
        return None
    return fields.size("sliding_window", _MISTRAL_WINDOW)


def _rope_from_json(fields: _Fields) -> tuple[float, RopeScaling | None]:
    """`rope_parameters` is transformers 5's spelling, `rope_theta` with `rope_scaling` 4's."""
    values = fields.get("rope_parameters", fields.get("rope_scaling", {}))
    if not isinstance(values, Mapping):
        raise fields.error(f"rope_parameters must be an object, got {values!r}")
    rope = _Fields(values, fields.path)
    theta = rope.positive("rope_theta", fields.positive("rope_theta", 10_000.0))
    for place in (rope, fields):
        if place.positive("partial_rotary_factor", 1.0) != 1.0:
            raise fields.error("a partial_rotary_factor other than 1 is not implemented")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling(kind="linear", factor=rope.positive("factor"))
    if kind == "llama3":
        return theta, RopeScaling(
            kind="llama3",
            factor=rope.positive("factor"),
            low_frequency_factor=rope.positive("low_freq_factor"),
            high_frequency_factor=rope.positive("high_freq_factor"),
            original_context_length=rope.positive("original_max_position_embeddings"),
        )
    raise fields.error(
        f"rope type {kind!r} is not implemented; implemented are default, linear, llama3"
    )


def _rope_from_gguf(fields: _Fields, divisors: tuple[float, ...]) -> RopeScaling | None:
    kind = fields.get("rope.scaling.type", "none")
    if divisors and kind == "none":
        return RopeScaling(kind="divisors", divisors=divisors)
    if kind == "none":
        return None
    if kind == "linear" and not divisors:
        return RopeScaling(kind="linear", factor=fields.positive("rope.scaling.factor"))
    raise fields.error(f"rope scaling {kind!r} is not implemented; implemented are none and linear")
