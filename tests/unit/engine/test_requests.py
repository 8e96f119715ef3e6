"""One request: finish reasons, details, and requests that a model cannot serve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL, VOCAB, ByteTokenizer

from decoding import (
    Engine,
    FinishReason,
    GenerationParameters,
    LanguageModel,
    LogitBias,
    Request,
    chain,
    generate,
)
from decoding.errors import ParameterError, UnsupportedFeatureError
from decoding.sampling.rng import sequence_seed
from decoding.testing.models import hash_model


def test_best_of_ranks_by_mean_logprob_and_every_sequence_can_be_had_again() -> None:
    parameters = GenerationParameters(max_new_tokens=6, temperature=1.5, seed=11, best_of=4)
    response = generate(MODEL, "best", parameters)
    sequences = [response.details, *response.best_of_sequences]
    assert len(sequences) == 4
    means = [np.mean([token.logprob for token in item.tokens]) for item in sequences]
    assert means[0] == max(means)
    assert {item.seed for item in sequences} == {sequence_seed(11, index) for index in range(4)}
    for item in sequences:
        again = generate(
            MODEL, "best", GenerationParameters(max_new_tokens=6, temperature=1.5, seed=item.seed)
        )
        assert again.tokens == item.tokens


@pytest.mark.parametrize(
    ("seed", "index", "expected"),
    [
        (0, 1, 9693536618748786954),
        (0, 2, 1240880215476943679),
        (1, 1, 2674651032490149937),
        (11, 3, 16701014722103640121),
        (18446744073709551615, 1, 2816022387694275019),
        (18446744073709551615, 16383, 10918062912623608775),
        (5, 0, 5),
    ],
)
def test_the_seed_of_a_sequence_is_known(seed: int, index: int, expected: int) -> None:
    assert sequence_seed(seed, index) == expected


def test_top_tokens_carry_the_logprob_after_the_pipeline_and_the_models_own() -> None:
    asked = GenerationParameters(
        max_new_tokens=1, top_n_tokens=3, temperature=0.5, logit_bias={7: 20.0}, seed=1
    )
    [top] = generate(hash_model(VOCAB), [5], asked).details.top_tokens
    logits = hash_model(VOCAB)([[5]])[0].astype(np.float64)
    edited = logits.copy()
    edited[7] += 20.0
    edited /= 0.5
    for item in top:
        processed = edited[item.id] - np.log(np.exp(edited - edited.max()).sum()) - edited.max()
        raw = logits[item.id] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert item.logprob == pytest.approx(processed, abs=1e-5)
        assert item.raw_logprob == pytest.approx(raw, abs=1e-5)
    assert top[0].id == 7


def test_prompt_logprobs_are_raw_and_need_no_cache() -> None:
    parameters = GenerationParameters(
        max_new_tokens=1, decoder_input_details=True, temperature=0.3, seed=1
    )
    response = generate(MODEL, [10, 20, 30], parameters)
    assert [item.id for item in response.prefill] == [10, 20, 30]
    assert response.prefill[0].logprob is None
    logits = hash_model(VOCAB)([[10], [10, 20]]).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert response.prefill[1].logprob == pytest.approx(logprobs[0, 20], abs=1e-12)
    assert response.prefill[2].logprob == pytest.approx(logprobs[1, 30], abs=1e-12)


def test_the_likeliest_tokens_are_told_of_the_prompt_too() -> None:
    rows = np.array([[0, 3, 3, -np.inf], [1, -np.inf, 0, -np.inf], [0, 0, 0, 0]], np.float32)

    def forward(sequences: list[list[int]]) -> Any:
        return rows[[len(item) - 1 for item in sequences]]

    for count in (2, 4):
        asked = GenerationParameters(
            max_new_tokens=1, decoder_input_details=True, top_n_tokens=count, temperature=0.5
        )
        first, second, third = generate(forward, [0, 2, 0], asked).prefill
        assert first.top_tokens == ()
        assert [item.id for item in second.top_tokens] == [1, 2, 0][:count]
        assert [item.id for item in third.top_tokens] == [0, 2]
        assert second.top_tokens[1].logprob == second.logprob
        sure = 1 / (1 + np.exp(-1))
        assert np.exp(third.top_tokens[0].raw_logprob) == pytest.approx(sure)
    quiet = GenerationParameters(max_new_tokens=1, decoder_input_details=True)
    assert [item.top_tokens for item in generate(forward, [0, 2], quiet).prefill] == [(), ()]


def scripted(*token_ids: int) -> LanguageModel:
    """A model that says the given tokens, whatever it is asked, after a prompt of one token."""

    def forward(rows: list[list[int]]) -> Any:
        logits = np.zeros((len(rows), VOCAB), np.float32)
        for index, row in enumerate(rows):
            logits[index, token_ids[min(len(row) - 1, len(token_ids) - 1)]] = 50.0
        return logits

    return LanguageModel(forward=forward, tokenizer=ByteTokenizer(), eos_token_ids=frozenset({0}))


def spell(text: str) -> list[int]:
    return ByteTokenizer().encode(text)


PIECE = 258  # "the END of"


@pytest.mark.parametrize(
    ("said", "limit", "stop", "keep", "text", "reason"),
    [
        ([*spell("hi"), 0], 9, [], True, "hi", FinishReason.EOS_TOKEN),
        ([*spell("hi"), 0], 3, [], True, "hi", FinishReason.LENGTH),
        (spell("hello"), 3, [], True, "hel", FinishReason.LENGTH),
        ([PIECE], 5, ["END"], True, "the END", FinishReason.STOP_SEQUENCE),
        ([PIECE], 5, ["END"], False, "the ", FinishReason.STOP_SEQUENCE),
        (spell("a STOP b"), 9, ["STOP", "T"], True, "a ST", FinishReason.STOP_SEQUENCE),
        (spell("a STOP"), 6, ["STOP"], True, "a STOP", FinishReason.LENGTH),
        (spell("a STO"), 5, ["STOP"], False, "a STO", FinishReason.LENGTH),
        ([*spell("x"), 1, *spell("y"), 0], 9, ["<s>"], True, "x", FinishReason.STOP_SEQUENCE),
        (spell("aé")[:2], 2, [], True, "a�", FinishReason.LENGTH),
        ([*spell("an E"), 1, *spell(" x")], 7, ["END"], False, "an E x", FinishReason.LENGTH),
    ],
)
def test_endings(
    said: list[int], limit: int, stop: list[str], keep: bool, text: str, reason: FinishReason
) -> None:
    engine = Engine(scripted(*said))
    parameters = GenerationParameters(max_new_tokens=limit, stop=stop)
    generation = engine.submit(Request([5], parameters, keep_stop=keep))
    pieces = []
    while engine.busy:
        engine.step()
        pieces += [event.text for event in generation.take_events()]
    response = generation.result()
    assert response.generated_text == text
    assert "".join(pieces) == text
    assert response.finish_reason == reason


def test_a_request_that_leaves_raw_logprobs_out_gets_the_same_tokens() -> None:
    asked = GenerationParameters(max_new_tokens=8, temperature=0.9, top_n_tokens=2, seed=5)
    engine = Engine(MODEL)
    generations = [engine.submit(Request("raw", asked, raw=raw)) for raw in (True, False)]
    while engine.busy:
        engine.step()
    full, less = (generation.result() for generation in generations)
    assert less == full
    assert less.to_json() == full.to_json()
    assert all(token.rank > 0 for token in full.tokens)
    assert all(token.rank == 0 and np.isnan(token.raw_logprob) for token in less.tokens)
    assert all(np.isnan(top.raw_logprob) for row in less.details.top_tokens for top in row)
    with pytest.raises(ParameterError, match="raw"):
        Request("raw", asked, raw=0)  # type: ignore[arg-type]


def test_the_end_token_is_shown_but_is_not_text() -> None:
    response = generate(scripted(*spell("é")[:1], 0), [5], GenerationParameters(max_new_tokens=5))
    assert response.generated_text == "�"
    assert [(token.text, token.special) for token in response.tokens] == [
        ("", False),
        ("�</s>", True),
    ]


def test_return_full_text() -> None:
    parameters = GenerationParameters(max_new_tokens=2, return_full_text=True, truncate=1)
    assert generate(scripted(*spell("hi")), "say ", parameters).generated_text == "say hi"
    assert generate(scripted(*spell("hi")), spell("é "), parameters).generated_text == "é hi"


def test_truncate_keeps_the_last_tokens() -> None:
    short = GenerationParameters(max_new_tokens=3, truncate=2)
    whole = GenerationParameters(max_new_tokens=3)
    response = generate(MODEL, [9, 8, 7, 6], short)
    assert response == generate(MODEL, [7, 6], whole)
    assert response.input_length == 2


def test_a_random_seed_is_reported_and_gives_the_same_again() -> None:
    first = generate(MODEL, "x", GenerationParameters(max_new_tokens=6, do_sample=True))
    assert first.seed is not None
    again = GenerationParameters(max_new_tokens=6, do_sample=True, seed=first.seed)
    assert generate(MODEL, "x", again) == first
    assert generate(MODEL, "x", GenerationParameters(max_new_tokens=2)).seed is None


def test_max_new_tokens_defaults_to_the_room_that_is_left() -> None:
    endless = LanguageModel(forward=scripted(5).forward, context_length=10)
    assert generate(endless, [1, 2, 3]).generated_tokens == 7


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "message"),
    [
        (MODEL, "", {}, "inputs must be not empty"),
        (MODEL, [], {}, "inputs must be at least one token"),
        (
            MODEL,
            [1, -2],
            {},
            r"inputs must be a string or token ids >= 0 \(below 2\*\*31\); one of them is -2",
        ),
        (MODEL, [1] * 200, {}, "inputs must be fewer than 200 tokens"),
        (MODEL, [1] * 190, {"max_new_tokens": 11}, "max_new_tokens must be at most 10"),
        (hash_model(9), "text", {}, "inputs must be token ids for a model without a tokenizer"),
        (hash_model(9), [1], {}, "max_new_tokens must be given"),
        (hash_model(9), [1], {"max_new_tokens": 1, "stop": ["x"]}, "stop must be empty"),
    ],
)
def test_requests_a_model_cannot_serve(
    model: Any, inputs: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        generate(model, inputs, GenerationParameters(**parameters))


def test_machinery_that_is_not_there_says_so() -> None:
    with pytest.raises(UnsupportedFeatureError, match="adapter_id cannot be used"):
        generate(MODEL, "x", GenerationParameters(adapter_id="x"))


def test_a_pipeline_of_ones_own_replaces_the_default() -> None:
    only_five = chain(LogitBias({5: 1000.0}))
    parameters = GenerationParameters(max_new_tokens=3, top_p=0.5, seed=1)
    response = generate(MODEL, "x", parameters, pipeline=only_five)
    assert [token.id for token in response.tokens] == [5, 5, 5]


def test_the_end_is_held_back_for_min_tokens() -> None:
    model = LanguageModel(
        forward=lambda rows: np.tile([9.0, 1.0, 0.0], (len(rows), 1)), eos_token_ids=frozenset({0})
    )
    asked = GenerationParameters(max_new_tokens=9, min_tokens=3)
    tokens = [token.id for token in generate(model, [2], asked).tokens]
    assert tokens == [1, 1, 1, 0]


def test_allowed_tokens_must_be_the_models() -> None:
    model = LanguageModel(forward=hash_model(VOCAB), logits_width=VOCAB)
    asked = GenerationParameters(max_new_tokens=1, allowed_token_ids=[VOCAB])
    with pytest.raises(ParameterError, match="allowed_token_ids must be below 300"):
        Engine(model).submit(Request([1], asked))


@pytest.mark.parametrize("prompt", [[1], [1, 2], [1, 2, 3], [9, 9, 9, 9]])
@pytest.mark.parametrize("best_of", [1, 2, 3, 4])
def test_prompt_details_change_no_token(prompt: list[int], best_of: int) -> None:
    """Also where the prompts have as many tokens as there are sequences to draw for."""
    asked = GenerationParameters(best_of=best_of, do_sample=True, max_new_tokens=3, seed=1)
    told = replace(asked, decoder_input_details=True)
    engine = Engine(MODEL)
    alone, other = (engine.submit(Request(item, told)) for item in (prompt, [4, 4]))
    while engine.busy:
        engine.step()
    for generation, inputs in ((alone, prompt), (other, [4, 4])):
        got, expected = generation.result(), generate(MODEL, inputs, asked)
        for one, another in zip(
            [got.details, *got.best_of_sequences],
            [expected.details, *expected.best_of_sequences],
            strict=True,
        ):
            assert [token.id for token in one.tokens] == [token.id for token in another.tokens]
