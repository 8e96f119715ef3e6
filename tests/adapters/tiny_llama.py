"""A random Llama of two layers over bytes, and a schema: what every engine's test runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import tokenizers
from numpy.typing import NDArray

from decoding import GenerationParameters, Grammar, LanguageModel
from decoding.models.config import LlamaConfig
from decoding.models.tokenizer import HuggingFaceTokenizer
from decoding.models.weights import tensor_shapes
from decoding.vocabulary.token_bytes import byte_alphabet

EOS, BOS, VOCAB = 0, 1, 258

CONFIG = LlamaConfig(
    vocab_size=VOCAB,
    hidden_size=128,
    intermediate_size=256,
    layers=2,
    heads=2,
    kv_heads=1,
    head_dim=64,
    context_length=512,
    norm_eps=1e-5,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "bc"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
GRAMMAR = Grammar("json", SCHEMA)
HOT = GenerationParameters(temperature=1.2, grammar=GRAMMAR, max_new_tokens=400)
PROMPTS = ("A person: ", "{", "x", "Say it in JSON.\n")


def is_valid(text: str) -> bool:
    """Whether a text is JSON that the schema accepts."""
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


@cache
def weights() -> dict[str, NDArray[np.float32]]:
    """Random weights by their Hugging Face names; logits have a spread of a few nats."""
    generator = np.random.default_rng(7)
    found = {}
    for name, shape in tensor_shapes(CONFIG).items():
        scale = 1.0 if len(shape) == 1 else 2.0 / np.sqrt(shape[-1])
        values = np.ones(shape) if len(shape) == 1 else generator.standard_normal(shape)
        found[name] = (values * scale).astype(np.float32)
    return found


@cache
def tokenizer() -> HuggingFaceTokenizer:
    """Token 0 ends a text, token 1 begins it, the others are bytes."""
    vocabulary = {"</s>": EOS, "<s>": BOS}
    vocabulary |= {letter: 2 + byte for letter, byte in byte_alphabet().items()}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["</s>", "<s>"])
    return HuggingFaceTokenizer(made)


def own_model() -> LanguageModel:
    """The same model in this library's own forward pass."""
    import torch

    from decoding.models.llama import LlamaModel

    forward = LlamaModel.from_tensors(
        CONFIG, lambda name: torch.from_numpy(weights()[name]), cache_tokens=4096
    )
    return LanguageModel(
        forward=forward,
        tokenizer=tokenizer(),
        eos_token_ids=frozenset({EOS}),
        logits_width=VOCAB,
        context_length=CONFIG.context_length,
    )


def write_folder(folder: Path) -> Path:
    """The model as a Hugging Face folder."""
    from safetensors.numpy import save_file

    save_file(dict(weights()), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": CONFIG.hidden_size,
        "intermediate_size": CONFIG.intermediate_size,
        "num_hidden_layers": CONFIG.layers,
        "num_attention_heads": CONFIG.heads,
        "num_key_value_heads": CONFIG.kv_heads,
        "head_dim": CONFIG.head_dim,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONFIG.context_length,
        "rms_norm_eps": CONFIG.norm_eps,
        "rope_theta": CONFIG.rope_theta,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer().tokenizer.to_str())
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "</s>",
                "bos_token": "<s>",
                "clean_up_tokenization_spaces": False,
            }
        )
    )
    return folder


def text_of(token_ids: Sequence[int]) -> str:
    """The text of generated tokens, without the end."""
    vocabulary = tokenizer().vocabulary
    spelled = [
        vocabulary.bytes_of(token) for token in token_ids if not vocabulary.is_special(token)
    ]
    return b"".join(spelled).decode()
