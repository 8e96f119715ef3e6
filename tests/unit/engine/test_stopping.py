"""`StopStrings` and `StopMatcher`: the smallest cases of each rule."""

from __future__ import annotations

import pickle
from itertools import combinations, pairwise, product
from typing import Any

import pytest
from profiles import amount

from decoding.engine.stopping import StopMatcher, StopStrings
from decoding.errors import ParameterError


def run(stops: tuple[str, ...], pieces: list[str], *, keep: bool) -> tuple[list[str], str | None]:
    matcher = StopStrings(stops).start(keep=keep)
    return [*map(matcher.push, pieces), matcher.flush()], matcher.stop


@pytest.mark.parametrize(
    ("stops", "pieces", "kept", "removed", "stop"),
    [
        # No stop, no effect.
        ((), ["one", "two"], ["one", "two", ""], ["one", "two", ""], None),
        (("x",), ["one", "two"], ["one", "two", ""], ["one", "two", ""], None),
        # At the end of a token, inside one, across several, and all of one.
        (("b",), ["ab"], ["ab", ""], ["a", ""], "b"),
        (("b",), ["abc"], ["ab", ""], ["a", ""], "b"),
        (("bcd",), ["ab", "c", "de"], ["ab", "c", "d", ""], ["a", "", "", ""], "bcd"),
        (("ab",), ["ab"], ["ab", ""], ["", ""], "ab"),
        # What follows a stop is nobody's text.
        (("b",), ["b", "b", "c"], ["b", "", "", ""], ["", "", "", ""], "b"),
        # Held back, then released because it became no stop.
        (("bcd",), ["ab", "cx"], ["ab", "cx", ""], ["a", "bcx", ""], None),
        (("bcd",), ["abc"], ["abc", ""], ["a", "bc"], None),
        (("aab",), ["a", "a", "a", "b"], ["a", "a", "a", "b", ""], ["", "", "a", "", ""], "aab"),
        # The smallest end wins, not the smallest beginning.
        (("abcd", "bc"), ["abcd"], ["abc", ""], ["a", ""], "bc"),
        (("abcd", "c"), ["ab", "cd"], ["ab", "c", ""], ["", "ab", ""], "c"),
        # Of those that end together the longest wins, whatever the order they were given in.
        (("b", "ab"), ["ab"], ["ab", ""], ["", ""], "ab"),
        (("ab", "b"), ["ab"], ["ab", ""], ["", ""], "ab"),
        # The empty string stops after the first token, unless another stop came first.
        (("",), ["ab", "c"], ["ab", "", ""], ["ab", "", ""], ""),
        (("",), ["", "c"], ["", "", ""], ["", "", ""], ""),
        (("", "a"), ["ab"], ["a", ""], ["", ""], "a"),
        (("", "b"), ["ab"], ["ab", ""], ["a", ""], "b"),
        (("", "bc"), ["ab", "c"], ["ab", "", ""], ["ab", "", ""], ""),
        # Characters with a meaning in patterns have none here.
        (("]", "^-\\"), ["a-^-", "\\]"], ["a-^-", "\\", ""], ["a-", "", ""], "^-\\"),
        (("^",), ["a^"], ["a^", ""], ["a", ""], "^"),
        # No newline is forgiven at the end, unlike with `$`.
        (("b",), ["a\n"], ["a\n", ""], ["a\n", ""], None),
    ],
)
def test_rules(
    stops: tuple[str, ...],
    pieces: list[str],
    kept: list[str],
    removed: list[str],
    stop: str | None,
) -> None:
    assert run(stops, pieces, keep=True) == (kept, stop)
    assert run(stops, pieces, keep=False) == (removed, stop)


def test_g13_a_stop_inside_a_token_stops() -> None:
    # TGI's StopSequenceCriteria only asks whether the text ends with the stop: `ab` passes `a`.
    assert run(("a",), ["ab"], keep=True) == (["a", ""], "a")
    assert run(("/test",), ["/test; "], keep=True) == (["/test", ""], "/test")


def test_g13_a_long_stop_is_found() -> None:
    # TGI keeps the last 200 characters of the text, so it cannot see a longer stop.
    stop = "long " * 100
    pieces = [*("x" * 1000), *stop, "y"]
    assert run((stop,), pieces, keep=True)[1] == stop
    texts, found = run((stop,), pieces, keep=False)
    assert ("".join(texts), found) == ("x" * 1000, stop)


def test_invisible_text_stops_and_never_shows() -> None:
    rule = StopStrings(("<|eot|>", "end<|a|>"))
    for keep in (True, False):
        matcher = rule.start(keep=keep)
        assert matcher.push("text") == "text"
        assert matcher.push("<|eot|>", visible=False) == ""
        assert (matcher.stop, matcher.flush()) == ("<|eot|>", "")


