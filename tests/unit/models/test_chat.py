from __future__ import annotations

import pytest

from decoding.errors import ChatTemplateError

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
