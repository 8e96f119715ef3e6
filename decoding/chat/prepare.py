"""A chat request, checked and rendered: what the engine is asked, and how its answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from decoding.chat.deltas import ChatMessage, fold
from decoding.chat.reader import ChatReader
from decoding.chat.response_format import read_response_format
from decoding.engine.request import Request
from decoding.errors import ParameterError
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters
from decoding.wire.details import BestOfSequence, Response

Messages: TypeAlias = str | Sequence[Mapping[str, Any]]
"""Messages; a string is one user message."""

ToolChoice: TypeAlias = Literal["none", "auto", "required"] | Mapping[str, Any]
"""Which tools may be called; `{"type": "function", "function": {"name": ...}}` names one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chat request that can be submitted.

    request: for `Engine.submit`; `dataclasses.replace` gives it another seed.
    """

    request: Request

    def reader(self) -> ChatReader:
        """A reader for one sequence that answers the request."""
        return ChatReader()

    def message(self, response: Response | BestOfSequence) -> ChatMessage:
        """The message of a whole response, or of a sequence that lost in best-of."""
        raise NotImplementedError


def prepare(
    model: LanguageModel,
    messages: Messages,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: ToolChoice = "auto",
    parallel_tool_calls: bool = True,
    response_format: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    add_generation_prompt: bool | None = None,
    continue_final_message: bool = False,
    thinking_budget: int | None = None,
    parameters: GenerationParameters | None = None,
) -> Prepared:
    """Check a chat request against a model and render its prompt."""
    from decoding.models.chat import chat_prompt

    asked = GenerationParameters() if parameters is None else parameters
    said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    grammar = read_response_format(response_format)
    if grammar is not None:
        if asked.grammar is not None:
            raise ParameterError("response_format", response_format, "None beside a grammar")
        asked = replace(asked, grammar=grammar)
    token_ids = chat_prompt(
        model,
        said,
        tools=tools or None,
        variables=variables,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=continue_final_message,
    )
    return Prepared(Request(token_ids, asked, keep_stop=False))
