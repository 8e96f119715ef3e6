"""Walks for where no kernels are compiled: what was once found to follow a place is remembered.

Tokens go through places that are alike: inside strings, numbers and white space all that matters is
found once (`decoding.grammar.tokens.segments`), and what follows behind them is the same for many
tokens. So a step of the kernel, which takes long, is made once for all bytes that an automaton
does not tell apart, and not at all for bytes that never fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.configurations import Place, Places
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.masking.walks import ChoiceNeededError, KernelWalks
from decoding.grammar.tokens.branches import ROOT, Branch, Nodes, branches_of
from decoding.grammar.tokens.levels import allow_all, allow_twins
from decoding.grammar.tokens.segments import WHITE, Reading, Run
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import Trie, chain
from decoding.kernels.grammar import whitespace
from decoding.kernels.grammar.layout import (
    ANY_STRING_LABEL,
    CONFIG,
    CONFIG_SIZE,
    DEAD,
    MODE,
    STATE,
    UNKNOWN,
)

_QUOTE = b'"'
_VALUES = WHITE + b'"-0123456789[{ntf'
_FITTING = {
    MODE.VALUE_NEXT: _VALUES,
    MODE.IN_LITERAL: b"aelrsu",
    MODE.OBJECT_FIRST: WHITE + b'"}',
    MODE.COLON_NEXT: WHITE + b":",
    MODE.OBJECT_AFTER: WHITE + b",}",
    MODE.KEY_NEXT: WHITE + b'"',
    MODE.ARRAY_FIRST: _VALUES + b"]",
    MODE.ARRAY_AFTER: WHITE + b",]",
    MODE.DONE: b"",
}
"""The bytes that may fit in modes without an automaton."""
_BEHIND_NUMBERS = WHITE + b",]}"
_TAILS = 1 << 14
_ONE_BYTE = tuple(chain(bytes([byte])) for byte in range(256))

Fields = tuple[int, ...]
"""A place as a tuple."""


@dataclass(slots=True)
class _Seen:
    """A place, and what is known to follow it.

    following: by byte, and by −1 − the state that an automaton goes on in.
    """

    place: Fields
    following: dict[int, int] = field(default_factory=dict)


class MemoizedWalks:
    """Walks of places whose next ones are remembered."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._runs = places.store.segments
        self._seen: dict[int, _Seen] = {}
        self._numbers: dict[Fields, int] = {}
        # By place and nodes, the tokens from there on that fit.
        self._tails: dict[tuple[int, Nodes, Trie], NDArray[np.int32]] = {}
        self._ended: dict[tuple[Fields, int], int] = {}
        self._reached = np.zeros(1, np.uint32)

    def follow(self, number: int, text: bytes) -> int:
        """See `Walks.follow`."""
        for byte in text:
            number = self._step(number, byte)
            if number == REJECTED:
                break
        return number

    def allow(self, place: Place, trie: Trie, mask: Mask) -> None:
        """See `Walks.allow`."""
        if place[CONFIG.MODE] == MODE.IN_ITEM or self._places.is_distinct(place):
            # Each of many texts would be a place of its own.
            KernelWalks(self._places).allow(place, trie, mask)
            return
        number = self._number(tuple(place.tolist()))
        run = self._run(self._seen[number].place, trie, ROOT)
        if run is None:
            allow_all(mask, self._descend(number, trie, ROOT))
        else:
            allow_all(mask, run.tokens)
            for after, tokens, below in self._left(number, run):
                allow_all(mask, np.array(tokens, np.int32))
                if below:
                    allow_all(mask, self._tail(after, trie, below))
        allow_twins(mask, trie)

    def _tail(self, number: int, trie: Trie, nodes: Nodes) -> NDArray[np.int32]:
        key = (number, nodes, trie)
        known = self._tails.get(key)
        if known is None:
            known = self._descend(number, trie, nodes)
            if len(self._tails) == _TAILS:
                self._tails.clear()
            self._tails[key] = known
        return known

    def _descend(self, number: int, trie: Trie, nodes: Nodes) -> NDArray[np.int32]:
        """The tokens below some nodes that fit behind a place."""
        branches = branches_of(trie)
        tokens: list[int] = []
        runs = []
        pending = [(number, nodes)]
        while pending:
            number, nodes = pending.pop()
            place = self._seen[number].place
            run = self._run(place, trie, nodes)
            if run is None:
                ways = self._ways(number, branches.of(nodes))
            else:
                runs.append(run.tokens)
                ways = self._left(number, run)
            for after, ending, below in ways:
                tokens += ending
                if below:
                    pending.append((after, below))
        return np.concatenate([np.array(tokens, np.int32), *runs])

    def _ways(
        self, number: int, children: dict[int, Branch]
    ) -> list[tuple[int, tuple[int, ...], Nodes]]:
        """Where children of nodes lead."""
        found = []
        fitting = _FITTING.get(self._seen[number].place[CONFIG.MODE])
        if fitting is not None and len(fitting) < len(children):
            listed = [children[byte] for byte in fitting if byte in children]
        else:
            listed = list(children.values())
        for byte, tokens, below in listed:
            after = self._step(number, byte)
            if after != REJECTED:
                found.append((after, tokens, below))
        return found

    def _left(self, number: int, run: Run) -> list[tuple[int, tuple[int, ...], Nodes]]:
        """Where tokens lead that leave a run."""
        place = self._seen[number].place
        fitting = _FITTING.get(place[CONFIG.MODE])
        if place[CONFIG.MODE] == MODE.IN_STRING and place[CONFIG.COUNT] >= 0:
            # There are enough characters where it is left; how many is forgotten.
            counted = (*place[: CONFIG.COUNT], self._places.bounds(place)[0])
            place = (*counted, *place[CONFIG.COUNT + 1 :])
            self._number(place)
        found = []
        for state, byte, tokens, below in run.exits:
            if fitting is not None and byte not in fitting:
                continue
            after = self._step(self._at(place, state), byte)
            if after != REJECTED:
                found.append((after, tokens, below))
        return found

    def _run(self, place: Fields, trie: Trie, nodes: Nodes) -> Run | None:
        """The run that a place is in, if all that is read in it fits."""
        mode, state = place[CONFIG.MODE], place[CONFIG.STATE]
        if mode in _FITTING:
            if mode in (MODE.IN_LITERAL, MODE.DONE):
                return None
            if self._places.spacing % whitespace.KINDS != whitespace.FREE:
                return None
            most = self._places.spacing // whitespace.KINDS
            left = 0 if state == whitespace.CLOSED else most - state
            return self._runs.white(left, trie, nodes)
        if mode == MODE.IN_STRING and place[CONFIG.COUNT] >= 0:
            # No token begins more characters than it has bytes.
            least, most = self._places.bounds(place)
            least = min(max(least - place[CONFIG.COUNT], 0), trie.depth)
            if most >= 0:
                most = min(most - place[CONFIG.COUNT], trie.depth)
            return self._runs.counted(state, least, most, trie, nodes)
        keys: tuple[int, ...] | None = ()
        if mode == MODE.IN_KEY and not self._places.is_open(place):
            keys = self._places.keys_left(place)
        if mode == MODE.IN_ITEM or keys is None:
            return None
        return self._runs.read(Reading(state, _endings(place), keys), trie, nodes)

    def _step(self, number: int, byte: int) -> int:
        """The number of the place after one more byte."""
        seen = self._seen.get(number) or self._see(number)
        after = seen.following.get(byte)
        if after is None:
            fitting = _FITTING.get(seen.place[CONFIG.MODE])
            if fitting is None:
                after = self._read(number, byte)
            elif byte not in fitting:
                after = REJECTED
            elif seen.place[CONFIG.MODE] == MODE.IN_LITERAL:
                after = self._made(number, byte)
            else:
                after = self._between(number, byte)
            seen.following[byte] = after
        return after

    def _between(self, number: int, byte: int) -> int:
        """The place after a byte between values, where AT counts the white space so far."""
        place = self._seen[number].place
        seen, layout = place[CONFIG.STATE], self._places.spacing
        is_fixed = layout % whitespace.KINDS in (whitespace.SPACED, whitespace.INDENTED)
        if byte in WHITE or is_fixed:
            return self._made(number, byte)
        # White space changes nothing of what comes behind it.
        return self._step(self._at(place, 0), byte) if seen else self._made(number, byte)

    def _read(self, number: int, byte: int) -> int:
        """The place after a byte that an automaton may read."""
        seen = self._seen[number]
        place = seen.place
        mode, state = place[CONFIG.MODE], place[CONFIG.STATE]
        following = self._places.store.dfa.shared_fields[state + byte]
        if following == UNKNOWN:
            return self._made(number, byte)
        if following == DEAD:
            return self._end(number, byte)
        if mode in (MODE.TEXT, MODE.IN_NUMBER) or (
            mode == MODE.IN_STRING and place[CONFIG.COUNT] < 0
        ):
            return self._at(place, following)
        if mode == MODE.IN_ITEM or self._places.is_distinct(place):
            return self._made(number, byte)
        after = seen.following.get(-1 - following)
        if after is None:
            keys = self._places.keys_left(place) if mode == MODE.IN_KEY else None
            if keys is None:
                after = self._made(number, byte)
            else:
                leads = self._runs.leads(following, keys)
                after = self._at(place, following) if leads else REJECTED
            seen.following[-1 - following] = after
        return after

    def _end(self, number: int, byte: int) -> int:
        """The place after a byte that an automaton cannot read."""
        place = self._seen[number].place
        if byte not in _endings(place):
            return REJECTED
        fields = self._places.store.dfa.shared_fields
        label = place[CONFIG.STATE] + STATE.LABEL_LOW
        mode = place[CONFIG.MODE]
        if mode not in (MODE.IN_STRING, MODE.IN_NUMBER) or fields[label] == ANY_STRING_LABEL:
            return self._made(number, byte)
        # Of the value, what accepts it is all that matters.
        key = (mode, fields[label], fields[label + 1], *place[CONFIG.COUNT :])
        after = self._ended.get((key, byte))
        if after is None:
            after = self._ended[key, byte] = self._made(number, byte)
        return after

    def _see(self, number: int) -> _Seen:
        """A place that others have numbered."""
        self._number(tuple(self._places[number].tolist()))
        return self._seen[number]

    def _at(self, place: Fields, state: int) -> int:
        """The number of a place that differs in AT alone."""
        if place[CONFIG.STATE] == state:
            return self._numbers[place]
        return self._number((place[CONFIG.MODE], state, *place[CONFIG.COUNT :]))

    def _number(self, place: Fields) -> int:
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = self._places.number(np.array(place))
            self._seen[number] = _Seen(place)
        return number

    def _made(self, number: int, byte: int) -> int:
        """The place after one more byte, as the kernel says."""
        places = self._places
        self._reached[0] = 0
        if places.walk(places[number], _ONE_BYTE[byte], self._reached):
            raise ChoiceNeededError
        if not self._reached[0]:
            return REJECTED
        after = places.number(places.store.stack[CONFIG_SIZE : 2 * CONFIG_SIZE].copy())
        if after not in self._seen:
            self._see(after)
        return after


def _endings(place: Fields) -> bytes:
    """The bytes that end what an automaton reads."""
    mode = place[CONFIG.MODE]
    if mode in (MODE.IN_STRING, MODE.IN_KEY) or (mode == MODE.IN_ITEM and place[CONFIG.COUNT] == 1):
        return _QUOTE
    return b"" if mode == MODE.TEXT else _BEHIND_NUMBERS
