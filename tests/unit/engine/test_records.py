"""Records of sequences that another loop has drawn equal those of `generate`."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hashed_models import MODEL

from decoding import BatchSampler, GenerationParameters, Sample, Sampler, generate, stream
from decoding.engine import Ending, StopStrings, Transcript, event_of, response_of
from decoding.errors import ParameterError
from decoding.history import History
from decoding.wire.openai import (
    Chunks,
    CompletionChunks,
    Head,
    answer,
    completion_choice,
    usage,
)
from decoding.wire.sse import DONE, event, tgi_event

PROMPT = [72, 103, 110]
ASKED = GenerationParameters(max_new_tokens=12, seed=4, top_n_tokens=2, details=True)
HEAD = Head("text_completion", "cmpl-1", 1700000000, "mine", "v1")


def drawn(seed: int = 4, stop: tuple[str, ...] = ()) -> tuple[Transcript, list[str]]:
    assert MODEL.tokenizer is not None
    ending = Ending(12, MODEL.eos_token_ids, StopStrings(stop))
    transcript = Transcript(ending, MODEL.tokenizer.vocabulary)
    sampler = BatchSampler([Sampler(seed=seed, top_n=2)])
    generated: list[int] = []
    texts: list[str] = []
    forward: Any = MODEL.forward
    while transcript.finish_reason is None:
        [sample] = sampler(forward([[*PROMPT, *generated]]), History.of([PROMPT], [generated]))
        assert not isinstance(sample, Exception)
        texts.append(transcript.push(sample))
        generated.append(sample.token_id)
    return transcript, texts


def test_a_response_is_that_of_generate() -> None:
    transcript, _ = drawn()
    mine = response_of([transcript], input_length=3, seeds=[4])
    assert mine == generate(MODEL, PROMPT, ASKED)
    assert mine.to_json() == generate(MODEL, PROMPT, ASKED).to_json()
    assert mine.input_length == 3


def test_events_are_those_of_stream() -> None:
    transcript, texts = drawn()
    assert MODEL.tokenizer is not None
    again = Transcript(Ending(12, MODEL.eos_token_ids), MODEL.tokenizer.vocabulary)
    whole = response_of([transcript], input_length=3, seeds=[4])
    events = []
    sampler = BatchSampler([Sampler(seed=4, top_n=2)])
    forward: Any = MODEL.forward
    for index in range(len(texts)):
        generated = [token.id for token in transcript.tokens[:index]]
        [sample] = sampler(forward([[*PROMPT, *generated]]), History.of([PROMPT], [generated]))
        assert not isinstance(sample, Exception)
        text = again.push(sample)
        response = whole if again.finish_reason is not None else None
        events.append(event_of(again, text, response=response))
    want = list(stream(MODEL, PROMPT, ASKED))
    assert events == want
    lines = b"".join(map(tgi_event, events))
    assert lines == b"".join(event(item.to_json()) for item in want)
    for line in lines.split(b"\n\n")[:-1]:
        assert json.loads(line.removeprefix(b"data:")).keys() >= {"index", "token"}


def test_several_sequences_have_a_winner() -> None:
    first, second = drawn(4)[0], drawn(5)[0]
    best = max((first, second), key=lambda item: item.mean_logprob)
    made = response_of([first, second], input_length=3, seeds=[4, 5], prompt_text="So: ")
    assert made.generated_text == "So: " + best.text
    assert len(made.best_of_sequences) == 1
    assert {made.seed, made.best_of_sequences[0].seed} == {4, 5}


def test_chunks_of_a_completion() -> None:
    transcript, texts = drawn()
    made = response_of([transcript], input_length=3)
    events = list(stream(MODEL, PROMPT, ASKED))
    chunks = CompletionChunks(HEAD, ["So: "], logprobs=1, include_usage=True)
    body = chunks.first() + "".join(chunks.write(0, item) for item in events)
    body += chunks.chunks.usage(usage(3, len(texts)))
    parsed = [json.loads(line[5:]) for line in (body + DONE.decode()).split("\n\n")[:-2]]
    choices = [item["choices"][0] for item in parsed if item["choices"]]
    assert "".join(item["text"] for item in choices) == "So: " + made.generated_text
    assert choices[-1]["finish_reason"] == "length"
    assert parsed[-1]["usage"]["total_tokens"] == 3 + len(texts)
    whole = answer(HEAD, [completion_choice(0, made, logprobs=1)], usage(3, len(texts)))
    assert whole["choices"][0]["text"] == made.generated_text
    streamed = [
        logprob
        for item in choices
        if item["logprobs"]
        for logprob in item["logprobs"]["token_logprobs"]
    ]
    assert streamed == pytest.approx(whole["choices"][0]["logprobs"]["token_logprobs"], abs=1e-5)


def test_what_pickles_and_copies() -> None:
    transcript, _ = drawn()
    for given in (
        transcript,
        response_of([transcript], input_length=3),
        event_of(transcript, ""),
        Chunks(HEAD, include_usage=True),
        CompletionChunks(HEAD),
        HEAD,
    ):
        for twin in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given)):
            assert type(twin) is type(given)
    twin = pickle.loads(pickle.dumps(transcript))
    assert (twin.text, twin.tokens) == (transcript.text, transcript.tokens)


def test_the_best_has_the_largest_mean_logprob() -> None:
    assert MODEL.tokenizer is not None
    transcripts = []
    for logprobs in ([-1.0], [-0.6, -0.6]):  # the sum of the second is smaller
        transcript = Transcript(Ending(len(logprobs)), MODEL.tokenizer.vocabulary)
        for logprob in logprobs:
            transcript.push(Sample(65, logprob, logprob, 1, 1.0, 3))
        transcripts.append(transcript)
    assert [item.mean_logprob for item in transcripts] == [-1.0, -0.6]
    best = response_of(transcripts, input_length=1, seeds=[1, 2])
    assert (best.seed, [item.seed for item in best.best_of_sequences]) == (2, [1])


def test_wrong_arguments() -> None:
    assert MODEL.tokenizer is not None
    begun = Transcript(Ending(3), MODEL.tokenizer.vocabulary)
    with pytest.raises(ParameterError, match="finished"):
        response_of([begun], input_length=1)
    with pytest.raises(ParameterError, match="transcripts"):
        response_of([], input_length=1)
    with pytest.raises(ParameterError, match="seeds"):
        response_of([drawn()[0]], input_length=1, seeds=[1, 2])
    with pytest.raises(ParameterError, match="token"):
        event_of(begun, "")
