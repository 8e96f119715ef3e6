"""Writes the random Llama of `tiny_llama` as a GGUF file, with the package `gguf`."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from tiny_llama import BOS, CONFIG, EOS, VOCAB, weights

from decoding.vocabulary.token_bytes import byte_alphabet

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

OTHERS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp rotates them: neighbours are pairs."""
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write(path: Path) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONFIG.context_length)
    writer.add_embedding_length(CONFIG.hidden_size)
    writer.add_block_count(CONFIG.layers)
    writer.add_feed_forward_length(CONFIG.intermediate_size)
    writer.add_head_count(CONFIG.heads)
    writer.add_head_count_kv(CONFIG.kv_heads)
    writer.add_key_length(CONFIG.head_dim)
    writer.add_value_length(CONFIG.head_dim)
    writer.add_rope_dimension_count(CONFIG.head_dim)
    writer.add_rope_freq_base(CONFIG.rope_theta)
    writer.add_layer_norm_rms_eps(CONFIG.norm_eps)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    writer.add_token_list(["</s>", "<s>", *(letters[byte] for byte in range(256))])
    writer.add_token_types([3, 3] + [1] * 256)
    writer.add_token_merges(["q q"])  # there is no such token: nothing is merged
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    for name, value in weights().items():
        *before, kind = name.removesuffix(".weight").split(".", 3)
        target = OTHERS.get(name) or f"blk.{before[-1]}.{NAMES[kind]}.weight"
        heads = {"self_attn.q_proj": CONFIG.heads, "self_attn.k_proj": CONFIG.kv_heads}.get(kind)
        writer.add_tensor(target, value if heads is None else interleaved(value, heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
