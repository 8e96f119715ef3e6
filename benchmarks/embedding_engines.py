"""The engines of `benchmarks.embedding`: our step in each of them, and its own sampler.

Ours is the adapter's callback under the engine's preset (`decoding.presets`), called as the engine
calls it. What an engine does in both cases (its forward pass, and what follows the callback) is in
neither.
"""

from __future__ import annotations

import os
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.embedding_given import (
    TEMPERATURE,
    TOP_K,
    TOP_P,
    AbsentError,
    Engine,
    Given,
    Side,
    module,
    one_token,
)
from benchmarks.workloads import HISTORY_LENGTH, POSITIONS, histories_of, seed_of
from decoding import BatchSampler, Sampler, presets

# transformers


def _transformers_ours(given: Given) -> Side:
    torch, adapter = module("torch"), module("decoding.adapters.transformers")
    scores = torch.from_numpy(given.rows)
    ids = torch.from_numpy(given.token_ids.astype(np.int64))
    made = adapter.processor(given.pipeline)

    def step(number: int) -> Any:
        return made(ids[:, : given.length(number)], scores)

    return Side(step, lambda: given.support_fault(step(0).numpy() > -np.inf))


def _transformers_own(given: Given) -> Side:
    torch, found = module("torch"), module("transformers.generation.logits_process")
    scores = torch.from_numpy(given.rows)
    ids = torch.from_numpy(given.token_ids.astype(np.int64))
    chain = found.LogitsProcessorList([
        found.TemperatureLogitsWarper(TEMPERATURE),
        found.TopKLogitsWarper(TOP_K),
        found.TopPLogitsWarper(TOP_P),
    ])  # fmt: skip

    def step(number: int) -> Any:
        return chain(ids[:, : given.length(number)], scores)

    return Side(step, lambda: given.support_fault(step(0).numpy() > -np.inf))


# vLLM


def _vllm_ours(given: Given) -> Side:
    torch, adapter = module("torch"), module("decoding.adapters.vllm")
    rows = torch.from_numpy(given.rows)
    logits = rows.clone()
    model = SimpleNamespace(
        skip_tokenizer_init=True,
        get_vocab_size=lambda: rows.shape[1],
        hf_config=SimpleNamespace(eos_token_id=[]),
        try_get_generation_config=dict,
    )
    plugin = adapter.V1Processor(SimpleNamespace(model_config=model))
    outputs: list[list[int]] = [[] for _ in rows]
    added = [
        (row, _vllm_params(seed_of(row)), ids[:HISTORY_LENGTH], outputs[row])
        for row, ids in enumerate(given.token_ids.tolist())
    ]
    plugin.update_state(SimpleNamespace(removed=(), added=added, moved=()))
    further = given.token_ids[:, HISTORY_LENGTH:].tolist()

    def step(number: int) -> Any:
        logits.copy_(rows)  # the engine's call writes on it
        for output, ids in zip(outputs, further, strict=True):
            output[:] = ids[: number % POSITIONS]
        return plugin.apply(logits)

    return Side(step, lambda: given.drawn_fault(one_token(step(0).numpy())))


def _vllm_params(seed: int) -> Any:
    return SimpleNamespace(
        temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, min_p=0.0, seed=seed,
        repetition_penalty=1.0, frequency_penalty=0.0, presence_penalty=0.0,
        extra_args={"decoding": {}},
    )  # fmt: skip


def _vllm_own(given: Given) -> Side:
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    torch, platforms = module("torch"), module("vllm.platforms")
    platforms.current_platform.import_kernels()
    sample = module("vllm.v1.sample.ops.topk_topp_sampler").TopKTopPSampler()
    rows = torch.from_numpy(given.rows)
    logits, batch = rows.clone(), len(rows)
    temperature = torch.full((batch, 1), TEMPERATURE)
    k, p = torch.full((batch,), TOP_K, dtype=torch.int32), torch.full((batch,), TOP_P)

    def step(number: int) -> Any:
        del number
        logits.copy_(rows)
        logits.div_(temperature)
        return sample(logits, {}, k, p)[0]

    return Side(step, lambda: given.member_fault(lambda: step(0).tolist()))


