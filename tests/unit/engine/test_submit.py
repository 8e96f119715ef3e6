"""All fields of a request are checked when it is submitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hashed_models import ByteTokenizer

from decoding import (
    Engine,
    GenerationParameters,
    LanguageModel,
    Request,
    Temperature,
    TopP,
    chain,
    generate,
    presets,
)
from decoding.errors import ForwardError, ParameterError

WIDTH = 10


def counting(rows: list[list[int]]) -> Any:
    """After a token comes the next one."""
    last = np.array([row[-1] for row in rows])
    return -np.abs(np.arange(float(WIDTH)) - last[:, None] - 1)


KNOWN = LanguageModel(forward=counting, logits_width=WIDTH)
UNKNOWN = LanguageModel(forward=counting)
ASKED = GenerationParameters(max_new_tokens=3)


def with_neighbour(model: LanguageModel, request: Request) -> Any:
    """The request's generation, once its neighbour is known to have got its tokens."""
    engine = Engine(model)
    neighbour = engine.submit(Request([2], ASKED))
    generation = engine.submit(request)
    for _ in range(3):
        engine.step()
    assert not engine.busy
    assert [token.id for token in neighbour.result().tokens] == [3, 4, 5]
    return generation


NO_PROMPTS = [
    None,
    b"ab",
    bytearray(b"ab"),
    {1},
    {1: 2},
    5,
    2.5,
    True,
    [True],
    [1.0],
    [None],
    ["a"],
    [1, [2]],
    [-1],
    [2**31],
    [10**400],
    [10**5000],
    (item for item in [1]),
    [],
    np.array([]),
    np.array([], np.int64),
    np.array(1),
    np.array([[1]]),
    np.array([1.0]),
    np.array([True]),
    np.array(["a"]),
    torch.tensor([1.0]),
    torch.tensor([True]),
    torch.tensor([[1]]),
    torch.tensor(1),
]


@pytest.mark.parametrize("inputs", NO_PROMPTS, ids=map(str, range(len(NO_PROMPTS))))
def test_what_is_no_prompt_is_refused_by_name(inputs: Any) -> None:
    with pytest.raises(ParameterError, match=r"^inputs must be ") as caught:
        Engine(UNKNOWN).submit(Request(inputs, ASKED))
    assert len(str(caught.value)) < 1000


PROMPTS = [
    [1, 2],
    (1, 2),
    range(1, 3),
    [np.int8(1), np.uint64(2)],
    np.array([1, 2]),
    np.array([1, 2], np.uint8),
    np.array([1, 2], ">i4"),
    torch.tensor([1, 2]),
    torch.tensor([1, 2], dtype=torch.int16),
]


@pytest.mark.parametrize("inputs", PROMPTS, ids=map(str, range(len(PROMPTS))))
def test_sequences_arrays_and_tensors_are_prompts(inputs: Any) -> None:
    response = generate(UNKNOWN, inputs, ASKED)
    assert [token.id for token in response.tokens] == [3, 4, 5]
    [first, second] = generate(UNKNOWN, [inputs, [4]], ASKED)
    assert first == response
    assert [token.id for token in second.tokens] == [5, 6, 7]


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_an_array_of_two_dimensions_is_several_prompts(make: Any) -> None:
    responses = generate(UNKNOWN, make([[1], [4]]), ASKED)
    assert [[token.id for token in item.tokens] for item in responses] == [[2, 3, 4], [5, 6, 7]]


@pytest.mark.parametrize("inputs", [None, 5, {1}, b"ab", [b"ab"], [1, [2]], [[1], [2.0]]])
def test_generate_refuses_them_as_well(inputs: Any) -> None:
    with pytest.raises(ParameterError, match=r"^inputs must be "):
        generate(UNKNOWN, inputs, ASKED)


NAMED = [
    ("inputs", [WIDTH], {}),
    ("logit_bias", [1], {"logit_bias": {WIDTH: 1.0}}),
    ("bad_words_ids", [1], {"bad_words_ids": [[1, WIDTH]]}),
    ("suppress_tokens", [1], {"suppress_tokens": [WIDTH]}),
    ("allowed_token_ids", [1], {"allowed_token_ids": [1, WIDTH]}),
    ("inputs", [WIDTH, 1], {"truncate": 1}),
]


@pytest.mark.parametrize(("name", "prompt", "fields"), NAMED)
def test_ids_beyond_a_known_width_are_refused(
    name: str, prompt: list[int], fields: dict[str, Any]
) -> None:
    asked = GenerationParameters(max_new_tokens=3, **fields)
    with pytest.raises(ParameterError, match=f"^{name} must be below 10, the width of the model's"):
        Engine(KNOWN).submit(Request(prompt, asked))


@pytest.mark.parametrize(("name", "prompt", "fields"), NAMED)
def test_ids_beyond_an_unknown_width_end_their_request_at_the_first_logits(
    name: str, prompt: list[int], fields: dict[str, Any]
) -> None:
    asked = GenerationParameters(max_new_tokens=3, **fields)
    generation = with_neighbour(UNKNOWN, Request(prompt, asked))
    with pytest.raises(ParameterError, match=f"^{name} must be below 10, the width of the model's"):
        generation.result()


