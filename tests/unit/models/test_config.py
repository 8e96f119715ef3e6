"""Model configurations read from `config.json` and GGUF metadata."""

from __future__ import annotations

import pytest

from decoding.errors import ModelFormatError
from decoding.models.config import LlamaConfig, RopeScaling

JSON = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}
GGUF = {
    "general.architecture": "llama",
    "llama.vocab_size": 64,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 48,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 128,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SCALED = RopeScaling(
    kind="llama3",
    factor=8.0,
    low_frequency_factor=1.0,
    high_frequency_factor=4.0,
    original_context_length=64.0,
)


SLIDING_QWEN = {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64}


def test_json_and_gguf_mean_the_same() -> None:
    tensors = ["output.weight"]
    assert LlamaConfig.from_json(JSON) == LlamaConfig.from_gguf(GGUF, tensors)
    assert LlamaConfig.from_json(JSON).head_dim == 8


def test_both_spellings_of_rotary_settings() -> None:
    new = LlamaConfig.from_json({**JSON, "rope_parameters": {**LLAMA3, "rope_theta": 5e5}})
    old = LlamaConfig.from_json({**JSON, "rope_scaling": LLAMA3, "rope_theta": 5e5})
    older = {("type" if key == "rope_type" else key): value for key, value in LLAMA3.items()}
    assert new == old == LlamaConfig.from_json({**JSON, "rope_scaling": older, "rope_theta": 5e5})
    assert (new.rope_theta, new.rope_scaling) == (5e5, SCALED)
    linear = {**JSON, "rope_scaling": {"rope_type": "linear", "factor": 2}}
    assert LlamaConfig.from_json(linear).rope_scaling == RopeScaling(kind="linear", factor=2.0)
    assert LlamaConfig.from_json({**JSON, "rope_scaling": None}).rope_scaling is None


def test_model_types_differ_where_transformers_does() -> None:
    qwen2 = LlamaConfig.from_json({**JSON, "model_type": "qwen2", "sliding_window": 16})
    assert (qwen2.qkv_bias, qwen2.output_bias, qwen2.mlp_bias) == (True, False, False)
    biased = LlamaConfig.from_json({**JSON, "attention_bias": True, "mlp_bias": True})
    assert (biased.qkv_bias, biased.output_bias, biased.mlp_bias) == (True, True, True)
    qwen3 = LlamaConfig.from_json({**JSON, "model_type": "qwen3"})
    assert (qwen3.qk_norm, qwen3.head_dim) == (True, 128)
    mistral = {**JSON, "model_type": "mistral", "sliding_window": None}
    assert LlamaConfig.from_json(mistral).kv_heads == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "model_type 'gemma3' is not implemented; implemented are llama"),
        ({"model_type": "mixtral"}, "model_type 'mixtral'"),
        ({"model_type": None}, "model_type None"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not implemented"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ({"hidden_size": None}, "hidden_size must be an integer of at least 1, got None"),
        ({"vocab_size": 0}, "vocab_size must be an integer of at least 1, got 0"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers must be an integer"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be an integer"),
        ({"num_key_value_heads": 3}, "4 query heads cannot share 3 key-value heads"),
        ({"head_dim": 7}, "the head width must be even"),
        ({"rms_norm_eps": 0}, "rms_norm_eps must be a positive number"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be a positive number"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be true or false"),
        ({"rope_theta": -1.0}, "rope_theta must be a positive number"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope type 'yarn' is not implemented"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor must be a positive number, got None"),
        ({"rope_scaling": [1]}, "rope_parameters must be an object"),
        ({"partial_rotary_factor": 0.5}, "a partial_rotary_factor other than 1"),
        ({"num_hidden_layers": 10**400}, "num_hidden_layers must be at most 2147483647, got 1000"),
        ({"max_position_embeddings": 2**31}, "max_position_embeddings must be at most"),
        ({"rope_theta": 10**400}, "rope_theta must be a positive number, got 1000"),
        ({"hidden_act": ["silu"]}, r"hidden_act \['silu'\] is not implemented"),
        ({"model_type": {}}, "model_type {} is not implemented"),
        ({"num_attention_heads": 64}, "head_dim must be an integer of at least 1, got 0"),
        ({"layer_types": ["chunked_attention"]}, r"layer_types \['chunked_attention'\] is not"),
        ({"layer_types": [["full_attention"]]}, "layer_types .* is not implemented"),
        ({"layer_types": "full_attention"}, "layer_types 'full_attention' is not implemented"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is not implemented"),
        ({"attn_logit_softcapping": 50}, "attn_logit_softcapping is not implemented"),
        ({"query_pre_attn_scalar": 256}, "query_pre_attn_scalar must be the head width 8"),
        ({"attention_multiplier": 0.0078125}, "attention_multiplier must be 1 / √8"),
        ({"embedding_multiplier": 12.0}, "embedding_multiplier is not implemented"),
        ({"logit_scale": 0.0625}, "logit_scale is not implemented"),
        (
            {"num_local_experts": 8},
            r"num_local_experts \(a mixture of experts\) is not implemented",
        ),
        ({"alibi": True}, "alibi is not implemented"),
        ({"no_rope_layers": [1, 0]}, "no_rope_layers is not implemented"),
        ({"use_qk_norm": True}, "use_qk_norm is not implemented"),
        ({"quantization": {"bits": 4}}, "quantization is not implemented"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder is not implemented"),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
            "rope_parameters with 'full_attention' is not implemented",
        ),
        ({"rope_scaling": {"mrope_section": [1]}}, "rope_parameters with 'mrope_section'"),
        ({"rope_scaling": {"type": "default", "attention_factor": 2}}, "attention_factor other"),
        ({"rope_scaling": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor other than 1"),
        ({"rope_scaling": {"rope_type": [1]}}, r"rope type \[1\] is not implemented"),
        ({"rope_scaling": {**LLAMA3, "low_freq_factor": 4}}, "low_freq_factor 4.0 must be below"),
    ],
)
def test_json_that_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        LlamaConfig.from_json({**JSON, **changes})


def test_settings_that_say_nothing_are_read_past() -> None:
    harmless = {
        "attention_dropout": 0.1,
        "final_logit_softcapping": None,
        "logit_scale": 1.0,
        "num_experts": 0,
        "query_pre_attn_scalar": 8,
        "attention_multiplier": 8**-0.5,
        "layer_types": ["full_attention", "full_attention"],
        "pretraining_tp": 2,
        "use_cache": True,
        "rope_scaling": {"rope_type": "default", "factor": 1.0},
    }
    assert LlamaConfig.from_json({**JSON, **harmless}) == LlamaConfig.from_json(JSON)


def test_a_long_value_is_shown_in_short() -> None:
    with pytest.raises(ModelFormatError) as caught:
        LlamaConfig.from_json({**JSON, "hidden_size": "x" * 10**6, "model_type": "llama"})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"model_type": "mistral", "sliding_window": 64}, 64),
        ({"model_type": "mistral", "sliding_window": 512}, 128),
        ({"model_type": "mistral", "sliding_window": None}, 128),
        ({"model_type": "mistral", "max_position_embeddings": 8192}, 4096),
        ({**SLIDING_QWEN, "max_window_layers": 1}, 64),
        ({**SLIDING_QWEN, "max_window_layers": 2}, 128),
        (SLIDING_QWEN, 128),
        ({**SLIDING_QWEN, "num_hidden_layers": 29}, 64),
        ({**SLIDING_QWEN, "layer_types": ["full_attention", "sliding_attention"]}, 64),
        ({"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64}, 128),
        ({"model_type": "qwen3", "sliding_window": 64, "layer_types": ["full_attention"]}, 128),
        ({"model_type": "qwen3", "sliding_window": 64, "layer_types": ["sliding_attention"]}, 64),
        ({"sliding_window": 64}, 64),
        ({"sliding_window": None}, 128),
    ],
)
def test_the_context_ends_with_the_window(changes: dict[str, object], context: int) -> None:
    assert LlamaConfig.from_json({**JSON, **changes}).context_length == context


