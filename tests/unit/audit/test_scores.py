"""`score`: equal logits give a log-ratio of exactly 0, and who removed what is said."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hashed_models import MODEL
from profiles import spread

from decoding import (
    Dry,
    FrequencyPenalty,
    GenerationParameters,
    LanguageModel,
    LogitBias,
    MinP,
    PresencePenalty,
    RepetitionPenalty,
    Response,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    Xtc,
    chain,
    generate,
    stream,
)
from decoding.audit import score, score_batch, score_logits, stack, transcript_of
from decoding.errors import ParameterError, ShapeError
from decoding.history import History
from decoding.processors import EtaCutoff, Mirostat2, NoRepeatNgram, SuppressTokens, TopH, TopNSigma
from decoding.request_grammar import Grammar
from decoding.sampling.batch import BatchSampler, Sample, Sampler
from decoding.sampling.given import TokenDescriber
from decoding.testing.models import hash_model

VOCAB = 300
MAKERS: tuple[Any, ...] = (
    lambda r: Temperature(float(r.uniform(0.3, 2.0))),
    lambda r: TopK(int(r.integers(1, 80))),
    lambda r: TopP(float(r.uniform(0.5, 0.99))),
    lambda r: MinP(float(r.uniform(0.01, 0.3))),
    lambda r: TypicalP(float(r.uniform(0.3, 0.99))),
    lambda r: RepetitionPenalty(float(r.uniform(0.8, 1.6))),
    lambda r: FrequencyPenalty(float(r.uniform(-1.0, 2.0))),
    lambda r: PresencePenalty(float(r.uniform(-1.0, 2.0))),
    lambda r: Dry(float(r.uniform(0.2, 2.0)), dry_allowed_length=1),
    lambda r: NoRepeatNgram(2),
    lambda r: LogitBias({int(r.integers(VOCAB)): float(r.normal()), 3: -math.inf}),
    lambda r: SuppressTokens([int(r.integers(VOCAB))]),
    lambda r: Xtc(0.5, 0.05, seed=int(r.integers(100))),
    lambda r: TopH(float(r.uniform(0.2, 0.8))),
    lambda r: TopNSigma(float(r.uniform(0.5, 3.0))),
    lambda r: EtaCutoff(float(r.uniform(1e-4, 1e-2))),
    lambda r: Mirostat2(float(r.uniform(2.0, 6.0)), 0.1),
)


BANS = (LogitBias, NoRepeatNgram, SuppressTokens)
"""What removes tokens by id: behind a truncation these may remove the last that is left."""


def random_request(number: int) -> tuple[GenerationParameters, Any]:
    """Random pipelines, bans ahead; every fourth is one of a request with a grammar."""
    generator = np.random.default_rng([16, number])
    if number % 4 == 3:
        grammar = Grammar("regex", "[a-z]{4,9}( [a-z]{2,7})*")
        return GenerationParameters(
            grammar=grammar,
            temperature=float(generator.uniform(0.5, 1.5)),
            repetition_penalty=float(generator.uniform(1.0, 1.5)),
            top_p=0.95,
        ), None
    count = int(generator.integers(1, 6))
    chosen = generator.choice(len(MAKERS), count, replace=False)
    made = [MAKERS[index](generator) for index in chosen]
    return GenerationParameters(), chain(*sorted(made, key=lambda item: not isinstance(item, BANS)))


def log_ratios(number: int, tokens: int, *, seed_is_known: bool) -> np.ndarray:
    """Of texts of one pipeline, generated with hashed logits and scored with the same ones."""
    parameters, pipeline = random_request(number)
    found: list[np.ndarray] = []
    count = 0
    while count < tokens:
        asked = GenerationParameters.from_dict(
            {
                **parameters.to_dict(),
                "max_new_tokens": min(40, tokens),
                "seed": 1000 * number + count,
            }
        )
        response = generate(MODEL, [5, 6, 5, number % 250], asked, pipeline=pipeline)
        made_by = asked if pipeline is None else pipeline
        if seed_is_known:
            scores = score(MODEL, None, response, made_by)
            ratios = scores.log_ratios
        else:
            ids = [token.id for token in response.tokens]
            scores = score(MODEL, list(response.provenance.prompt), ids, made_by, seed=7)
            claimed = np.array([token.logprob for token in response.tokens])
            ratios = np.array([token.processed_logprob for token in scores.tokens]) - claimed
        sizes = [len(scores.kept_ids(place)) for place in range(len(scores))]
        assert sizes == [token.support_size for token in scores.tokens]
        found.append(ratios)
        count += len(ratios)
    return np.concatenate(found)


@pytest.mark.parametrize("number", spread(range(0, 50, 4), 4))
def test_the_log_ratio_of_trainer_and_sampler_is_zero(number: int) -> None:
    for index in (number, number + 3):
        assert not log_ratios(index, 8, seed_is_known=True).any()
        assert not log_ratios(index, 8, seed_is_known=False).any()


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(50))
def test_the_log_ratio_is_zero_over_a_hundred_thousand_tokens(number: int) -> None:
    assert not log_ratios(number, 2000, seed_is_known=True).any()
    assert not log_ratios(number, 2000, seed_is_known=False).any()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "torch", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_given_token_gets_the_numbers_of_a_draw(backend: Any, dtype: Any) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    generator = np.random.default_rng(3)
    history = History.of([[1, 2, 3]] * 6, [[4, 5]] * 6)
    for maker in MAKERS:
        logits = generator.normal(0, 2, (6, 400)).astype(dtype)
        pipeline = chain(maker(generator))
        samplers = [Sampler(pipeline, seed) for seed in range(6)]
        drawn = BatchSampler(samplers, backend=backend)(logits, history)
        ids = [item.token_id for item in drawn if isinstance(item, Sample)]
        others = [Sampler(pipeline, seed + 50) for seed in range(6)]
        assert TokenDescriber(others, backend=backend)(logits, history, ids) == drawn


def test_a_removed_token_names_who_removed_it() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]], np.float32))
    [token] = score_logits(logits, [0], [3], chain(TopK(3), TopP(0.7))).tokens
    assert token.processed_logprob == -math.inf
    assert token.removed_by is not None
    assert token.removed_by.startswith("TopK(top_k=3")
    assert [item.count for item in token.removals] == [1, 1]
    assert token.support_size == 2
    assert token.rank == 4


def test_rescoring_under_another_pipeline() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]], np.float32))
    found = score_logits(logits, [0], [1, 2], Temperature(0.5))
    weights = np.exp(2 * logits.astype(np.float64))
    want = np.log(weights / weights.sum(axis=1, keepdims=True))[[0, 1], [1, 2]]
    assert np.allclose([token.processed_logprob for token in found.tokens], want, atol=1e-6)
    assert np.allclose([token.raw_logprob for token in found.tokens], logits[[0, 1], [1, 2]])
    assert found.kept_ids(0).tolist() == [0, 1, 2]


def test_a_batch_as_arrays_for_a_trainer() -> None:
    model = hash_model(50)
    scores = score_batch(model, [[1, 2], [3]], [[4, 5, 6], [7]], [TopK(50), None])
    arrays = stack(scores)
    assert arrays.is_token.tolist() == [[True, True, True], [True, False, False]]
    assert arrays.token_ids.tolist() == [[4, 5, 6], [7, 0, 0]]
    assert arrays.processed_logprobs[1, 0] == scores[1].tokens[0].processed_logprob
    assert arrays.support_sizes[0, 0] == 50
    with pytest.raises(ParameterError, match="one a prompt"):
        score_batch(model, [[1]], [[1], [2]])


def test_bad_input_is_refused_by_name() -> None:
    model = hash_model(50)
    with pytest.raises(ParameterError, match="prompt must be text or token ids"):
        score(model, None, [1, 2])
    with pytest.raises(ParameterError, match="below 50"):
        score(model, [1], [50])
    with pytest.raises(ParameterError, match="at least one token"):
        score(model, [1], [])
    with pytest.raises(ShapeError, match="one row a token"):
        score_logits(np.zeros((2, 5), np.float32), [1], [1, 2, 3])
    response = generate(
        model, [1], GenerationParameters(max_new_tokens=3, seed=1), pipeline=TopK(3)
    )
    with pytest.raises(ParameterError, match="made with Pipeline"):
        score(model, None, response)


def test_the_same_tokens_from_every_form() -> None:
    asked = GenerationParameters(max_new_tokens=6, seed=4, temperature=0.8, details=True)
    response = generate(MODEL, "ab", asked)
    ids = tuple(token.id for token in response.tokens)
    record = json.loads(json.dumps(response.to_record()))
    tgi = json.loads(response.to_json())
    for form in (response, record, tgi, list(ids), np.array(ids)):
        assert transcript_of(form, MODEL).token_ids == ids
    assert transcript_of(record).parameters == asked
    assert transcript_of(tgi).prompt is None
    openai = {"choices": [{"token_ids": list(ids), "text": ""}], "prompt_token_ids": [99, 100]}
    assert transcript_of(openai).prompt == (99, 100)
    spelled = [token for token in response.tokens if not token.special]
    content = [
        {"token": token.text, "logprob": token.logprob, "bytes": list(token.bytes or b"")}
        for token in spelled
    ]
    found = transcript_of({"choices": [{"logprobs": {"content": content}}]}, MODEL)
    bytes_of = MODEL.tokenizer.vocabulary.bytes_of
    assert [bytes_of(item) for item in found.token_ids] == [token.bytes for token in spelled]
    assert not found.is_exact
    named = [{"token": f"token_id:{item}", "logprob": -1.0} for item in ids]
    assert transcript_of({"choices": [{"logprobs": {"content": named}}]}).token_ids == ids
    with pytest.raises(ParameterError, match="`details`"):
        transcript_of({"text": "x"})


def test_a_response_can_be_made_again() -> None:
    asked = GenerationParameters(max_new_tokens=6, temperature=0.8, truncate=2)
    response = generate(MODEL, "abcd", asked)
    made_with = response.provenance
    assert made_with is not None
    assert made_with.prompt == (101, 102)  # "cd", truncated
    assert made_with.parameters == asked
    assert made_with.noise_law.startswith("philox")
    again = GenerationParameters.from_dict(
        {**made_with.parameters.to_dict(), "seed": response.seed}
    )
    assert generate(MODEL, list(made_with.prompt), again) == response
    *_, last = stream(MODEL, "abcd", again)
    assert last.details is not None
    assert last.details.provenance == replace(made_with, parameters=again)
    assert "provenance" not in last.to_json() + response.to_json()
    read = Response.from_json(json.dumps(response.to_record()))
    assert (read.details, read.generated_text) == (response.details, response.generated_text)
    assert read.provenance == made_with
    scores = score(MODEL, None, read)
    assert np.abs(scores.log_ratios).max() < 1e-9


def test_a_fingerprint_tells_files_apart(tmp_path: Any) -> None:
    from decoding.models.fingerprint import fingerprint_of

    (tmp_path / "a").write_bytes(bytes(3 << 20))
    no_utf8 = tmp_path / os.fsdecode(b"\xff")
    no_utf8.write_bytes(b"x")
    assert fingerprint_of([no_utf8], "float32").endswith("-float32")
    before = fingerprint_of([tmp_path / "a"], "float32")
    assert before == fingerprint_of([tmp_path / "a"], "float32")
    assert before != fingerprint_of([tmp_path / "a"], "bfloat16")
    with (tmp_path / "a").open("r+b") as stream:
        stream.seek((3 << 20) - 12000)  # in one of the samples
        stream.write(b"x" * 12000)
    assert before != fingerprint_of([tmp_path / "a"], "float32")


def test_a_callable_and_a_cached_model_are_scored_alike() -> None:
    forward = hash_model(60)
    ids = [7, 8, 9] * 30
    one = score(forward, [1, 2], ids, TopP(0.9))
    other = score(LanguageModel(forward=forward), [1, 2], ids, TopP(0.9))
    assert one.tokens == other.tokens
    assert len(one) == 90


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_padded_batch_in_bfloat16_gives_the_sampler_back(backend: str) -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(9)
    lengths, longest = (5, 9, 1), 9
    logits = torch.from_numpy(generator.normal(0, 3, (3, longest, VOCAB))).to(torch.bfloat16)
    scores, claimed = [], np.zeros((3, longest))
    for text, length in enumerate(lengths):
        logits[text, length:] = math.nan  # what a trainer has behind the end of a text
        pipeline = chain(RepetitionPenalty(1.2), Temperature(0.8), MinP(0.02), Dry(0.5))
        sampler, prompt, ids = Sampler(pipeline, 70 + text), [text, 4], []
        alone = BatchSampler([sampler], backend=backend)
        for place in range(length):
            [drawn] = alone(logits[text, place : place + 1], History.of([prompt], [ids]))
            assert isinstance(drawn, Sample)
            claimed[text, place] = drawn.processed_logprob
            ids.append(drawn.token_id)
        scores.append(score_logits(logits[text, :length], prompt, ids, sampler, backend=backend))
    arrays = stack(scores)
    assert arrays.is_token.sum(axis=1).tolist() == list(lengths)
    assert np.array_equal(arrays.processed_logprobs, claimed)
    assert not arrays.processed_logprobs[~arrays.is_token].any()
