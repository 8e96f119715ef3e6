"""mlx-lm with a random Llama: its loop with our callbacks, and its model in our loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.generate import BatchGenerator, generate_step
from mlx_lm.models.llama import Model, ModelArgs
from tiny_llama import (
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

from decoding import (
    GenerationParameters,
    LanguageModel,
    Sampler,
    chain,
    generate,
    pipeline_of,
    presets,
)
from decoding.adapters.mlx_lm import forward, processor, sampler
from decoding.errors import EmptySupportError
from decoding.processors import Mirostat2, SuppressTokens, Temperature, TopP


@pytest.fixture(scope="module")
def model() -> Any:
    args = ModelArgs(
        model_type="llama",
        hidden_size=CONFIG.hidden_size,
        num_hidden_layers=CONFIG.layers,
        intermediate_size=CONFIG.intermediate_size,
        num_attention_heads=CONFIG.heads,
        num_key_value_heads=CONFIG.kv_heads,
        head_dim=CONFIG.head_dim,
        rms_norm_eps=CONFIG.norm_eps,
        vocab_size=VOCAB,
        rope_theta=CONFIG.rope_theta,
        tie_word_embeddings=False,
    )
    made = Model(args)
    made.load_weights([(name, mx.array(value)) for name, value in weights().items()])
    made.eval()
    return made


def wrapped(model: Any) -> LanguageModel:
    return LanguageModel(
        forward=forward(model),
        tokenizer=tokenizer(),
        eos_token_ids=frozenset({EOS}),
        logits_width=VOCAB,
        context_length=CONFIG.context_length,
    )


def tokens_of(model: Any, prompt: list[int], count: int, **arguments: Any) -> list[int]:
    """What mlx-lm's own loop generates, up to an end of text."""
    found = []
    for token, _ in generate_step(mx.array(prompt), model, max_tokens=count, **arguments):
        if token == EOS:
            break
        found.append(token)
    return found


def json_sampler(seed: int) -> Sampler:
    mask = own_model().grammars.mask_of(GRAMMAR)
    return Sampler(chain(mask, Temperature(1.2)), seed)


def test_logits_equal_those_of_the_same_weights_in_torch(model: Any) -> None:
    ours, theirs = own_model().forward, forward(model)
    prompts, new = [[1, 70, 71], [1, 90]], [[8, 9], [10]]
    states, logits = theirs.prefill(prompts, all_positions=True)
    own_states, own_logits = ours.prefill(prompts, all_positions=True)
    np.testing.assert_allclose(logits, own_logits.numpy(), atol=2e-4)
    fork = theirs.fork(states[0])
    theirs.extend([fork], [[200, 201, 202]])
    theirs.extend(states, [[5, 6, 7], [5, 6, 7]])
    for state in states:
        theirs.rollback(state, 3)
    np.testing.assert_allclose(
        theirs.extend(states, new, all_positions=True),
        ours.extend(own_states, new, all_positions=True).numpy(),
        atol=2e-4,
    )


def test_every_text_of_its_loop_at_temperature_1_2_is_valid(model: Any) -> None:
    valid = 0
    for seed in range(5):
        for prompt in PROMPTS:
            draws = sampler(json_sampler(seed))
            ids = tokenizer().encode(prompt)
            tokens = tokens_of(model, ids, 400, logits_processors=[draws])
            valid += is_valid(text_of(tokens))
    assert valid == 20


def test_every_text_of_our_loop_at_temperature_1_2_is_valid(model: Any) -> None:
    asked = [replace(HOT, seed=seed) for seed in range(5)]
    answers = [generate(wrapped(model), list(PROMPTS), item) for item in asked]
    assert sum(is_valid(answer.generated_text) for batch in answers for answer in batch) == 20


@pytest.mark.parametrize(
    "pipeline",
    [
        chain(Temperature(0.9), TopP(0.9)),
        presets.mlx_lm(temp=0.8, top_k=20, xtc_probability=0.5, repetition_penalty=1.2),
        pipeline_of(GenerationParameters(dry_multiplier=0.8, watermark=True), VOCAB),
        chain(Mirostat2(3.0, 0.1)),
    ],
)
def test_its_loop_draws_what_our_loop_draws(model: Any, pipeline: Any) -> None:
    for seed in range(3):
        asked = GenerationParameters(seed=seed, max_new_tokens=40)
        ours = generate(wrapped(model), [1, 70, 80], asked, pipeline=pipeline)
        drawn = tokens_of(
            model, [1, 70, 80], 40, logits_processors=[sampler(Sampler(pipeline, ours_seed(seed)))]
        )
        assert drawn == [token.id for token in ours.tokens if token.id != EOS]


def ours_seed(seed: int) -> int:
    from decoding.sampling.rng import sequence_seed

    return sequence_seed(seed, 0)


def test_a_processor_edits_and_mlx_draws(model: Any) -> None:
    banned = tuple(range(100, VOCAB))
    edit = processor(chain(SuppressTokens(banned)))
    tokens = tokens_of(model, [1, 70], 30, logits_processors=[edit])
    plain = generate(
        wrapped(model), [1, 70], GenerationParameters(suppress_tokens=banned, max_new_tokens=30)
    )
    assert tokens == [token.id for token in plain.tokens if token.id != EOS]


def test_a_batch_has_a_sampler_for_each_sequence(model: Any) -> None:
    prompts = [[1, 70, 80], [1, 90], [1, 5, 6, 7]]
    samplers = [Sampler(chain(Temperature(0.9)), seed) for seed in range(3)]
    batch = BatchGenerator(model, stop_tokens=[[EOS]])
    uids = batch.insert(
        prompts, max_tokens=[20] * 3, logits_processors=[[sampler(item)] for item in samplers]
    )
    found: dict[int, list[int]] = {uid: [] for uid in uids}
    while responses := batch.next_generated():
        for response in responses:
            if response.token != EOS:
                found[response.uid].append(response.token)
    for uid, prompt, item in zip(uids, prompts, samplers, strict=True):
        assert found[uid] == tokens_of(model, prompt, 20, logits_processors=[sampler(item)])


def test_an_error_stops_the_loop_before_the_failed_token(model: Any) -> None:
    def steps() -> Iterator[int]:
        fails_at = 5

        def nothing(logits: Any, history: Any) -> Any:
            return np.full_like(logits, -np.inf) if history.lengths[0] == fails_at else logits

        draws = sampler(Sampler(chain(nothing), 1))
        for token, _ in generate_step(mx.array([1, 70]), model, logits_processors=[draws]):
            yield token

    found = []
    with pytest.raises(EmptySupportError):
        found.extend(steps())  # keeps what came before the error
    assert len(found) == 3


def test_half_precision_logits_come_back_as_they_were(tmp_path: Path) -> None:
    logits = mx.array([[1.0, 3.0, 2.0]]).astype(mx.bfloat16)
    tokens = mx.array([0])
    edited = processor(SuppressTokens((1,)))(tokens, logits)
    assert edited.dtype == mx.bfloat16
    assert mx.argmax(edited).item() == 2
    assert sampler(Sampler())(tokens, logits).tolist() == [[-float("inf"), 0.0, -float("inf")]]
