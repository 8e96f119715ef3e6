"""A paged cache: what sequences share, what they never see, and how much there is of it."""

from __future__ import annotations

import gc
import pickle
import random
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from profiles import spread

from decoding import Engine, GenerationParameters, LanguageModel, Request
from decoding.errors import CapacityError, ParameterError
from decoding.models.config import LlamaConfig

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from decoding.models.kv_cache import PagedCache
from decoding.models.llama import LlamaModel
from decoding.models.weights import tensor_shapes

CONFIG = LlamaConfig(
    vocab_size=50,
    hidden_size=16,
    intermediate_size=24,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=4,
    context_length=200,
    norm_eps=1e-5,
)
LONG = replace(CONFIG, context_length=500)


def model_of(cache_tokens: int | None = None, config: LlamaConfig = CONFIG) -> LlamaModel:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator) * 0.5
        for name, shape in tensor_shapes(config).items()
    }
    return LlamaModel.from_tensors(config, tensors.__getitem__, cache_tokens=cache_tokens)


WHOLE = model_of()


def expected(token_ids: list[int]) -> Any:
    [state], logits = WHOLE.prefill([token_ids])
    WHOLE.release(state)
    return logits[0]


def assert_near(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", spread(range(3), 1))
def test_any_mixture_of_calls_gives_what_each_sequence_gives_alone(seed: int) -> None:
    chance = random.Random(seed)
    model = model_of(30 * 16)
    texts: dict[int, list[int]] = {}
    states: dict[int, Any] = {}

    def tokens(most: int) -> list[int]:
        return [chance.randrange(50) for _ in range(chance.randint(1, most))]

    for number in range(80):
        chosen = [key for key in states if chance.random() < 0.6]
        move = chance.choice(("prefill", "extend", "one", "one", "fork", "rollback", "release"))
        if move == "prefill" and len(states) < 6:
            new = [tokens(20), tokens(40)]
            made, logits = model.prefill(new)
            for place, (state, text) in enumerate(zip(made, new, strict=True)):
                states[2 * number + place], texts[2 * number + place] = state, list(text)
                assert_near(logits[place], expected(text))
        elif move in ("extend", "one") and chosen:
            more = [tokens(5 if move == "extend" else 1) for _ in chosen]
            logits = model.extend([states[key] for key in chosen], more)
            for key, added, row in zip(chosen, more, logits, strict=True):
                texts[key] += added
                assert_near(row, expected(texts[key]))
        elif move == "fork" and chosen and len(states) < 6:
            states[2 * number] = model.fork(states[chosen[0]])
            texts[2 * number] = list(texts[chosen[0]])
        elif move == "rollback" and chosen:
            count = chance.randrange(len(texts[chosen[0]]))
            model.rollback(states[chosen[0]], count)
            del texts[chosen[0]][len(texts[chosen[0]]) - count :]
        elif move == "release" and chosen:
            model.release(states.pop(chosen[0]))
            del texts[chosen[0]]
    for state in states.values():
        model.release(state)
    assert model.free_tokens == model.capacity_tokens == 30 * 16


def grown_in_turns(model: LlamaModel, texts: list[list[int]]) -> list[Any]:
    """States of which none has pages that follow each other: each text comes in several parts."""
    states = [model.prefill([text[:20]])[0][0] for text in texts]
    for begin in range(20, max(map(len, texts)), 20):
        for state, text in zip(states, texts, strict=True):
            if part := text[begin : begin + 20]:
                model.extend([state], [part])
    return states


def test_long_sequences_see_what_they_see_alone() -> None:
    model = model_of(config=LONG)
    random_ids = random.Random(4)
    lengths = (255, 256, 257, 272, 391, 40, 3)
    texts = [[random_ids.randrange(50) for _ in range(length)] for length in lengths]
    scattered = grown_in_turns(model, texts)
    together = [model.prefill([text])[0][0] for text in texts]
    known = [list(text) for text in (*texts, *texts)]
    for _ in range(3):
        tokens = [[random_ids.randrange(50)] for _ in known]
        logits = model.extend([*scattered, *together], tokens)
        for row, (text, new) in enumerate(zip(known, tokens, strict=True)):
            text.extend(new)
            [state], wanted = model.prefill([text])
            model.release(state)
            assert_near(logits[row], wanted[0])


class Largest(TorchDispatchMode):
    """Notes how large the largest tensor is that a call makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not (func.is_view or func._schema.is_mutable):
            self.elements = max(self.elements, made.numel())
        return made


def test_a_step_copies_the_keys_of_one_long_sequence_at_a_time() -> None:
    model = model_of(config=LONG)
    texts = [[(7 * place + row) % 50 for place in range(390)] for row in range(6)]
    one = 2 * LONG.kv_heads * LONG.head_dim * 400  # 391 tokens in whole pages
    scattered = grown_in_turns(model, texts)
    with Largest() as copies:
        model.extend(scattered, [[5]] * 6)
    assert copies.elements == one
    together = [model.prefill([text])[0][0] for text in texts]
    with Largest() as copies:
        model.extend(together, [[5]] * 6)
    assert copies.elements < one, "pages that follow each other need no copy"


def test_forks_share_pages_until_they_write() -> None:
    model = model_of(10 * 16)
    [state], _ = model.prefill([list(range(40))])
    assert model.free_tokens == 7 * 16
    forks = [model.fork(state) for _ in range(4)]
    assert model.free_tokens == 7 * 16
    model.extend(forks, [[number] for number in range(4)])
    assert model.free_tokens == 3 * 16
    for number, fork in enumerate(forks):
        assert_near(model.extend([fork], [[5]])[0], expected([*range(40), number, 5]))
    assert_near(model.extend([state], [[6]])[0], expected([*range(40), 6]))


def test_a_full_cache_says_so_and_changes_nothing() -> None:
    model = model_of(3 * 16)
    [first, second], _ = model.prefill([[1] * 20, [2] * 16])
    with pytest.raises(CapacityError, match=r"16 tokens do not fit .*: 0 tokens are free"):
        model.extend([first, second], [[3], [4]])
    assert_near(model.extend([first], [[3]])[0], expected([1] * 20 + [3]))
    with pytest.raises(CapacityError):
        model.prefill([[1]])
    model.release(first)
    assert_near(model.extend([second], [[4]])[0], expected([2] * 16 + [4]))


@pytest.mark.slow
def test_forgotten_states_give_their_pages_back() -> None:
    model = model_of(3 * 16)
    for _ in range(5):
        states, _ = model.prefill([[1] * 20, [2] * 16])
        del states
        gc.collect()
    assert model.free_tokens == 3 * 16


def test_what_is_no_number_reaches_nobody_else() -> None:
    model = model_of(4 * 16)
    [state], _ = model.prefill([[1] * 40])
    with torch.inference_mode():
        model.cache.storage()[:, 1:] = float("nan")
    model.release(state)
    states, logits = model.prefill([[1] * 3, [2] * 20])
    assert_near(logits, torch.stack([expected([1] * 3), expected([2] * 20)]))
    assert_near(model.extend(states, [[3], [4]])[0], expected([1] * 3 + [3]))


def test_a_copy_of_a_model_has_a_cache_of_its_own() -> None:
    model = model_of(3 * 16)
    model.prefill([[1] * 48])
    copy = pickle.loads(pickle.dumps(model))
    _, logits = copy.prefill([[1] * 48])
    assert_near(logits[0], expected([1] * 48))


def test_the_default_is_bounded_by_contexts() -> None:
    assert 16 <= WHOLE.capacity_tokens <= 32 * 200
    assert model_of(17).capacity_tokens == 32


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_the_budget_is_checked(value: Any) -> None:
    with pytest.raises(ParameterError, match="cache_tokens must be"):
        model_of(value)


@pytest.mark.parametrize("prefix_tokens", [0, 100])
def test_an_engine_never_asks_for_more_than_there_is(prefix_tokens: int) -> None:
    bounded = model_of(12 * 16)
    engine = Engine(LanguageModel(forward=bounded), prefill_chunk=24, prefix_tokens=prefix_tokens)
    free = Engine(LanguageModel(forward=model_of()))
    pairs = []
    for number in range(14):
        asked = GenerationParameters(
            max_new_tokens=3 + number % 4, best_of=1 + number % 2, seed=number
        )
        prompt = [(3 * place) % 50 for place in range(20 + number % 3 * 12)] + [number]
        pairs.append([item.submit(Request(prompt, asked)) for item in (engine, free)])
    for item in (engine, free):
        while item.busy:
            item.step()
    for one, other in pairs:
        got, wanted = one.result().tokens, other.result().tokens
        assert [token.id for token in got] == [token.id for token in wanted]
    engine.forget_prefixes()
    assert bounded.free_tokens == bounded.capacity_tokens


def test_pages_that_were_never_used_take_no_memory() -> None:
    """A file may claim any context; a list of its pages would be of gigabytes."""
    tracemalloc.start()
    try:
        cache = PagedCache(
            layers=1,
            kv_heads=1,
            head_dim=2,
            capacity_tokens=2**31 * 32,
            dtype=torch.float32,
            device=torch.device("cpu"),
        )
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    assert cache.free_tokens == cache.capacity_tokens == 2**36
    with pytest.raises(CapacityError):
        cache.reserve([cache.start()], [2**36 + 1])


def huge(tokens: int) -> PagedCache:
    return PagedCache(
        layers=1, kv_heads=1, head_dim=4, capacity_tokens=tokens, dtype=torch.float32,
        device=torch.device("cpu"),
    )  # fmt: skip


def test_pages_that_no_memory_holds_are_a_typed_error() -> None:
    cache = huge(1 << 50)
    state = cache.start()
    for _ in range(2):
        with pytest.raises(CapacityError, match="0 fit into memory"):
            cache.reserve([state], [3])
    assert state.pages == []


LIMITED = """
import resource
import torch
from pathlib import Path
from decoding.models.kv_cache import default_capacity

pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (1 << 28)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(default_capacity(1 << 40, 64, torch.device("cpu")) * 64)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory elsewhere")
def test_the_default_is_bounded_by_what_the_process_may_take() -> None:
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert 1 << 25 < int(done.stdout) <= 1 << 27, done.stderr
