"""`check_stream`: tests that a text stream gives the whole text, cut at its stop string."""

from __future__ import annotations

import inspect
from bisect import bisect_left
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from decoding.bounded_repr import shown
from decoding.errors import ParameterError
from decoding.testing.reports import CheckFailedError, Finding, Report, check_expected, checked_seed
from decoding.testing.shrinking import fewer
from decoding.typing import Anything

STREAM_LAWS = {
    "answers": "it returns pieces of text for any tokens",
    "input": "it does not write to the tokens and the stop strings",
    "text": "the pieces, joined, are the text of the tokens",
    "stop": "the text is cut at the first stop string, wherever it stands in the tokens",
    "characters": "no piece holds a replacement character that the whole text does not hold",
    "deterministic": "the same tokens give the same pieces",
    "alone": "a stream gives the same text while another one is read",
    "reading": "no token is read after the one that completes a stop string",
    "latency": "only what may still become a stop string or a character is held back",
}
"""The laws that `check_stream` checks, by the names that `expected_failures` takes."""

_new_decoder = getincrementaldecoder("utf-8")

_ALPHABETS = (
    *("ab", "ab", "aé", "x漢字", "e\u0301", "👍🏽a", "ab\u200d\U0001f9d1"),
    *("a\n", "a\r\n", "a\n\u2028\x85", "a ", "a .", "a\t "),
    *("aA", "a.*", "a|()[", "<a>&", "a\\n", "\"'a"),
    *("a\0", "\ufeffa"),
)
"""Letters; ends of lines and blanks; what has a meaning for another program; what is invisible."""

_LONG = 0.02
"""The share of texts that are long, up to `_MOST_LETTERS`."""
_SHORT, _MOST_LETTERS = 24, 10_000
_MOST_WORK = 300_000
"""The most tokens that are read to make a counterexample smaller."""
_MANY = 0.05
"""The share of lists of stop strings that are long."""


@dataclass(frozen=True, slots=True)
class Script:
    """Tokens that spell a text, and stop strings.

    tokens: the bytes of each. stops: strings, none of them empty.
    """

    tokens: tuple[bytes, ...]
    stops: tuple[str, ...]

    @property
    def whole(self) -> str:
        """The text of all tokens."""
        return b"".join(self.tokens).decode("utf-8", "replace")

    def visible(self, count: int) -> str:
        """Decode the first `count` tokens; an incomplete character at the end is left out."""
        return _new_decoder("replace").decode(b"".join(self.tokens[:count]))

    @property
    def is_utf8(self) -> bool:
        """Whether the tokens, joined, are UTF-8."""
        return "\ufffd" not in self.whole

    @property
    def stopped_at(self) -> int | None:
        """How many tokens it takes until the text holds a stop string; None if it never does."""
        if not any(stop in self.whole for stop in self.stops):
            return None

        def holds(count: int) -> bool:
            return any(stop in self.visible(count) for stop in self.stops)

        # What is visible of more tokens begins with what is visible of fewer.
        return 1 + bisect_left(range(1, len(self.tokens)), 1, key=holds)

    def endings(self, *, keep_stop: bool) -> tuple[str, ...]:
        """The texts that are right, the one that this library gives first.

        Of several stop strings in the token that completes one, engines take the first to end, the
        first to begin or the first in the list.
        """
        count = self.stopped_at
        if count is None:
            whole = self.whole
            certain = self.visible(len(self.tokens))
            return (whole,) if certain == whole else (whole, certain)
        text = self.whole if count == len(self.tokens) else self.visible(count)
        found = [(text.find(stop), stop) for stop in self.stops if stop in text]
        found.sort(key=lambda item: (item[0] + len(item[1]), item[0]))
        # Who sees the whole text at once takes the first to begin in it.
        found += [min((self.whole.find(stop), stop) for stop in self.stops if stop in self.whole)]
        return tuple(dict.fromkeys(self.whole[: at + len(stop) * keep_stop] for at, stop in found))