def test_the_context_of_a_gguf_file_ends_with_the_window() -> None:
    windowed = {**GGUF, "llama.attention.sliding_window": 64}
    assert LlamaConfig.from_gguf(windowed, ()).context_length == 64


def test_gguf_tensors_decide_the_switches() -> None:
    config = LlamaConfig.from_gguf(GGUF, ["blk.0.attn_q.bias"])
    assert (config.tied, config.qkv_bias, config.qk_norm) == (True, True, False)


def test_gguf_norms_of_queries_belong_to_the_architecture() -> None:
    """A Llama file's rows lie in another order, so its norms would be applied to wrong ones."""
    assert not LlamaConfig.from_gguf(GGUF, ["blk.0.attn_q_norm.weight"]).qk_norm
    qwen3 = {key.replace("llama.", "qwen3."): value for key, value in GGUF.items()}
    assert LlamaConfig.from_gguf({**qwen3, "general.architecture": "qwen3"}, ()).qk_norm


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"llama.rope.scaling.factor": 4.0}, RopeScaling(kind="linear", factor=4.0)),
        ({"llama.rope.scale_linear": 4.0}, RopeScaling(kind="linear", factor=4.0)),
        (
            {"llama.rope.scale_linear": 4.0, "llama.rope.scaling.factor": 2.0},
            RopeScaling(kind="linear", factor=2.0),
        ),
        ({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, None),
        ({"llama.rope.scaling.type": "linear"}, None),
        ({"llama.rope.scaling.factor": 0.0}, None),
        ({"llama.rope.scaling.factor": 1.0}, None),
    ],
)
def test_gguf_rope_scaling_has_llama_cpps_defaults(
    changes: dict[str, object], expected: RopeScaling | None
) -> None:
    assert LlamaConfig.from_gguf({**GGUF, **changes}, ()).rope_scaling == expected