# SGLang


def _sglang_ours(given: Given) -> Side:
    torch, adapter = module("torch"), module("decoding.adapters.sglang")
    rows = torch.from_numpy(given.rows)
    logits = rows.clone()
    requests = [
        SimpleNamespace(
            origin_input_ids=ids[:HISTORY_LENGTH],
            output_ids=[],
            eos_token_ids=None,
            tokenizer=None,
            sampling_params=SimpleNamespace(
                temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, min_p=0.0,
                sampling_seed=seed_of(row),
            ),
        )
        for row, ids in enumerate(given.token_ids.tolist())
    ]  # fmt: skip
    params = [{"decoding": {}, "__req__": request} for request in requests]
    further = given.token_ids[:, HISTORY_LENGTH:].tolist()

    def step(number: int) -> Any:
        logits.copy_(rows)
        for request, ids in zip(requests, further, strict=True):
            request.output_ids = ids[: number % POSITIONS]
        return adapter.draw(logits, params)

    return Side(step, lambda: given.drawn_fault(one_token(step(0).numpy())))


def _sglang_own(given: Given) -> Side:
    del given
    raise AbsentError("it has no build for CPUs")


# mlx-lm


def _mlx_ours(given: Given) -> Side:
    mx, adapter = module("mlx.core"), module("decoding.adapters.mlx_lm")
    mx.set_default_device(mx.cpu)
    rows = [mx.array(row)[None] for row in given.rows]
    ids = [mx.array(row) for row in given.token_ids]
    callbacks = [adapter.sampler(sampler) for sampler in given.samplers]
    mx.eval(rows, ids)

    def step(number: int) -> Any:
        length = given.length(number)
        left = [
            callback(tokens[:length], row)
            for callback, tokens, row in zip(callbacks, ids, rows, strict=True)
        ]
        mx.eval(left)
        return left

    def fault() -> str | None:
        left = np.concatenate([np.array(row) for row in step(0)])
        return given.drawn_fault(one_token(left))

    return Side(step, fault)


def _mlx_own(given: Given) -> Side:
    mx, utilities = module("mlx.core"), module("mlx_lm.sample_utils")
    mx.set_default_device(mx.cpu)
    logits = mx.array(given.rows)
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    draw = utilities.make_sampler(temp=TEMPERATURE, top_p=TOP_P, top_k=TOP_K)
    mx.eval(logprobs)

    def step(number: int) -> Any:
        del number
        tokens = draw(logprobs)
        mx.eval(tokens)
        return tokens

    return Side(step, lambda: given.member_fault(lambda: step(0).tolist()))