class _Tokens(list[bytes]):
    """A list of tokens that knows how many were read."""

    def __init__(self, tokens: Iterable[bytes]) -> None:
        super().__init__(tokens)
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for index in range(len(self)):
            self.read = max(self.read, index + 1)
            yield list.__getitem__(self, index)


def check_stream(
    stream: Callable[..., Anything],
    *,
    keep_stop: bool = False,
    eager: bool = False,
    as_text: bool = False,
    invalid: bool = False,
    examples: int = 2000,
    seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    r"""Check that a function turns tokens into pieces of text, up to a stop string.

    stream: a function of the tokens' bytes, an iterable, and of the stop strings where it has a
        second parameter; it returns or yields pieces of text, or returns the text.
    keep_stop: whether the text is cut after the stop string (TGI) instead of before (OpenAI).
    eager: whether to check also that it reads no token after the stop and holds nothing back for
        longer than it must; for this it must be a generator, or a lazy iterator.
    as_text: whether tokens are handed over as `str`. invalid: whether bytes that are no UTF-8
        occur; each maximal subpart must become U+FFFD, as in `bytes.decode("utf-8", "replace")`.
    examples, seed, expected_failures: as for `check_processor`; the laws are `STREAM_LAWS`.

    Texts of few letters, with stop strings that overlap them, and of characters of up to four
    bytes and joined ones, are cut into tokens anywhere, also inside characters. Returns a `Report`.
    Raises `CheckFailedError`, an `AssertionError`, with the smallest tokens found.

    >>> _ = check_stream(lambda tokens: [b"".join(tokens).decode()], examples=50)
    """
    if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
        raise ParameterError("examples", examples, "an integer of at least 1")
    seed = checked_seed(seed)
    expected = check_expected(expected_failures, STREAM_LAWS)
    takes_stops = _takes_stops(stream)
    check = _StreamCheck(
        stream, takes_stops=takes_stops, keep_stop=keep_stop, eager=eager, as_text=as_text
    )
    generator = np.random.default_rng(seed)
    found: dict[str, Finding] = {}
    for index in range(examples):
        script = draw_script(generator, as_text=as_text, invalid=invalid)
        if not takes_stops:
            script = replace(script, stops=())
        broken = check.first(script, found)
        if broken is None:
            check.beside = script
            continue
        law = broken[0]
        script = _shrunk(script, partial(check.breaks, law, tuple(found)))
        why, pieces = (check.first(script, found) or broken)[1:]
        endings = script.endings(keep_stop=keep_stop)
        tokens = [token.decode() for token in script.tokens] if as_text else list(script.tokens)
        lines = [f"tokens    {shown(tokens)}", f"stops     {shown(list(script.stops))}"]
        lines += [f"pieces    {shown(pieces)}", f"expected  {shown(endings[0])}, in any pieces"]
        finding = Finding(
            candidate=str(getattr(stream, "__name__", type(stream).__name__)),
            claim="",
            law=law,
            rule=STREAM_LAWS[law],
            why=why,
            case=tuple(lines),
            found=f"example {index + 1:,} of {examples:,}, seed {seed}",
        )
        if law not in expected:
            raise CheckFailedError(finding)
        found[law] = finding
    return Report(examples, tuple(found.values()), expected)


class _StreamCheck:
    """The laws of one stream.

    beside: the script that another stream reads at the same time.
    """

    def __init__(
        self,
        stream: Callable[..., Anything],
        *,
        takes_stops: bool,
        keep_stop: bool,
        eager: bool,
        as_text: bool,
    ) -> None:
        self._stream, self._takes_stops = stream, takes_stops
        self._keep_stop, self._eager, self._as_text = keep_stop, eager, as_text
        self.beside = Script((b"a",), ())
        self._changed = False

    def first(
        self, script: Script, skipping: Iterable[str] = ()
    ) -> tuple[str, str, list[str]] | None:
        """The first law that does not hold, why, and the pieces."""
        for law, why, pieces in self._broken(script):
            if law not in skipping:
                return law, why, pieces
        return None

    def breaks(self, law: str, skipping: tuple[str, ...], script: Script) -> bool:
        """Whether a law is the first that does not hold."""
        broken = self.first(script, skipping)
        return broken is not None and broken[0] == law

    def _reading(self, script: Script) -> Iterator[tuple[str, int]]:
        """The pieces, each with the number of tokens that had been read when it came."""
        tokens: Anything = script.tokens
        if self._as_text:
            tokens = [token.decode() for token in script.tokens]
        given, stops = _Tokens(tokens), list(script.stops)
        returned = self._stream(given, stops) if self._takes_stops else self._stream(given)
        for piece in [returned] if isinstance(returned, str) else returned:
            if not isinstance(piece, str):
                raise TypeError(f"a piece is {piece!r:.100}, not a str")
            yield piece, given.read
        yield "", given.read
        self._changed |= stops != list(script.stops) or list.copy(given) != list(tokens)

    def _in_turns(self, script: Script, other: Script) -> str:
        """The text of a script of which a piece is read whenever one of the other was read."""
        behind = self._reading(other)
        next(behind, None)
        pieces = []
        for piece, _ in self._reading(script):
            pieces.append(piece)
            next(behind, None)
        return "".join(pieces)

    def _broken(self, script: Script) -> Iterator[tuple[str, str, list[str]]]:
        other, self._changed = self.beside, False
        try:
            run = list(self._reading(script))
            again = list(self._reading(script))
            beside = self._in_turns(script, other)
        except Exception as error:
            yield "answers", f"it raised {type(error).__name__}: {error}", []
            return
        pieces = [piece for piece, _ in run if piece]
        joined = "".join(pieces)
        if self._changed:
            yield "input", "the tokens or the stop strings differ after the call", pieces
        if joined != "".join(piece for piece, _ in again):
            yield "deterministic", "two runs over the same tokens differ", pieces
        endings = script.endings(keep_stop=self._keep_stop)
        count = script.stopped_at
        if "\ufffd" in joined and not any("\ufffd" in ending for ending in endings):
            yield "characters", f"{shown(joined)} holds U+FFFD: a character was cut in two", pieces
        if joined not in endings:
            text = shown(joined)
            if len(joined) > _SHORT:
                text += f", {len(joined):,} characters and not {len(endings[0]):,}"
            if count is None:
                yield "text", f"the pieces are the text {text}", pieces
            elif len(joined) > max(map(len, endings)):
                stop = next(stop for stop in script.stops if stop in script.whole)
                yield "stop", f"the stop string {shown(stop)} is missed: the text is {text}", pieces
            else:
                yield "stop", f"the text is {text}", pieces
        if beside != joined:
            also = f"{shown(list(other.tokens))} with stops {shown(list(other.stops))}"
            why = f"the text is {shown(beside)} while a stream of {also} is read in turn"
            yield "alone", why, pieces
        if self._eager:
            yield from self._early(script, run, count)

    def _early(
        self, script: Script, run: list[tuple[str, int]], count: int | None
    ) -> Iterator[tuple[str, str, list[str]]]:
        pieces = [piece for piece, _ in run if piece]
        read = run[-1][1]
        if count is not None and read > count:
            yield "reading", f"{read} tokens were read; the stop was complete after {count}", pieces
        last = len(script.tokens) if count is None else count
        given = ""
        for index, (piece, seen) in enumerate(run):
            given += piece
            following = run[index + 1][1] if index + 1 < len(run) else None
            if seen >= last or following == seen or following is None:
                continue
            for reached in range(seen, min(following, last)):
                text = script.visible(reached)
                held = 0 if self._keep_stop else _possible_stop(text, script.stops)
                if len(given) < len(text) - held:
                    known = f"after {reached} tokens {shown(text)} is known"
                    yield "latency", f"{known} and only {shown(given)} was given", pieces
                    return


def draw_script(generator: np.random.Generator, *, as_text: bool, invalid: bool) -> Script:
    """Draw a text, cut it into tokens, and choose stop strings that come near it."""
    letters = _ALPHABETS[int(generator.integers(len(_ALPHABETS)))]
    is_long = generator.random() < _LONG
    if is_long:
        length = int(np.exp(generator.uniform(np.log(_SHORT), np.log(_MOST_LETTERS))))
    else:
        length = int(generator.integers(0, _SHORT))
    text = "".join(letters[index] for index in generator.integers(0, len(letters), length))
    stops = []
    fewest, most = (4, 24) if generator.random() < _MANY else (0, 4)
    for _ in range(int(generator.integers(fewest, most))):
        size = int(np.exp(generator.uniform(0.0, 5.5)) if is_long else generator.integers(1, 6))
        if text and generator.random() < 0.6:
            at = int(generator.integers(0, len(text)))
            stop = text[at : at + size]
        else:
            stop = "".join(letters[index] for index in generator.integers(0, len(letters), size))
        stops.append(stop)
    if as_text:
        cuts = _cuts(generator, len(text))
        return Script(tuple(text[a:b].encode() for a, b in pairwise(cuts)), tuple(stops))
    encoded = text.encode()
    if invalid and generator.random() < 0.5:
        at = int(generator.integers(0, len(encoded) + 1))
        bad = generator.choice([0x80, 0xC3, 0xE2, 0xF0, 0xFF], int(generator.integers(1, 4)))
        encoded = encoded[:at] + bytes(bad.tolist()) + encoded[at:]
    cuts = _cuts(generator, len(encoded))
    return Script(tuple(encoded[a:b] for a, b in pairwise(cuts)), tuple(stops))


def _cuts(generator: np.random.Generator, length: int) -> list[int]:
    """Where a text is cut; tokens may be empty."""
    count = int(generator.integers(0, length + 2))
    return [0, *sorted(generator.integers(0, length + 1, count).tolist()), length]


def _possible_stop(text: str, stops: tuple[str, ...]) -> int:
    """The length of the longest end of a text that begins a stop string."""
    return max(
        (
            size
            for stop in stops
            for size in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:size])
        ),
        default=0,
    )


