"""The JSON of OpenAI's API: request bodies, responses and stream chunks.

Requests are read to the fields of TGI's, whose rules and texts then hold for both.
Source: OpenAI's API reference, "Chat" and "Completions"; TGI 3.3.6, router/src/lib.rs.
"""

from decoding.wire.openai.answers import Chunks, Head, answer, finish_of, usage
from decoding.wire.openai.completions import CompletionChunks, completion_choice
from decoding.wire.openai.logprobs import chat_logprobs, completion_logprobs, shown_tokens

__all__ = [
    "Chunks",
    "CompletionChunks",
    "Head",
    "answer",
    "chat_logprobs",
    "completion_choice",
    "completion_logprobs",
    "finish_of",
    "shown_tokens",
    "usage",
]
