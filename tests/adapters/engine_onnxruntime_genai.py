"""onnxruntime-genai with a random Llama in ONNX: its loop with our steps, and its model in our loop."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime_genai as genai
import pytest
from onnx_llama import build
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

from decoding import GenerationParameters, LanguageModel, Sampler, chain, generate
from decoding.adapters.onnxruntime_genai import forward, processor, sampler
from decoding.processors import SuppressTokens, Temperature, TopNSigma

CONFIGURATION = {
    "model": {
        "type": "llama",
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        "context_length": CONFIG.context_length,
        "vocab_size": VOCAB,
        "decoder": {
            "filename": "model.onnx",
            "head_size": CONFIG.head_dim,
            "hidden_size": CONFIG.hidden_size,
            "num_attention_heads": CONFIG.heads,
            "num_key_value_heads": CONFIG.kv_heads,
            "num_hidden_layers": CONFIG.layers,
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "position_ids": "position_ids",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": "present.%d.key",
                "present_value_names": "present.%d.value",
            },
            "session_options": {"intra_op_num_threads": 1, "provider_options": []},
        },
    },
    "search": {"max_length": 512, "past_present_share_buffer": False},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("genai")
    (folder / "model.onnx").write_bytes(build(CONFIG, weights()))
    (folder / "genai_config.json").write_text(json.dumps(CONFIGURATION))
    return genai.Model(str(folder))


def wrapped(model: Any) -> LanguageModel:
    return LanguageModel(
        forward=forward(model, max_length=500),
        tokenizer=tokenizer(),
        eos_token_ids=frozenset({EOS}),
        logits_width=VOCAB,
        context_length=500,
    )


def tokens_of(model: Any, prompts: list[list[int]], count: int, step: Any) -> list[list[int]]:
    """What its own loop generates with a step before each draw."""
    parameters = genai.GeneratorParams(model)
    length = len(prompts[0])
    parameters.set_search_options(max_length=length + count, batch_size=len(prompts))
    generator = genai.Generator(model, parameters)
    generator.append_tokens(np.array(prompts, np.int32))
    while not generator.is_done():
        step(generator)
        generator.generate_next_token()
    found = [generator.get_sequence(row)[length:].tolist() for row in range(len(prompts))]
    return [row[: row.index(EOS)] if EOS in row else row for row in found]


def test_logits_equal_those_of_the_same_weights_in_torch(model: Any) -> None:
    ours, theirs = own_model().forward, forward(model, max_length=64)
    prompts, new = [[1, 70, 71], [1, 90]], [[8, 9], [10]]
    states, logits = theirs.prefill(prompts, all_positions=True)
    own_states, own_logits = ours.prefill(prompts, all_positions=True)
    np.testing.assert_allclose(logits, own_logits.numpy(), atol=2e-4)
    theirs.extend([theirs.fork(states[0])], [[200, 201, 202]])
    theirs.extend(states, [[5, 6, 7], [5, 6, 7]])
    for state in states:
        theirs.rollback(state, 3)
    np.testing.assert_allclose(
        theirs.extend(states, new, all_positions=True),
        ours.extend(own_states, new, all_positions=True).numpy(),
        atol=2e-4,
    )


def test_every_text_of_its_loop_at_temperature_1_2_is_valid(model: Any) -> None:
    mask = own_model().grammars.mask_of(GRAMMAR)
    valid = 0
    for seed in range(20):
        step = sampler(Sampler(chain(mask, Temperature(1.2)), seed))
        [tokens] = tokens_of(model, [tokenizer().encode(PROMPTS[seed % 4])], 400, step)
        valid += is_valid(text_of(tokens))
    assert valid == 20


def test_every_text_of_our_loop_at_temperature_1_2_is_valid(model: Any) -> None:
    asked = [replace(HOT, seed=seed) for seed in range(5)]
    answers = [generate(wrapped(model), list(PROMPTS), item) for item in asked]
    assert sum(is_valid(answer.generated_text) for batch in answers for answer in batch) == 20


def test_its_loop_draws_what_our_loop_draws(model: Any) -> None:
    pipeline = chain(Temperature(0.9), TopNSigma(1.5))
    for seed in range(3):
        asked = GenerationParameters(seed=seed, max_new_tokens=30)
        ours = generate(wrapped(model), [1, 70, 80], asked, pipeline=pipeline)
        [drawn] = tokens_of(model, [[1, 70, 80]], 30, sampler(Sampler(pipeline, seed)))
        assert drawn == [token.id for token in ours.tokens if token.id != EOS]


def test_rows_of_a_batch_are_edited_each(model: Any) -> None:
    banned = tuple(range(100, VOCAB))
    prompts = [[1, 70, 80], [1, 90, 95]]
    found = tokens_of(model, prompts, 20, processor(SuppressTokens(banned)))
    for prompt, tokens in zip(prompts, found, strict=True):
        asked = GenerationParameters(suppress_tokens=banned, max_new_tokens=20)
        plain = generate(wrapped(model), prompt, asked)
        assert tokens == [token.id for token in plain.tokens if token.id != EOS]
