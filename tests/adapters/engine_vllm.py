"""vLLM's CPU build with a random Llama: its own loaders, and its engine with the plug-in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}

import pytest
import torch
import vllm
import vllm.plugins
from tiny_llama import (
    CONFIG,
    EOS,
    GRAMMAR,
    PROMPTS,
    VOCAB,
    is_valid,
    own_model,
    text_of,
    tokenizer,
    write_folder,
)
from vllm import LLM, SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.v1.sample import logits_processor as v1
from vllm.v1.sample.logits_processor import _load_logitsprocs_plugins, build_logitsprocs
from vllm.v1.worker.gpu.sample import logits_processor as v2
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext
from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_plugins
from vllm_stand_ins import States, config

from decoding import GenerationParameters, generate
from decoding.adapters import vllm as adapter


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has just begun: no plug-in is loaded."""
    monkeypatch.setattr(
        sys,
        "meta_path",
        [finder for finder in sys.meta_path if not isinstance(finder, adapter._EntryPointFinder)],
    )
    monkeypatch.setattr(vllm.plugins, "plugins_loaded", False)
    return


@pytest.mark.usefixtures("fresh")
def test_its_loaders_find_the_class_once_its_plug_ins_are_loaded() -> None:
    assert _load_logitsprocs_plugins() == _load_v2_logitsprocs_plugins() == []
    vllm.plugins.load_general_plugins()  # our distribution's entry point is among them
    assert _load_logitsprocs_plugins() == _load_v2_logitsprocs_plugins() == [adapter.sampler()]
    assert issubclass(adapter.sampler(), v1.LogitsProcessor)
    assert issubclass(adapter.sampler(), v2.LogitsProcessor)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("changed", ["abstract method", "argument", "field", "base class"])
