"""llama-cpp-python with a random Llama in GGUF: its loop with our callbacks, its model in our loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
from tiny_llama import (
    BOS,
    CONFIG,
    EOS,
    GRAMMAR,
    HOT,
    PROMPTS,
    VOCAB,
    is_valid,
    own_model,
    text_of,
    tokenizer,
    weights,
)

from decoding import GenerationParameters, Grammar, LanguageModel, Sampler, chain, generate
from decoding.adapters import llama_cpp as adapter
from decoding.processors import Temperature
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
    writer.add_token_list(["</s>", "<s>", *byte_alphabet()])
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


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write(path)
    return llama_cpp.Llama(str(path), n_ctx=CONFIG.context_length, n_threads=1, verbose=False)


def wrapped(llm: Any) -> LanguageModel:
    return LanguageModel(
        forward=adapter.forward(llm),
        tokenizer=tokenizer(),
        eos_token_ids=frozenset({EOS}),
        logits_width=VOCAB,
        context_length=CONFIG.context_length,
    )


def tokens_of(llm: Any, prompt: list[int], count: int, **arguments: Any) -> list[int]:
    found: list[int] = []
    for token in llm.generate(prompt, **arguments):
        if token == EOS or len(found) == count:
            break
        found.append(token)
    return found


def test_logits_equal_those_of_the_same_weights_in_torch(llm: Any) -> None:
    ours, theirs = own_model().forward, adapter.forward(llm)
    _, logits = theirs.prefill([[1, 70, 71], [1, 90]], all_positions=True)
    _, own_logits = ours.prefill([[1, 70, 71], [1, 90]], all_positions=True)  # type: ignore[union-attr]
    np.testing.assert_allclose(logits, own_logits.numpy(), atol=1e-2)


def test_every_text_of_its_loop_at_temperature_1_2_is_valid(llm: Any) -> None:
    mask = own_model().grammars.mask_of(GRAMMAR)  # type: ignore[union-attr]
    valid = 0
    for seed in range(20):
        arguments = adapter.sampler(Sampler(chain(mask, Temperature(1.2)), seed))
        prompt = tokenizer().encode(PROMPTS[seed % 4])
        valid += is_valid(text_of(tokens_of(llm, prompt, 400, **arguments)))
    assert valid == 20


def test_every_text_of_our_loop_at_temperature_1_2_is_valid(llm: Any) -> None:
    answers = [
        generate(wrapped(llm), PROMPTS[seed % 4], replace(HOT, seed=seed)) for seed in range(20)
    ]
    assert sum(is_valid(answer.generated_text) for answer in answers) == 20


def test_its_loop_draws_what_our_loop_draws(llm: Any) -> None:
    pipeline = chain(Temperature(0.9))
    for seed in range(3):
        asked = GenerationParameters(seed=seed, max_new_tokens=30)
        ours = generate(wrapped(llm), [1, 70, 80], asked, pipeline=pipeline)
        drawn = tokens_of(llm, [1, 70, 80], 30, **adapter.sampler(Sampler(pipeline, seed)))
        assert drawn == [token.id for token in ours.tokens if token.id != EOS]


def test_its_own_grammar_takes_the_export(llm: Any) -> None:
    grammar = adapter.export(Grammar("regex", "[0-9]{4}-[ab]+c"))
    tokens = tokens_of(llm, [1, 70], 200, grammar=grammar, temp=1.0)
    assert text_of(tokens)[:5].count("-") == 1
