"""Splits a model's streamed output into text, reasoning and tool-call pieces of a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from decoding.chat.calls_text import CallsText
from decoding.chat.deltas import ChatDelta, ChatEnd
from decoding.chat.formats import ReasoningFormat, ToolFormat
from decoding.wire.details import FinishReason, StreamEvent


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a reader expects of an answer: tool calls, reasoning tags, and a begun prefix.

    tools: the format of its tool calls; None where it has none. required: whether it is calls and
        nothing else. reasoning: the tags of its reasoning; None where it has none.
    opened: whether the prompt has opened the reasoning. whole_calls: whether a call is given out
        when it is complete, and not in pieces.
    begun: the text of the answer that the prompt ends with.
    """

    tools: ToolFormat | None = None
    required: bool = False
    reasoning: ReasoningFormat | None = None
    opened: bool = False
    whole_calls: bool = False
    begun: str = ""


class ChatReader:
    """Turns the stream events of one sequence into pieces of a message.

    Text that may be the beginning of a tag is held back until it is known to be none, and white
    space around tags is left out. What the prompt has written of the answer (`begun`) is not given
    out, except for a call that it has left open: that comes whole.
    """

    def __init__(self, form: AnswerForm) -> None:
        self._form = form
        self._text = ""  # what is not decided yet
        self._skipped = 0  # how much at its beginning the prompt has written
        self._calls: CallsText | None = None
        self._pieces: list[ChatDelta] = []
        self._kept: list[ChatDelta] = []  # pieces of a call that is not complete
        self._any_call = False
        self._bare = True  # whether white space in front of what comes next is left out
        self._mode: Callable[[], bool] = self._begin
        if form.reasoning is not None and form.opened:
            self._mode = self._reason
        elif form.tools is None and form.reasoning is None:
            self._mode = self._write
        self._bare = self._mode == self._reason
        if form.begun:
            self._prime(form.begun)

    def read(self, event: StreamEvent) -> list[ChatDelta]:
        """The deltas that one stream event completes; often none."""
        special = event.token.special
        spelled = event.token.bytes
        tag = spelled.decode("utf-8", "replace") if special and spelled is not None else ""
        return self.take(event.text, tag if special else None)

    def take(self, text: str, special: str | None = None) -> list[ChatDelta]:
        """The deltas that a text completes, followed by a special token whose text is `special`."""
        self._push(text)
        if special is not None:
            if special in self._expected():
                self._push(special)
            else:
                self._part()
        return self._taken()

    def finish(self, reason: FinishReason) -> ChatEnd:
        """End the message after the last event; return its finish reason and the last deltas.

        reason: why the sequence ended, as `StreamDetails` and `Details` give it.
        """
        if self._mode == self._reason:
            self._reasoned(self._text)
        elif self._mode in (self._begin, self._write) and not self._form.required:
            self._said(self._text)
        self._text = ""
        cut = reason is FinishReason.LENGTH
        if cut:
            self._give(self._kept)
        self._kept = []
        deltas = tuple(self._taken())
        if cut:
            return ChatEnd("length", deltas)
        return ChatEnd("tool_calls" if self._any_call else "stop", deltas)

    def _taken(self) -> list[ChatDelta]:
        pieces, self._pieces = self._pieces, []
        return _joined(pieces)

    def _prime(self, begun: str) -> None:
        """Read what the prompt has written."""
        self._push(begun)
        self._skipped = len(self._text)
        pieces, self._pieces = [*self._pieces, *self._kept], []
        self._kept, self._any_call = [], False
        calls = self._calls
        if calls is None:
            return
        current, calls.count = calls.count, 0
        open_call = [
            ChatDelta(tool_call=replace(piece.tool_call, index=0))
            for piece in pieces
            if piece.tool_call is not None and piece.tool_call.index == current
        ]
        if self._form.whole_calls:
            self._kept = open_call
        else:
            self._give(open_call)

    def _push(self, text: str) -> None:
        self._text += text
        while self._text and self._mode():
            pass

    def _expected(self) -> set[str]:
        """The tags that mean something here; other special tokens are no part of the answer."""
        tools, reasoning = self._form.tools, self._form.reasoning
        if self._mode == self._reason:
            return set() if reasoning is None else {reasoning.closing}
        expected = set() if tools is None else {tools.opening, tools.closing}
        if self._mode == self._begin and reasoning is not None and not self._bare:
            expected.add(reasoning.opening)
        return expected - {""}

    def _part(self) -> None:
        """A special token that is no tag stands here: no tag reaches across it."""
        if self._mode == self._reason:
            self._reasoned(self._text)
        elif self._mode in (self._begin, self._write):
            self._said(self._text)
            self._mode = self._write
        self._text = ""

    # Modes: each reads on, and says whether there may be more to read in another mode.

    def _begin(self) -> bool:
        """Before the first words of the answer, or of what stands behind the reasoning."""
        form = self._form
        stripped = self._text.lstrip()
        reasoning = form.reasoning.opening if form.reasoning and not self._bare else ""
        leads = [*(form.tools.leading if form.tools is not None else ()), reasoning]
        if reasoning and stripped.startswith(reasoning):
            self._keep(stripped[len(reasoning) :])
            self._bare, self._mode = True, self._reason
        elif any(lead and stripped.startswith(lead) for lead in leads):
            self._keep(stripped)
            self._call()
        elif any(lead.startswith(stripped) for lead in leads if lead):
            return False
        else:
            self._mode = self._write
        return True

    def _reason(self) -> bool:
        assert self._form.reasoning is not None
        before, tag, after = self._text.partition(self._form.reasoning.closing)
        if tag:
            self._reasoned(before.rstrip())
            self._keep(after)
            self._bare, self._mode = True, self._begin
            return True
        self._hold([self._form.reasoning.closing], self._reasoned, spaces=True)
        return False

    def _write(self) -> bool:
        tools = self._form.tools
        if tools is None:
            self._said(self._text)
            self._keep("")
            return False
        before, tag, after = self._text.partition(tools.opening)
        if tag:
            self._said(before.rstrip())
            self._keep(after)
            self._call()
            return True
        self._hold([tools.opening], self._said, spaces=True)
        return False

    def _call(self) -> None:
        tools, before = self._form.tools, self._calls
        assert tools is not None
        self._calls = CallsText(
            0 if before is None else before.count,
            tools.arguments_key,
            tools.new_id,
            as_array=tools.as_array,
        )
        self._mode = self._read_calls

    def _read_calls(self) -> bool:
        calls = self._calls
        assert calls is not None
        found, rest = calls.push(self._text)
        self._keep(rest)
        pieces = [*self._kept, *(ChatDelta(tool_call=piece) for piece in found)]
        self._kept = []
        for piece in pieces:
            assert piece.tool_call is not None
            complete = piece.tool_call.index < calls.count
            if complete or not self._form.whole_calls:
                self._give([piece])
            else:
                self._kept.append(piece)
        if calls.done:
            self._mode = self._close
        return calls.done

    def _close(self) -> bool:
        """Behind a call, before the tag that closes it or what parts it from the next one."""
        tools = self._form.tools
        assert tools is not None
        stripped = self._text.lstrip(" \n;" if tools.separator else None)
        if not stripped:
            return False
        if tools.separator and stripped.startswith("{"):
            self._keep(stripped)
            self._call()
            return True
        if stripped.startswith(tools.closing):
            self._keep(stripped[len(tools.closing) :])
            self._bare, self._mode = True, self._write
            return True
        return False

    # What is given out.

    def _keep(self, text: str) -> None:
        """Go on with this text, which is the end of the one before."""
        self._skipped = max(0, self._skipped - (len(self._text) - len(text)))
        self._text = text

    def _hold(self, tags: Iterable[str], give: Callable[[str], None], *, spaces: bool) -> None:
        """Give out all but what may be the beginning of a tag, and white space before that."""
        sure = len(self._text)
        for tag in tags:
            for length in range(min(len(tag) - 1, len(self._text)), 0, -1):
                if self._text.endswith(tag[:length]):
                    sure = min(sure, len(self._text) - length)
                    break
        if spaces:
            sure = len(self._text[:sure].rstrip())
        give(self._text[:sure])
        self._keep(self._text[sure:])

    def _said(self, text: str) -> None:
        shown = self._shown(text)
        if shown:
            self._give([ChatDelta(content=shown)])

    def _reasoned(self, text: str) -> None:
        shown = self._shown(text)
        if shown:
            self._give([ChatDelta(reasoning_content=shown)])

    def _shown(self, text: str) -> str:
        """The part of a text, at the beginning of what is not decided, that is given out."""
        if self._bare:
            stripped = text.lstrip()
            self._bare = not stripped
            dropped = len(text) - len(stripped)
        else:
            dropped = 0
        return text[max(dropped, self._skipped) :]

    def _give(self, pieces: Iterable[ChatDelta]) -> None:
        for piece in pieces:
            self._any_call = self._any_call or piece.tool_call is not None
            self._pieces.append(piece)


def _joined(pieces: list[ChatDelta]) -> list[ChatDelta]:
    """Pieces of text with neighbours of the same kind put together."""
    found: list[ChatDelta] = []
    for piece in pieces:
        before = found[-1] if found else ChatDelta()
        if piece.content is not None and before.content is not None:
            found[-1] = ChatDelta(content=before.content + piece.content)
        elif piece.reasoning_content is not None and before.reasoning_content is not None:
            together = before.reasoning_content + piece.reasoning_content
            found[-1] = ChatDelta(reasoning_content=together)
        else:
            found.append(piece)
    return found
