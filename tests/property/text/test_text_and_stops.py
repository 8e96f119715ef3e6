"""Text decoding and stop strings against an oracle that reads the whole text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import amount

from decoding.engine.detokenizer import TextStream
from decoding.engine.stopping import StopStrings

FRAGMENTS = [
    *(text.encode() for text in ("a", "b", "ab", "aab", "the end", "\n", "\n\n", " ", "<|eot|>")),
    *(
        text.encode()
        for text in ("é", "ß", "日本語", "你好", "한국", "नमस्ते", "\u200d", "😀", "🏳️‍🌈", "👩‍👩‍👧")
    ),
    *(
        text.encode()
        for text in ("e\u0301", "a\u0308\u0323", "\ufeff", "\ufffd", "\x00", "\U0010ffff")
    ),
    *(
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe6\x97",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
        b"\xf0\x9f\x98",
    ),
    *(b"\xf4\x90\x80\x80", b"\xe2\x82\x28", b"\xf8\x88\x80\x80\x80"),
]
"""ASCII, CJK, joined emoji, combining marks, control characters, cut and broken UTF-8."""


@dataclass(frozen=True, slots=True)
class Case:
    pieces: tuple[tuple[bytes, bool], ...]
    stops: tuple[str, ...]
    keep: bool


def first_stop(text: str, stops: tuple[str, ...]) -> tuple[int, str] | None:
    """By definition: the smallest end, then the longest; every end is tried on its own."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[max(0, end - len(stop)) : end] == stop]
        if ending:
            return end, max(ending, key=len)
    return None


def longest_beginning(text: str, stops: tuple[str, ...]) -> int:
    """The length of the longest end of the text that is a proper prefix of a stop."""
    longest = max(map(len, stops), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(len(stop) > size and stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0


def check(case: Case) -> None:
    """Every law of the two streams, after every piece and at the end."""
    stream = TextStream()
    matcher = StopStrings(case.stops).start(keep=case.keep)
    whole, visible, emitted = "", [], ""
    texts = [(stream.push(piece), shown) for piece, shown in case.pieces]
    for text, shown in [*texts, (stream.flush(), True)]:
        whole += text
        visible += [shown] * len(text)
        emitted += matcher.push(text, visible=shown)
        found = first_stop(whole, case.stops)
        if found is None:
            cut = len(whole) - (0 if case.keep else longest_beginning(whole, case.stops))
        else:
            cut = found[0] if case.keep else found[0] - len(found[1])
        seen = [c for c, shows in zip(whole[:cut], visible, strict=False) if shows]
        assert emitted == "".join(seen)
        assert matcher.stop == (None if found is None else found[1])
        if found is None:
            held = [c for c, shows in zip(whole[cut:], visible[cut:], strict=True) if shows]
            assert matcher.held == "".join(held)
    assert whole == b"".join(piece for piece, _ in case.pieces).decode("utf-8", "replace")
    emitted += matcher.flush()
    if matcher.stop is None:
        assert emitted == "".join(c for c, shows in zip(whole, visible, strict=True) if shows)


def random_case(rng: random.Random) -> Case:
    data = b"".join(rng.choices(FRAGMENTS, k=rng.randint(0, 12)))
    text = data.decode("utf-8", "replace")
    stops = []
    for _ in range(rng.randint(0, 4)):
        start = rng.randint(0, len(text))
        stop = text[start : start + rng.randint(1, 6)] + rng.choice(("", "", "!", "a"))
        stops.append(stop or "ab")
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(0, len(data))))
    bounds = [0, *cuts, len(data)]
    pieces = tuple((data[begin:end], rng.random() < 0.9) for begin, end in pairwise(bounds))
    return Case(pieces, tuple(stops), rng.random() < 0.5)


@pytest.mark.slow
def test_ten_thousand_random_splits() -> None:
    stopped = 0
    for seed in range(10_000):
        case = random_case(random.Random(seed))
        try:
            check(case)
        except AssertionError:
            pytest.fail(f"seed {seed}: {case}")
        texts = b"".join(piece for piece, _ in case.pieces).decode("utf-8", "replace")
        stopped += first_stop(texts, case.stops) is not None
    # The law would be empty if stops were never, or always, met.
    assert 2_000 < stopped < 9_000


texts = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=2), max_size=8).map(b"".join)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    data = draw(texts)
    text = data.decode("utf-8", "replace")
    parts = st.integers(0, len(text)).flatmap(
        lambda start: st.integers(1, 6).map(lambda size: text[start : start + size])
    )
    stops = draw(st.lists((parts | st.text("ab\n日", max_size=3)).filter(bool), max_size=4))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    bounds = [0, *cuts, len(data)]
    ranges = list(pairwise(bounds))
    shown = draw(st.lists(st.booleans(), min_size=len(ranges), max_size=len(ranges)))
    pieces = [(data[begin:end], shows) for (begin, end), shows in zip(ranges, shown, strict=True)]
    return Case(tuple(pieces), tuple(stops), draw(st.booleans()))


@settings(max_examples=amount(check=60, full=300), deadline=None)
@given(cases())
def test_any_split(case: Case) -> None:
    check(case)


@settings(max_examples=amount(check=40, full=200), deadline=None)
@given(cases(), st.integers(0, 20))
def test_a_fork_goes_its_own_way(case: Case, at: int) -> None:
    """Running a fork to the end changes nothing in the original, and both end alike."""
    stream, matcher = TextStream(), StopStrings(case.stops).start(keep=case.keep)
    emitted = ""
    for piece, shown in case.pieces[:at]:
        emitted += matcher.push(stream.push(piece), visible=shown)
    ends = []
    for one_stream, one_matcher in ((stream.fork(), matcher.fork()), (stream, matcher)):
        text = emitted
        for piece, shown in case.pieces[at:]:
            text += one_matcher.push(one_stream.push(piece), visible=shown)
        text += one_matcher.push(one_stream.flush()) + one_matcher.flush()
        ends.append((text, one_matcher.stop))
    assert ends[0] == ends[1]
