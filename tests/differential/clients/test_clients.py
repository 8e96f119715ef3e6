"""The clients that users have, against a server in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import GenerationError, HfHubHTTPError, OverloadedError, ValidationError
from serving import Served, Slow, hashed, serving

from decoding import GenerationParameters, generate

PROMPT = "Once upon a time"
EVERY: dict[str, Any] = {
    "max_new_tokens": 8,
    "do_sample": True,
    "temperature": 0.9,
    "top_k": 50,
    "top_p": 0.95,
    "typical_p": 0.95,
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.2,
    "seed": 7,
    "stop": ["@@"],
    "truncate": 12,
    "watermark": True,
    "top_n_tokens": 2,
    "return_full_text": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(hashed()) as running:
        yield running


@pytest.fixture
def hub(served: Served) -> InferenceClient:
    return InferenceClient(model=served.url)


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def alone(**given: Any) -> Any:
    return generate(hashed(), PROMPT, GenerationParameters(**{**EVERY, **given}))


def test_hub_text_generation_in_all_four_modes_with_every_parameter(hub: InferenceClient) -> None:
    response = alone()
    assert hub.text_generation(PROMPT, **EVERY) == response.generated_text
    whole = hub.text_generation(PROMPT, details=True, decoder_input_details=True, **EVERY)
    assert whole.generated_text == response.generated_text
    assert whole.details is not None
    assert whole.details.seed == 7
    assert len(whole.details.prefill) == 12
    assert [token.id for token in whole.details.tokens] == [token.id for token in response.tokens]
    pieces = list(hub.text_generation(PROMPT, stream=True, **EVERY))
    assert pieces == [token.text for token in response.tokens if not token.special]
    events = list(hub.text_generation(PROMPT, stream=True, details=True, **EVERY))
    assert [event.index for event in events] == list(range(1, len(events) + 1))
    last = events[-1]
    assert last.generated_text == response.generated_text
    assert last.details is not None
    assert last.details.generated_tokens == response.generated_tokens
    assert last.details.input_length == 12


def test_hub_best_of_and_grammars(hub: InferenceClient) -> None:
    found = hub.text_generation(PROMPT, do_sample=True, best_of=2, max_new_tokens=4, details=True)
    assert found.details is not None
    assert len(found.details.best_of_sequences or []) == 1
    grammar: Any = {"type": "json", "value": SCHEMA}
    text = hub.text_generation(PROMPT, grammar=grammar, max_new_tokens=100)
    assert isinstance(json.loads(text)["a"], bool)


@pytest.mark.parametrize("stream", [False, True])
def test_hub_raises_the_error_of_the_type(served: Served, stream: bool) -> None:
    hub = InferenceClient(model=served.url)

    def ask(**given: Any) -> None:
        answer = hub.text_generation("x", stream=stream, **given)
        list(answer)

    with pytest.raises(ValidationError, match="`temperature` must be strictly positive"):
        ask(temperature=-1.0)

    def failing(sequences: list[list[int]]) -> Any:
        raise MemoryError("no room")

    with serving(hashed(forward=failing)) as running:
        hub = InferenceClient(model=running.url)
        with pytest.raises(GenerationError, match="no room"):
            ask(max_new_tokens=3)
    with serving(hashed(forward=Slow(0.01)), max_concurrent_requests=1) as running:
        hub = InferenceClient(model=running.url)
        hold = InferenceClient(model=running.url)
        held = hold.text_generation("y", stream=True, max_new_tokens=150)
        next(iter(held))
        with pytest.raises(OverloadedError, match="Model is overloaded"):
            ask(max_new_tokens=3)


def test_hub_chats(hub: InferenceClient) -> None:
    said: Any = [{"role": "user", "content": "Say it"}]
    asked: dict[str, Any] = {"max_tokens": 6, "seed": 3, "temperature": 0.8, "top_p": 0.9}
    whole = hub.chat_completion(said, logprobs=True, top_logprobs=2, **asked)
    text = whole.choices[0].message.content
    assert whole.usage.completion_tokens == 6
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    chunks = list(hub.chat_completion(said, stream=True, **asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert chunks[-1].choices[0].finish_reason == "length"
    schema: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    found = hub.chat_completion(said, response_format=schema, max_tokens=100, seed=1)
    assert isinstance(json.loads(found.choices[0].message.content or "")["a"], bool)
    with pytest.raises(HfHubHTTPError, match="`top_p` must be"):
        hub.chat_completion(said, top_p=3.0)


TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "set", "description": "", "parameters": SCHEMA}}
]


def test_hub_calls_tools_with_every_parameter() -> None:
    with serving(hashed(context_length=2000)) as running:
        _call_tools(InferenceClient(model=running.url))


def _call_tools(hub: InferenceClient) -> None:
    history: Any = [
        {"role": "user", "content": "Set a"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "set", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ]  # fmt: skip
    choices: Any = ("required", {"type": "function", "function": {"name": "set"}})
    for choice in choices:
        found = hub.chat_completion(
            history, tools=TOOLS, tool_choice=choice, tool_prompt="Pull.", logit_bias=[0.0, 0.5],
            max_tokens=120, seed=3, temperature=1.2,
        ).choices[0]  # fmt: skip
        [call] = found.message.tool_calls or []
        assert isinstance(json.loads(call.function.arguments)["a"], bool)
        assert found.finish_reason == "tool_calls"
    assert hub.chat_completion(history, max_tokens=2).choices[0].message.content is not None


def test_openai_scores_a_prompt(client: openai.OpenAI) -> None:
    found = client.completions.create(
        model="any", prompt="abc", max_tokens=0, echo=True, logprobs=1, temperature=0
    )
    [choice] = found.choices
    shown = choice.logprobs
    assert shown is not None
    assert choice.text == "abc"
    assert shown.tokens == ["a", "b", "c"]
    assert shown.top_logprobs is not None
    for token, logprob, top in list(
        zip(shown.tokens, shown.token_logprobs or [], shown.top_logprobs, strict=True)
    )[1:]:
        assert top[token] == logprob
        assert max(top.values()) >= (logprob or 0.0)


def test_openai_chats_with_schema_logprobs_and_choices(client: openai.OpenAI) -> None:
    said: Any = [{"role": "user", "content": "Say it"}]
    whole = client.chat.completions.create(
        model="any",
        messages=said,
        max_tokens=6,
        n=2,
        seed=1,
        stop=["@@"],
        logprobs=True,
        top_logprobs=5,
        logit_bias={"67": 5},
        presence_penalty=0.1,
        frequency_penalty=0.1,
        extra_body={"top_k": 40, "min_p": 0.01, "min_tokens": 2},
    )
    assert [choice.index for choice in whole.choices] == [0, 1]
    [first, *_] = whole.choices[0].logprobs.content
    assert len(first.top_logprobs) == 5
    strict: Any = {
        "type": "json_schema",
        "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
    }
    found = client.chat.completions.create(
        model="any", messages=said, response_format=strict, max_tokens=100, seed=1
    )
    assert isinstance(json.loads(found.choices[0].message.content or "")["a"], bool)
    with client.chat.completions.create(
        model="any",
        messages=said,
        max_tokens=6,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


def test_openai_completions_and_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["hashed"]
    whole = client.completions.create(
        model="any", prompt=["a", "b"], max_tokens=4, seed=1, logprobs=1, echo=True
    )
    assert [choice.text[0] for choice in whole.choices] == ["a", "b"]
    with client.completions.create(
        model="any", prompt=["a", "b"], max_tokens=4, seed=1, stream=True
    ) as stream:
        texts = ["", ""]
        for chunk in stream:
            texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text[1:] for choice in whole.choices]


def test_openai_shows_the_text_of_errors(client: openai.OpenAI) -> None:
    said: Any = [{"role": "user", "content": "x"}]
    for stream in (False, True):
        with pytest.raises(openai.UnprocessableEntityError, match="`top_p` must be") as caught:
            client.chat.completions.create(model="m", messages=said, top_p=3, stream=stream)
        assert caught.value.param == "top_p"
        assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.UnprocessableEntityError, match="Suffix is not supported"):
        client.completions.create(model="m", prompt="x", suffix="y")
    with serving(hashed(), api_key="key") as running:
        wrong = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            wrong.chat.completions.create(model="m", messages=said)
        right = openai.OpenAI(base_url=f"{running.url}/v1", api_key="key")
        right.chat.completions.create(model="m", messages=said, max_tokens=1)
        hub = InferenceClient(model=running.url, token="key")
        assert isinstance(hub.text_generation("x", max_new_tokens=1), str)


def test_openai_sees_an_error_within_a_stream() -> None:
    def failing(sequences: list[list[int]]) -> Any:
        if max(map(len, sequences)) > 25:
            raise MemoryError("no room")
        return hashed().forward(sequences)

    with serving(hashed(forward=failing)) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        said: Any = [{"role": "user", "content": "x"}]
        stream = client.chat.completions.create(
            model="m", messages=said, max_tokens=50, seed=1, stream=True
        )
        with pytest.raises(openai.APIError, match="no room"), stream:
            list(stream)


def test_the_legacy_client_generates_and_streams(served: Served) -> None:
    text_generation = pytest.importorskip("text_generation")
    client = text_generation.Client(served.url)
    response = generate(hashed(), PROMPT, GenerationParameters(max_new_tokens=6))
    found = client.generate(PROMPT, max_new_tokens=6, decoder_input_details=True, top_n_tokens=2)
    assert found.generated_text == response.generated_text
    assert len(found.details.prefill) == len(PROMPT)
    events = list(client.generate_stream(PROMPT, max_new_tokens=6))
    assert events[-1].generated_text == response.generated_text
    with pytest.raises(text_generation.errors.ValidationError, match="`stop` supports up to 4"):
        client.generate(PROMPT, stop_sequences=["a"] * 5)
