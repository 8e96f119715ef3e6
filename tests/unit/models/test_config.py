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
        ({"model_type": "mistral", "sliding_window": 64}, "a sliding window of 64 tokens"),
        (
            {"model_type": "mistral", "max_position_embeddings": 8192},
            "a sliding window of 4096 tokens is not implemented; the context has 8192",
        ),
        (
            {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64},
            "a sliding window of 64 tokens",
        ),
    ],
)
def test_json_that_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        LlamaConfig.from_json({**JSON, **changes})


def test_gguf_tensors_decide_the_switches() -> None:
    names = ["blk.0.attn_q.bias", "blk.0.attn_q_norm.weight"]
    config = LlamaConfig.from_gguf(GGUF, names)
    assert (config.tied, config.qkv_bias, config.qk_norm) == (True, True, True)
    divisors = (1.0, 2.0, 4.0, 8.0)
    scaled = LlamaConfig.from_gguf(GGUF, (), rope_divisors=divisors).rope_scaling
    assert scaled == RopeScaling(kind="divisors", divisors=divisors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gemma3"}, "general.architecture 'gemma3' is not implemented"),
        ({"llama.expert_count": 8}, "mixture of experts"),
        ({"llama.attention.head_count": [4, 4]}, "llama.attention.head_count must be an integer"),
        ({"llama.rope.dimension_count": 4}, "llama.rope.dimension_count must equal the head width"),
        ({"llama.attention.value_length": 16}, "llama.attention.value_length must equal"),
        ({"llama.rope.scaling.type": "yarn"}, "rope scaling 'yarn' is not implemented"),
        ({"llama.attention.sliding_window": 64}, "a sliding window of 64 tokens"),
    ],
)
def test_gguf_that_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        LlamaConfig.from_gguf({**GGUF, **changes}, ())


def test_gguf_with_the_wrong_number_of_divisors() -> None:
    with pytest.raises(ModelFormatError, match=r"rope_freqs\.weight must have 4 values, got 1"):
        LlamaConfig.from_gguf(GGUF, (), rope_divisors=(1.0,))
