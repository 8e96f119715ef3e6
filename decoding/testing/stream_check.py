"""`check_stream`: whether a text stream gives out the whole text, cut at its stop string."""

from __future__ import annotations

import inspect
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from decoding.errors import ParameterError
from decoding.testing.reports import CheckFailedError, Finding, Report, check_expected, checked_seed
from decoding.typing import Anything

STREAM_LAWS = {
    "answers": "it returns pieces of text for any tokens",
    "text": "the pieces, joined, are the text of the tokens",
    "stop": "the text is cut at the first stop string, wherever it stands in the tokens",
    "characters": "no piece holds a replacement character that the whole text does not hold",
    "deterministic": "the same tokens give the same pieces",
    "reading": "no token is read after the one that completes a stop string",
    "latency": "only what may still become a stop string or a character is held back",
}
"""The laws that `check_stream` checks, by the names that `expected_failures` takes."""

_new_decoder = getincrementaldecoder("utf-8")

_ALPHABETS = ("ab", "ab", "a\n", "aé", "x漢字", "e\u0301", "👍🏽a", "ab\u200d\U0001f9d1")


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
        for count in range(1, len(self.tokens) + 1):
            text = self.whole if count == len(self.tokens) else self.visible(count)
            if any(stop in text for stop in self.stops):
                return count
        return None

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
        stream=stream, takes_stops=takes_stops, keep_stop=keep_stop, eager=eager, as_text=as_text
    )
    generator = np.random.default_rng(seed)
    found: dict[str, Finding] = {}
    for index in range(examples):
        script = draw_script(generator, as_text=as_text, invalid=invalid)
        if not takes_stops:
            script = replace(script, stops=())
        broken = check.first(script, found)
        if broken is None:
            continue
        law = broken[0]
        script = _shrunk(script, partial(check.breaks, law, tuple(found)))
        why, pieces = (check.first(script, found) or broken)[1:]
        endings = script.endings(keep_stop=keep_stop)
        shown = [token.decode() for token in script.tokens] if as_text else list(script.tokens)
        lines = [f"tokens    {shown}", f"stops     {list(script.stops)}"]
        lines += [f"pieces    {pieces}", f"expected  {endings[0]!r}, in any pieces"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _StreamCheck:
    """The laws of one stream; the fields are parameters of `check_stream`."""

    stream: Callable[..., Anything]
    takes_stops: bool
    keep_stop: bool
    eager: bool
    as_text: bool

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

    def _run(self, script: Script) -> list[tuple[str, int]]:
        """The pieces, each with the number of tokens that had been read when it came."""
        given: Anything = _Tokens(script.tokens)
        if self.as_text:
            given = _Tokens([token.decode() for token in script.tokens])  # type: ignore[misc]
        arguments = (given, list(script.stops)) if self.takes_stops else (given,)
        returned = self.stream(*arguments)
        if isinstance(returned, str):
            return [(returned, given.read)]
        pieces = []
        for piece in returned:
            if not isinstance(piece, str):
                raise TypeError(f"a piece is {piece!r:.100}, not a str")
            pieces.append((piece, given.read))
        return [*pieces, ("", given.read)]

    def _broken(self, script: Script) -> Iterator[tuple[str, str, list[str]]]:
        try:
            run = self._run(script)
            again = self._run(script)
        except Exception as error:
            yield "answers", f"it raised {type(error).__name__}: {error}", []
            return
        pieces = [piece for piece, _ in run if piece]
        joined = "".join(pieces)
        if joined != "".join(piece for piece, _ in again):
            yield "deterministic", "two runs over the same tokens differ", pieces
        endings = script.endings(keep_stop=self.keep_stop)
        count = script.stopped_at
        if "\ufffd" in joined and not any("\ufffd" in ending for ending in endings):
            yield "characters", f"{joined!r} holds U+FFFD: a character was cut in two", pieces
        if joined not in endings:
            if count is None:
                yield "text", f"the pieces are the text {joined!r}", pieces
            elif len(joined) > max(map(len, endings)):
                stop = next(stop for stop in script.stops if stop in script.whole)
                yield "stop", f"the stop string {stop!r} is missed: the text is {joined!r}", pieces
            else:
                yield "stop", f"the text is {joined!r}", pieces
        if self.eager:
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
                held = 0 if self.keep_stop else _possible_stop(text, script.stops)
                if len(given) < len(text) - held:
                    why = f"after {reached} tokens {text!r} is known and only {given!r} was given"
                    yield "latency", why, pieces
                    return


def draw_script(generator: np.random.Generator, *, as_text: bool, invalid: bool) -> Script:
    """Draw a text, cut it into tokens, and choose stop strings that come near it."""
    letters = _ALPHABETS[int(generator.integers(len(_ALPHABETS)))]
    length = int(generator.integers(0, 24))
    text = "".join(letters[index] for index in generator.integers(0, len(letters), length))
    stops = []
    for _ in range(int(generator.integers(0, 4))):
        size = int(generator.integers(1, 6))
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
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(script):
            if (smaller.is_utf8 or not script.is_utf8) and fails(smaller):
                script, improved = smaller, True
                break
    return script


def _smaller(script: Script) -> Iterator[Script]:
    tokens, stops = script.tokens, script.stops
    for index in range(len(stops)):
        yield replace(script, stops=stops[:index] + stops[index + 1 :])
    for index in range(len(tokens)):
        yield replace(script, tokens=tokens[:index] + tokens[index + 1 :])
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
