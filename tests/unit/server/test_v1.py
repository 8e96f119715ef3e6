"""OpenAI's routes: choices, logprobs, stops, usage, streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving import Served, events, hashed

from decoding import GenerationParameters, Request, generate
from decoding.models.chat import chat_prompt

MESSAGES = [{"role": "user", "content": "Say it"}]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def chat(served: Served, **given: Any) -> Any:
    body = {"messages": MESSAGES, "max_tokens": 8, "seed": 5, **given}
    answer = served.post(CHAT, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(served: Served, path: str, **given: Any) -> list[Any]:
    body = {"max_tokens": 8, "seed": 5, "stream": True, **given}
    answer = served.post(path, body)
    assert answer.headers["content-type"] == "text/event-stream"
    found = events(answer.text)
    assert found[-1] == "[DONE]"
    assert answer.text.endswith("data: [DONE]\n\n")
    return found[:-1]


def alone(**given: Any) -> Any:
    model = hashed()
    prompt = chat_prompt(model, MESSAGES)
    return generate(model, prompt, GenerationParameters(**{"max_new_tokens": 8, **given}))


def test_an_answer_has_openais_shape(served: Served) -> None:
    found = chat(served, model="any name")
    response = alone(do_sample=True, seed=5)
    assert found["object"] == "chat.completion"
    assert found["model"] == "any name"
    assert found["id"].startswith("chatcmpl-")
    [choice] = found["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": response.generated_text},
        "logprobs": None,
        "finish_reason": "length",
    }
    prompt = response.input_length
    assert found["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": 8,
        "total_tokens": prompt + 8,
    }


def test_temperature_0_is_greedy_and_no_temperature_samples(served: Served) -> None:
    greedy = chat(served, temperature=0, top_p=0.5, top_k=3)["choices"][0]["message"]["content"]
    assert greedy == alone().generated_text
    sampled = chat(served)["choices"][0]["message"]["content"]
    assert sampled == alone(do_sample=True, seed=5).generated_text


def test_messages_may_be_a_string(served: Served) -> None:
    text = MESSAGES[0]["content"]
    assert chat(served, messages=text)["choices"] == chat(served)["choices"]


def test_n_choices_have_seeds_of_their_own_and_the_first_is_the_only_one(served: Served) -> None:
    three = chat(served, n=3)
    texts = [choice["message"]["content"] for choice in three["choices"]]
    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts[0] == chat(served)["choices"][0]["message"]["content"]
    assert three == {**chat(served, n=3), "id": three["id"], "created": three["created"]}
    again = chat(served, n=3, logprobs=True)["choices"]
    assert three["usage"]["completion_tokens"] == sum(map(tokens_of, again))


def test_best_of_answers_the_likeliest(served: Served) -> None:
    every = chat(served, n=4, logprobs=True)["choices"]

    def mean(choice: Any) -> float:
        listed = [item["logprob"] for item in choice["logprobs"]["content"]]
        return float(sum(listed) / len(listed))

    best = chat(served, n=1, best_of=4, logprobs=True)["choices"]
    assert [choice["message"] for choice in best] == [max(every, key=mean)["message"]]
    assert chat(served, best_of=4)["usage"]["completion_tokens"] == sum(map(tokens_of, every))


def tokens_of(choice: Any) -> int:
    """The tokens of a choice; a token that ends it is not in its logprobs."""
    return len(choice["logprobs"]["content"]) + (choice["finish_reason"] == "stop")


def test_logprobs_spell_the_text(served: Served) -> None:
    [choice] = chat(served, logprobs=True, top_logprobs=3)["choices"]
    content = choice["logprobs"]["content"]
    text = choice["message"]["content"]
    spelled = b"".join(bytes(item["bytes"]) for item in content)
    assert spelled.decode(errors="replace") == text
    for item in content:
        assert len(item["top_logprobs"]) == 3
        values = [top["logprob"] for top in item["top_logprobs"]]
        assert values == sorted(values, reverse=True)
    assert chat(served, top_logprobs=3)["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("wanted", ["string", "list"])
def test_stops_are_removed_from_the_text(served: Served, wanted: str) -> None:
    text = alone().generated_text
    stop = text[3:5]
    given = stop if wanted == "string" else ["never in it", stop]
    [choice] = chat(served, temperature=0, stop=given, logprobs=True)["choices"]
    assert choice["message"]["content"] == text[: text.index(stop)]
    assert choice["finish_reason"] == "stop"
    streamed = stream(served, CHAT, messages=MESSAGES, temperature=0, stop=given, logprobs=True)
    pieces = [chunk["choices"][0] for chunk in streamed]
    joined = "".join(piece["delta"].get("content") or "" for piece in pieces)
    assert joined == choice["message"]["content"]
    listed = [item for piece in pieces for item in (piece["logprobs"] or {}).get("content", ())]
    assert [item["token"] for item in listed] == [
        item["token"] for item in choice["logprobs"]["content"]
    ]
    assert pieces[-1]["finish_reason"] == "stop"


def test_logit_bias_is_a_mapping_of_ids(served: Served) -> None:
    found = chat(served, temperature=0, logit_bias={"67": 100})
    assert found["choices"][0]["message"]["content"] == "A" * 8
    banned = chat(served, temperature=0, allowed_token_ids=[67, 68], logit_bias={"67": -100})
    assert banned["choices"][0]["message"]["content"] == "B" * 8


def test_further_samplers_are_fields(served: Served) -> None:
    given = {"top_k": 20, "min_p": 0.01, "typical_p": 0.9, "repetition_penalty": 1.2}
    found = chat(served, temperature=0.7, top_p=0.9, frequency_penalty=0.5, **given)
    response = alone(
        do_sample=True, temperature=0.7, top_p=0.9, frequency_penalty=0.5, seed=5, **given
    )
    assert found["choices"][0]["message"]["content"] == response.generated_text
    neutral = chat(served, top_p=1, top_k=-1, typical_p=1.0, min_p=0)
    assert neutral["choices"][0]["message"] == chat(served)["choices"][0]["message"]


def test_max_completion_tokens_is_the_newer_name(served: Served) -> None:
    assert chat(served, max_completion_tokens=3)["usage"]["completion_tokens"] == 3


def test_a_seed_below_0_is_a_seed(served: Served) -> None:
    assert chat(served, seed=-1)["choices"] == chat(served, seed=2**64 - 1)["choices"]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
        {"type": "json_object", "value": SCHEMA},
        {"type": "json_schema", "value": {"name": "x", "schema": SCHEMA}},
        {"type": "json", "value": SCHEMA},
    ],
)
def test_a_response_format_comes_in_every_shape(served: Served, shape: Any) -> None:
    found = chat(served, response_format=shape, max_tokens=150)
    assert found["choices"][0]["finish_reason"] == "stop"
    assert isinstance(json.loads(found["choices"][0]["message"]["content"])["a"], bool)


def test_a_response_format_may_be_a_regex_or_text(served: Served) -> None:
    regex = chat(served, response_format={"type": "regex", "value": "yes|no"})
    assert regex["choices"][0]["message"]["content"] in ("yes", "no")
    text = chat(served, response_format={"type": "text"})
    assert text["choices"] == chat(served)["choices"]


def test_a_chat_streams_deltas(served: Served) -> None:
    chunks = stream(served, CHAT, messages=MESSAGES)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)
    joined = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert joined == chat(served)["choices"][0]["message"]["content"]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons[:-1] == [None] * (len(chunks) - 1)
    assert reasons[-1] == "length"


def test_usage_comes_last_where_it_is_asked_for(served: Served) -> None:
    options = {"stream_options": {"include_usage": True}}
    for path, body in ((CHAT, {"messages": MESSAGES}), (TEXT, {"prompt": "abc"})):
        chunks = stream(served, path, **body, **options)
        assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == 8


def test_choices_stream_side_by_side(served: Served) -> None:
    chunks = stream(served, CHAT, messages=MESSAGES, n=2)
    texts = ["", ""]
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    whole = chat(served, n=2)["choices"]
    assert texts == [choice["message"]["content"] for choice in whole]


def test_the_last_message_can_be_continued(served: Served) -> None:
    said = [*MESSAGES, {"role": "assistant", "content": "I sa"}]
    found = chat(
        served,
        messages=said,
        temperature=0,
        continue_final_message=True,
        add_generation_prompt=False,
    )
    model = hashed()
    prompt = chat_prompt(model, said, continue_final_message=True)
    response = generate(model, prompt, GenerationParameters(max_new_tokens=8))
    assert found["choices"][0]["message"]["content"] == response.generated_text


def test_completions_take_text_ids_and_lists_of_them(served: Served) -> None:
    asked = {"max_tokens": 4, "temperature": 0}

    def texts(prompt: Any) -> list[str]:
        found = served.post(TEXT, {"prompt": prompt, **asked}).json()
        assert found["object"] == "text_completion"
        assert [choice["index"] for choice in found["choices"]] == list(
            range(len(found["choices"]))
        )
        return [choice["text"] for choice in found["choices"]]

    ids = [byte + 2 for byte in b"abc"]
    [text] = texts("abc")
    assert text == generate(hashed(), "abc", GenerationParameters(max_new_tokens=4)).generated_text
    assert texts(ids) == [text]
    assert texts(["abc", ids]) == [text, text]
    assert texts(["abc", "x"])[0] == text
    assert Request("abc").inputs == "abc"


def test_completions_echo_and_show_logprobs(served: Served) -> None:
    asked = {"prompt": "abc", "max_tokens": 4, "temperature": 0, "logprobs": 2}
    plain = served.post(TEXT, asked).json()["choices"][0]
    echoed = served.post(TEXT, asked | {"echo": True}).json()["choices"][0]
    assert echoed["text"] == "abc" + plain["text"]
    shown = echoed["logprobs"]
    assert shown["tokens"][:3] == ["a", "b", "c"]
    assert shown["token_logprobs"][0] is None
    assert shown["token_logprobs"][3:] == pytest.approx(plain["logprobs"]["token_logprobs"])
    assert shown["text_offset"][:4] == [0, 1, 2, 3]
    assert plain["logprobs"]["text_offset"][0] == 0
    assert all(len(step) <= 2 for step in plain["logprobs"]["top_logprobs"])


def test_a_completion_that_only_echoes_scores_its_prompts(served: Served) -> None:
    asked = {"prompt": ["abc", "xy"], "temperature": 0, "logprobs": 2, "echo": True}
    found = served.post(TEXT, {**asked, "max_tokens": 0}).json()
    longer = served.post(TEXT, {**asked, "max_tokens": 1}).json()
    assert [choice["text"] for choice in found["choices"]] == ["abc", "xy"]
    assert found["usage"] == {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
    for choice, other in zip(found["choices"], longer["choices"], strict=True):
        assert choice["finish_reason"] == "length"
        assert choice["logprobs"] == {key: item[:-1] for key, item in other["logprobs"].items()}
    for refused in ({"echo": False}, {"stream": True}):
        assert served.post(TEXT, {**asked, "max_tokens": 0, **refused}).status_code == 422


@pytest.mark.parametrize("most", [0, 1, 5])
def test_alternatives_are_told_of_the_prompt_and_hold_the_token_itself(
    served: Served, most: int
) -> None:
    # lm-evaluation-harness asks so for likelihoods, and looks whether a token is the likeliest.
    asked = {"prompt": "abc", "max_tokens": 3, "seed": 4, "logprobs": most, "echo": True}
    shown = served.post(TEXT, asked).json()["choices"][0]["logprobs"]
    if not most:
        assert shown["top_logprobs"] is None
        return
    assert shown["top_logprobs"][0] is None
    steps = list(zip(shown["tokens"], shown["token_logprobs"], shown["top_logprobs"], strict=True))
    for token, logprob, step in steps[1:]:
        assert step[token] >= logprob  # several tokens may be U+FFFD
        assert most <= len(step) <= most + 1 or "\ufffd" in step
        assert list(step.values())[:most] == sorted(step.values(), reverse=True)[:most]
    [likely] = generate(
        hashed(), "ab", GenerationParameters(max_new_tokens=1, top_n_tokens=1)
    ).top_tokens
    assert next(iter(steps[2][2].values())) == pytest.approx(likely[0].raw_logprob, abs=1e-5)


def test_completions_stream(served: Served) -> None:
    chunks = stream(served, TEXT, prompt=["abc", "x"], temperature=0)
    texts = ["", ""]
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["text"]
    asked = {"prompt": ["abc", "x"], "max_tokens": 8, "temperature": 0}
    whole = served.post(TEXT, asked).json()["choices"]
    assert texts == [choice["text"] for choice in whole]
    echoed = stream(served, TEXT, prompt="abc", temperature=0, echo=True)
    assert echoed[0]["choices"][0]["text"] == "abc"


def test_chat_tokenize_shows_the_prompt(served: Served) -> None:
    found = served.post("/chat_tokenize", {"messages": MESSAGES}).json()
    assert found["templated_text"] == "[user]Say it[assistant]"
    assert "".join(item["text"] for item in found["tokenize_response"]) == found["templated_text"]


def test_a_chat_names_its_template(served: Served) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    unknown = {"tools": tools, "tool_choice": "none", "chat_template": "default"}
    for more, shown in (
        ({}, "[user]Say it[assistant]"),
        ({"tools": tools}, "tools: f"),
        (unknown, "[user]Say it[assistant]"),
        ({"chat_template": "rag"}, "rag: Say it"),
    ):
        given = {"messages": MESSAGES, **more}
        found = served.post("/chat_tokenize", given).json()
        assert found["templated_text"] == shown
        used = served.post(CHAT, {**given, "max_tokens": 1}).json()["usage"]
        assert used["prompt_tokens"] == len(shown), more
    for path in ("/chat_tokenize", CHAT):
        given = {"messages": MESSAGES, "chat_template": "{{ 1 }}"}
        refused = served.post(path, given)
        assert refused.status_code == 422
        assert "chat templates (default, rag, tool_use)" in refused.text


def test_a_template_that_fails_is_the_requests_fault(served: Served) -> None:
    answer = served.post(CHAT, {"messages": [{"role": "user", "content": {"a": 1}}]})
    assert answer.status_code == 422
    answer = served.post(CHAT, {"messages": []})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        (CHAT, "top_logprobs", {"messages": "x", "logprobs": True}),
        (TEXT, "logprobs", {"prompt": "x"}),
    ],
)
def test_too_many_alternatives_are_refused_with_the_range(
    served: Served, path: str, name: str, body: dict[str, Any]
) -> None:
    answer = served.post(path, {**body, name: 21})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["param"] == name
    wanted = f"Input validation error: `{name}` must be >= 0 and <= 20. Given: 21"
    assert error["message"] == wanted


def test_content_may_come_in_parts(served: Served) -> None:
    def parts(*texts: str) -> Any:
        content = [{"type": "text", "text": text} for text in texts]
        return [{"role": "user", "content": content}]

    assert chat(served, messages=parts("Say", " it"))["choices"] == chat(served)["choices"]
    whole = served.post("/chat_tokenize", {"messages": parts("Say", " it")}).json()
    assert whole == served.post("/chat_tokenize", {"messages": MESSAGES}).json()
    picture = {"type": "image_url", "image_url": {"url": "https://x"}}
    said = [{"role": "user", "content": [*parts("See")[0]["content"], picture]}]
    answer = served.post(CHAT, {"messages": said})
    assert answer.status_code == 422
    assert "messages[0].content[1]" in answer.json()["error"]["message"]
    assert "image_url" in answer.json()["error"]["message"]


def test_whole_numbers_may_be_spelled_with_a_point(served: Served) -> None:
    assert chat(served, max_tokens=8.0, top_k=5.0)["choices"] == chat(served, top_k=5)["choices"]
    texts = [
        served.post(TEXT, {"prompt": ids, "max_tokens": 4, "temperature": 0}).json()["choices"]
        for ids in ([[5, 6]], [[5.0, 6.0]], [5.0, 6])
    ]
    assert texts[0] == texts[1] == texts[2]
    refused = served.post(CHAT, {"messages": "x", "max_tokens": 8.5})
    assert refused.status_code == 422


def test_token_ids_beyond_the_model_are_refused_at_once(served: Served) -> None:
    answer = served.post(TEXT, {"prompt": [[5, 300]]})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "prompt"
    assert "below 300. Given: 300" in answer.json()["error"]["message"]


@pytest.mark.parametrize("choice", ["", {}])
def test_an_empty_tool_choice_is_none_of_the_choices(served: Served, choice: Any) -> None:
    answer = served.post(CHAT, {"messages": "x", "max_tokens": 2, "tool_choice": choice})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "tool_choice"


def test_a_part_says_its_type(served: Served) -> None:
    said = [{"role": "user", "content": [{"text": "Say it"}]}]
    assert served.post(CHAT, {"messages": said}).status_code == 422


def test_an_empty_stop_stops_nothing(served: Served) -> None:
    assert chat(served, stop="")["choices"] == chat(served)["choices"]
