"""Tool calls: every call that begins is one that parses, in every format and choice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from chat_models import (
    CHATML,
    HERMES,
    KNOWING,
    LLAMA_3,
    MISTRAL,
    Scripted,
    answer,
    ids_of,
    model_of,
    sampled,
    without_ids,
)
from profiles import amount

from decoding import GenerationParameters
from decoding.chat import ChatMessage, fold, prepare
from decoding.engine import Engine
from decoding.errors import GrammarError, ParameterError
from decoding.models.chat import chat_prompt

USER = {"role": "user", "content": "Hi"}

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Paris", 'New "York"', "Rome}}"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "notes": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    },
    "required": ["city"],
}
FLAG = {
    "type": "object",
    "properties": {"on": {"$ref": "#/$defs/switch"}},
    "required": ["on"],
    "$defs": {"switch": {"type": "boolean"}},
}


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    function = {"name": name, "description": "does it"}
    return {
        "type": "function",
        "function": function | ({"parameters": parameters} if parameters else {}),
    }


def test_tools_choose_the_template_for_tools_and_its_format() -> None:
    model = replace(model_of(CHATML), chat_templates={"tool_use": LLAMA_3, "other": HERMES})
    [stop] = read = [tool("stop")]

    def prompt_and_format(**given: Any) -> tuple[list[int], str | None]:
        prepared = prepare(model, "Hi", **given)
        tools = prepared.form.tools
        assert not isinstance(prepared.request.inputs, str)
        return list(prepared.request.inputs), None if tools is None else tools.name

    plain = model_of(CHATML)
    assert prompt_and_format() == (chat_prompt(plain, [USER]), None)
    assert prompt_and_format(tools=read, tool_choice="none") == prompt_and_format()
    used = chat_prompt(model_of(LLAMA_3), [USER], tools=[stop])
    assert prompt_and_format(tools=read) == (used, "llama3_json")
    other = chat_prompt(model_of(HERMES), [USER], tools=[stop])
    assert prompt_and_format(tools=read, chat_template="other") == (other, "hermes")
    assert prompt_and_format(chat_template="other") == (chat_prompt(model_of(HERMES), [USER]), None)
    with pytest.raises(
        ParameterError, match=r"chat templates \(default, other, tool_use\), got 'x'"
    ):
        prepare(model, "Hi", chat_template="x")
    with pytest.raises(ParameterError, match=r"chat templates \(other\), got None"):
        prepare(replace(plain, chat_template=None, chat_templates={"other": HERMES}), "Hi")


TOOLS = [tool("get_weather", WEATHER), tool("switch", FLAG), tool("stop")]
SCHEMAS = {"get_weather": WEATHER, "switch": FLAG, "stop": {"const": {}}}
TEMPLATES = {
    "generic": CHATML,
    "hermes": HERMES,
    "llama3": LLAMA_3,
    "mistral": MISTRAL,
    "unknown": KNOWING,
}


def check(message: ChatMessage) -> int:
    """How many calls there are; all are valid, but the last one where the tokens ran out."""
    assert len({call.id for call in message.tool_calls}) == len(message.tool_calls)
    for index, call in enumerate(message.tool_calls):
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            assert message.finish_reason == "length"
            assert index == len(message.tool_calls) - 1
            continue
        jsonschema.validate(arguments, SCHEMAS[call.name])
    if message.tool_calls:
        assert message.finish_reason in ("tool_calls", "length")
    else:
        assert message.finish_reason in ("stop", "length")
    return len(message.tool_calls)


QUICK = (("generic", True), ("hermes", None), ("mistral", False))


@pytest.mark.parametrize(
    ("name", "parallel"),
    [
        pytest.param(name, parallel, marks=() if (name, parallel) in QUICK else pytest.mark.slow)
        for name in TEMPLATES
        for parallel in (None, True, False)
    ],
)
def test_required_calls_parse_and_validate(name: str, parallel: bool | None) -> None:
    model = model_of(TEMPLATES[name])
    several = 0
    for seed in range(4):
        prepared = prepare(
            model, "hello", tools=TOOLS, tool_choice="required", parallel_tool_calls=parallel,
            parameters=sampled(seed),
        )  # fmt: skip
        response, message = answer(prepared, model)
        assert message.content is None
        if response.finish_reason != "length":
            count = check(message)
            assert count >= 1
            several += count > 1
    assert (several > 0) == (parallel is True or (parallel is None and name != "generic"))


@pytest.mark.parametrize("choice", ["switch", {"type": "function", "function": {"name": "switch"}}])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_named_tool_is_called_once(name: str, choice: Any) -> None:
    model = model_of(TEMPLATES[name])
    for seed in range(2):
        prepared = prepare(model, "x", tools=TOOLS, tool_choice=choice, parameters=sampled(seed))
        _, message = answer(prepared, model)
        assert [call.name for call in message.tool_calls] == ["switch"]
        assert message.finish_reason == "tool_calls"
        check(message)


OPENINGS = {
    "generic": ("ok <tool_call>",),
    "hermes": ("I call ", b"<tool_call>"),
    "llama3": ("see ", b"<|python_tag|>"),
    "mistral": ("fine ", b"[TOOL_CALLS]"),
    "unknown": ("<tool_c", "all>"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_call_that_begins_by_itself_is_complete(name: str) -> None:
    # The model wants to open a call, and then to write what is none.
    model = model_of(TEMPLATES[name], Scripted(ids_of(*OPENINGS[name], "garbage" * 40)))
    for seed in range(2):
        parameters = sampled(seed, 1200)
        prepared = prepare(model, "x", tools=TOOLS, parameters=parameters)
        response, message = answer(prepared, model)
        before = OPENINGS[name][0].removesuffix("<tool_call>").removesuffix("<tool_c").strip()
        if response.generated_text.startswith(before):
            assert check(message) >= 1
            assert (message.content or "").startswith(before)


@pytest.mark.parametrize("length", [12, 14, 20, 34, 44, 50])
def test_a_call_that_the_tokens_run_out_in_ends_with_length(length: int) -> None:
    script = ids_of("<tool_call>", '{"name": "get_weather", "arguments": {"city": "Rome}}"}}')
    model = model_of(HERMES, Scripted(script))
    parameters = GenerationParameters(max_new_tokens=length)
    _, message = answer(prepare(model, "x", tools=TOOLS, parameters=parameters), model)
    assert message.finish_reason == "length"
    assert '{"city": "Rome}}"}'.startswith("".join(call.arguments for call in message.tool_calls))


def test_what_only_looks_like_a_tag_is_content() -> None:
    text = "a <tool_cal l> <tool_call <tool_ca"
    for template in (HERMES, CHATML):
        model = model_of(template, Scripted(ids_of(text)))
        parameters = GenerationParameters(max_new_tokens=100)
        _, message = answer(prepare(model, "x", tools=TOOLS, parameters=parameters), model)
        assert without_ids(message) == (text, None, [], "stop")


CALLS = [
    ("get_weather", '{"city": "Paris", "days": 3}'),
    ("switch", '{"on": true}'),
    ("get_weather", '{"city": "New \\"York\\"", "notes": ["}{", "\\\\"]}'),
]


def written(name: str) -> list[int]:
    """The tokens of an answer with these calls."""
    key = "parameters" if name == "llama3" else "arguments"
    calls = [f'{{"name": "{tool}", "{key}": {arguments}}}' for tool, arguments in CALLS]
    match name:
        case "llama3":
            return ids_of(b"<|python_tag|>", "; ".join(calls))
        case "mistral":
            return ids_of("sure\n", b"[TOOL_CALLS]", " [" + ", ".join(calls) + "]")
    first, *rest = calls
    parts = ["sure\n", b"<tool_call>", f"\n{first}\n", b"</tool_call>"]
    for call in rest:
        parts += [f"\n<tool_call>{call}\n</tool_call>"]
    return ids_of(*parts)


@pytest.mark.parametrize("name", ["hermes", "llama3", "mistral", "unknown"])
def test_what_a_model_writes_in_its_format_comes_out_as_it_is(name: str) -> None:
    model = model_of(TEMPLATES[name], Scripted(written(name)))
    prepared = prepare(model, "x", tools=TOOLS, parameters=GenerationParameters(max_new_tokens=600))
    _, message = answer(prepared, model)
    content = None if name == "llama3" else "sure"
    assert without_ids(message) == (content, None, CALLS, "tool_calls")
    if name == "mistral":
        assert all(len(call.id) == 9 and call.id.isalnum() for call in message.tool_calls)


def test_a_bare_llama_call_begins_an_answer_and_nothing_else() -> None:
    call = '{"name": "switch", "parameters": {"on": false}}'
    parameters = GenerationParameters(max_new_tokens=300)
    for text, calls in ((call, 1), (f"\n{call}", 1), (f"I say {call}", 0)):
        model = model_of(LLAMA_3, Scripted(ids_of(text)))
        _, message = answer(prepare(model, "x", tools=TOOLS, parameters=parameters), model)
        assert len(message.tool_calls) == calls
        assert message.content == (None if calls else text)


@pytest.mark.parametrize("name", ["hermes", "llama3", "mistral"])
def test_the_pieces_do_not_depend_on_where_the_text_is_cut(name: str) -> None:
    model = model_of(TEMPLATES[name], Scripted(written(name)))
    prepared = prepare(model, "x", tools=TOOLS, parameters=GenerationParameters(max_new_tokens=600))
    response, message = answer(prepared, model)
    vocabulary = prepared.vocabulary
    text = b"".join(vocabulary.bytes_of(token.id) for token in response.tokens[:-1]).decode()
    for size in (1, 2, 3, 7, 50, 1000):
        for offset in range(min(size, 8)):
            reader, deltas = prepared.reader(), []
            for begin in range(-offset, len(text), size):
                deltas += reader.take(text[max(begin, 0) : begin + size])
            again = fold(deltas, reader.finish(response.finish_reason))
            assert without_ids(again) == without_ids(message)


def test_arguments_are_streamed() -> None:
    model = model_of(HERMES, Scripted(written("hermes")))
    prepared = prepare(model, "x", tools=TOOLS, parameters=GenerationParameters(max_new_tokens=600))
    engine = Engine(model)
    generation = engine.submit(prepared.request)
    reader, pieces = prepared.reader(), []
    while engine.busy:
        engine.step()
        for event in generation.take_events():
            pieces += [d.tool_call for d in reader.read(event) if d.tool_call is not None]
    named = [piece for piece in pieces if piece.name is not None]
    assert [piece.index for piece in named] == [0, 1, 2]
    assert all(piece.id and not piece.arguments for piece in named)
    assert max(len(piece.arguments) for piece in pieces) == 1  # a token, here a byte


def test_a_stop_string_never_cuts_a_call() -> None:
    model = model_of(HERMES, Scripted(written("hermes")))
    stops = GenerationParameters(max_new_tokens=600, stop=["Par", "on"])
    _, message = answer(prepare(model, "x", tools=TOOLS, parameters=stops), model)
    assert without_ids(message) == ("sure", None, [], "stop")
    asked = prepare(model, "x", tools=TOOLS, tool_choice="required", parameters=stops)
    _, message = answer(asked, model)
    assert check(message) >= 1


@pytest.mark.parametrize("begun", ["", "<tool_c", pytest.param("Well: ", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "opened",
    [
        pytest.param("<tool_call>", marks=pytest.mark.slow),
        "<tool_call>\n",
        pytest.param('<tool_call>\n{"name": "get_', marks=pytest.mark.slow),
        '<tool_call>{"name":"get_weather","arguments":{"ci',
        '<tool_call>{"name": "switch", "arguments": {"on": true}}</tool_call>\n<tool_call>\n{"na',
    ],
)
def test_a_call_that_the_prompt_has_opened_comes_whole(begun: str, opened: str) -> None:
    if begun == "<tool_c":
        begun, opened = opened[:7], ""
    model = model_of(HERMES)
    for seed in range(amount(check=1, full=2)):
        messages = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": begun + opened},
        ]
        prepared = prepare(
            model, messages, tools=TOOLS, continue_final_message=True, parameters=sampled(seed, 900)
        )
        _, message = answer(prepared, model)
        if opened:
            assert check(message) >= 1
        assert not (message.content or "").startswith(begun or "\0")


def test_a_call_that_the_prompt_has_opened_wrongly_is_refused() -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "<tool_call>no"}]
    with pytest.raises(ParameterError, match="messages"):
        prepare(model_of(HERMES), messages, tools=TOOLS, continue_final_message=True)


def test_best_of_and_jumps_keep_the_grammar() -> None:
    model = model_of(HERMES)
    for others in ({"best_of": 3}, {"jump_forward": True}):
        prepared = prepare(
            model, "x", tools=TOOLS, tool_choice="required", parallel_tool_calls=False,
            parameters=sampled(3, **others),
        )  # fmt: skip
        engine = Engine(model)
        generation = engine.submit(prepared.request)
        while engine.busy:
            engine.step()
        response = generation.result()
        for sequence in (response, *response.best_of_sequences):
            assert check(prepared.message(sequence)) == 1


def prompt_of(prepared: Any) -> str:
    return bytes(prepared.request.inputs).decode()


def test_templates_that_know_no_tools_are_told() -> None:
    history = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "function": {"name": "switch", "arguments": '{"on": true}'}}
        ]},
        {"role": "tool", "tool_call_id": "1", "content": "it is on"},
    ]  # fmt: skip
    text = prompt_of(prepare(model_of(CHATML), history, tools=TOOLS))
    assert text.startswith("<|system|>You may call functions.")
    assert '<tool_call>\n{"name": "switch", "arguments": {"on": true}}\n</tool_call>' in text
    assert "<|user|><tool_response>\nit is on\n</tool_response>" in text
    told = prompt_of(prepare(model_of(HERMES), history, tools=TOOLS))
    assert told.startswith("[{")
    assert '[switch({"on": true})]' in told
    assert "You may call" not in told
    silent = prompt_of(prepare(model_of(HERMES), history, tools=TOOLS, tool_choice="none"))
    assert "get_weather" not in silent


def test_messages_are_not_changed() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "stop", "arguments": "{}"}}
    history = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]
    before = json.dumps(history)
    prepare(model_of(CHATML), history, tools=TOOLS)
    assert json.dumps(history) == before


# Hostile requests.


@pytest.mark.parametrize(
    "tools",
    [
        "get_weather",
        [None],
        [{}],
        [{"type": "browser", "function": {"name": "x"}}],
        [tool("")],
        [tool("a" * 257)],
        [tool("\ud800")],
        [tool("same"), tool("same")],
        [tool("x", "no schema")],
        [tool("x", {"type": "string"})],
        [tool("x", {"type": "object", "properties": {"a": {"type": "nothing"}}})],
        [tool("x", {"type": "object", "required": ["a"], "properties": {"a": False}})],
        [tool("x", {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}})],
        [tool("x", {"properties": {"a": {"pattern": "("}}})],
        [tool(str(index)) for index in range(600)],
    ],
)
def test_bad_tools_are_refused(tools: Any) -> None:
    with pytest.raises((ParameterError, GrammarError)) as caught:
        prepare(model_of(HERMES), "x", tools=tools)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "choice",
    ["never", 1, {"function": 1}, {"type": "function", "function": {"name": "unknown"}}, {}],
)
def test_bad_choices_are_refused(choice: Any) -> None:
    with pytest.raises(ParameterError, match="tool_choice"):
        prepare(model_of(HERMES), "x", tools=TOOLS, tool_choice=choice)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_some_of_the_tools_may_be_allowed(mode: str) -> None:
    listed = [{"type": "function", "function": {"name": name}} for name in ("stop", "switch")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": listed}}
    model = model_of(HERMES)
    names = set()
    for seed in range(6):
        prepared = prepare(
            model, "x", tools=TOOLS, tool_choice=choice, parallel_tool_calls=False,
            parameters=sampled(seed),
        )  # fmt: skip
        assert "get_weather" in prompt_of(prepared)  # the prompt stays what it was
        _, message = answer(prepared, model)
        assert check(message) == 1 or mode == "auto"
        names |= {call.name for call in message.tool_calls}
    assert names == {"stop", "switch"} or (mode == "auto" and names <= {"stop", "switch"})


@pytest.mark.parametrize(
    "allowed",
    [
        None,
        5,
        {},
        {"mode": "none", "tools": ["stop"]},
        {"mode": "auto", "tools": []},
        {"mode": "auto", "tools": "stop"},
        {"mode": "auto", "tools": ["unknown"]},
        {"mode": "auto", "tools": [5]},
        {"mode": "auto"},
    ],
)
def test_bad_lists_of_allowed_tools_are_refused(allowed: Any) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    with pytest.raises(ParameterError, match="tool_choice"):
        prepare(model_of(HERMES), "x", tools=TOOLS, tool_choice=choice)


def test_a_tool_that_is_named_as_a_choice_is_chosen_by_an_object_alone() -> None:
    model = model_of(HERMES)
    prepared = prepare(model, "x", tools=[tool("none")], tool_choice="none", parameters=sampled(1))
    assert not answer(prepared, model)[1].tool_calls


def test_required_needs_tools() -> None:
    with pytest.raises(ParameterError, match="tool_choice"):
        prepare(model_of(HERMES), "x", tool_choice="required")


def test_names_of_any_characters_are_called_by_them() -> None:
    names = ['"}}', "\n</tool_call>", "naïve 😀", "a.b/c\\d", " ", "\u2028", "\x00"]
    tools = [tool(name, FLAG) for name in names]
    model = model_of(HERMES)
    for name in names:
        choice = {"type": "function", "function": {"name": name}}
        prepared = prepare(model, "x", tools=tools, tool_choice=choice, parameters=sampled(1))
        _, message = answer(prepared, model)
        assert [call.name for call in message.tool_calls] == [name]
        assert set(json.loads(message.tool_calls[0].arguments)) == {"on"}


@pytest.mark.slow
def test_as_many_tools_as_openai_takes() -> None:
    tools = [tool(f"tool_{index}", WEATHER | {"title": str(index)}) for index in range(128)]
    model = model_of(HERMES)
    prepared = prepare(
        model, "x", tools=tools, tool_choice="required", parallel_tool_calls=False,
        parameters=sampled(5),
    )  # fmt: skip
    _, message = answer(prepared, model)
    [call] = message.tool_calls
    jsonschema.validate(json.loads(call.arguments), WEATHER)