# llama.cpp

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class _Candidates:
    """The array of candidates that llama.cpp fills before it samples, which counts for both."""

    def __init__(self, vocab: int) -> None:
        self.ids = np.arange(vocab, dtype=np.int32)
        self.array = np.zeros(vocab, _CANDIDATE)

    def fill(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill it from a row; return its column of logits."""
        self.array["id"], self.array["logit"], self.array["p"] = self.ids, row, 0.0
        logits: NDArray[np.float32] = self.array["logit"]
        return logits


def _llama_cpp_ours(given: Given) -> Side:
    adapter = module("decoding.adapters.llama_cpp")
    candidates = _Candidates(given.rows.shape[1])
    callbacks = [adapter.sampler(item)["logits_processor"][0] for item in given.samplers]
    ids = list(given.token_ids)

    def step(number: int) -> list[int]:
        length, found = given.length(number), []
        for callback, tokens, row in zip(callbacks, ids, given.rows, strict=True):
            logits = candidates.fill(row)
            logits[:] = callback(tokens[:length], logits)
            found.append(int(logits.argmax()))
        return found

    return Side(step, lambda: given.drawn_fault(step(0)))


def _llama_cpp_own(given: Given) -> Side:
    import ctypes

    package = module("llama_cpp")
    candidates = _Candidates(given.rows.shape[1])
    pointer = candidates.array.ctypes.data_as(ctypes.POINTER(package.llama_token_data))
    size = len(candidates.array)
    array = package.llama_token_data_array(data=pointer, size=size, selected=-1, sorted=False)
    chain = package.llama_sampler_chain_init(package.llama_sampler_chain_default_params())
    for sampler in (
        package.llama_sampler_init_top_k(TOP_K),
        package.llama_sampler_init_top_p(TOP_P, 1),
        package.llama_sampler_init_temp(TEMPERATURE),
        package.llama_sampler_init_dist(1),
    ):
        package.llama_sampler_chain_add(chain, sampler)

    def step(number: int) -> list[int]:
        del number
        found = []
        for row in given.rows:
            candidates.fill(row)
            array.size, array.selected, array.sorted = len(row), -1, False
            package.llama_sampler_apply(chain, ctypes.byref(array))
            found.append(int(candidates.array["id"][array.selected]))
        return found

    return Side(step, lambda: given.member_fault(lambda: step(0)))


# onnxruntime-genai


class _Generator:
    """What the adapter uses of a `Generator`, which makes its arrays anew at every call."""

    def __init__(self, rows: NDArray[np.float32], token_ids: NDArray[np.int32]) -> None:
        self.rows, self.token_ids, self.length = rows, token_ids, 0
        self.left = rows

    def get_logits(self) -> NDArray[np.float32]:
        return self.rows[:, None].copy()

    def get_sequence(self, row: int) -> NDArray[np.int32]:
        return self.token_ids[row, : self.length].copy()

    def set_logits(self, logits: NDArray[np.float32]) -> None:
        self.left = logits[:, 0]


def _genai_ours(given: Given) -> Side:
    adapter = module("decoding.adapters.onnxruntime_genai")
    # Its rows share a sampler, and so a seed.
    generator = _Generator(given.rows, given.token_ids)
    sampler = Sampler(given.pipeline, seed_of(0))
    draw = adapter.sampler(sampler)

    def step(number: int) -> Any:
        generator.length = given.length(number)
        draw(generator)
        return generator.left

    def fault() -> str | None:
        alone = BatchSampler([sampler] * len(given.rows))
        want = [int(item) for item in alone.draw(given.rows, histories_of(given.rows)[0])]
        tokens = one_token(step(0))
        return None if tokens == want else f"tokens {tokens}, expected {want}"

    return Side(step, fault)


def _genai_own(given: Given) -> Side:
    del given
    raise AbsentError("its search runs inside a model's generator alone")


def _shared() -> dict[str, Any]:
    return {"temperature": TEMPERATURE, "top_k": TOP_K, "top_p": TOP_P}


ENGINES = MappingProxyType({
    "transformers": Engine(
        "processor", lambda: presets.transformers(do_sample=True, **_shared()),
        _transformers_ours, _transformers_own,
    ),
    "mlx_lm": Engine(
        "sampler", lambda: presets.mlx_lm(temp=TEMPERATURE, top_k=TOP_K, top_p=TOP_P),
        _mlx_ours, _mlx_own,
    ),
    "llama_cpp": Engine(
        "sampler",
        lambda: presets.llama_cpp(temp=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, min_p=0.0),
        _llama_cpp_ours, _llama_cpp_own,
    ),
    "vllm": Engine("sampler", lambda: presets.vllm(**_shared()), _vllm_ours, _vllm_own),
    "sglang": Engine("sampler", lambda: presets.sglang(**_shared()), _sglang_ours, _sglang_own),
    "onnxruntime_genai": Engine(
        "sampler", lambda: presets.transformers(do_sample=True, **_shared()),
        _genai_ours, _genai_own,
    ),
})  # fmt: skip
"""By adapter. onnxruntime and OpenVINO GenAI call no sampler and no processor of anyone."""
