"""Chats: the text and the ids that transformers' `apply_chat_template` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("jinja2")
transformers: Any = pytest.importorskip("transformers")

from chat_templates import ADDED, SPECIAL, TEMPLATES, tokenizer_with_control_tokens

from decoding import LanguageModel
from decoding.errors import DecodingError
from decoding.models.chat import chat_prompt, render_chat
from decoding.models.tokenizer import HuggingFaceTokenizer

TOKENIZER = tokenizer_with_control_tokens()
PEER = transformers.PreTrainedTokenizerFast(
    tokenizer_object=TOKENIZER, bos_token="<s>", eos_token="</s>"
)
OURS = HuggingFaceTokenizer(TOKENIZER)
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}

WORDS = st.sampled_from(
    ["", "hi", " ", "\n", "  x ", "é\U0001f336", "{{ 7 }}", "<tool_response>", "</tool_response>",
     *SPECIAL, *ADDED, "<|im_"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=5).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=4,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.just("f"), "arguments": st.just('{"a": 1}') | JSON}
            ),
        },
        optional={"id": st.just("abcdefghi") | st.none()},
    ),
    max_size=2,
)
BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image"])}, optional={"text": TEXTS}),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"])},
        optional={
            "content": TEXTS | st.none() | BLOCKS | JSON,
            "tool_calls": CALLS | st.none(),
            "reasoning": TEXTS | st.none(),
            "reasoning_content": TEXTS | st.none(),
            "thinking": TEXTS | st.none(),
            "name": st.none() | st.just("n"),
        },
    ),
    min_size=1,
    max_size=4,
)
PLAIN = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": TEXTS},
        optional={"reasoning_content": TEXTS},
    ),
    min_size=1,
    max_size=4,
).map(lambda chat: [{**m, "role": ("user", "assistant")[i % 2]} for i, m in enumerate(chat)])
TOOLS = st.none() | st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": JSON}), max_size=2
)
DOCUMENTS = st.none() | st.lists(st.fixed_dictionaries({"title": TEXTS, "text": TEXTS}), max_size=1)


def attempt(render: Callable[[], Any]) -> Any:
    try:
        return render()
    except DecodingError:
        return None


def attempt_peer(render: Callable[[], Any]) -> Any:
    try:
        return render()
    except Exception:  # theirs may raise anything
        return None


EXAMPLES = settings(deadline=None)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@EXAMPLES
@given(
    messages=MESSAGES | PLAIN,
    tools=TOOLS,
    documents=DOCUMENTS,
    thinking=st.none() | st.booleans(),
    opened=st.booleans(),
)
def test_text_of_any_messages(
    template: str, *, messages: Any, tools: Any, documents: Any, thinking: Any, opened: Any
) -> None:
    more = {} if thinking is None else {"enable_thinking": thinking}
    theirs = attempt_peer(
        lambda: PEER.apply_chat_template(
            messages,
            tools=tools,
            documents=documents,
            chat_template=template,
            add_generation_prompt=opened,
            tokenize=False,
            **more,
        )
    )
    variables = {**VARIABLES, **more, "tools": tools, "documents": documents}
    ours = attempt(lambda: render_chat(messages, template, variables, opened))
    assert ours == theirs


# `operations` counts and shows the marks that both put around tokens, which are not the same.
@pytest.mark.parametrize("name_of_template", [name for name in TEMPLATES if name != "operations"])
@EXAMPLES
@given(messages=MESSAGES | PLAIN, tools=TOOLS, sanitized=st.booleans(), name=TEXTS)
def test_ids_with_control_tokens_in_the_words(
    name_of_template: str, messages: Any, tools: Any, sanitized: Any, name: str
) -> None:
    template = TEMPLATES[name_of_template]
    theirs = attempt_peer(
        lambda: PEER.apply_chat_template(
            messages,
            tools=tools,
            chat_template=template,
            sanitize_control_tokens=sanitized,
            add_generation_prompt=True,
            date_string=name,
        )["input_ids"]
    )
    model = LanguageModel(
        forward=lambda rows: None,
        tokenizer=OURS,
        chat_template=template,
        template_variables=VARIABLES,
    )
    ours = attempt(
        lambda: chat_prompt(
            model,
            messages,
            tools=tools,
            variables={"date_string": name},
            sanitize_control_tokens=sanitized,
        )
    )
    # Where a template writes a list as Python shows it, transformers leaves its marks in the text.
    if isinstance(theirs, list) and "\\U000f" in PEER.decode(theirs):
        return
    assert ours == theirs


# `operations` writes a text many times; there transformers leaves its own mark in the first ones.
@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "operations"])
@EXAMPLES
@given(
    messages=MESSAGES | PLAIN,
    field=st.just(True) | st.sampled_from(["content", "reasoning_content", "thinking", "name"]),
)
def test_the_final_message_is_continued(name: str, messages: Any, field: Any) -> None:
    template = TEMPLATES[name]
    theirs = attempt_peer(
        lambda: PEER.apply_chat_template(
            messages, chat_template=template, continue_final_message=field, tokenize=False
        )
    )
    ours = attempt(
        lambda: render_chat(messages, template, VARIABLES, False, continue_final_message=field)
    )
    assert ours == theirs


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_every_template_renders(template: str) -> None:
    messages = [{"role": "user", "content": "hi\nyou"}, {"role": "assistant", "content": "ok"}]
    theirs = PEER.apply_chat_template(messages, chat_template=template, tokenize=False)
    assert render_chat(messages, template, VARIABLES, False) == theirs


def test_objects_are_read_as_their_fields() -> None:
    class Dumped:
        def model_dump(self) -> dict[str, Any]:
            return {"role": "user", "content": None, "tool_calls": None, "name": "x"}

    template = "{% for m in messages %}{{ m }}{% endfor %}{{ picture }}"
    theirs = PEER.apply_chat_template(
        [Dumped()], chat_template=template, tokenize=False, picture=object()
    )
    ours = render_chat([Dumped()], template, {"picture": object()}, False)
    assert ours == theirs == "{'role': 'user', 'name': 'x'}<object>"