def test_a_prompt_that_the_model_cannot_look_up_ends_alone() -> None:
    table = np.arange(float(WIDTH))

    def looks_up(rows: list[list[int]]) -> Any:
        return -np.abs(np.arange(float(WIDTH)) - table[[row[-1] for row in rows]][:, None] - 1)

    generation = with_neighbour(LanguageModel(forward=looks_up), Request([99], ASKED))
    with pytest.raises(ForwardError, match="IndexError"):
        generation.result()


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 2**53},
        {"top_n_tokens": 2**53},
        {"no_repeat_ngram_size": 2**53},
        {"max_new_tokens": 2**53, "min_tokens": 2**53},
        {"dry_multiplier": 1.0, "dry_allowed_length": 2**53},
        {"truncate": 2**53},
        {"logit_bias": {9: 3.4e38}},
        {"temperature": 5e-324},
    ],
)
def test_the_ends_of_the_ranges_are_served(fields: dict[str, Any]) -> None:
    engine = Engine(KNOWN)
    generation = engine.submit(
        Request([1], GenerationParameters(**{"max_new_tokens": 3, "seed": 1, **fields}))
    )
    for _ in range(3):
        engine.step()
    assert generation.error is None


@pytest.mark.parametrize("parameters", ["max_new_tokens=2", {"max_new_tokens": 2}, 5])
def test_parameters_are_generation_parameters(parameters: Any) -> None:
    with pytest.raises(ParameterError, match=r"^parameters must be "):
        generate(UNKNOWN, [1], parameters)
    with pytest.raises(ParameterError, match=r"^parameters must be "):
        Engine(UNKNOWN).submit(Request([1], parameters))


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "2"])
def test_a_batch_size_is_a_positive_integer(most: Any) -> None:
    with pytest.raises(ParameterError, match=r"^max_batch_size must be"):
        Engine(UNKNOWN, max_batch_size=most)


def test_a_lone_processor_is_a_pipeline() -> None:
    asked = GenerationParameters(max_new_tokens=3, seed=1)
    lone = generate(UNKNOWN, [1], asked, pipeline=TopP(0.5))
    assert lone == generate(UNKNOWN, [1], asked, pipeline=chain(TopP(0.5)))
    with pytest.raises(ParameterError, match=r"^pipeline must be "):
        generate(UNKNOWN, [1], asked, pipeline=5)


# Sampling or greedy


def flat(rows: list[list[int]]) -> Any:
    return np.tile(np.log([[0.5, 0.3, 0.2]]), (len(rows), 1))


def drawn(pipeline: Any = None, **fields: Any) -> set[int]:
    # A fresh seed misses a token of probability 0.2 in 4e-20 of all runs (0.8 ** 200).
    asked = GenerationParameters(max_new_tokens=200, **fields)
    return {token.id for token in generate(flat, [0], asked, pipeline=pipeline).tokens}


SAMPLED: list[Any] = [
    chain(Temperature(1.0)),
    chain(TopP(1.0)),
    presets.vllm(),
    presets.vllm(temperature=1.0, top_p=0.99),
    presets.sglang(),
    presets.tgi(temperature=1.0),
    presets.transformers(do_sample=True),
    presets.mlx_lm(temp=1.0),
    presets.llama_cpp(temp=1.0),
    presets.llama_cpp(samplers=()),
]
GREEDY: list[Any] = [
    chain(),
    lambda logits, _: logits,
    presets.vllm(temperature=0.0),
    presets.sglang(temperature=0.0),
    presets.tgi(),
    presets.transformers(),
    presets.mlx_lm(),
    presets.llama_cpp(temp=0.0),
]


@pytest.mark.parametrize("pipeline", SAMPLED)
def test_a_pipeline_with_a_temperature_or_a_truncation_samples(pipeline: Any) -> None:
    assert drawn(pipeline) == {0, 1, 2}
    assert drawn(pipeline, temperature=0.0) == {0}
    with pytest.raises(ParameterError, match=r"^do_sample must be True or None beside .* in the"):
        drawn(pipeline, do_sample=False)
    asked = GenerationParameters(max_new_tokens=2, best_of=2)
    assert len(generate(flat, [0], asked, pipeline=pipeline).best_of_sequences) == 1


@pytest.mark.parametrize("pipeline", GREEDY)
def test_other_pipelines_do_not(pipeline: Any) -> None:
    assert drawn(pipeline) == {0}
    if pipeline != presets.llama_cpp(temp=0.0):
        assert drawn(pipeline, seed=1) == {0, 1, 2}


def test_nothing_given_is_greedy_and_has_no_seed() -> None:
    assert generate(flat, [0], GenerationParameters(max_new_tokens=2)).seed is None
    with pytest.raises(ParameterError, match="best_of must be 1 where decoding is greedy, got 2"):
        generate(flat, [0], GenerationParameters(max_new_tokens=2, best_of=2))
    assert generate(flat, [0], GenerationParameters(max_new_tokens=2, seed=7)).seed == 7


@pytest.mark.parametrize("token_ids", [[1, -2], [2**31], [1.5], ["a"], None, []], ids=repr)
def test_what_a_tokenizer_gives_is_checked(token_ids: Any) -> None:
    class Broken(ByteTokenizer):
        def encode(self, text: str, *, add_special_tokens: bool = True) -> Any:
            del text, add_special_tokens
            return token_ids

    engine = Engine(LanguageModel(forward=counting, tokenizer=Broken(), logits_width=WIDTH))
    with pytest.raises(ParameterError, match="inputs"):
        engine.submit(Request("x", ASKED))
    assert not engine.busy
