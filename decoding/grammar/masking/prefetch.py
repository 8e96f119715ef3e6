"""Masks that are made before they are asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from threading import Thread

from decoding.errors import GrammarError, require
from decoding.grammar.masking.acceptor import REJECTED, Acceptor
from decoding.grammar.masking.matcher import Matcher


def precompute(matcher: Matcher, seconds: float) -> int:
    """Make masks of the places that can follow a text, and return of how many.

    seconds: after so long no other mask is begun, ≥ 0.
    Places come in the order of the bytes that lead to them, fewest first, the text's own at first.
    Their masks are kept as others are, so more of them than there is memory for are of no use.
    Raises `GrammarLimitError` as masks do.
    """
    require("seconds", seconds, seconds >= 0, ">= 0")
    acceptor = matcher.acceptor
    end = time.monotonic() + seconds
    found = {matcher.state}
    ahead = deque(found)
    made = 0
    while ahead and time.monotonic() < end:
        state = ahead.popleft()
        acceptor.mask(state)
        made += 1
        for byte in acceptor.next_bytes(state):
            following = acceptor.follow(state, bytes((byte,)))
            if following != REJECTED and following not in found:
                found.add(following)
                ahead.append(following)
    return made


def prefetch(matchers: Sequence[Matcher]) -> Thread:
    """Begin to make the masks of a batch in a thread, for the time of a forward pass.

    The thread is returned; it need not be joined: who asks for a mask that is being made waits for
    it. The matchers may go on meanwhile, it is their places as of this call whose masks are made. A
    mask that cannot be made raises its error where it is asked for.
    """
    places = [(matcher.acceptor, matcher.state) for matcher in matchers]
    thread = Thread(target=_make, args=(places,), name="masks", daemon=True)
    thread.start()
    return thread


def _make(places: Sequence[tuple[Acceptor, int]]) -> None:
    for acceptor, state in places:
        try:
            acceptor.mask(state)
        except GrammarError:
            continue
