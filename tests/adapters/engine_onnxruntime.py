"""ONNX Runtime as a model, with a random Llama in ONNX. Not collected by default: `make adapters`."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx_llama import build
from tiny_llama import CONFIG, EOS, HOT, PROMPTS, is_valid, own_model, tokenizer, weights

from decoding import GenerationParameters, LanguageModel, generate
from decoding.adapters.onnxruntime import OnnxModel, forward, language_model
from decoding.errors import UnsupportedFeatureError


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(build(CONFIG, weights()), options)


@pytest.fixture(scope="module")
def model(session: onnxruntime.InferenceSession) -> LanguageModel:
    return language_model(
        session, tokenizer(), eos_token_ids=[EOS], context_length=CONFIG.context_length
    )


def test_logits_equal_those_of_the_same_weights_in_torch(
    session: onnxruntime.InferenceSession,
) -> None:
    ours, theirs = own_model().forward, forward(session)
    prompts = [[1, 70, 71], [1, 90], [5, 6, 7]]
    states, logits = theirs.prefill(prompts, all_positions=True)
    own_states, own_logits = ours.prefill(prompts, all_positions=True)
    np.testing.assert_allclose(logits, own_logits.numpy(), atol=2e-4)
    new = [[8, 9], [10], [11, 12]]
    np.testing.assert_allclose(
        theirs.extend(states, new, all_positions=True),
        ours.extend(own_states, new, all_positions=True).numpy(),
        atol=2e-4,
    )


def test_forks_and_rollbacks_change_nothing_else(session: onnxruntime.InferenceSession) -> None:
    model = forward(session)
    [one, two], _ = model.prefill([[1, 2, 3], [4, 5, 6]])
    expected = model.extend([model.fork(one), model.fork(two)], [[7], [8]])
    twin = model.fork(one)
    model.extend([one, two], [[9, 9], [9, 9]])
    model.rollback(one, 2)
    model.rollback(two, 2)
    np.testing.assert_allclose(model.extend([twin], [[7]]), expected[:1], atol=1e-5)
    np.testing.assert_allclose(model.extend([two, one], [[8], [7]])[::-1], expected, atol=1e-5)


def test_cached_and_uncached_calls_draw_the_same_tokens(
    model: LanguageModel, session: onnxruntime.InferenceSession
) -> None:
    cached = forward(session)

    def whole(rows: list[list[int]]) -> np.ndarray:
        return np.concatenate([cached.prefill([row])[1] for row in rows])

    plain = LanguageModel(
        forward=whole, tokenizer=tokenizer(), eos_token_ids=model.eos_token_ids, context_length=512
    )
    for seed in range(4):
        asked = GenerationParameters(seed=seed, top_p=0.9, dry_multiplier=0.8, max_new_tokens=30)
        first, second = generate(model, "Once", asked), generate(plain, "Once", asked)
        assert [token.id for token in first.tokens] == [token.id for token in second.tokens]


def test_every_text_at_temperature_1_2_is_valid(model: LanguageModel) -> None:
    from dataclasses import replace

    asked = [replace(HOT, seed=seed) for seed in range(5)]
    answers = [generate(model, list(PROMPTS), item) for item in asked]
    assert sum(is_valid(answer.generated_text) for batch in answers for answer in batch) == 20


def test_other_graphs_are_refused(session: onnxruntime.InferenceSession) -> None:
    class Without:
        get_inputs = staticmethod(lambda: session.get_inputs()[:3])
        get_outputs = session.get_outputs

    with pytest.raises(UnsupportedFeatureError, match="past and present"):
        forward(Without())
    assert isinstance(forward(session), OnnxModel)
