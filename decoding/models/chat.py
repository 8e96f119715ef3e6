"""Chat prompts: messages rendered by a model's Jinja chat template.

A template comes with a model and is not trusted: it runs in a sandbox and within a budget of steps
and of bytes. Messages are read as transformers reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decoding.checks import checked_items
from decoding.errors import MissingDependencyError, ParameterError, require
from decoding.models.chat_messages import (
    Message,
    cut_continuation,
    mark_continuation,
    normalised,
    plain,
    weight_of,
)
from decoding.models.chat_templates import chosen_template
from decoding.models.control_tokens import Marks, control_tokens, encode_marked, texts_in
from decoding.models.protocol import LanguageModel
from decoding.models.template_budget import Budget

try:
    from decoding.models.template_sandbox import literal_text, render
except ImportError as error:
    raise MissingDependencyError("jinja2", "torch") from error


def render_chat(
    messages: Sequence[Mapping[str, Any]],
    template: str,
    variables: Mapping[str, Any],
    add_generation_prompt: bool = True,  # the name every template reads
    *,
    continue_final_message: bool | str = False,
) -> str:
    """Render messages to text with a chat template, as transformers does.

    messages: plain JSON data, usually with `role` and `content`. Fields that are None are left out;
        `reasoning_content` and `thinking` are filled from each other and from `reasoning`.
    template: Jinja source; it may use `raise_exception`, `strftime_now`, `tojson` (which escapes
        no HTML), `break` and `continue`, and `{% generation %}` blocks, which change nothing. It
        takes at most 100,000 steps and makes at most 8 MiB of text, and more for more input.
    variables: what else it may read, as `bos_token` and `enable_thinking`; `tools` and `documents`
        are None unless given.
    add_generation_prompt: end with the opening of the assistant's turn.
    continue_final_message: end within the last message, which the model is to continue: True for
        its `content`, or the name of the field. `add_generation_prompt` must be False then.

    Raises:
        ParameterError: a message is no mapping, or the last one has no text to continue.
        ChatTemplateError: the template is no Jinja, failed, refused the messages, takes more than
            it may, or does not write the last message as it is.

    >>> template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
    >>> render_chat([{"role": "user", "content": "a < b"}], template, {})
    '[user] a < b'
    """
    legal = isinstance(variables, Mapping)
    require("variables", type(variables).__name__, legal, "a mapping from names to values")
    values = plain({"tools": None, "documents": None, **variables})
    chat = normalised(messages)
    return _rendered(chat, template, values, add_generation_prompt, continue_final_message)


def _rendered(
    chat: list[Message],
    template: str,
    values: dict[str, Any],
    add_generation_prompt: bool,
    continue_final_message: bool | str,
) -> str:
    require("template", type(template).__name__, isinstance(template, str), "a text")
    if continue_final_message and add_generation_prompt:
        expected = "False where the final message is continued"
        raise ParameterError("add_generation_prompt", add_generation_prompt, expected)
    text = None
    if continue_final_message:
        field = continue_final_message if isinstance(continue_final_message, str) else "content"
        text = mark_continuation(chat, field, template)
    values = {**values, "messages": chat, "add_generation_prompt": add_generation_prompt}
    rendered = render(template, values, Budget.for_input(weight_of(values)))
    return rendered if text is None else cut_continuation(rendered, text)


_TOOLS = "a sequence of JSON Schemas of functions"


def chat_prompt(  # the parameters of `apply_chat_template`
    model: LanguageModel,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    add_generation_prompt: bool | None = None,
    continue_final_message: bool | str = False,
    sanitize_control_tokens: bool = True,
    chat_template: str | None = None,
) -> list[int]:
    """Render messages and encode them as the token ids of a prompt.

    The rendered template spells the special tokens itself; none are added to it.

    tools: JSON Schemas of the functions that the model may call.
    documents: what it may quote, usually with `title` and `text`.
    variables: what else the template may read, as `enable_thinking`; these win over the model's.
    add_generation_prompt: end with the opening of the assistant's turn; None means that it does
        unless the final message is continued.
    continue_final_message: as for `render_chat`.
    sanitize_control_tokens: control tokens that the messages, tools, documents and variables spell,
        as `<|im_end|>`, are encoded as text, so that only the template's own take effect. Control
        tokens are the special tokens, and the added tokens that the template's own text spells.
        (What a template puts together from pieces, as `'<|' + role + '|>'`, is its own.) False
        leaves it to whoever wrote the messages to end turns.
    chat_template: the name of one of the model's templates, as `rag`; None takes `tool_use` where
        tools are given and the model has it, else the default template.

    Raises:
        ParameterError: the model has no chat template, none of this name or no tokenizer, there
            are no messages, or the tokenizer cannot spell a control token as text.
        ChatTemplateError: as for `render_chat`.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ParameterError("model", model.name, "one with a tokenizer and a chat template")
    _, template = chosen_template(model, chat_template, has_tools=tools is not None)
    legal = variables is None or isinstance(variables, Mapping)
    require("variables", type(variables).__name__, legal, "a mapping from names to values")
    chat = normalised(messages)
    require("messages", messages, len(chat) > 0, "at least one message")
    said = {
        "messages": chat,
        "tools": plain(None if tools is None else checked_items("tools", tools, _TOOLS)),
        "documents": plain(documents),
        "variables": plain(variables or {}),
    }
    marks = Marks({})
    if sanitize_control_tokens:
        tokens = control_tokens(tokenizer, literal_text(template))
        marks = Marks.for_words(texts_in([said, template]), tokens)
        said = marks.put(said)
    values = {"tools": said["tools"], "documents": said["documents"]}
    values |= {**plain(model.template_variables), **said["variables"]}
    opened = not continue_final_message if add_generation_prompt is None else add_generation_prompt
    text = _rendered(said["messages"], template, values, opened, continue_final_message)
    return encode_marked(tokenizer, text, marks)
