"""Chat completions: messages to prompts, generated text to content, reasoning and tool calls.

`prepare` checks a chat request and renders its prompt; readers, one a sequence, turn the stream
events of the engine into pieces of a message. Knows models, grammars and the engine; nothing of
HTTP.
"""

from decoding.chat.deltas import ChatDelta, ChatEnd, ChatMessage, ToolCall, ToolCallDelta, fold
from decoding.chat.prepare import Prepared, prepare
from decoding.chat.reader import ChatReader
from decoding.chat.response_format import read_response_format

__all__ = [
    "ChatDelta",
    "ChatEnd",
    "ChatMessage",
    "ChatReader",
    "Prepared",
    "ToolCall",
    "ToolCallDelta",
    "fold",
    "prepare",
    "read_response_format",
]
