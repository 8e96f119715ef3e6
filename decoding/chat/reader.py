"""What a model writes, an event at a time, as pieces of a message."""

from __future__ import annotations

from decoding.chat.deltas import ChatDelta, ChatEnd
from decoding.wire.details import FinishReason, StreamEvent


class ChatReader:
    """Turns the stream events of one sequence into pieces of a message."""

    def read(self, event: StreamEvent) -> list[ChatDelta]:
        """What one event makes certain; often nothing."""
        return [ChatDelta(content=event.text)] if event.text else []

    def finish(self, reason: FinishReason) -> ChatEnd:
        """How the message ends, after the last event.

        reason: why the sequence ended, as `StreamDetails` and `Details` give it.
        """
        return ChatEnd("length" if reason is FinishReason.LENGTH else "stop")