def test_a_stop_may_begin_in_visible_text() -> None:
    matcher = StopStrings(("end<|a|>",)).start(keep=False)
    assert matcher.push("the end") == "the "
    assert matcher.held == "end"
    assert matcher.push("<|a|>", visible=False) == ""
    assert (matcher.stop, matcher.held, matcher.flush()) == ("end<|a|>", "", "")


def test_invisible_text_releases_what_was_held() -> None:
    matcher = StopStrings(("END",)).start(keep=False)
    assert matcher.push("an E") == "an "
    assert matcher.push("<s>", visible=False) == "E"


def test_invisible_text_that_became_no_stop_is_dropped_in_its_place() -> None:
    matcher = StopStrings(("ab<s>cd",)).start(keep=False)
    assert matcher.push("ab") == ""
    assert matcher.push("<s>", visible=False) == ""
    assert matcher.push("c") == ""
    assert matcher.held == "abc"
    assert matcher.push("x") == "abcx"
    assert matcher.stop is None


def test_fork_is_independent() -> None:
    matcher = StopStrings(("abc",)).start(keep=False)
    matcher.push("xab")
    twin = matcher.fork()
    assert matcher.push("c") == ""
    assert (matcher.stop, twin.stop, twin.held) == ("abc", None, "ab")
    assert twin.push("d") == "abd"


@pytest.mark.parametrize("keep", [True, False])
def test_flush_ends_the_match(*, keep: bool) -> None:
    matcher = StopStrings(("ab",)).start(keep=keep)
    matcher.push("a")
    assert matcher.flush() == ("" if keep else "a")
    assert matcher.push("b") == "b"
    assert matcher.stop is None


def test_memory_does_not_grow_with_the_text() -> None:
    matcher = StopStrings(("aaaab",)).start(keep=False)
    for _ in range(10_000):
        matcher.push("aa")
        assert len(matcher.held) <= 4
        assert len(matcher._window) <= 4


@pytest.mark.parametrize("strings", ["stop", None, 1, (b"stop",), ("a", 1)])
def test_anything_but_strings_is_refused(strings: Any) -> None:
    with pytest.raises(ParameterError, match="stop must be a sequence of strings"):
        StopStrings(strings)


def test_a_rule_is_a_value() -> None:
    rule = StopStrings(("a", "b"))
    assert rule == StopStrings(("a", "b")) != StopStrings(("b", "a"))
    assert hash(rule) == hash(StopStrings(("a", "b")))
    assert repr(rule) == "StopStrings(strings=('a', 'b'))"
    assert pickle.loads(pickle.dumps(rule)).start().push("xa!") == "xa"  # our own bytes


def test_ten_thousand_stops() -> None:
    matcher = StopStrings(tuple(f"<{index}>" for index in range(10_000))).start(keep=False)
    assert matcher.push("text <77") == "text "
    assert matcher.push("7>") == ""
    assert matcher.stop == "<777>"


def test_every_small_case() -> None:
    """Every text, every way to cut it and every pair of stops over two letters."""

    def words(longest: int) -> list[str]:
        return ["".join(w) for n in range(1, longest + 1) for w in product("ab", repeat=n)]

    for stops in combinations(words(3), 2):
        rule = StopStrings(stops)
        for text in words(amount(check=4, full=5)):
            found = first_stop(text, stops)
            for keep in (True, False):
                for cuts in range(2 ** (len(text) - 1)):
                    check_split(rule.start(keep=keep), text, cuts, found, keep=keep)


def first_stop(text: str, stops: tuple[str, ...]) -> tuple[int, str] | None:
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return end, max(ending, key=len)
    return None


def check_split(
    matcher: StopMatcher, text: str, cuts: int, found: tuple[int, str] | None, *, keep: bool
) -> None:
    bounds = [0, *(end for end in range(1, len(text)) if cuts >> (end - 1) & 1), len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    emitted = "".join(map(matcher.push, pieces)) + matcher.flush()
    if found is None:
        assert (emitted, matcher.stop) == (text, None), (text, pieces, keep)
    else:
        end, stop = found
        expected = text[: end if keep else end - len(stop)]
        assert (emitted, matcher.stop) == (expected, stop), (text, pieces, keep)


def test_a_stop_that_is_passed_by_hides_no_stop_behind_it() -> None:
    matcher = StopStrings(("ab", "bcd")).start(keep=False)
    assert matcher.push("abc", stopping=False) == "a"
    assert (matcher.push("d"), matcher.stop) == ("", "bcd")


@pytest.mark.parametrize("strings", [("ab",) * (2**14 + 1), ("a" * 2**17, "b" * 2**17, "c")])
def test_more_stop_strings_than_a_request_may_have_are_refused(strings: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match="stop must be at most 16384 strings of 262144 char"):
        StopStrings(strings)
