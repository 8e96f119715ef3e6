"""Stop strings, found in streamed text with an Aho-Corasick automaton."""

from __future__ import annotations

import re
from collections import deque
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from decoding.errors import ParameterError
from decoding.request_fields import MOST_CHARACTERS, MOST_STRINGS


class _Automaton(NamedTuple):
    """The Aho-Corasick automaton of some strings; state 0 is the root.

    A state is the longest suffix of the text that begins a string. So its depth is, exactly, the
    number of characters that may still become a stop. Source: Aho and Corasick 1975, "Efficient
    string matching: an aid to bibliographic search", doi:10.1145/360825.360855.

    children: for each state, character -> the state one character deeper.
    fallback: for each state, the state of its longest proper suffix that begins a string.
    depth: for each state, its number of characters.
    found: for each state, the longest string that ends here; None where none does.
    first: finds the next character with which a string begins.
    has_empty: whether the empty string, which has no state of its own, is one of the strings.
    """

    children: list[dict[str, int]]
    fallback: list[int]
    depth: list[int]
    found: list[str | None]
    first: re.Pattern[str]
    has_empty: bool

    @classmethod
    def of(cls, strings: tuple[str, ...]) -> _Automaton:
        """Takes time and memory in proportion to the total length of the strings."""
        children: list[dict[str, int]] = [{}]
        depth = [0]
        found: list[str | None] = [None]
        for string in filter(None, strings):
            state = 0
            for character in string:
                if character not in children[state]:
                    children[state][character] = len(children)
                    children.append({})
                    depth.append(depth[state] + 1)
                    found.append(None)
                state = children[state][character]
            found[state] = string
        fallback = [0] * len(children)
        first = _any_of(children[0])
        automaton = cls(children, fallback, depth, found, first, "" in strings)
        automaton._link()
        return automaton

    def _link(self) -> None:
        """Fills in the fallbacks, nearest to the root first: a fallback is always shallower."""
        waiting = deque(self.children[0].values())
        while waiting:
            state = waiting.popleft()
            if self.found[state] is None:
                self.found[state] = self.found[self.fallback[state]]
            for character, child in self.children[state].items():
                self.fallback[child] = self.step(self.fallback[state], character)
                waiting.append(child)

    def step(self, state: int, character: str) -> int:
        """The state after one more character."""
        while state and character not in self.children[state]:
            state = self.fallback[state]
        return self.children[state].get(character, 0)

    def scan(self, state: int, text: str, *, stopping: bool = True) -> tuple[int, int]:
        """The state after `text` and how much of it was read: all, or up to the first stop.

        stopping: without, strings that end here are passed by; one that begins here may still end
            in what follows.
        """
        position = 0
        while position < len(text):
            if not state:
                start = self.first.search(text, position)
                if start is None:
                    return 0, len(text)
                position = start.start()
            state = self.step(state, text[position])
            position += 1
            if self.found[state] is not None:
                if stopping:
                    break
                while state and not self.children[state]:  # nothing that is passed by is held
                    state = self.fallback[state]
        return state, position


def _any_of(characters: dict[str, int]) -> re.Pattern[str]:
    """A pattern that matches one of the characters; no text if there are none."""
    return re.compile(f"[{''.join(map(re.escape, sorted(characters)))}]" if characters else "(?!)")


_EMPTY = _Automaton.of(())
"""The automaton of no stop string, shared by the many sequences that have none."""


