"""`Walks` in Python, without compiled kernels: memoizes transitions of configurations.

Inside strings, numbers and whitespace, the segments of tokens are computed once
(`decoding.grammar.tokens.segments`), and what follows them is the same for many tokens. So the
kernel's transition, which takes long in Python, is called once for all bytes that an automaton does
not tell apart, and not at all for bytes that never fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.json.configurations import Configuration, Configurations, Fields
from decoding.grammar.masking.acceptor import REJECTED
from decoding.grammar.masking.walks import KernelWalks
from decoding.grammar.tokens.branches import ROOT, Branch, Nodes, branches_of
from decoding.grammar.tokens.levels import allow_twins
from decoding.grammar.tokens.segments import WHITESPACE, Reading, Segment
from decoding.grammar.tokens.sweeps import Mask
from decoding.grammar.tokens.trie import Trie
from decoding.kernels.grammar import layout, whitespace
from decoding.kernels.grammar.layout import CONFIG, MODE, STATE
from decoding.kernels.grammar.levels import allow_all

_QUOTE = b'"'
_VALUES = WHITESPACE + b'"-0123456789[{ntf'
_FITTING = {
    MODE.VALUE_NEXT: _VALUES,
    MODE.IN_LITERAL: b"aelrsu",
    MODE.OBJECT_FIRST: WHITESPACE + b'"}',
    MODE.COLON_NEXT: WHITESPACE + b":",
    MODE.OBJECT_AFTER: WHITESPACE + b",}",
    MODE.KEY_NEXT: WHITESPACE + b'"',
    MODE.ARRAY_FIRST: _VALUES + b"]",
    MODE.ARRAY_AFTER: WHITESPACE + b",]",
    MODE.DONE: b"",
}
"""The bytes that may come in modes without an automaton."""
_BEHIND_NUMBERS = WHITESPACE + b",]}"
_TAILS = 1 << 14


@dataclass(slots=True)
class _Memo:
    """A configuration and its transitions so far.

    following: by byte, and by −1 − the next state of an automaton.
    """

    configuration: Fields
    following: dict[int, int] = field(default_factory=dict)


class MemoizedWalks:
    """`Walks` in Python: memoizes transitions of configurations, and segments of tokens."""

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations
        self._segments = configurations.store.segments
        self._memos: dict[int, _Memo] = {}
        # By configuration and nodes, the tokens below the nodes that fit.
        self._tails: dict[tuple[int, Nodes, Trie], NDArray[np.int32]] = {}
        self._ended: dict[tuple[Fields, int], int] = {}

    def follow(self, number: int, text: bytes) -> int:
        """See `Walks.follow`."""
        for byte in text:
            number = self._step(number, byte)
            if number == REJECTED:
                break
        return number

    def allow(self, configuration: Configuration, trie: Trie, mask: Mask) -> None:
        """See `Walks.allow`."""
        if configuration[CONFIG.MODE] == MODE.IN_ITEM or self._configurations.is_distinct(
            configuration
        ):
            # Almost every text here is a configuration of its own.
            KernelWalks(self._configurations).allow(configuration, trie, mask)
            return
        number = self._configurations.number(configuration)
        segment = self._segment(self._memo(number).configuration, trie, ROOT)
        if segment is None:
            allow_all(mask, self._descend(number, trie, ROOT))
        else:
            ending: list[int] = []
            found = [segment.tokens]
            for after, tokens, below in self._left(number, segment):
                ending += tokens
                if below:
                    found.append(self._tail(after, trie, below))
            allow_all(mask, np.concatenate([np.array(ending, np.int32), *found]))
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
        """The tokens below some nodes that may follow a configuration."""
        branches = branches_of(trie)
        tokens: list[int] = []
        segments = []
        pending = [(number, nodes)]
        while pending:
            number, nodes = pending.pop()
            configuration = self._memo(number).configuration
            segment = self._segment(configuration, trie, nodes)
            if segment is None:
                ways = self._ways(number, branches.of(nodes))
            else:
                segments.append(segment.tokens)
                ways = self._left(number, segment)
            for after, ending, below in ways:
                tokens += ending
                if below:
                    pending.append((after, below))
        return np.concatenate([np.array(tokens, np.int32), *segments])

    def _ways(
        self, number: int, children: dict[int, Branch]
    ) -> list[tuple[int, tuple[int, ...], Nodes]]:
        """The configurations behind the children of trie nodes, with tokens and nodes."""
        found = []
        fitting = _FITTING.get(self._memo(number).configuration[CONFIG.MODE])
        if fitting is not None and len(fitting) < len(children):
            listed = [children[byte] for byte in fitting if byte in children]
        else:
            listed = list(children.values())
        for byte, tokens, below in listed:
            after = self._step(number, byte)
            if after != REJECTED:
                found.append((after, tokens, below))
        return found

    def _left(self, number: int, segment: Segment) -> list[tuple[int, tuple[int, ...], Nodes]]:
        """The configurations behind the exits of a segment, with tokens and nodes."""
        configuration = self._memo(number).configuration
        fitting = _FITTING.get(configuration[CONFIG.MODE])
        if configuration[CONFIG.MODE] == MODE.IN_STRING and configuration[CONFIG.COUNT] >= 0:
            # Every exit has enough characters; their number no longer matters.
            counted = (
                *configuration[: CONFIG.COUNT],
                self._configurations.bounds(configuration)[0],
            )
            configuration = (*counted, *configuration[CONFIG.COUNT + 1 :])
        found = []
        for state, byte, tokens, below in segment.exits:
            if fitting is not None and byte not in fitting:
                continue
            after = self._step(self._with_state(configuration, state), byte)
            if after != REJECTED:
                found.append((after, tokens, below))
        return found

    def _segment(self, configuration: Fields, trie: Trie, nodes: Nodes) -> Segment | None:
        """The segment that begins in a configuration, or `None` if not all of its tokens fit."""
        mode, state = configuration[CONFIG.MODE], configuration[CONFIG.STATE]
        if mode in _FITTING:
            if mode in (MODE.IN_LITERAL, MODE.DONE):
                return None
            spacing = self._configurations.spacing
            if whitespace.is_fixed(spacing):
                return None
            return self._segments.whitespace(state, spacing, trie, nodes)
        if mode == MODE.IN_STRING and configuration[CONFIG.COUNT] >= 0:
            # No token begins more characters than it has bytes.
            least, most = self._configurations.bounds(configuration)
            least = min(max(least - configuration[CONFIG.COUNT], 0), trie.depth)
            if most >= 0:
                most = min(most - configuration[CONFIG.COUNT], trie.depth)
            return self._segments.counted(state, least, most, trie, nodes)
        keys: tuple[int, ...] | None = ()
        if mode == MODE.IN_KEY and not self._configurations.is_open(configuration):
            keys = self._configurations.keys_left(configuration)
        if mode == MODE.IN_ITEM or keys is None:
            return None
        return self._segments.read(Reading(state, _endings(configuration), keys), trie, nodes)

    def _step(self, number: int, byte: int) -> int:
        """The number of the configuration after one more byte; REJECTED if it does not fit."""
        seen = self._memo(number)
        after = seen.following.get(byte)
        if after is None:
            fitting = _FITTING.get(seen.configuration[CONFIG.MODE])
            if fitting is None:
                after = self._read(number, byte)
            elif byte not in fitting:
                after = REJECTED
            elif seen.configuration[CONFIG.MODE] == MODE.IN_LITERAL:
                after = self._computed(number, byte)
            else:
                after = self._between(number, byte)
            seen.following[byte] = after
        return after

    def _between(self, number: int, byte: int) -> int:
        """The configuration after a byte between two JSON tokens."""
        configuration = self._memo(number).configuration
        seen = configuration[CONFIG.STATE]
        if byte in WHITESPACE or whitespace.is_fixed(self._configurations.spacing):
            return self._computed(number, byte)
        # The whitespace read so far does not change what may come behind it.
        return (
            self._step(self._with_state(configuration, 0), byte)
            if seen
            else self._computed(number, byte)
        )

    def _read(self, number: int, byte: int) -> int:
        """The configuration after a byte in a mode with an automaton."""
        seen = self._memo(number)
        configuration = seen.configuration
        mode, state = configuration[CONFIG.MODE], configuration[CONFIG.STATE]
        following = self._configurations.store.dfa.fields_view[state + byte]
        if following == layout.UNKNOWN:
            return self._computed(number, byte)
        if following == layout.DEAD:
            return self._end(number, byte)
        if mode in (MODE.TEXT, MODE.IN_NUMBER) or (
            mode == MODE.IN_STRING and configuration[CONFIG.COUNT] < 0
        ):
            return self._with_state(configuration, following)
        if mode == MODE.IN_ITEM or self._configurations.is_distinct(configuration):
            return self._computed(number, byte)
        after = seen.following.get(-1 - following)
        if after is None:
            keys = self._configurations.keys_left(configuration) if mode == MODE.IN_KEY else None
            if keys is None:
                after = self._computed(number, byte)
            else:
                leads = self._segments.leads(following, keys)
                after = self._with_state(configuration, following) if leads else REJECTED
            seen.following[-1 - following] = after
        return after

    def _end(self, number: int, byte: int) -> int:
        """The configuration after a byte that the automaton cannot read: the value ends."""
        configuration = self._memo(number).configuration
        if byte not in _endings(configuration):
            return REJECTED
        fields = self._configurations.store.dfa.fields_view
        label = configuration[CONFIG.STATE] + STATE.LABEL_LOW
        mode = configuration[CONFIG.MODE]
        if mode not in (MODE.IN_STRING, MODE.IN_NUMBER) or fields[label] == layout.ANY_STRING_LABEL:
            return self._computed(number, byte)
        # Only the votes that accept the value matter for what follows.
        key = (mode, fields[label], fields[label + 1], *configuration[CONFIG.COUNT :])
        after = self._ended.get((key, byte))
        if after is None:
            after = self._ended[key, byte] = self._computed(number, byte)
        return after

    def _memo(self, number: int) -> _Memo:
        """What is known of a configuration."""
        known = self._memos.get(number)
        if known is None:
            configuration = tuple(self._configurations[number].tolist())
            known = self._memos[number] = _Memo(configuration)
        return known

    def _with_state(self, configuration: Fields, state: int) -> int:
        """The number of a configuration that differs in STATE alone."""
        return self._configurations.numbered(
            (configuration[CONFIG.MODE], state, *configuration[CONFIG.COUNT :])
        )

    def _computed(self, number: int, byte: int) -> int:
        """The configuration after one more byte, by the kernel."""
        after = self._configurations.read(self._memo(number).configuration, byte)
        return REJECTED if after is None else after


def _endings(configuration: Fields) -> bytes:
    """The bytes that may end what the automaton of a configuration reads."""
    mode = configuration[CONFIG.MODE]
    if mode in (MODE.IN_STRING, MODE.IN_KEY) or (
        mode == MODE.IN_ITEM and configuration[CONFIG.COUNT] == 1
    ):
        return _QUOTE
    return b"" if mode == MODE.TEXT else _BEHIND_NUMBERS
