"""Turns a chat request into an engine `Request` and the `AnswerForm` to read its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from decoding.chat.answers import Answer, Thinking, answer_grammar
from decoding.chat.conversation import read_conversation
from decoding.chat.deltas import ChatDelta, ChatMessage, fold
from decoding.chat.formats import ReasoningFormat, ToolFormat, reasoning_format
from decoding.chat.messages import Messages, continued_text
from decoding.chat.reader import AnswerForm, ChatReader
from decoding.chat.response_format import read_response_format
from decoding.chat.tools import ToolChoice
from decoding.checks import checked_integer
from decoding.engine.detokenizer import TextStream
from decoding.engine.prompts import begun_character
from decoding.engine.request import Request
from decoding.errors import ParameterError
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.request_grammar import Grammar
from decoding.vocabulary import Vocabulary
from decoding.wire.details import BestOfSequence, Response

_TAIL = 64
"""Tokens at the end of a prompt in which an opened tag is looked for."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chat request that can be submitted.

    request: for `Engine.submit`; `dataclasses.replace` gives it another seed.
    form: how its answer is written. vocabulary: of the model.
    """

    request: Request
    form: AnswerForm
    vocabulary: Vocabulary

    def reader(self) -> ChatReader:
        """A reader for one sequence that answers the request."""
        return ChatReader(self.form)

    def message(self, response: Response | BestOfSequence) -> ChatMessage:
        """The message of a whole response, or of a sequence that lost in best-of."""
        reader, deltas = self.reader(), list[ChatDelta]()
        for text, special in self._pieces(response):
            deltas += reader.take(text, special)
        return fold(deltas, reader.finish(response.finish_reason))

    def _pieces(self, response: Response | BestOfSequence) -> list[tuple[str, str | None]]:
        """The text of a response in pieces, each with the special token that follows it."""
        stream, left = TextStream(), response.generated_text
        inputs = self.request.inputs
        assert not isinstance(inputs, str)
        written = stream.push(begun_character(tuple(map(int, inputs)), self.vocabulary))
        found: list[tuple[str, str | None]] = []
        for token in response.tokens:
            if token.special:
                written += stream.flush()
                found.append((left[: len(written)], self.vocabulary.text_of(token.id)))
                left, written = left[len(written) :], ""
            else:
                written += stream.push(self.vocabulary.bytes_of(token.id))
        return [*found, (left, None)]


def prepare(
    model: LanguageModel,
    messages: Messages,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: ToolChoice | None = "auto",
    tool_prompt: str | None = None,
    parallel_tool_calls: bool | None = None,
    response_format: Mapping[str, Any] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    add_generation_prompt: bool | None = None,
    continue_final_message: bool = False,
    thinking_budget: int | None = None,
    tool_format_name: str | None = None,
    reasoning_name: str | None = None,
    chat_template: str | None = None,
    parameters: GenerationParameters | None = None,
) -> Prepared:
    """Check a chat request against a model, render its prompt and compile what its answer must be.

    messages: plain data in the OpenAI form; a string is one user message.
    tools: functions that the model may call. A call is held to the schema of its arguments.
    tool_choice: "none" (the model is told of no tools), "auto" (free text in which a call may
        begin), "required" (calls and nothing else), or the one to call: an object that names it,
        or its name.
    tool_prompt: what stands before the list of tools, where the template does not know tools and a
        system message explains them; None for one sentence.
    parallel_tool_calls: whether an answer may have several calls; None leaves that to the format.
    response_format: see `read_response_format`; it applies behind the reasoning. Beside tools and
        "auto" an answer is calls or has that format.
    documents, variables: what the template may read, as `enable_thinking`.
    add_generation_prompt, continue_final_message: as for `decoding.models.chat.chat_prompt`. A
        final message that has opened a call or its reasoning is continued inside of it.
    thinking_budget: most tokens of the reasoning, >= 0; then its end tag is written. None for no
        limit; without effect on a model that does not reason.
    tool_format_name, reasoning_name: names of `TOOL_FORMATS` and `REASONING_FORMATS` (or "none"),
        for templates that do not tell.
    chat_template: the name of one of the model's templates; None takes `tool_use` where the model
        is told of tools and has it, else the default template.
    parameters: what else is asked. Their grammar is taken as the response format is. Where calls
        are required, stop strings do not apply: a call would be cut.

    Compiling a grammar may take long. What it compiles is kept by the model, by content.

    Raises:
        ParameterError: the request is malformed, or the model has no tokenizer, no chat template or
            none of this name.
        ChatTemplateError: the template fails.
        GrammarError: a schema cannot be held by masks, or nothing fits it.
    """
    asked = GenerationParameters() if parameters is None else parameters
    if thinking_budget is not None:
        thinking_budget = checked_integer("thinking_budget", thinking_budget, 0)
    chat = read_conversation(
        model,
        messages,
        tools=tools,
        tool_choice=tool_choice,
        tool_prompt=tool_prompt,
        parallel_tool_calls=parallel_tool_calls,
        documents=documents,
        variables=variables,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=continue_final_message,
        tool_format_name=tool_format_name,
        chat_template=chat_template,
    )
    calls, form, said = chat.calls, chat.form, chat.messages
    reasoning = reasoning_format(chat.template, reasoning_name)
    response = _response(response_format, asked)
    token_ids = chat.token_ids()
    assert model.tokenizer is not None
    begun = continued_text(said[-1]) if continue_final_message else ""
    vocabulary = model.tokenizer.vocabulary
    tail = b"".join(map(vocabulary.bytes_of, token_ids[-_TAIL:])).rstrip()
    thinking = None if reasoning is None else _thinking(reasoning, tail, begun, thinking_budget)
    grammar = None
    if calls is not None or thinking is not None or (begun and response is not None):
        grammar = answer_grammar(model, Answer(calls, form, response, thinking, begun))
    if grammar is not None:
        begun = grammar.begun.decode("utf-8", "replace")
    required = calls is not None and calls.required
    asked = replace(
        asked,
        grammar=response if grammar is None else None,
        stop=() if required else asked.stop,
        return_full_text=None,
    )
    return Prepared(
        Request(token_ids, asked, keep_stop=False, grammar=grammar),
        _answer_form(calls is not None, form, thinking, asked, begun, required=required),
        vocabulary,
    )


def _response(
    response_format: Mapping[str, Any] | None, parameters: GenerationParameters
) -> Grammar | None:
    grammar = read_response_format(response_format)
    if grammar is None:
        return parameters.grammar
    if parameters.grammar is not None:
        raise ParameterError("response_format", response_format, "None where a grammar is given")
    return grammar


def _thinking(form: ReasoningFormat, tail: bytes, begun: str, budget: int | None) -> Thinking:
    """The reasoning of an answer, whose prompt ends with some bytes."""
    opened = not begun and tail.endswith(form.opening.encode())
    closed = not begun and tail.endswith(form.closing.encode())
    return Thinking(form, opened, closed, budget)


def _answer_form(
    has_calls: bool,
    form: ToolFormat,
    thinking: Thinking | None,
    asked: GenerationParameters,
    begun: str,
    *,
    required: bool,
) -> AnswerForm:
    return AnswerForm(
        tools=form if has_calls else None,
        required=required,
        reasoning=None if thinking is None or thinking.closed else thinking.form,
        opened=thinking is not None and thinking.opened,
        whole_calls=bool(asked.stop),
        begun=begun,
    )
