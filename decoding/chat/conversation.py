"""`Conversation`: a chat request's messages and tools, checked, to be rendered as a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from decoding.chat.formats import ToolFormat, tool_format
from decoding.chat.messages import (
    Messages,
    as_text,
    has_calls,
    instructed,
    read_messages,
    with_contents,
    with_known_roles,
    with_parsed_arguments,
)
from decoding.chat.tools import Calls, ToolChoice, read_tool_choice, read_tools
from decoding.errors import ChatTemplateError, ParameterError, require
from decoding.models.chat_templates import chosen_template
from decoding.models.protocol import LanguageModel

_Rendered = TypeVar("_Rendered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The messages of a chat request, ready to be rendered by one of a model's chat templates.

    model: has a tokenizer. template_name, template: the chat template's name and source.
    form: how calls are written. calls: which tools the answer may call; None for none.
    messages: where the template does not know tools, the tools and calls in them are texts.
    tools: what the template is told of. documents, variables, add_generation_prompt,
        continue_final_message: as for `decoding.models.chat.chat_prompt`.
    """

    model: LanguageModel
    template_name: str
    template: str
    form: ToolFormat
    calls: Calls | None
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None
    documents: Sequence[Mapping[str, Any]] | None
    variables: Mapping[str, Any]
    add_generation_prompt: bool | None
    continue_final_message: bool

    def token_ids(self) -> list[int]:
        """The prompt as token ids; control tokens that messages spell are text.

        Raises:
            ParameterError, ChatTemplateError: as `decoding.models.chat.chat_prompt`.
        """
        # Imported here because jinja2 comes with an extra.
        from decoding.models.chat import chat_prompt

        def rendered(messages: Sequence[Mapping[str, Any]]) -> list[int]:
            return chat_prompt(
                self.model,
                messages,
                tools=self.tools,
                documents=self.documents,
                variables=self.variables,
                add_generation_prompt=self.add_generation_prompt,
                continue_final_message=self.continue_final_message,
                chat_template=self.template_name,
            )

        return self._first_rendered(rendered)

    def text(self) -> str:
        """The prompt as text.

        Raises:
            ParameterError, ChatTemplateError: as `decoding.models.chat.render_chat`.
        """
        from decoding.models.chat import render_chat

        given = {"tools": self.tools, "documents": self.documents}
        variables = {**given, **self.model.template_variables, **self.variables}
        opened = self.add_generation_prompt
        if opened is None:
            opened = not self.continue_final_message

        def rendered(messages: Sequence[Mapping[str, Any]]) -> str:
            continues = self.continue_final_message
            return render_chat(
                messages, self.template, variables, opened, continue_final_message=continues
            )

        return self._first_rendered(rendered)

    def _first_rendered(
        self, render: Callable[[Sequence[Mapping[str, Any]]], _Rendered]
    ) -> _Rendered:
        """Render the first form of the messages that the chat template accepts without an error."""
        error: ChatTemplateError | None = None
        for messages in self._forms():
            try:
                return render(messages)
            except ChatTemplateError as failure:
                error = error or failure
        assert error is not None
        raise error

    def _forms(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Yield the messages in each form that some chat template wants, the usual one first.

        Most templates read the arguments of calls as objects, some as text; some want a content in
        every message, also beside calls.
        """
        forms: list[Sequence[Mapping[str, Any]]] = [with_parsed_arguments(self.messages)]
        if has_calls(self.messages):
            forms.append(self.messages)
        yield from forms
        for messages in forms:
            filled = with_contents(messages)
            if filled != messages:
                yield filled


def read_conversation(
    model: LanguageModel,
    messages: Messages,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: ToolChoice | None = "auto",
    tool_prompt: str | None = None,
    parallel_tool_calls: bool | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    add_generation_prompt: bool | None = None,
    continue_final_message: bool = False,
    tool_format_name: str | None = None,
    chat_template: str | None = None,
) -> Conversation:
    """Check the messages and tools of a chat request; parameters are those of `prepare`.

    Raises:
        ParameterError: the request is malformed, or the model has no tokenizer, no chat template or
            none of this name.
    """
    if model.tokenizer is None:
        raise ParameterError("model", model.name, "one with a tokenizer and a chat template")
    has_tools = bool(tools) and tool_choice != "none"
    template_name, template = chosen_template(model, chat_template, has_tools=has_tools)
    form = tool_format(template, tool_format_name)
    several = form.several if parallel_tool_calls is None else parallel_tool_calls
    calls = read_tool_choice(tool_choice, read_tools(tools), several=several)
    said = read_messages(messages)
    require("messages", messages, bool(said), "at least one message")
    said = with_known_roles(said, template)
    told = tools if calls is not None else ()
    if form.instructed:
        said = as_text(with_parsed_arguments(said), form)
        if told:
            said, told = instructed(said, told, tool_prompt), ()
    return Conversation(
        model=model,
        template_name=template_name,
        template=template,
        form=form,
        calls=calls,
        messages=said,
        tools=told or None,
        documents=documents,
        variables={} if variables is None else variables,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=continue_final_message,
    )