@dataclass(frozen=True, slots=True)
class StopStrings:
    """Compiled stop strings, shared by any number of sequences.

    The first stop is the one whose occurrence ends first; of several that end together, the
    longest. It is found wherever it occurs: inside a token, or across tokens. (TGI looks only at
    the end of each token, and misses it otherwise.)

    strings: compared code point by code point; an empty tuple never stops and is neutral. The empty
        string, legal on TGI's wire, stops after the first token and cuts nothing.

    Raises ParameterError for anything but strings, for one bare string, and for more strings or
    characters than a request may have: the automaton takes some 300 bytes a character.
    """

    strings: tuple[str, ...] = ()
    _automaton: _Automaton = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        strings = self.strings
        is_sequence = isinstance(strings, tuple | list)
        if not is_sequence or not all(isinstance(string, str) for string in strings):
            raise ParameterError("stop", strings, "a sequence of strings")
        if len(strings) > MOST_STRINGS or sum(map(len, strings)) > MOST_CHARACTERS:
            expected = f"at most {MOST_STRINGS} strings of {MOST_CHARACTERS} characters in all"
            raise ParameterError("stop", strings, expected)
        object.__setattr__(self, "strings", tuple(strings))
        automaton = _Automaton.of(self.strings) if self.strings else _EMPTY
        object.__setattr__(self, "_automaton", automaton)

    def start(self, *, keep: bool = True) -> StopMatcher:
        """Follows a new text; `keep` as `StopMatcher` describes it."""
        return StopMatcher(self._automaton, keep=keep)


class StopMatcher:
    """Searches one text, given in pieces, for its first stop; made by `StopStrings.start`.

    For every way to cut a text into pieces, what `push` and `flush` return, joined, is the visible
    part of the text cut at the first stop, and `stop` is that stop. Work is linear in the piece and
    what is remembered is shorter than the longest stop, however long the text.

    keep: True (TGI's rule): the text is cut right after the stop, and nothing is ever held back.
        False (OpenAI's rule): the text is cut right before it. Then the longest end of the text
        that is the beginning of a stop is held back, until it cannot become one any more.

    >>> matcher = StopStrings(("END",)).start(keep=False)
    >>> matcher.push("the E"), matcher.push("NE"), matcher.push("ND!"), matcher.stop
    ('the ', 'EN', '', 'END')
    """

    __slots__ = ("_automaton", "_keep", "_state", "_stop", "_window")

    def __init__(self, automaton: _Automaton, *, keep: bool) -> None:
        self._automaton = automaton
        self._keep = keep
        self._state = 0
        self._stop: str | None = None
        # Immutable values only, so that a shallow copy is a fork.
        self._window: tuple[tuple[str, bool], ...] = ()

    def push(self, text: str, *, visible: bool = True, stopping: bool = True) -> str:
        """Read the text of one token; return the text that no stop string can remove any more.

        Invisible text (that of special tokens) takes part in the matching and is never returned;
        but it may release visible text that was held back. Text after a stop is ignored.

        stopping: without, a stop that ends in this text is text like any other; one that begins in
            it may still end in what follows.
        """
        if self._stop is not None:
            return ""
        automaton = self._automaton
        if not self._state and not automaton.has_empty and automaton.first.search(text) is None:
            return text if visible else ""  # nothing is held, and no stop begins here
        held = automaton.depth[self._state]
        self._state, read = automaton.scan(self._state, text, stopping=stopping)
        if stopping:
            self._stop = automaton.found[self._state]
            if self._stop is None and automaton.has_empty:
                self._stop = ""
        text = text[:read]
        if self._keep:
            return text if visible else ""
        retained = automaton.depth[self._state] if self._stop is None else len(self._stop)
        if text:
            self._window = (*self._window, (text, visible))
        released = self._release(held + read - retained)
        if self._stop is not None:
            self._window = ()
        return released

    def flush(self) -> str:
        """End the text: return what was held back as a possible beginning of a stop string."""
        held, self._window, self._state = self.held, (), 0
        return held

    @property
    def stop(self) -> str | None:
        """The stop string that was found, or None."""
        return self._stop

    @property
    def held(self) -> str:
        """The text held back as a possible beginning of a stop string; empty with `keep`."""
        return "".join(text for text, visible in self._window if visible)

    def fork(self) -> StopMatcher:
        """Copy the matcher with what it has read."""
        return copy(self)

    def _release(self, count: int) -> str:
        """Takes the oldest `count` characters out of the window; returns the visible ones."""
        released = []
        runs = list(self._window)
        while count:
            text, visible = runs.pop(0)
            if len(text) > count:
                runs.insert(0, (text[count:], visible))
                text = text[:count]
            if visible:
                released.append(text)
            count -= len(text)
        self._window = tuple(runs)
        return "".join(released)
