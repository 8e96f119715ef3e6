"""An incremental parser of tool calls in JSON: pieces of text in, names and argument deltas out."""

from __future__ import annotations

import json
from collections.abc import Callable

from decoding.chat.deltas import ToolCallDelta

_SPACE = " \t\r\n"


class CallsText:
    """Reads one call, or an array of calls, a piece of text at a time.

    first_index: of the first call among those of the message. arguments_key: the key of the
        arguments. new_id: makes the id of a call.
    as_array: whether the calls are the items of an array.

    The text is JSON: a grammar has seen to that. What is given out of a call's arguments is their
    text as the model writes it.
    """

    def __init__(
        self, first_index: int, arguments_key: str, new_id: Callable[[], str], *, as_array: bool
    ) -> None:
        self._arguments_key, self._new_id, self._as_array = arguments_key, new_id, as_array
        self.count = first_index
        self.done = False
        self._outer = 1 if as_array else 0
        self._reset()
        self._depth = 0

    def _reset(self) -> None:
        """Reset the parser to the position before a call."""
        self._key: str | None = None  # of the value that is being read, at a call's top level
        self._word: list[str] = []  # the string or value that is being read
        self._in_string = self._escaped = False
        self._named = False
        self._waiting = ""  # arguments that came before the name

    @property
    def open(self) -> bool:
        """Whether a call has begun and is not complete."""
        return self._depth > self._outer

    def push(self, text: str) -> tuple[list[ToolCallDelta], str]:
        """Parse more streamed text; return tool-call deltas, and the text after all calls."""
        found: list[ToolCallDelta] = []
        for place, character in enumerate(text):
            if self.done:
                return _joined(found), text[place:]
            self._read(character, found)
        return _joined(found), ""

    def _read(self, character: str, found: list[ToolCallDelta]) -> None:
        level = self._depth - self._outer
        arguing = level >= 1 and self._key == self._arguments_key
        if self._in_string:
            self._read_string(character, level, found)
        elif character == '"':
            self._in_string, self._word = True, ['"']
        elif level <= 1 and character in "}]":
            self._depth -= 1
            self._close(level)
            return
        elif level == 1 and character == ":" and self._key is None:
            self._key = json.loads("".join(self._word))
        elif level == 1 and character == ",":
            self._key, arguing = None, False
        else:
            self._depth += (character in "{[") - (character in "}]")
            arguing = arguing and (level > 1 or character not in _SPACE)
        if arguing:
            self._argue(character, found)

    def _read_string(self, character: str, level: int, found: list[ToolCallDelta]) -> None:
        self._word.append(character)
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
            if level == 1 and self._key == "name":
                self._name("".join(self._word), found)

    def _close(self, level: int) -> None:
        if level == 1:
            self.count += 1
            self.done = not self._as_array
            self._reset()
        else:
            self.done = True

    def _name(self, text: str, found: list[ToolCallDelta]) -> None:
        if not self._named:
            self._named = True
            waiting, self._waiting = self._waiting, ""
            found.append(ToolCallDelta(self.count, self._new_id(), json.loads(text), waiting))

    def _argue(self, character: str, found: list[ToolCallDelta]) -> None:
        if self._named:
            found.append(ToolCallDelta(self.count, arguments=character))
        else:
            self._waiting += character


def _joined(pieces: list[ToolCallDelta]) -> list[ToolCallDelta]:
    """Pieces with neighbours of one call put together."""
    found: list[ToolCallDelta] = []
    for piece in pieces:
        if found and piece.id is None and found[-1].index == piece.index:
            before = found.pop()
            together = before.arguments + piece.arguments
            found.append(ToolCallDelta(before.index, before.id, before.name, together))
        else:
            found.append(piece)
    return found