def test_a_version_that_does_not_take_the_class_starts_as_if_it_were_not_installed(
    changed: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    later: Any = None
    match changed:
        case "abstract method":
            later = type("LogitsProcessor", (v2.LogitsProcessor,), {"begin": lambda self: None})
            later.__abstractmethods__ = frozenset({"apply", "begin"})
            monkeypatch.setattr(v2, "LogitsProcessor", later)
        case "argument":
            monkeypatch.setattr(v1.LogitsProcessor, "apply", lambda self, logits, metadata: logits)
        case "field":
            monkeypatch.setattr(v2, "LogitsContext", States)
        case "base class":
            monkeypatch.setattr(v1, "LogitsProcessor", type("LogitsProcessor", (), {}))
    vllm.plugins.load_general_plugins()
    assert _load_logitsprocs_plugins() == _load_v2_logitsprocs_plugins() == []
    assert "not known here" in caplog.text or "left out" in caplog.text
    speculating = type("Config", (), {"speculative_config": None})()
    assert (
        len(
            list(build_logitsprocs(_with_model(speculating), torch.device("cpu"), False, False).all)
        )
        == 3
    )


def _with_model(given: Any) -> Any:
    """What vLLM's own three processors read of its configuration."""
    given.scheduler_config = type("S", (), {"max_num_seqs": 4})()
    return given


@pytest.mark.usefixtures("fresh")
def test_the_wrong_class_would_stop_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    # Why the entry point is not there for every version.
    adapter.register()
    monkeypatch.setattr(adapter, "sampler", lambda: adapter.V1Processor)
    with pytest.raises(ValueError, match="V1-interface plugins are not supported"):
        _load_v2_logitsprocs_plugins()


def test_one_class_makes_the_processor_of_either_runner() -> None:
    made = adapter.sampler()
    first = made(config(VOCAB, [EOS]), torch.device("cpu"), False)
    second = made(config(VOCAB, [EOS]), States())
    assert isinstance(first, adapter.V1Processor)
    assert isinstance(second, adapter.V2Processor)
    for interface, processor in ((v1.LogitsProcessor, first), (v2.LogitsProcessor, second)):
        for name in vars(interface):
            assert name.startswith("_") or name == "validate_params" or hasattr(processor, name)


def test_the_stand_in_for_a_context_has_the_fields_of_the_real_one() -> None:
    from dataclasses import fields

    from vllm_stand_ins import context

    assert {item.name for item in fields(LogitsContext)} == set(vars(context([(0, 0, 1, 0)])))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LLM:
    vllm.plugins.plugins_loaded = False
    folder = write_folder(tmp_path_factory.mktemp("llama"))
    return LLM(
        str(folder),
        dtype="float32",
        enforce_eager=True,
        max_model_len=CONFIG.context_length,
        max_num_seqs=8,
    )


def tokens_of(engine: LLM, prompts: list[list[int]], params: Any) -> list[list[int]]:
    inputs = [{"prompt_token_ids": prompt} for prompt in prompts]
    found = engine.generate(inputs, params, use_tqdm=False)
    return [[t for t in item.outputs[0].token_ids if t != EOS] for item in found]


def asked(**fields: Any) -> dict[str, Any]:
    return adapter.extra_args(GenerationParameters(**fields))


def test_the_engine_has_loaded_the_plug_in_by_its_entry_point(engine: LLM) -> None:
    runner = engine.llm_engine.model_executor.driver_worker.worker.model_runner
    loaded = [type(item) for item in runner.input_batch.logitsprocs.all]
    assert adapter.V1Processor in loaded


def test_every_text_at_temperature_1_2_is_valid(engine: LLM) -> None:
    prompts = [tokenizer().encode(prompt) for prompt in PROMPTS] * 5
    params = [
        SamplingParams(
            temperature=1.2, seed=seed, max_tokens=400, extra_args=asked(grammar=GRAMMAR)
        )
        for seed in range(20)
    ]
    assert sum(is_valid(text_of(tokens)) for tokens in tokens_of(engine, prompts, params)) == 20


@pytest.mark.parametrize(
    "fields",
    [
        {"dry_multiplier": 0.8, "dry_allowed_length": 1},
        {"xtc_probability": 0.5, "xtc_threshold": 0.01},
        {"watermark": True, "top_n_sigma": 1.5},
        {"mirostat": 2, "mirostat_tau": 4.0},
    ],
)
def test_it_draws_what_this_library_draws(engine: LLM, fields: dict[str, Any]) -> None:
    prompts = [[1, 70 + index, 80] for index in range(8)]
    params = [
        SamplingParams(temperature=0.9, seed=index, max_tokens=30, extra_args=asked(**fields))
        for index in range(8)
    ]
    model = own_model()
    own = GenerationParameters(temperature=0.9, max_new_tokens=30, **fields)
    expected = [
        generate(model, prompt, replace(own, seed=index)) for index, prompt in enumerate(prompts)
    ]
    assert tokens_of(engine, prompts, params) == [
        [token.id for token in item.tokens if token.id != EOS] for item in expected
    ]


def test_requests_that_ask_for_nothing_are_left_alone(engine: LLM) -> None:
    prompts = [[1, 70], [1, 71], [1, 72]]
    greedy = SamplingParams(temperature=0.0, max_tokens=20)
    marked = SamplingParams(temperature=0.0, max_tokens=20, extra_args=asked(watermark=True))
    plain = tokens_of(engine, prompts, greedy)
    mixed = tokens_of(engine, prompts, [greedy, marked, greedy])
    assert [mixed[0], mixed[2]] == [plain[0], plain[2]]
    ours = [generate(own_model(), p, GenerationParameters(max_new_tokens=20)) for p in prompts]
    assert plain == [[t.id for t in item.tokens if t.id != EOS] for item in ours]


def test_a_bad_request_is_refused_and_the_engine_goes_on(engine: LLM) -> None:
    bad = SamplingParams(extra_args={"decoding": {"grammar": {"type": "regex", "value": "("}}})
    with pytest.raises(VLLMValidationError, match="grammar"):
        tokens_of(engine, [[1, 70]], bad)
    assert len(tokens_of(engine, [[1, 70]], SamplingParams(temperature=0.0, max_tokens=3))) == 1


def test_the_folder_is_a_model_of_ours_too(tmp_path: Path) -> None:
    assert write_folder(tmp_path) == tmp_path