def _takes_stops(stream: Callable[..., Anything]) -> bool:
    try:
        parameters = inspect.signature(stream).parameters.values()
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(item.kind in kinds for item in parameters)
    if count not in (1, 2):
        raise ParameterError("stream", stream, "a function of tokens, and perhaps of stop strings")
    return count == 2


def _shrunk(script: Script, fails: Callable[[Script], bool]) -> Script:
    """The smallest script found for which `fails` holds."""
    work = 0
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(script):
            work += 1 + len(smaller.tokens)
            if work > _MOST_WORK:
                return script
            if (smaller.is_utf8 or not script.is_utf8) and fails(smaller):
                script, improved = smaller, True
                break
    return script


def _smaller(script: Script) -> Iterator[Script]:
    tokens, stops = script.tokens, script.stops
    yield from (replace(script, stops=fewer) for fewer in fewer(stops))
    yield from (replace(script, tokens=fewer) for fewer in fewer(tokens))
    if len(tokens) > 1:
        yield replace(script, tokens=(b"".join(tokens),))
    for index in range(len(tokens) - 1):
        joined = (tokens[index] + tokens[index + 1],)
        yield replace(script, tokens=tokens[:index] + joined + tokens[index + 2 :])
    for index, token in enumerate(tokens):
        if len(token) > 1:
            try:
                for shorter in (token.decode()[1:], token.decode()[:-1]):
                    yield replace(
                        script, tokens=(*tokens[:index], shorter.encode(), *tokens[index + 1 :])
                    )
            except UnicodeDecodeError:
                continue
    for index, stop in enumerate(stops):
        if len(stop) > 1:
            yield replace(script, stops=(*stops[:index], stop[:-1], *stops[index + 1 :]))
            yield replace(script, stops=(*stops[:index], stop[1:], *stops[index + 1 :]))