def test_gguf_divisors() -> None:
    divisors = (1.0, 2.0, 4.0, 8.0)
    scaled = LlamaConfig.from_gguf(GGUF, (), rope_divisors=divisors).rope_scaling
    assert scaled == RopeScaling(kind="divisors", divisors=divisors)
    twice = {**GGUF, "llama.rope.scaling.factor": 2.0}
    scaled = LlamaConfig.from_gguf(twice, (), rope_divisors=divisors).rope_scaling
    assert scaled == RopeScaling(kind="divisors", divisors=(2.0, 4.0, 8.0, 16.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gemma3"}, "general.architecture 'gemma3' is not implemented"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.attention.head_count": [4, 2]}, "attention.head_count must be the same for every"),
        ({"llama.attention.head_count": ["4", "4"]}, "llama.attention.head_count must be an int"),
        ({"llama.attention.head_count": []}, "llama.attention.head_count must be an integer"),
        ({"llama.rope.dimension_count": 4}, "llama.rope.dimension_count must equal the head width"),
        ({"llama.attention.value_length": 16}, "llama.attention.value_length must equal"),
        ({"llama.rope.scaling.type": "yarn"}, "rope scaling 'yarn' is not implemented"),
        ({"general.architecture": "mistral"}, "general.architecture 'mistral' is not implemented"),
        ({"llama.rope.scaling.type": 1}, "llama.rope.scaling.type must be a string, got 1"),
        ({"llama.rope.scaling.factor": -1.0}, "llama.rope.scaling.factor must be positive"),
        ({"llama.rope.scaling.attn_factor": 1.2}, "rope.scaling.attn_factor is not implemented"),
        ({"llama.attention.clamp_kqv": 8.0}, "llama.attention.clamp_kqv is not implemented"),
        ({"llama.attention.causal": False}, "llama.attention.causal is not implemented"),
        ({"llama.attention.scale": 0.5}, "llama.attention.scale must be 1 / √8"),
        ({"llama.logit_scale": 0.1}, "llama.logit_scale is not implemented"),
        ({"llama.final_logit_softcapping": 30.0}, "final_logit_softcapping is not implemented"),
        ({"llama.vocab_size": None, "tokenizer.ggml.tokens": 7}, "llama.vocab_size must be an"),
    ],
)
def test_gguf_that_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        LlamaConfig.from_gguf({**GGUF, **changes}, ())


def test_gguf_sizes_that_are_listed_for_every_layer() -> None:
    listed = {
        "llama.attention.head_count": [4, 4],
        "llama.attention.head_count_kv": [2, 2],
        "llama.feed_forward_length": [48, 48],
    }
    assert LlamaConfig.from_gguf({**GGUF, **listed}, ()) == LlamaConfig.from_gguf(GGUF, ())


def test_gguf_with_the_wrong_number_of_divisors() -> None:
    with pytest.raises(ModelFormatError, match=r"rope_freqs\.weight must have 4 values, got 1"):
        LlamaConfig.from_gguf(GGUF, (), rope_divisors=(1.0,))
    with pytest.raises(ModelFormatError, match=r"rope_freqs\.weight must be positive numbers"):
        LlamaConfig.from_gguf(GGUF, (), rope_divisors=(1.0, 1.0, 0.0, 1.0))
