"""Builds the choices of `/v1/completions`: whole ones, and the chunks of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decoding.wire.details import Response, StreamEvent
from decoding.wire.openai.answers import Chunks, Head, finish_of
from decoding.wire.openai.logprobs import Shown, completion_logprobs, shown_tokens


def completion_choice(
    index: int, response: Response, *, logprobs: int | None = None, prompt_text: str = ""
) -> dict[str, Any]:
    """A choice of a completion.

    logprobs: alternatives for each token; None = no logprobs. prompt_text: what the response's text
        begins with and its tokens do not spell.
    """
    shown = None
    if logprobs is not None:
        before = len(prompt_text)
        text = response.generated_text[before:]
        shown = completion_logprobs(
            shown_tokens(response.tokens, response.top_tokens, text),
            logprobs,
            offset=0 if response.prefill else before,
            prompt=response.prefill,
        )
    return {
        "index": index,
        "text": response.generated_text,
        "logprobs": shown,
        "finish_reason": finish_of(response.finish_reason),
    }


class CompletionChunks:
    """Turns the stream events of completions into the chunks of `/v1/completions`.

    head: what each chunk begins with. prompts: the text in front of each choice, empty unless it is
    echoed. logprobs: alternatives for each token; None = no logprobs. include_usage: as `Chunks`
    has it.
    """

    def __init__(
        self,
        head: Head,
        prompts: Sequence[str] = ("",),
        *,
        logprobs: int | None = None,
        include_usage: bool = False,
    ) -> None:
        self.chunks = Chunks(head, include_usage=include_usage)
        self._prompts = prompts
        self._offsets = [len(text) for text in prompts]
        self._shown = [Shown() for _ in prompts]
        self._logprobs = logprobs

    def first(self) -> str:
        """The chunks that echo the prompts."""
        return "".join(
            self.chunks.text(index, text) for index, text in enumerate(self._prompts) if text
        )

    def write(self, index: int, item: StreamEvent) -> str:
        """The chunk of one event of the choice of this index; none where it adds nothing."""
        logprobs = None
        if self._logprobs is not None:
            shown = self._shown[index].push(item.token, item.top_tokens, item.text)
            if shown:
                offset = self._offsets[index]
                logprobs = completion_logprobs(shown, self._logprobs, offset=offset)
                self._offsets[index] += sum(map(len, logprobs["tokens"]))
        if item.details is None and logprobs is None:
            return self.chunks.text(index, item.text) if item.text else ""
        finish = None if item.details is None else finish_of(item.details.finish_reason)
        return self.chunks.choice(
            {"index": index, "text": item.text, "logprobs": logprobs, "finish_reason": finish}
        )
