"""`verify`: honest texts stay, false claims are rejected, and what explains them is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL
from served_texts import drawn, rows_of

from decoding import (
    GenerationParameters,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
    chain,
    generate,
)
from decoding.audit import (
    VLLM,
    Assumptions,
    Claim,
    power_of,
    sequences_of,
    tokens_needed,
    verify,
    verify_logits,
)
from decoding.audit.evidence import LikelihoodRatios, UnexplainedTokens, log_e_value
from decoding.errors import ParameterError
from decoding.request_grammar import Grammar
from decoding.testing.models import hash_model

CLAIM = Claim(seed=7)
PROMPT = [1, 2, 3]


def checked(truth: Claim, tokens: int, claim: Claim = CLAIM, number: int = 0) -> Any:
    rows = rows_of(number, tokens, 300)
    return verify_logits(rows, PROMPT, drawn(rows, truth, number), claim)


def test_honest_texts_are_not_rejected() -> None:
    found = checked(CLAIM, 300)
    assert found.accepted
    assert found.count("as claimed") > 285
    assert found.count("unexplained") == 0
    assert found.alternative is None
    assert "not rejected" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "most", "name"),
    [
        (Claim(pipeline=Temperature(1.1), seed=7), 500, "temperature 1.1"),
        (Claim(pipeline=TopP(0.95), seed=7), 400, "top-p 0.95"),
        (Claim(pipeline=TopK(20), seed=7), 100, "top-k 20"),
        (Claim(seed=123456), 60, "another seed, or none"),
        (Claim(seed=8), 60, "seed 8"),
        (Claim(greedy=True), 60, "greedy decoding"),
        (Claim(seed=7, law=VLLM), 60, "noise murmur3-vllm-1"),
    ],
)
def test_false_claims_are_rejected_and_the_truth_is_named(
    truth: Claim, most: int, name: str
) -> None:
    found = checked(truth, most)
    assert found.rejected_at is not None
    assert found.alternative is not None
    assert found.alternative.name == name
    assert found.alternative.explains
    assert found.e_value >= 1e6
    assert f"{name} explains the tokens" in str(found)


@pytest.mark.slow
def test_other_weights_are_named_by_their_noise() -> None:
    rows = rows_of(0, 200, 300)
    found = verify_logits(rows, PROMPT, drawn(rows, CLAIM, 0, noise=0.3), CLAIM)
    assert found.alternative is not None
    assert found.alternative.name == "logits with noise 0.3 (other weights or precision)"


@pytest.mark.nightly
def test_two_changes_are_found_one_after_the_other() -> None:
    truth = Claim(pipeline=chain(Temperature(1.3), TopK(20)), seed=7)
    found = checked(truth, 250)
    assert found.alternative is not None
    assert found.alternative.explains
    processors = found.alternative.profile.claim.pipeline.processors
    assert set(processors) == {Temperature(1.3), TopK(20)}


def test_a_boundary_of_a_cut_is_noise_and_no_lie() -> None:
    claim = Claim(pipeline=chain(Temperature(0.9), TopK(40), TopP(0.9)), seed=3)
    for number in range(3):
        assert checked(claim, 200, claim, number).accepted


@pytest.mark.slow
def test_claims_about_the_distribution_alone() -> None:
    honest = checked(Claim(seed=99), 200, Claim())
    assert honest.accepted
    assert honest.count("possible") == 200
    colder = checked(Claim(pipeline=Temperature(0.6), seed=99), 200, Claim())
    assert colder.rejected_at is not None
    assert colder.alternative is not None
    assert colder.alternative.name == "temperature 0.6"
    cut = Claim(pipeline=TopK(20))
    assert checked(Claim(pipeline=TopK(20), seed=5), 200, cut).accepted
    assert not checked(Claim(seed=5), 60, cut).accepted


def test_greedy_claims() -> None:
    greedy = Claim(greedy=True)
    assert checked(greedy, 300, greedy).accepted
    found = checked(Claim(pipeline=Temperature(0.3), seed=1), 60, greedy)
    assert not found.accepted


@pytest.mark.parametrize("seed", [None, 11])
def test_a_response_is_verified_as_it_is(seed: int | None) -> None:
    asked = GenerationParameters(
        max_new_tokens=30, seed=seed, repetition_penalty=1.3, frequency_penalty=0.2, top_p=0.9
        if seed else None,
    )  # fmt: skip
    response = generate(MODEL, "abc", asked)
    assert verify(MODEL, None, response).count("as claimed") == response.generated_tokens
    if seed is not None:
        assert not verify(MODEL, None, response, seed=12).accepted
        assert verify(MODEL, None, response, by_distribution=True).accepted


def test_tokens_that_a_grammar_forced_were_not_drawn() -> None:
    grammar = Grammar("regex", "the answer is [a-z]{6}")
    asked = GenerationParameters(max_new_tokens=30, seed=2, grammar=grammar, jump_forward=True)
    response = generate(MODEL, "abc", asked)
    found = verify(MODEL, None, response)
    assert found.accepted
    assert found.count("forced") >= len("the answer is ")
    assert found.count("as claimed") + found.count("forced") == response.generated_tokens


@pytest.mark.slow
def test_feedback_and_history_take_part() -> None:
    asked = GenerationParameters(max_new_tokens=30, seed=2, mirostat=2, repetition_penalty=1.8)
    response = generate(hash_model(80), PROMPT, asked)
    assert verify(hash_model(80), None, response).count("as claimed") == 30
    without = GenerationParameters(seed=2, mirostat=2)
    assert verify(hash_model(80), None, response, without).count("unexplained") > 0


def test_the_margin_is_in_nats() -> None:
    rows = np.log(np.array([[0.5, 0.3, 0.2]], np.float32))
    [token] = verify_logits(rows, [0], [1], Claim(greedy=True)).tokens
    assert token.expected == 0
    assert token.margin == pytest.approx(math.log(5 / 3), abs=1e-6)
    removed = Claim(pipeline=TopK(1), seed=0)
    [token] = verify_logits(rows, [0], [2], removed).tokens
    assert token.margin == math.inf


def test_e_values_by_hand() -> None:
    told = Assumptions(unexplained_rate=0.01)
    rates = np.array([0.03, 0.09, 0.27, 0.81, 0.9, 0.9])
    want = np.log(np.mean(rates / 0.01 * ((1 - rates) / 0.99) ** 2))
    assert log_e_value(3, 1, told) == pytest.approx(want)
    process = UnexplainedTokens(told)
    for _ in range(6):
        process.observe(explained=False)
    assert process.rejected_at == 4  # 90 ** 4 / 3 > 10 ** 6
    ratios = LikelihoodRatios(Assumptions(alpha=0.2), 2)
    ratios.observe(np.log([4.0, 0.5]))
    ratios.observe(np.log([4.0, 0.5]))
    assert ratios.log_value == pytest.approx(math.log((16 + 0.25) / 2))
    assert ratios.rejected_at == 2


def test_the_e_value_of_an_honest_server_has_a_mean_of_at_most_one() -> None:
    # Exactly, over all numbers of unexplained tokens.
    told, count = Assumptions(unexplained_rate=0.02), 40
    chances = [
        math.comb(count, bad) * 0.02**bad * 0.98 ** (count - bad) for bad in range(count + 1)
    ]
    mean = sum(
        chance * math.exp(log_e_value(count, bad, told)) for bad, chance in enumerate(chances)
    )
    assert mean == pytest.approx(1.0)


@pytest.mark.slow
def test_the_tokens_that_are_needed_are_known_beforehand() -> None:
    rate, runs = 0.1, 400
    needed = tokens_needed(rate, 0.9)
    assert needed is not None
    generator = np.random.default_rng(5)
    rejected = 0
    for _ in range(runs):
        process = UnexplainedTokens(Assumptions())
        for bad in generator.random(needed) < rate:
            process.observe(explained=not bad)
        rejected += process.rejected_at is not None
    assert 0.85 * runs < rejected < 0.95 * runs  # 3 standard deviations
    assert tokens_needed(0.05) > tokens_needed(0.5)
    assert tokens_needed(0.0) is None


def test_the_power_of_a_text_is_estimated_from_logits() -> None:
    rows = rows_of(1, 200, 300)
    tokens = drawn(rows, CLAIM, 1)
    other = Claim(pipeline=TopK(20), seed=7)
    found = power_of(rows, PROMPT, tokens, CLAIM, other, seeds=2)
    assert 0.1 < found.rate < 0.5
    assert found.tokens is not None
    assert found.tokens < 100
    same = power_of(rows, PROMPT, tokens, CLAIM, CLAIM, seeds=1)
    assert same.tokens is None
    with pytest.raises(ParameterError, match="alternative must be one with a seed"):
        power_of(rows, PROMPT, tokens, CLAIM, Claim())


def test_bad_claims_are_refused() -> None:
    with pytest.raises(ParameterError, match="greedy must be"):
        Claim(seed=1, greedy=True)
    with pytest.raises(ParameterError, match="seed must be"):
        Claim(seed=-1)
    with pytest.raises(ParameterError, match="law must be a NoiseLaw"):
        Claim(law="philox")
    for name, value in (("alpha", 0.0), ("logit_noise", -1.0), ("unexplained_rate", 0.5)):
        with pytest.raises(ParameterError, match=name):
            Assumptions(**{name: value})


def test_a_pipeline_that_leaves_no_token_explains_nothing() -> None:
    from decoding.processors import AllowedTokens

    claim = Claim(pipeline=chain(AllowedTokens([999])), seed=1)
    rows = rows_of(0, 30, 300)
    found = verify_logits(rows, PROMPT, drawn(rows, CLAIM, 0), claim)
    assert not found.accepted
    assert found.tokens[0].expected is None


@pytest.mark.slow
def test_penalties_that_were_left_out_are_named() -> None:
    truth = Claim(seed=7)
    claim = Claim(pipeline=chain(RepetitionPenalty(1.5)), seed=7)
    rows = rows_of(0, 200, 12)
    found = verify_logits(rows, PROMPT, drawn(rows, truth, 0), claim)
    assert found.alternative is not None
    assert found.alternative.name == "without RepetitionPenalty(repetition_penalty=1.5)"


def test_what_best_of_did_not_choose_is_verified_with_its_own_seed() -> None:
    asked = GenerationParameters(max_new_tokens=12, seed=5, temperature=0.9, best_of=3)
    response = generate(MODEL, "ab", asked)
    sequences = sequences_of(response)
    assert len(sequences) == 3
    assert len({sequence.seed for sequence in sequences}) == 3
    for number, sequence in enumerate(sequences):
        found = verify(MODEL, None, sequence)
        assert found.count("as claimed") == len(sequence.token_ids)
        other = sequences[(number + 1) % 3]
        swapped = verify(MODEL, None, sequence, seed=other.seed)
        assert swapped.count("as claimed") < len(sequence.token_ids)
    with pytest.raises(ParameterError, match="a Response"):
        sequences_of([1, 2])
