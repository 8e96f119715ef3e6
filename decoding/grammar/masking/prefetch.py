"""Computes token masks ahead: a batch's in a thread, or for seconds those that may follow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from threading import Thread

from decoding.checks import checked_items, checked_real
from decoding.errors import GrammarError, require
from decoding.grammar.masking.acceptor import REJECTED, Acceptor
from decoding.grammar.masking.matcher import Matcher
from decoding.grammar.regular.worklist import reachable


def precompute(matcher: Matcher, seconds: float) -> int:
    """Compute for `seconds` the masks of states that can follow a text; returns how many.

    seconds: no mask is begun after so many seconds, ≥ 0.
    States come breadth first, by the number of bytes that lead to them, the text's own state first.
    The masks go into the cache, so that more of them than fit there are of no use.
    Raises `GrammarLimitError` as masks do.
    """
    require("matcher", matcher, isinstance(matcher, Matcher), "a matcher of a grammar")
    seconds = checked_real("seconds", seconds, lambda value: value >= 0.0, ">= 0")
    acceptor = matcher.acceptor
    end = time.monotonic() + seconds

    def following(state: int) -> Iterator[int]:
        reached = (acceptor.follow(state, bytes((byte,))) for byte in acceptor.next_bytes(state))
        return (state for state in reached if state != REJECTED)

    count = 0
    for state in reachable([matcher.state], following):
        if time.monotonic() >= end:
            break
        acceptor.mask(state)
        count += 1
    return count


def prefetch(matchers: Sequence[Matcher]) -> Thread:
    """Start and return a thread that computes a batch's masks, as during a forward pass.

    Returns the thread, which need not be joined: who asks for a mask that is being computed waits
    for it. The matchers may go on meanwhile; the masks are those of their states as of this call.
    A mask that cannot be computed raises its error where it is asked for. Raises `ParameterError`
    for anything but matchers.
    """
    listed = checked_items("matchers", matchers, "matchers of grammars")
    for matcher in listed:
        require("matchers", matcher, isinstance(matcher, Matcher), "matchers of grammars")
    states = [(matcher.acceptor, matcher.state) for matcher in listed]
    thread = Thread(target=_make, args=(states,), name="masks", daemon=True)
    thread.start()
    return thread


def _make(states: Sequence[tuple[Acceptor, int]]) -> None:
    for acceptor, state in states:
        try:
            acceptor.mask(state)
        except GrammarError:
            continue
