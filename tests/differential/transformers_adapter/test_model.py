"""Models of transformers as cached models: forks, rollbacks, ragged batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from profiles import spread

from decoding import Engine, GenerationParameters, Request, generate
from decoding.adapters.transformers import TransformersModel, forward, language_model
from decoding.errors import ParameterError, UnsupportedFeatureError
from decoding.models import CallableModel

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")


from small_models import PROMPTS, SIZES, random_model

FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": 5},
    "Gemma3": {},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "Bloom": {"n_layer": 2, "n_head": 4},
}


def whole(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float()


def family(name: str) -> Any:
    if name != "Gemma3":
        return random_model(name, **FAMILIES[name])
    config = transformers.Gemma3TextConfig(
        **SIZES, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    )
    torch.manual_seed(0)
    return transformers.Gemma3ForCausalLM(config).eval()


@pytest.mark.parametrize("name", spread(FAMILIES, 2))
def test_a_model_is_cached(name: str) -> None:
    model = family(name)
    ours = forward(model)
    assert isinstance(ours, TransformersModel)
    texts = [list(range(3, 13)), [40], list(range(100, 120, 3))]

    def check(got: Any, places: list[tuple[list[int], int]]) -> None:
        want = torch.stack([whole(model, ids)[place] for ids, place in places])
        torch.testing.assert_close(got, want, rtol=0, atol=2e-4)

    states, logits = ours.prefill(texts)
    check(logits, [(ids, -1) for ids in texts])
    # Together, then in another order, then ragged, with every position.
    for ids in texts:
        ids.append(55)
    check(ours.extend(states, [[55]] * 3), [(ids, -1) for ids in texts])
    for ids in texts[1:]:
        ids.append(56)
    check(ours.extend(states[:0:-1], [[56]] * 2), [(texts[2], -1), (texts[1], -1)])
    new = [[1], [2, 3, 4], [5, 6]]
    for text, more in zip(texts, new, strict=True):
        text.extend(more)
    logits = ours.extend(states, new, all_positions=True)
    check(
        logits,
        [
            (ids, place)
            for ids, more in zip(texts, new, strict=True)
            for place in range(-len(more), 0)
        ],
    )
    # A fork and its parent go different ways; one of them is rolled back.
    twin = ours.fork(states[1])
    ours.rollback(states[1], 3)
    other = [*texts[1], 77]
    texts[1] = [*texts[1][:-3], 88]
    logits = ours.extend([states[1], twin, states[0]], [[88], [77], [99]])
    texts[0].append(99)
    check(logits, [(texts[1], -1), (other, -1), (texts[0], -1)])
    for state in (*states, twin):
        ours.release(state)
    ours.release(twin)
    with pytest.raises(ParameterError, match="released"):
        ours.extend([twin], [[1]])


def test_all_positions_of_a_ragged_prefill(model: Any) -> None:
    ours = forward(model)
    _, logits = ours.prefill(PROMPTS, all_positions=True)
    want = torch.cat([whole(model, ids) for ids in PROMPTS])
    torch.testing.assert_close(logits, want, rtol=0, atol=1e-4)


def test_a_call_that_fails_leaves_no_other_state_changed(model: Any) -> None:
    ours = forward(model)
    states, _ = ours.prefill([[1, 2, 3], [4, 5]])
    kept = ours.fork(states[0])
    want = ours.extend([kept], [[9]])
    ours.rollback(kept, 1)
    layer = model.model.layers[1]

    def fail(*_: Any) -> None:
        raise RuntimeError("half-way")

    hook = layer.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="half-way"):
        ours.extend(states, [[7], [8]])
    hook.remove()
    assert ours.extend([kept], [[9]]).allclose(want, atol=1e-5)


def test_illegal_calls_of_a_model(model: Any) -> None:
    ours = forward(model)
    [state], _ = ours.prefill([[1]])
    for states, ids in (
        ([state], [[]]),
        ([state], [[300]]),
        ([state], [[-1]]),
        ([], []),
        ([state, state], [[1], [1]]),
        ([state], [[1] * 256]),
    ):
        with pytest.raises(ParameterError):
            ours.extend(states, ids)
    with pytest.raises(ParameterError):
        ours.rollback(state, 2)
    assert state.length == 1
    ours.rollback(state, 1)
    assert ours.extend([state], [[5, 6]]).allclose(whole(model, [5, 6])[-1:], atol=1e-4)


def test_models_without_such_a_cache() -> None:
    mamba = transformers.MambaForCausalLM(
        transformers.MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, state_size=4)
    ).eval()
    ours = forward(mamba)
    assert isinstance(ours, CallableModel)
    _, logits = ours.prefill(PROMPTS)
    want = torch.stack([whole(mamba, ids)[-1] for ids in PROMPTS])
    np.testing.assert_allclose(logits, want.numpy(), atol=1e-4)
    with pytest.raises(UnsupportedFeatureError, match="encoder"):
        forward(
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(
                    vocab_size=30, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
                )
            )
        )
    with pytest.raises(ParameterError, match="language modelling head"):
        forward(object())


def test_an_engine_with_prefixes_chunks_and_best_of(model: Any) -> None:
    language = language_model(model)
    asked = GenerationParameters(max_new_tokens=8, seed=4, temperature=1.0, best_of=3)
    alone = [generate(language, ids, asked) for ids in PROMPTS]
    engine = Engine(language, prefill_chunk=2, prefix_tokens=64)
    generations = []
    for ids in PROMPTS:
        generations.append(engine.submit(Request(ids, asked)))
        engine.step()
    while engine.busy:
        engine.step()
    assert [item.result() for item in generations] == alone
