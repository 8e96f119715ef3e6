"""The Llama forward pass with a KV cache equals the pass without one, on a tiny random model."""

from __future__ import annotations

import pytest

from decoding.errors import ParameterError
from decoding.models.config import LlamaConfig

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch

from decoding.models.llama import LlamaModel, LlamaState
from decoding.models.weights import tensor_shapes

CONFIG = LlamaConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=40,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=8,
    context_length=600,
    norm_eps=1e-5,
    qkv_bias=True,
    qk_norm=True,
)


def assert_near(got: torch.Tensor, expected: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def random_model(config: LlamaConfig = CONFIG, **options: str) -> LlamaModel:
    generator = torch.Generator().manual_seed(0)
    shapes = tensor_shapes(config)
    tensors = {
        name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()
    }
    return LlamaModel.from_tensors(config, tensors.__getitem__, **options)


MODEL = random_model()
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10]]


def whole(token_ids: list[int], model: LlamaModel = MODEL) -> torch.Tensor:
    """The logits after every token, in one pass of its own."""
    return model.prefill([token_ids], all_positions=True)[1]


def test_a_prompt_can_be_appended_to_nothing_beside_sequences_that_run() -> None:
    [running], _ = MODEL.prefill(PROMPTS[:1])
    new = MODEL.start()
    logits = MODEL.extend([running, new], [[11], PROMPTS[2]])
    assert_near(logits[0], whole([*PROMPTS[0], 11])[-1])
    assert_near(logits[1], whole(PROMPTS[2])[-1])
    assert [running.length, new.length] == [4, 6]


def test_rows_are_the_last_tokens_in_order() -> None:
    states, logits = MODEL.prefill(PROMPTS)
    assert logits.shape == (3, 50)
    assert logits.dtype == torch.float32
    assert [state.length for state in states] == [3, 1, 6]
    for row, prompt in zip(logits, PROMPTS, strict=True):
        assert_near(row, whole(prompt)[-1])


def test_all_positions_are_sequence_after_sequence() -> None:
    logits = MODEL.prefill(PROMPTS, all_positions=True)[1]
    expected = torch.cat([whole(prompt) for prompt in PROMPTS])
    assert_near(logits, expected)


def test_token_by_token_equals_one_pass() -> None:
    token_ids = [7, 3, 3, 49, 0, 12, 30]
    states, logits = MODEL.prefill([token_ids[:1]])
    rows = [logits, *(MODEL.extend(states, [[token]]) for token in token_ids[1:])]
    assert_near(torch.cat(rows), whole(token_ids))


def test_ragged_extensions_equal_one_pass() -> None:
    states, _ = MODEL.prefill(PROMPTS)
    more = [[11], [12, 13, 14, 15], [16, 17]]
    logits = MODEL.extend(states, more, all_positions=True)
    parts = [whole(prompt + new)[len(prompt) :] for prompt, new in zip(PROMPTS, more, strict=True)]
    assert_near(logits, torch.cat(parts))


def test_long_prompts_are_cut_into_chunks_without_a_trace() -> None:
    token_ids = [(7 * index) % 50 for index in range(600)]
    states, _ = MODEL.prefill([token_ids[:299]])
    rest = MODEL.extend(states, [token_ids[299:]], all_positions=True)
    assert_near(rest, whole(token_ids)[299:])
    early = whole(token_ids[:5])
    assert_near(early, whole(token_ids)[:5])


def test_a_fork_is_independent() -> None:
    (state,), _ = MODEL.prefill([[1, 2, 3]])
    fork = MODEL.fork(state)
    assert fork.length == 3
    MODEL.extend([state], [[4, 5]])
    ours = MODEL.extend([fork], [[6]])
    assert_near(ours, whole([1, 2, 3, 6])[-1:])
    ours = MODEL.extend([state], [[7]])
    assert_near(ours, whole([1, 2, 3, 4, 5, 7])[-1:])


def test_rollback_forgets() -> None:
    (state,), _ = MODEL.prefill([[1, 2, 3, 4, 5]])
    fork = MODEL.fork(state)
    MODEL.rollback(state, 3)
    ours = MODEL.extend([state], [[9, 8]])
    assert_near(ours, whole([1, 2, 9, 8])[-1:])
    ours = MODEL.extend([fork], [[6]])
    assert_near(ours, whole([1, 2, 3, 4, 5, 6])[-1:])
    MODEL.rollback(state, state.length)
    ours = MODEL.extend([state], [[4]])
    assert_near(ours, whole([4]))


def test_caches_grow_past_their_first_capacity() -> None:
    (state,), _ = MODEL.prefill([[1]])
    more = [token % 50 for token in range(1, 200)]
    logits = [MODEL.extend([state], [[token]]) for token in more]
    assert_near(torch.cat(logits), whole([1, *more])[1:])
    assert state.length == 200


def test_half_precision_is_near_and_still_float32() -> None:
    half = random_model(dtype="bfloat16")
    logits = whole([1, 2, 3], half)
    assert logits.dtype == torch.float32
    assert_near(logits, whole([1, 2, 3]), atol=0.5)


def fresh() -> LlamaState:
    return MODEL.prefill([[1, 2]])[0][0]


@pytest.mark.parametrize(
    ("token_ids", "message"),
    [
        ([], r"token_ids\[0\] must be at least one token"),
        ([50], r"token id must be in \[0, 50\), got 50"),
        ([3, -1], r"token id must be in \[0, 50\), got -1"),
        (
            [1] * 599,
            "length of sequence 0 must be at most 600, the model's context length, got 601",
        ),
    ],
)
def test_illegal_tokens_change_nothing(token_ids: list[int], message: str) -> None:
    state = fresh()
    with pytest.raises(ParameterError, match=message):
        MODEL.extend([state], [token_ids])
    assert_near(MODEL.extend([state], [[3]]), whole([1, 2, 3])[-1:])


def test_illegal_states() -> None:
    state = fresh()
    with pytest.raises(ParameterError, match="states must be different states"):
        MODEL.extend([state, state], [[1], [2]])
    with pytest.raises(ParameterError, match="as many lists as states"):
        MODEL.extend([state], [[1], [2]])
    with pytest.raises(ParameterError, match=r"count must be in \[0, 2\]"):
        MODEL.rollback(state, 3)
    MODEL.release(state)
    MODEL.release(state)
    for call in (MODEL.fork, lambda s: MODEL.rollback(s, 0), lambda s: MODEL.extend([s], [[1]])):
        with pytest.raises(ParameterError, match="one that was not released"):
            call(state)


def test_dtype_and_device_are_checked() -> None:
    with pytest.raises(ParameterError, match="dtype must be one of float32, bfloat16, float16"):
        random_model(dtype="int8")
    with pytest.raises(ParameterError, match="device must be usable by torch"):
        random_model(device="nowhere")
