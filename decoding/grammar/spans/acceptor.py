"""Follows texts of free, grammar and fixed-token spans; a state is a set of positions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.grammar.masking.acceptor import REJECTED, Acceptor
from decoding.grammar.spans.kinds import END, FreeSpan, GrammarSpan, Span, TokenSpan
from decoding.grammar.tokens.finder import TokenFinder
from decoding.grammar.tokens.table import TokenTable, allow, allows, disallow
from decoding.kernels.forks import free_after_fork

_MASKS = 64
"""Masks that are kept of a text, the latest."""
_LONGEST_LEAD = 256
"""White space in front of a leading tag, at most, in bytes."""
_MANY_BYTES = 16
"""Where so many bytes may begin a span, no token holds its beginning and the end of another."""
_EVERY_BYTE = bytes(range(256))


@dataclass(frozen=True, slots=True)
class _InFree:
    """In a free span. held: the end of its text that may begin a tag. count: tokens of it so far.

    leads: whether all of its text is in `held`, because it may begin a leading tag.
    """

    span: int
    held: bytes
    count: int
    leads: bool


@dataclass(frozen=True, slots=True)
class _InGrammar:
    """In the text of a grammar; state: of the acceptor of the span."""

    span: int
    state: int


@dataclass(frozen=True, slots=True)
class _InTokens:
    """Before one of fixed tokens, or behind so many bytes of its text."""

    span: int
    index: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class _AtEnd:
    """The position at which the text may end."""


_Position: TypeAlias = _InFree | _InGrammar | _InTokens | _AtEnd


class SpanAcceptor:
    """The acceptor of one text made of spans; forks of the text share it, also across threads."""

    def __init__(self, finder: TokenFinder, spans: Sequence[Span], start: Iterable[int]) -> None:
        self._finder = finder
        self._spans = spans
        self._acceptors: dict[int, Acceptor] = {}
        self._entries: dict[int, list[_Position]] = {}
        self._crossing: dict[int, dict[bytes, list[int]]] = {}
        self._completing: dict[tuple[int, bytes, bool], list[int]] = {}
        self._masks: OrderedDict[int, NDArray[np.uint32]] = OrderedDict()
        self._lock = free_after_fork(threading.RLock())
        self._states: list[tuple[_Position, ...]] = []
        self._numbers: dict[tuple[_Position, ...], int] = {}
        self._start = self._number(self._entered(start))

    @property
    def tokens(self) -> TokenTable:
        """The vocabulary."""
        return self._finder.table

    @property
    def needs_replacement(self) -> bool:
        """Whether a new text better begins with a new acceptor: every text does."""
        return False

    @property
    def start(self) -> int:
        """The state before any text."""
        return self._start

    def begin(self, text: bytes) -> bool:
        """Take what stands before the text; False where it does not fit."""
        state = self._start
        for byte in text:
            state = self.follow(state, bytes([byte]))
            if state == REJECTED:
                return False
        self._start = state
        return bool(self.mask(state).any())

    def advance(self, state: int, token: int) -> int:
        """The state after one more token; REJECTED if it does not fit, as no end token does."""
        table = self.tokens
        if not 0 <= token < len(table.spelled) or token in table.end_token_ids:
            return REJECTED
        with self._lock:
            # Where a token may hold the border of two spans, the mask says.
            if not allows(self.mask(state), token):
                return REJECTED
            reached: list[_Position] = []
            for position in self._states[state]:
                reached += self._advanced(position, token)
            return self._number(reached)

    def follow(self, state: int, text: bytes) -> int:
        """The state after some more bytes; REJECTED if they do not fit."""
        with self._lock:
            return self._number(self._followed(self._states[state], text))

    def accepts(self, state: int) -> bool:
        """Whether the text may end here."""
        return any(
            isinstance(item, _AtEnd) or (isinstance(item, _InFree) and self._free(item).may_end)
            for item in self._states[state]
        )

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The tokens that may come next, a bit each, end tokens included; not to be changed."""
        with self._lock:
            known = self._masks.get(state)
            if known is None:
                known = self._mask(self._states[state])
                if self.accepts(state):
                    known = known.copy()
                    allow(known, self.tokens.end_token_ids)
                self._masks[state] = known
                if len(self._masks) > _MASKS:
                    self._masks.popitem(last=False)
            return known

    def next_bytes(self, state: int) -> bytes:
        """The bytes that may come next; none at all where a token that is no text may."""
        found: set[int] = set()
        for position in self._states[state]:
            match position:
                case _InFree():
                    return _EVERY_BYTE
                case _InGrammar(span, inner):
                    found.update(self._acceptor(span).next_bytes(inner))
                case _InTokens():
                    text = self.tokens.spelled[self._token(position)]
                    if not text:
                        return b""
                    found.add(text[0])
        return bytes(sorted(found))

    # Positions.

    def _number(self, positions: Iterable[_Position]) -> int:
        """The state that is some positions; REJECTED for none."""
        members = tuple(dict.fromkeys(positions))
        if not members:
            return REJECTED
        with self._lock:
            number = self._numbers.get(members)
            if number is None:
                number = self._numbers[members] = len(self._states)
                self._states.append(members)
            return number

    def _entered(self, numbers: Iterable[int]) -> list[_Position]:
        """The positions at the beginning of some spans."""
        found: dict[_Position, None] = {}
        # Spans that may be empty lead to others, perhaps in a circle.
        seen: set[int] = set()
        pending = list(numbers)[::-1]
        while pending:
            number = pending.pop()
            if number in seen:
                continue
            seen.add(number)
            if number == END:
                found[_AtEnd()] = None
                continue
            span = self._spans[number]
            match span:
                case FreeSpan(budget=0):
                    pending.append(span.over)
                case FreeSpan():
                    found[_InFree(number, b"", 0, bool(span.leading))] = None
                case TokenSpan():
                    found[_InTokens(number, 0)] = None
                case GrammarSpan():
                    state = self._acceptor(number).start
                    if self._goes_on(number, state):
                        found[_InGrammar(number, state)] = None
                    if self._acceptor(number).accepts(state):
                        pending += span.then[::-1]
        return list(found)

    def _arrived(self, number: int, state: int) -> Iterator[_Position]:
        """The positions where a grammar's text has come to a state."""
        if self._goes_on(number, state):
            yield _InGrammar(number, state)
        if self._acceptor(number).accepts(state):
            yield from self._following(number)

    def _goes_on(self, number: int, state: int) -> bool:
        """Whether the text of a grammar may go on, or must."""
        acceptor = self._acceptor(number)
        return not acceptor.accepts(state) or bool(acceptor.next_bytes(state))

    def _following(self, number: int) -> list[_Position]:
        """The positions behind the end of a grammar's text."""
        found = self._entries.get(number)
        if found is None:
            found = self._entries[number] = self._entered(self._grammar(number).then)
        return found

    def _acceptor(self, number: int) -> Acceptor:
        """The acceptor of the grammar of a span."""
        found = self._acceptors.get(number)
        if found is None:
            found = self._acceptors[number] = self._grammar(number).grammar.acceptor()
        return found

    def _grammar(self, number: int) -> GrammarSpan:
        span = self._spans[number]
        assert isinstance(span, GrammarSpan)
        return span

    def _free(self, position: _InFree) -> FreeSpan:
        span = self._spans[position.span]
        assert isinstance(span, FreeSpan)
        return span

    def _token(self, position: _InTokens) -> int:
        span = self._spans[position.span]
        assert isinstance(span, TokenSpan)
        return span.token_ids[position.index]

    def _advanced(self, position: _Position, token: int) -> list[_Position]:
        """The positions that a position reaches by one token."""
        text = self.tokens.spelled[token]
        match position:
            case _InTokens():
                taken = token == self._token(position) and position.offset == 0
                return self._behind(position) if taken else []
            case _InFree():
                moved = self._moved(position, text) if text else self._by_special(position, token)
                return self._counted(position, moved)
            case _InGrammar() if not text:
                acceptor = self._acceptor(position.span)
                reached = acceptor.advance(position.state, token)
                return [] if reached == REJECTED else list(self._arrived(position.span, reached))
        return self._moved(position, text) if text else []

    def _by_special(self, position: _InFree, token: int) -> list[_Position]:
        """The positions that a special token reaches in free text, where it may be a tag."""
        span, shown = self._free(position), self.tokens.vocabulary.bytes_of(token)
        for tag, following in span.tags:
            if tag == shown:
                return self._entered([following])
        for tag, following in span.leading if position.leads else ():
            if tag == shown:
                return self._followed(self._entered([following]), tag)
        return [_InFree(position.span, b"", position.count, leads=False)]

    def _counted(self, before: _InFree, moved: Iterable[_Position]) -> list[_Position]:
        """Positions after a token, of which those in the same free span are one token further."""
        span = self._free(before)
        if span.budget is None:
            return list(moved)
        count, found = before.count + 1, []
        for item in moved:
            if not isinstance(item, _InFree) or item.span != before.span:
                found.append(item)
            elif count >= span.budget:
                found += self._entered([span.over])
            else:
                found.append(_InFree(item.span, item.held, count, item.leads))
        return found

    def _behind(self, position: _InTokens) -> list[_Position]:
        """The position after one more token of a `TokenSpan`."""
        span = self._spans[position.span]
        assert isinstance(span, TokenSpan)
        if position.index + 1 < len(span.token_ids):
            return [_InTokens(position.span, position.index + 1)]
        return self._entered(span.then)

    def _followed(self, positions: Iterable[_Position], text: bytes) -> list[_Position]:
        """The positions that a set of positions reaches by some bytes."""
        if not text:
            return list(positions)
        return [reached for item in positions for reached in self._moved(item, text)]

    def _moved(self, position: _Position, text: bytes) -> list[_Position]:
        """The positions that a position reaches by one or more bytes."""
        match position:
            case _InFree():
                return self._freely(position, text)
            case _InGrammar():
                return self._by_grammar(position, text)
            case _InTokens():
                return self._by_bytes(position, text)
        return []

    def _by_bytes(self, position: _InTokens, text: bytes) -> list[_Position]:
        """The positions that a `TokenSpan` reaches if bytes spell its next tokens."""
        spelled = self.tokens.vocabulary.bytes_of(self._token(position))
        expected = spelled[position.offset :]
        if text.startswith(expected):
            return self._followed(self._behind(position), text[len(expected) :])
        if not expected.startswith(text):
            return []
        return [_InTokens(position.span, position.index, position.offset + len(text))]

    def _freely(self, position: _InFree, text: bytes) -> list[_Position]:
        span = self._free(position)
        held = position.held + text
        leads = position.leads
        if leads:
            stripped = held.lstrip()
            for tag, following in span.leading:
                if stripped.startswith(tag):
                    return self._followed(self._entered([following]), stripped)
            leads = len(held) <= _LONGEST_LEAD and any(
                tag.startswith(stripped) for tag, _ in span.leading
            )
        found = [(held.find(tag) + len(tag), -len(tag), tag) for tag, _ in span.tags if tag in held]
        if found:
            end, _, tag = min(found)
            following = next(number for name, number in span.tags if name == tag)
            return self._followed(self._entered([following]), held[end:])
        kept = held if leads else _unfinished(held, [tag for tag, _ in span.tags])
        return [_InFree(position.span, kept, position.count, leads)]

    def _by_grammar(self, position: _InGrammar, text: bytes) -> list[_Position]:
        acceptor, number = self._acceptor(position.span), position.span
        span = self._grammar(number)
        whole = acceptor.follow(position.state, text)
        if whole != REJECTED:
            return list(self._arrived(number, whole))
        found: list[_Position] = []
        for end in range(1, len(text)):
            if text[end - 1] in span.last_bytes:
                state = acceptor.follow(position.state, text[:end])
                if state != REJECTED and acceptor.accepts(state):
                    found += self._followed(self._entered(span.then), text[end:])
        return found

    # Masks.

    def _mask(self, positions: Sequence[_Position]) -> NDArray[np.uint32]:
        masks = [self._mask_of(item) for item in positions if not isinstance(item, _AtEnd)]
        if len(masks) == 1:
            return masks[0]
        mask = self.tokens.empty_mask()
        for other in masks:
            mask |= other
        return mask

    def _mask_of(self, position: _InFree | _InGrammar | _InTokens) -> NDArray[np.uint32]:
        if isinstance(position, _InTokens):
            mask, token = self.tokens.empty_mask(), self._token(position)
            allow(mask, (token,) if position.offset == 0 else ())
            return mask
        if isinstance(position, _InFree):
            mask = self._finder.any_token
            refused = [
                token
                for token in self._candidates(position)
                if not self._moved(position, self.tokens.spelled[token])
            ]
            return _without(mask, refused)
        acceptor = self._acceptor(position.span)
        mask = _without(acceptor.mask(position.state), self.tokens.end_token_ids)
        allowed = list(self._crossed(position, acceptor))
        mask = mask.copy() if allowed else mask
        allow(mask, allowed)
        return mask

    def _candidates(self, position: _InFree) -> list[int]:
        """The tokens of text that complete a tag and hold more bytes."""
        key = (position.span, position.held, position.leads)
        found = self._completing.get(key)
        if found is None:
            span, spelled = self._free(position), self.tokens.spelled
            found = []
            for tag, _ in (*span.tags, *(span.leading if position.leads else ())):
                found += (
                    token for token in self._finder.holding(tag) if not spelled[token].endswith(tag)
                )
                for length in range(1, min(len(tag) - 1, len(position.held)) + 1):
                    rest = tag[length:]
                    if position.held.endswith(tag[:length]):
                        found += (
                            token
                            for token in self._finder.holding(rest)
                            if spelled[token].startswith(rest) and spelled[token] != rest
                        )
            self._completing[key] = found
        return found

    def _crossed(self, position: _InGrammar, acceptor: Acceptor) -> Iterator[int]:
        """The tokens that hold the end of a grammar's text and the beginning of what follows."""
        span = self._grammar(position.span)
        if span.then == (END,) or not span.last_bytes:
            return
        for end, tokens in self._borders(position.span).items():
            state = acceptor.follow(position.state, end)
            if state != REJECTED and acceptor.accepts(state):
                yield from tokens

    def _borders(self, number: int) -> dict[bytes, list[int]]:
        """Tokens that may hold the end of a span: by their bytes up to there.

        What follows the span takes the other bytes of each.
        """
        found = self._crossing.get(number)
        if found is None:
            found = self._crossing[number] = {}
            span, spelled = self._grammar(number), self.tokens.spelled
            following = self._entered(span.then)
            first_bytes = self.next_bytes(self._number(following))
            needles = [bytes([last, first]) for last in span.last_bytes for first in first_bytes]
            for needle in needles if len(first_bytes) < _MANY_BYTES else ():
                for token in self._finder.holding(needle):
                    text = spelled[token]
                    end = text.find(needle) + 1
                    while end:
                        if self._followed(following, text[end:]):
                            found.setdefault(text[:end], []).append(token)
                        end = text.find(needle, end) + 1
        return found


def _unfinished(text: bytes, tags: Iterable[bytes]) -> bytes:
    """The longest end of a text with which a tag begins."""
    longest = b""
    for tag in tags:
        for length in range(min(len(tag) - 1, len(text)), len(longest), -1):
            if text.endswith(tag[:length]):
                longest = tag[:length]
                break
    return longest


def _without(mask: NDArray[np.uint32], token_ids: Iterable[int]) -> NDArray[np.uint32]:
    """A mask without some tokens; the same where it has none of them."""
    present = [token for token in token_ids if allows(mask, token)]
    kept = mask.copy() if present else mask
    disallow(kept, present)
    return kept
