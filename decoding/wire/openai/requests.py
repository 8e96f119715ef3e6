"""Checks the JSON bodies of `/v1/chat/completions` and `/v1/completions`, and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from decoding.errors import WireValidationError
from decoding.wire.openai.fields import LARGEST_TOP_LOGPROBS, Fields, read_sampling
from decoding.wire.types import check_body, mismatch

Prompt: TypeAlias = str | Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The fields of a request body that chats and completions share.

    model: any name. sampling: in TGI's names. n: choices that are answered; best_of: those that
    are generated, n or more. top_logprobs: alternatives that are shown for each token; None where
    no logprobs are. user_fields: the whole body.
    """

    model: str
    sampling: dict[str, Any]
    n: int
    best_of: int
    logprobs: int | None
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBody(Common):
    """A body of `/v1/chat/completions`.

    messages: a string is one user message. variables: what the chat template may read.
    chat_template: the name of one of the model's chat templates.
    """

    messages: str | Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    tool_choice: str | Mapping[str, Any] | None
    tool_prompt: str | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    variables: Mapping[str, Any]
    chat_template: str | None
    add_generation_prompt: bool | None
    continue_final_message: bool
    thinking_budget: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionBody(Common):
    """A body of `/v1/completions`.

    prompts: each a text or token ids. echo: whether a prompt stands before its text.
    """

    prompts: Sequence[Prompt]
    echo: bool

    @property
    def only_echoes(self) -> bool:
        """Whether no token is to be generated: the prompts are to be scored."""
        return self.echo and not self.stream and self.sampling.get("max_new_tokens") == 0


def read_chat_body(body: object, *, most: int) -> ChatBody:
    """Check a decoded JSON body of `/v1/chat/completions` and read it into a `ChatBody`.

    most: largest `n` and `best_of`.

    Raises:
        WireTypeError: a field has the wrong type, or `messages` is missing.
        WireValidationError: `n` or `best_of` is outside its range, or there are no messages.
    """
    checked = _with_whole_numbers(check_body(body, "ChatRequest", ("messages",)))
    fields = Fields(checked)
    messages = fields.any("messages")
    if not isinstance(messages, str):
        messages = fields.objects("messages")
        if messages is None:
            raise mismatch("messages", None, "a sequence")
        for index, message in enumerate(messages):
            _check_message(message, index)
    if not messages:
        raise WireValidationError("`messages` cannot be empty")
    shown = _shown(fields, "top_logprobs")
    wants = fields.flag("logprobs")
    variables = dict(fields.mapping("chat_template_kwargs") or {})
    thinking = fields.optional_flag("enable_thinking")
    if thinking is not None:
        variables["enable_thinking"] = thinking
    if fields.text("reasoning_effort") is not None:
        variables.setdefault("reasoning_effort", fields.text("reasoning_effort"))
    choice = fields.any("tool_choice")  # `decoding.chat` knows which texts are legal
    if choice is not None and not isinstance(choice, str | Mapping):
        raise mismatch("tool_choice", choice, "a string or a map")
    return ChatBody(
        **_common(fields, checked, most, stream=fields.flag("stream")),
        logprobs=(shown or 0) if wants else None,
        messages=messages,
        tools=fields.objects("tools") or (),
        tool_choice=choice,
        tool_prompt=fields.text("tool_prompt"),
        parallel_tool_calls=fields.optional_flag("parallel_tool_calls"),
        response_format=fields.mapping("response_format"),
        variables=variables,
        chat_template=fields.text("chat_template"),
        add_generation_prompt=fields.optional_flag("add_generation_prompt"),
        continue_final_message=fields.flag("continue_final_message"),
        thinking_budget=fields.whole("thinking_budget", 0, 2**32 - 1),
    )


def read_completion_body(body: object, *, most: int) -> CompletionBody:
    """Read a body of `/v1/completions`; errors as for `read_chat_body`."""
    checked = _with_whole_numbers(check_body(body, "CompletionRequest", ("prompt",)))
    fields = Fields(checked)
    echo = fields.flag("echo")
    return CompletionBody(
        **_common(fields, checked, most, stream=fields.flag("stream")),
        logprobs=_shown(fields, "logprobs"),
        prompts=_prompts(fields.any("prompt")),
        echo=echo,
    )


def _with_whole_numbers(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose numbers, also in lists, are integers where they are whole: 5.0 is 5 in JSON."""
    return {name: _whole_number(value) for name, value in body.items()}


def _whole_number(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole_number(item) for item in value]
    return value


def _common(fields: Fields, body: Mapping[str, Any], most: int, *, stream: bool) -> dict[str, Any]:
    n = fields.whole("n", 0, 2**32 - 1)
    best_of = fields.whole("best_of", 0, 2**32 - 1)
    n = 1 if n is None else n
    best_of = n if best_of is None else best_of
    if not 1 <= n <= most:
        raise WireValidationError(f"`n` must be > 0 and <= {most}. Given: {n}")
    if not 1 <= best_of <= most:
        raise WireValidationError(f"`best_of` must be > 0 and <= {most}. Given: {best_of}")
    if best_of < n:
        raise WireValidationError(f"`best_of` must be >= `n`. Given: {best_of} and {n}")
    if stream and best_of > n:
        raise WireValidationError("`best_of` != 1 is not supported when streaming tokens")
    options = Fields(fields.mapping("stream_options") or {}, "stream_options.")
    return {
        "model": fields.text("model") or "",
        "sampling": read_sampling(body),
        "n": n,
        "best_of": best_of,
        "stream": stream,
        "include_usage": options.flag("include_usage"),
    }


def _shown(fields: Fields, name: str) -> int | None:
    """How many alternatives are shown for each token."""
    count = fields.whole(name, 0, 2**32 - 1)
    if count is not None and count > LARGEST_TOP_LOGPROBS:
        text = f"`{name}` must be >= 0 and <= {LARGEST_TOP_LOGPROBS}. Given: {count}"
        raise WireValidationError(text)
    return count


def _check_message(message: Mapping[str, Any], index: int) -> None:
    """The fields of a message that templates read have a type that they can."""
    at = f"messages[{index}]"
    fields = Fields(message, f"{at}.")
    if fields.text("role") is None:
        raise mismatch(f"{at}.role", message.get("role"), "a string")
    content = message.get("content")
    if isinstance(content, list):
        fields.objects("content")
    elif content is not None and not isinstance(content, str):
        raise mismatch(f"{at}.content", content, "a string or a sequence of content parts")
    fields.objects("tool_calls")


def _prompts(value: object) -> Sequence[Prompt]:
    """A text, token ids, or a list of either."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise mismatch("prompt", value, "a string or a sequence")
    if not value:
        raise WireValidationError("`inputs` cannot be empty")
    if _are_ids(value):
        return [value]
    for index, item in enumerate(value):
        if not isinstance(item, str) and not (isinstance(item, list) and item and _are_ids(item)):
            raise mismatch(f"prompt[{index}]", item, "a string or token ids")
    return value


def _are_ids(values: Sequence[object]) -> bool:
    return all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**31
        for item in values
    )
