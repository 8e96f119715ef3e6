"""Messages to a prompt, through a model's Jinja chat template.

A template comes with a model and is not trusted: it runs in Jinja's immutable sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from decoding.errors import ChatTemplateError, MissingDependencyError, ParameterError
from decoding.models.protocol import LanguageModel

try:
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as error:
    raise MissingDependencyError("jinja2", "torch") from error

# What a template's own expressions can raise besides Jinja's errors.
_TEMPLATE_FAULTS = (
    jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


def render_chat(
    messages: Sequence[Mapping[str, Any]],
    template: str,
    variables: Mapping[str, Any],
    add_generation_prompt: bool = True,  # noqa: FBT001, FBT002 - the name every template reads
) -> str:
    """Render messages to the text a model was trained on, as transformers does.

    messages: plain JSON data, usually with `role` and `content`.
    template: Jinja source; it may use `raise_exception`, `strftime_now`, `tojson` (which escapes
        no HTML), `break` and `continue`, and `{% generation %}` blocks, which change nothing.
    variables: what else it may read, as `bos_token`; `tools` and `documents` are None unless given.
    add_generation_prompt: end with the opening of the assistant's turn.

    Raises:
        ChatTemplateError: the template is no Jinja, failed, or refused the messages.

    >>> template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
    >>> render_chat([{"role": "user", "content": "a < b"}], template, {})
    '[user] a < b'
    """
    values = {
        "tools": None,
        "documents": None,
        **variables,
        "messages": messages,
        "add_generation_prompt": add_generation_prompt,
    }
    try:
        return _compiled(template).render(values)
    except jinja2.TemplateSyntaxError as error:
        raise ChatTemplateError(error.message or "syntax error", error.lineno) from error
    except _TEMPLATE_FAULTS as error:
        raise ChatTemplateError(str(error)) from error


def chat_prompt(model: LanguageModel, messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Messages to the token ids that `generate` takes as its inputs.

    The rendered template spells the special tokens itself; none are added to it.

    Raises:
        ParameterError: the model has no chat template or no tokenizer.
        ChatTemplateError: as for `render_chat`.
    """
    if model.chat_template is None or model.tokenizer is None:
        raise ParameterError("model", model.name, "one with a tokenizer and a chat template")
    text = render_chat(messages, model.chat_template, model.template_variables)
    return model.tokenizer.encode(text, add_special_tokens=False)


class _Generation(Extension):
    """Accepts the blocks that mark an assistant's words for training; they render as they are."""

    tags = {"generation"}  # noqa: RUF012 - declared as a plain set by the base class

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


@lru_cache(maxsize=16)
def _compiled(template: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment.from_string(template)


def _to_json(
    value: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - templates pass it by position too
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
