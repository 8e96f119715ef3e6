"""Chat templates and chat prompts."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from decoding.errors import ChatTemplateError, ParameterError

pytest.importorskip("jinja2")

from decoding.models.chat import render_chat

MESSAGES = [{"role": "user", "content": "<b>&'é'"}, {"role": "assistant", "content": "ok"}]


def test_nothing_is_escaped() -> None:
    template = "{% for m in messages %}{{ m.content }}|{{ m | tojson }}{% endfor %}"
    assert render_chat(MESSAGES[:1], template, {}) == (
        "<b>&'é'|" + '{"role": "user", "content": "<b>&\'é\'"}'
    )


def test_blocks_leave_no_blank_lines() -> None:
    template = (
        "{% for m in messages %}\n  {% if true %}\n{{ m.role }}\n  {% endif %}\n{% endfor %}\n"
    )
    assert render_chat(MESSAGES, template, {}) == "user\nassistant\n"


def test_variables_and_what_is_always_there() -> None:
    template = (
        "{{ bos_token }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}"
    )
    assert render_chat([], template, {"bos_token": "<s>"}) == "<s>TrueTrueTrue"
    assert render_chat([], template, {"tools": []}, add_generation_prompt=False) == "FalseTrueFalse"


def test_extensions() -> None:
    template = (
        "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{% generation %}{{ m.role }}{% endgeneration %}{% endfor %}{{ strftime_now('%%') }}"
    )
    assert render_chat(MESSAGES, template, {}) == "user%"


@pytest.mark.parametrize(
    ("template", "reason", "line"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate", None),
        ("one\n{% if %}", "Expected an expression", 2),
        ("{% nonsense %}", "unknown tag 'nonsense'", 1),
        ("{{ absent.field }}", "'absent' is undefined", None),
        ("{{ messages[0]['content'] + 1 }}", "can only concatenate str", None),
        ("{{ 1 / 0 }}", "division by zero", None),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__'", None),
        ("{{ messages.append(1) }}", "access to attribute 'append' of 'list'", None),
    ],
)
def test_failures_are_typed(template: str, reason: str, line: int | None) -> None:
    with pytest.raises(ChatTemplateError, match="the chat template cannot be rendered") as caught:
        render_chat(MESSAGES, template, {})
    assert reason in caught.value.reason
    assert caught.value.line == line


TURNS = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content | trim }}<e>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def test_fields_without_a_value_are_left_out_and_the_messages_are_left_as_they_are() -> None:
    messages = [{"role": "user", "content": None, "tool_calls": None, "reasoning": "r"}]
    before = copy.deepcopy(messages)
    template = "{{ messages[0] }}{{ 'tool_calls' in messages[0] }}"
    written = {"thinking": "r", "role": "user", "reasoning": "r", "reasoning_content": "r"}
    assert render_chat(messages, template, {}) == f"{written}False"
    assert messages == before


@pytest.mark.parametrize(
    ("content", "end"),
    [("ok, then", "ok, then"), ("ok ", "ok"), (" ok\n", "ok"), ("(the final message", None)],
)
def test_the_final_message_is_continued(content: str, end: str | None) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]
    rendered = render_chat(messages, TURNS, {}, False, continue_final_message=True)
    assert rendered == f"<s>user\nHi<e>\n<s>assistant\n{content if end is None else end}"
    assert messages[-1]["content"] == content


def test_a_final_message_may_be_written_twice_and_may_have_parts() -> None:
    messages = [{"role": "assistant", "content": [{"text": "a"}, {"image": "b"}]}]
    template = "{% for c in messages[0].content %}[{{ c.text }}|{{ c.text | trim }}]{% endfor %}"
    said = render_chat(messages, template, {}, False, continue_final_message=True)
    assert said == "[a|a"


@pytest.mark.parametrize(
    ("messages", "template", "field", "error"),
    [
        ([], TURNS, True, ParameterError),
        ([{"role": "user"}], TURNS, True, ParameterError),
        ([{"role": "user", "content": 1}], TURNS, True, ParameterError),
        ([{"role": "user", "content": [{"image": "a"}]}], TURNS, True, ParameterError),
        ([{"role": "user", "content": "a"}], "{{ messages[0].role }}", True, ChatTemplateError),
        ([{"role": "user", "content": "a"}], "{# content #}", True, ChatTemplateError),
        ([{"role": "user", "name": "a"}], TURNS, "name", ChatTemplateError),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_refused(
    messages: Any, template: str, field: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        render_chat(messages, template, {}, False, continue_final_message=field)


def test_an_answer_is_opened_or_continued_and_not_both() -> None:
    with pytest.raises(ParameterError, match="add_generation_prompt must be False"):
        render_chat(MESSAGES, TURNS, {}, True, continue_final_message=True)


@pytest.mark.parametrize("messages", ["Hi", 3, ["Hi"], [None], {"role": "user"}])
def test_what_is_no_list_of_messages_is_refused(messages: Any) -> None:
    with pytest.raises(ParameterError, match="messages"):
        render_chat(messages, TURNS, {})


class Deep:
    def model_dump(self) -> Any:
        return {"role": "user", "content": self}


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("content", [Deep(), CYCLE, 10**10_000], ids=["object", "list", "integer"])
def test_values_without_an_end_are_refused(content: Any) -> None:
    with pytest.raises(ChatTemplateError, match=r"nested more than 100 deep|more than 16,384 bits"):
        render_chat([{"role": "user", "content": content}], TURNS, {})


def test_a_large_chat_has_a_large_budget() -> None:
    long = "word " * 400_000
    messages = [{"role": "user", "content": f"{long}{index}"} for index in range(3)]
    template = (
        "{% for m in messages %}{% set c = m.content | trim %}{{ c.split('x')[0] + c ~ c[1:] }}"
        "{{ c | tojson }}{% if 'word' in c and c != 'a' %}{{ c.strip() | length }}{% endif %}"
        "{% endfor %}"
    )
    assert len(render_chat(messages, template, {})) > 4 * 3 * len(long)
    many = [{"role": "user", "content": "a"}] * 3_000
    assert len(render_chat(many, TURNS, {})) == 3_000 * len("<s>user\na<e>\n") + 13
