"""The SGLang adapter, called as a plain callable with stand-ins for live requests."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from decoding import BatchSampler, GenerationParameters, History, Sampler, pipeline_of, presets
from decoding.adapters import sglang
from decoding.engine.joined import joined
from decoding.errors import MissingDependencyError, ParameterError, UnsupportedFeatureError

VOCAB, EOS = 40, 0


class CustomLogitProcessor:
    """The interface of SGLang 0.5.23, with its serialisation by name instead of dill."""

    @classmethod
    def to_str(cls) -> str:
        return json.dumps({"callable": f"{cls.__module__}:{cls.__qualname__}"})


@pytest.fixture(autouse=True)
def interface(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("custom_logit_processor")
    module.CustomLogitProcessor = CustomLogitProcessor
    for name in ("sglang", "sglang.srt", "sglang.srt.sampling"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "sglang.srt.sampling.custom_logit_processor", module)


def logits_after(token_ids: Any) -> torch.Tensor:
    generator = np.random.default_rng([int(item) for item in token_ids[-3:]])
    return torch.from_numpy(3 * generator.standard_normal(VOCAB)).to(torch.float32)


def live(prompt: list[int], seed: int, **fields: Any) -> dict[str, Any]:
    """The custom parameters of a request that runs, as SGLang makes them."""
    own = SimpleNamespace(temperature=0.9, top_k=1 << 30, top_p=0.95, min_p=0.0, sampling_seed=seed)
    running = SimpleNamespace(
        origin_input_ids=prompt,
        output_ids=[],
        sampling_params=own,
        tokenizer=None,
        eos_token_ids={EOS},
    )
    return {"decoding": fields, "__req__": running}


def expected(prompt: list[int], seed: int, count: int, **fields: Any) -> list[int]:
    further = pipeline_of(GenerationParameters(**fields), VOCAB, eos_token_ids=[EOS], seed=seed)
    pipeline = joined(presets.sglang(temperature=0.9, top_p=0.95), further)
    batch, found = BatchSampler([Sampler(pipeline, seed)]), list[int]()
    for _ in range(count):
        [token] = batch.draw(logits_after([*prompt, *found])[None], History.of([prompt], [found]))
        found.append(token)
    return found


@pytest.mark.parametrize(
    "fields", [{}, {"dry_multiplier": 0.8}, {"watermark": True, "xtc_probability": 0.5}]
)
def test_rows_are_drawn_as_here(fields: dict[str, Any]) -> None:
    processor = sglang.sampler()()
    prompts = [[5, 6, 7], [8], [9, 10]]
    params = [live(prompt, 3 + index, **fields) for index, prompt in enumerate(prompts)]
    others = {"thinking_budget": 5}
    for step in range(12):
        order = [0, 1, 2] if step % 2 else [2, 0, 1]
        contexts = [[*prompts[at], *params[at]["__req__"].output_ids] for at in order]
        before = torch.stack([*map(logits_after, contexts), logits_after([1])])
        after = processor(before.clone(), [*(params[at] for at in order), others])
        assert torch.equal(after[3], before[3])
        for at, row in zip(order, after, strict=False):
            assert torch.isfinite(row).sum() == 1
            params[at]["__req__"].output_ids.append(int(row.argmax()))
    for index, prompt in enumerate(prompts):
        drawn = params[index]["__req__"].output_ids
        assert drawn == expected(prompt, 3 + index, 12, **fields)


def test_a_text_that_fails_is_ended_and_its_neighbours_go_on() -> None:
    params = [live([5], 1, grammar={"type": "regex", "value": "a"}), live([5], 1)]
    after = sglang.sampler()()(logits_after([5]).repeat(2, 1), params)
    assert [int(row.argmax()) for row in after] == [EOS, *expected([5], 1, 1)]


def test_speculative_decoding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    params = live([5], 1)
    with pytest.raises(UnsupportedFeatureError, match="no custom processor has seen"):
        sglang.sampler()()(logits_after([5]).repeat(2, 1), [params, params])
    arguments = SimpleNamespace(speculative_algorithm="EAGLE")
    with pytest.raises(UnsupportedFeatureError, match="EAGLE"):
        sglang.check_server(arguments)
    sglang.check_server(SimpleNamespace(speculative_algorithm=None))
    server = ModuleType("server_args")
    server.get_global_server_args = lambda: arguments
    monkeypatch.setitem(sys.modules, "sglang.srt.server_args", server)
    with pytest.raises(UnsupportedFeatureError, match="EAGLE"):
        sglang.sampler()()


def test_a_request_carries_the_class_and_its_parameters() -> None:
    made = sglang.request(
        GenerationParameters(dry_multiplier=0.8, seed=3), temperature=0.7, custom_params={"x": 1}
    )
    assert made["sampling_params"]["custom_params"] == {
        "x": 1,
        "decoding": {"dry_multiplier": 0.8, "seed": 3},
    }
    assert made["sampling_params"]["temperature"] == 0.7
    named = json.loads(made["custom_logit_processor"])["callable"]
    assert named == "decoding.adapters.sglang:Processor"
    assert sglang.Processor is sglang.sampler()
    json.dumps(made)


@pytest.mark.parametrize("wrong", [{"top_p": 2.0}, {"temperature": -1.0}])
def test_a_request_is_checked_where_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        sglang.request(GenerationParameters(dry_multiplier=0.8), **wrong)
    with pytest.raises(ParameterError, match="left to the engine"):
        sglang.request(GenerationParameters(max_new_tokens=3))


def test_without_sglang_the_class_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sglang.srt.sampling.custom_logit_processor", None)
    with pytest.raises(MissingDependencyError, match="sglang"):
        sglang.sampler()
