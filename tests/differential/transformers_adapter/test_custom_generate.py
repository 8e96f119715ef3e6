"""`custom_generate` of the adapter of transformers: this library's loop behind `model.generate`."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from decoding import GenerationParameters, TopK, chain, generate
from decoding.adapters.transformers import custom_generate, language_model, processor
from decoding.errors import (
    BatchError,
    EmptySupportError,
    ParameterError,
    UnsupportedFeatureError,
)
from decoding.processors import Bitmask

torch = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")


from small_models import (
    BATCH,
    COMPACT,
    IDS,
    MASK,
    PROMPT_WIDTH,
    PROMPTS,
    by_generate,
    new_ids,
)


def test_sampled_tokens_are_those_of_generate(model: Any) -> None:
    asked = GenerationParameters(max_new_tokens=20, seed=9, temperature=1.3, top_p=0.9)
    want = by_generate(language_model(model), asked)
    # What the configuration says of sampling has no say beside parameters.
    output = model.generate(
        **BATCH, max_new_tokens=99, do_sample=True, top_k=1, custom_generate=custom_generate(asked)
    )
    assert new_ids(output) == want
    each = [GenerationParameters(max_new_tokens=5, seed=seed) for seed in range(4)]
    output = model.generate(**BATCH, custom_generate=custom_generate(each), max_new_tokens=5)
    assert new_ids(output) == [
        [token.id for token in generate(language_model(model), ids, item).tokens]
        for ids, item in zip(PROMPTS, each, strict=True)
    ]


def test_without_parameters_the_configuration_counts(model: Any) -> None:
    want = model.generate(**BATCH, max_new_tokens=9, do_sample=False, repetition_penalty=1.5)
    got = model.generate(
        **BATCH,
        max_new_tokens=9,
        do_sample=False,
        repetition_penalty=1.5,
        custom_generate=custom_generate(),
    )
    assert new_ids(got) == new_ids(want)
    sampled = dict(**BATCH, max_new_tokens=9, do_sample=True, temperature=1.5, top_k=30)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(new_ids(model.generate(**sampled, custom_generate=custom_generate())))
    assert runs[0] == runs[1] != runs[2]
    greedy = new_ids(model.generate(**BATCH, max_new_tokens=9, do_sample=False))
    sampled |= {"top_k": 1}
    assert new_ids(model.generate(**sampled, custom_generate=custom_generate())) == greedy


def test_sequences_of_one_prompt_differ(model: Any) -> None:
    asked = GenerationParameters(seed=5, temperature=1.5)
    output = model.generate(
        **BATCH,
        max_new_tokens=12,
        do_sample=True,
        num_return_sequences=3,
        custom_generate=custom_generate(asked),
    )
    rows = new_ids(output)
    assert len(rows) == 12
    assert len({tuple(row) for row in rows}) == 12


class Collected:
    """A streamer: what it was given, step by step."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.ended = 0

    def put(self, value: Any) -> None:
        self.steps.append(value.clone())

    def end(self) -> None:
        self.ended += 1


def test_streamers(model: Any, words: Any) -> None:
    asked = GenerationParameters(max_new_tokens=24, grammar=COMPACT, jump_forward=True)
    streamer = Collected()
    output = model.generate(
        **BATCH,
        max_new_tokens=24,
        custom_generate=custom_generate(asked, tokenizer=words, streamer=streamer),
    )
    assert streamer.steps[0].equal(IDS)
    assert torch.stack(streamer.steps[1:], 1).equal(output[:, PROMPT_WIDTH:])
    assert streamer.ended == 1
    text = transformers.TextIteratorStreamer(words, skip_prompt=True, skip_special_tokens=True)
    row = model.generate(
        IDS[2:3],
        max_new_tokens=24,
        custom_generate=custom_generate(asked, tokenizer=words, streamer=text),
    )
    assert "".join(text) == words.decode(row[0, PROMPT_WIDTH:], skip_special_tokens=True)


def test_a_streamer_ends_where_generation_fails(model: Any) -> None:
    streamer = Collected()
    impossible = custom_generate(pipeline=chain(Bitmask.of([])), streamer=streamer)
    with pytest.raises(BatchError):
        model.generate(**BATCH, max_new_tokens=3, custom_generate=impossible)
    assert streamer.ended == 1
    with pytest.raises(EmptySupportError):
        model.generate(IDS[:1], max_new_tokens=3, custom_generate=impossible)


def test_stopping_criteria(model: Any) -> None:
    class AfterThree(transformers.StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            rows = torch.arange(len(input_ids)) % 2 == 0
            return rows & (input_ids.shape[1] >= PROMPT_WIDTH + 3)

    given = dict(**BATCH, max_new_tokens=7, do_sample=False)
    criteria = transformers.StoppingCriteriaList([AfterThree()])
    want = model.generate(**given, stopping_criteria=criteria)
    got = model.generate(
        **given, stopping_criteria=criteria, custom_generate=custom_generate(GenerationParameters())
    )
    assert got.equal(want)


def test_an_output_with_details(model: Any) -> None:
    asked = GenerationParameters(max_new_tokens=4, top_n_tokens=2)
    output = model.generate(
        **BATCH,
        return_dict_in_generate=True,
        max_new_tokens=4,
        custom_generate=custom_generate(asked),
    )
    assert output.sequences.equal(
        model.generate(**BATCH, max_new_tokens=4, custom_generate=custom_generate(asked))
    )
    assert [[token.id for token in item.tokens] for item in output.responses] == new_ids(
        output.sequences
    )
    assert all(len(step) == 2 for item in output.responses for step in item.top_tokens)


def test_what_the_loop_refuses(model: Any) -> None:
    made = custom_generate(GenerationParameters(max_new_tokens=3))
    for given in (
        {"num_beams": 2},
        {"output_scores": True, "return_dict_in_generate": True},
        {"logits_processor": [processor(chain(TopK(2)))]},
    ):
        with pytest.raises(UnsupportedFeatureError):
            model.generate(**BATCH, **given, max_new_tokens=3, custom_generate=made)
    with pytest.raises(ParameterError, match="parameters"):
        custom_generate("greedy")
    with pytest.raises(ParameterError, match="4 rows"):
        model.generate(
            **BATCH, max_new_tokens=3, custom_generate=custom_generate([GenerationParameters()] * 3)
        )
    with pytest.raises(ParameterError, match="attention_mask"):
        made(model, IDS, attention_mask=torch.zeros_like(MASK))


def test_custom_generate_pickles(model: Any, words: Any) -> None:
    made = custom_generate(GenerationParameters(max_new_tokens=4, seed=1), tokenizer=words)
    want = model.generate(**BATCH, max_new_tokens=4, custom_generate=made)
    for twin in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert model.generate(**BATCH, max_new_tokens=4, custom_generate=twin).equal(want)
