"""`decoding chat`: a conversation with a model of this process, or with one behind a URL."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from decoding.cli.chat import variable
from decoding.cli.chat_remote import Remote
from decoding.cli.files import next_line
from decoding.cli.flags import add_flags, read_flags
from decoding.cli.grammar import add_grammar_flags
from decoding.cli.model_flags import Load, add_adapters_flag, add_model_flag
from decoding.engine.loop import Engine
from decoding.errors import DecodingError, require
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.typing import Anything

if TYPE_CHECKING:  # it needs jinja2, which comes with an extra
    from decoding.chat import ChatDelta

LONGEST_ANSWER = 1024
"""Tokens, where the command is not told."""

_HELP = "/clear forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C ends an answer\n"

Messages = list[dict[str, Any]]


def add_chat(commands: Anything, load: Load) -> None:  # argparse names no public type
    """Add `chat` to the subcommands. load: makes the model that flags choose."""
    parser = commands.add_parser(
        "chat",
        help="talk with a model",
        description="Talk with a model: a line is a message, the answer comes as it is written."
        f" In a terminal, {_HELP.strip()}. Answers go to stdout, reasoning to stderr.",
    )
    add_model_flag(parser, "default: as for generate; with --url: the name to ask for")
    add_adapters_flag(parser)
    parser.add_argument("--url", help="of a server with /v1/chat/completions, instead of a model")
    parser.add_argument(
        "--api-key", metavar="KEY", help="for the server (default: $DECODING_API_KEY)"
    )
    parser.add_argument("--system", metavar="TEXT", help="the system message")
    parser.add_argument(
        "--chat-template",
        metavar="NAME",
        help="which of the model's chat templates (default: its default template)",
    )
    parser.add_argument(
        "--template-variable",
        metavar="NAME=VALUE",
        action="append",
        type=variable,
        help="what the chat template may read, as enable_thinking=false; JSON or text; repeatable",
    )
    parser.add_argument(
        "--thinking-budget", type=int, metavar="N", help="most tokens of the model's reasoning"
    )
    add_flags(parser.add_argument_group("request parameters, named as in the API"))
    add_grammar_flags(parser)
    parser.set_defaults(run=lambda asked: _chat(asked, load))


class Answers(Protocol):
    """Protocol of what answers a conversation: a local model or a server."""

    def answer(self, messages: Messages) -> Generator[ChatDelta, None, None]:
        """The pieces of an answer as they come; closing the iterator ends it."""


@dataclass(frozen=True, slots=True)
class Local:
    """Answers a conversation with a model of this process.

    model: which one. template: the name of its chat template, None for the default one.
    variables: what the template may read. budget: of its reasoning, in tokens. parameters: of every
    answer.
    """

    model: LanguageModel
    template: str | None
    variables: dict[str, Any]
    budget: int | None
    parameters: GenerationParameters

    def answer(self, messages: Messages) -> Generator[ChatDelta, None, None]:
        """The pieces of an answer as they come; closing the iterator ends it."""
        # Imported here because jinja2 comes with an extra.
        from decoding.chat import prepare

        prepared = prepare(
            self.model,
            messages,
            chat_template=self.template,
            variables=self.variables,
            thinking_budget=self.budget,
            parameters=self.parameters,
        )
        request = prepared.request
        if request.parameters.max_new_tokens is None:
            length = self.model.context_length
            room = LONGEST_ANSWER if length is None else length - len(request.inputs)
            most = max(1, min(LONGEST_ANSWER, room))
            request = replace(request, parameters=replace(request.parameters, max_new_tokens=most))
        engine, reader = Engine(self.model), prepared.reader()
        generation = engine.submit(request)
        try:
            while not generation.done:
                engine.step()
                for event in generation.take_events():
                    yield from reader.read(event)
        finally:
            engine.cancel(generation)
        yield from reader.finish(generation.result().finish_reason).deltas


def _chat(asked: argparse.Namespace, load: Load) -> Iterator[str]:
    parameters = read_flags(asked)
    variables = dict(asked.template_variable or ())
    answers: Answers
    if asked.url is not None:
        require("--adapters", asked.adapters, asked.adapters is None, "used without --url")
        key = os.environ.get("DECODING_API_KEY") if asked.api_key is None else asked.api_key
        extra: dict[str, Any] = {"chat_template_kwargs": variables} if variables else {}
        if asked.chat_template is not None:
            extra["chat_template"] = asked.chat_template
        if asked.thinking_budget is not None:
            extra["thinking_budget"] = asked.thinking_budget
        answers = Remote(asked.url, key, asked.model, parameters, extra)
    else:
        answers = Local(
            load(asked), asked.chat_template, variables, asked.thinking_budget, parameters
        )
    system = [] if asked.system is None else [{"role": "system", "content": asked.system}]
    _converse(answers, system)
    yield from ()


def _converse(answers: Answers, system: Messages) -> None:
    """Read messages and write answers until there are no more messages.

    Everything is written here: an interrupt at any time must find this function.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    messages = list(system)
    if interactive:
        sys.stderr.write(_HELP)
        with suppress(ImportError):
            importlib.import_module("readline")  # lines can be edited then
    while True:
        try:
            line = _read(interactive=interactive)
        except KeyboardInterrupt:
            if not interactive:
                raise
            sys.stdout.write("\n")
            continue
        except EOFError:
            return
        said = line.strip()
        if said in ("/exit", "/quit"):
            return
        if said == "/clear":
            messages = list(system)
        elif said:
            messages.append({"role": "user", "content": said})
            try:
                text = _answer(answers, messages)
            except DecodingError as error:
                if not interactive:
                    raise
                sys.stderr.write(f"decoding: error: {error}\n")
                messages.pop()
                continue
            messages.append({"role": "assistant", "content": text})


def _read(*, interactive: bool) -> str:
    """The next line. Raises EOFError behind the last one."""
    if interactive:
        return input("> ")
    line = next_line()
    if not line:
        raise EOFError
    return line


def _answer(answers: Answers, messages: Messages) -> str:
    """Write an answer as it comes; returns its text, also where an interrupt ends it."""
    pieces: list[str] = []
    try:
        with closing(answers.answer(messages)) as deltas:
            for delta in deltas:
                if delta.reasoning_content is not None:
                    sys.stderr.write(delta.reasoning_content)
                    sys.stderr.flush()
                if delta.content is not None:
                    pieces.append(delta.content)
                    sys.stdout.write(delta.content)
                    sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write("\n")
        sys.stdout.flush()
    return "".join(pieces)
