"""Starting points of the fuzzers: small model files that load, and their keywords."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import safetensors.torch
import torch
from tokenizers import pre_tokenizers

from decoding.models.config import LlamaConfig
from decoding.models.weights import tensor_shapes

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 264,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "eos_token_id": [256, 257],
    "bos_token_id": 258,
    "tie_word_embeddings": False,
}
CONFIG_NAMES = [
    *CONFIG,
    "head_dim",
    "sliding_window",
    "use_sliding_window",
    "layer_types",
    "attention_bias",
    "mlp_bias",
    "rope_parameters",
    "quantization_config",
    "hidden_act",
    "type",
    "partial_rotary_factor",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "num_experts",
    "attention_multiplier",
]
CONFIG_PARTS = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma3",
    "yarn",
    "linear",
    "default",
    ["full_attention"],
    ["sliding_attention"],
    {"rope_type": "linear", "factor": 2},
]

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
ADDED = ["<s>", "</s>", "<|im_end|>", "<unk>"]
TOKENS = [*ALPHABET, *ADDED, "ab", "Ġa", "Ġab", "12"]
TOKENIZER = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {
            "id": 256 + index,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, text in enumerate(ADDED)
    ],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"String": "--"}, "content": "-"},
        ],
    },
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": r"\p{N}{1,3}|\s+|[^\s\p{N}]+"},
                "behavior": "Isolated",
                "invert": False,
            },
            {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": False,
            },
        ],
    },
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}},
    },
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {
                "type": "ByteLevel",
                "add_prefix_space": True,
                "trim_offsets": True,
                "use_regex": True,
            },
        ],
    },
    "model": {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        # Merged tokens first: of a vocabulary, a fuzzer changes only the beginning.
        "vocab": dict(
            sorted(zip(TOKENS, range(len(TOKENS)), strict=True), key=lambda item: -item[1])
        ),
        "merges": [["a", "b"], ["Ġ", "a"], ["Ġa", "b"], ["1", "2"]],
    },
}
TOKENIZER_NAMES = [
    *TOKENIZER,
    "type",
    "pattern",
    "content",
    "String",
    "Regex",
    "decoders",
    "normalizers",
    "vocab",
    "start",
    "stop",
    "id",
    "ids",
    "prefix",
    "cleanup",
    "replacement",
    "prepend_scheme",
    "unk_id",
    "length",
    "strip_left",
    "precompiled_charsmap",
    "max_input_chars_per_word",
    "merges",
]
TOKENIZER_PARTS: list[Any] = [
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    {"type": "Strip", "content": "a", "start": 10**9, "stop": 10**9},
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 60_000},
    {"type": "Replace", "pattern": {"String": ""}, "content": "xx"},
    {"type": "Replace", "pattern": {"Regex": ""}, "content": "xx"},
    {
        "type": "Sequence",
        "decoders": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60,
    },
    {
        "type": "Sequence",
        "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60,
    },
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAA/////w=="},
    {"type": "Fuse"},
    {"type": "ByteFallback"},
    {"type": "CTC", "pad_token": "a", "word_delimiter_token": "|", "cleanup": True},
    {"type": "WordPiece", "prefix": "##", "cleanup": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "FixedLength", "length": 0},
    {"type": "Digits", "individual_digits": True},
    {"type": "Punctuation", "behavior": "MergedWithNext"},
    {"type": "CharDelimiterSplit", "delimiter": "a"},
    {"type": "UnicodeScripts"},
    {"type": "BertPreTokenizer"},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {
        "type": "RobertaProcessing",
        "sep": ["x", 5],
        "cls": ["y", 6],
        "trim_offsets": True,
        "add_prefix_space": True,
    },
    {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]],
        "byte_fallback": False,
    },
    {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"},
    {
        "type": "WordPiece",
        "vocab": {"a": 0, "##b": 1},
        "unk_token": "a",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    },
    {
        "strategy": {"Fixed": 10**15},
        "direction": "Left",
        "pad_to_multiple_of": 0,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "a",
    },
    {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 10},
    {
        "id": 50_000_000,
        "content": "<far>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    },
    {"a": 50_000_000},
]

TEXTS = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": {"content": "</s>", "lstrip": False, "special": True},
    "unk_token": None,
    "add_bos_token": True,
    "model_max_length": 64,
    "chat_template": [
        {"name": "default", "template": "{% for m in messages %}{{ m.content }}{% endfor %}"},
        {"name": "tool_use", "template": "{{ tools }}"},
    ],
    "added_tokens_decoder": {"256": {"content": "<s>", "special": True}},
    "clean_up_tokenization_spaces": False,
}
TEXTS_NAMES = [*TEXTS, "pad_token", "content", "name", "template", "extra_special_tokens"]
TEXTS_PARTS: list[Any] = [
    "<s>",
    "</s>",
    {"content": "<s>"},
    {"content": 1},
    "{{ messages }}",
    "{% x",
]

SHARDS = ["model-1.safetensors", "model-2.safetensors"]


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = tensor_shapes(LlamaConfig.from_json(CONFIG))
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def index() -> dict[str, Any]:
    names = list(tensors())
    weights = {name: SHARDS[position % 2] for position, name in enumerate(names)}
    return {"metadata": {"total_size": 1}, "weight_map": weights}


INDEX_NAMES = ["metadata", "weight_map", "model.norm.weight", "lm_head.weight"]
INDEX_PARTS: list[Any] = [
    *SHARDS,
    "../model-1.safetensors",
    "/etc/passwd",
    "pipe",
    "link",
    "folder",
    "tokenizer.json",
    "absent.safetensors",
]


def write_folder(folder: Path, *, sharded: bool) -> None:
    """Fill a folder with a model that loads, and things that an index could name instead."""
    for name, value in (
        ("config.json", CONFIG),
        ("tokenizer.json", TOKENIZER),
        ("tokenizer_config.json", TEXTS),
        ("generation_config.json", {"eos_token_id": [256]}),
    ):
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    if not sharded:
        safetensors.torch.save_file(tensors(), folder / "model.safetensors")
        return
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    (folder / "folder").mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index()), encoding="utf-8")
    for shard in SHARDS:
        held = {
            name: tensors()[name] for name, file in index()["weight_map"].items() if file == shard
        }
        safetensors.torch.save_file(held, folder / shard)


def write_gguf(path: Path, model: str) -> None:
    """A file that loads: `model` is "gpt2" or "llama", the kind of its tokenizer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(model)
    if model == "gpt2":
        writer.add_tokenizer_pre("llama-bpe")
        tokens, types = TOKENS, [1] * 256 + [3] * 4 + [1] * 4
        writer.add_token_merges(["a b", "Ġ a", "Ġa b", "1 2"])
    else:
        tokens = [
            "<unk>",
            "<s>",
            "</s>",
            *(f"<0x{b:02X}>" for b in range(256)),
            "▁",
            "a",
            "b",
            "ab",
            "▁a",
        ]
        types = [2, 3, 3] + [6] * 256 + [1] * 5
        writer.add_token_scores([0.0] * 259 + [-1.0, -2.0, -3.0, -4.0, -5.0])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(256 if model == "gpt2" else 1)
    writer.add_eos_token_id(257 if model == "gpt2" else 2)
    writer.add_chat_template("{{ messages[0].content }}")
    rng = np.random.default_rng(0)
    kinds = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0]
    widths = {
        "attn_q": 32,
        "attn_k": 16,
        "attn_v": 16,
        "attn_output": 32,
        "ffn_gate": 32,
        "ffn_up": 32,
        "ffn_down": 32,
    }
    for number, (name, rows) in enumerate(
        [
            ("token_embd", len(tokens)),
            ("output", len(tokens)),
            *((f"blk.0.{n}", r) for n, r in widths.items()),
        ]
    ):
        weights = rng.normal(size=(rows, 32)).astype(np.float32)
        kind = kinds[number % 2]
        writer.add_tensor(f"{name}.weight", gguf.quantize(weights, kind), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(32, np.float32))
    writer.add_tensor("rope_freqs.weight", np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
