"""`check_grammar`: tests that token masks allow the texts of a grammar, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError
from decoding.testing.reports import CheckFailedError, Finding, Report, check_expected, checked_seed
from decoding.typing import Anything

GRAMMAR_LAWS = {
    "answers": "mask, advance and rollback raise nothing for tokens of the vocabulary",
    "complete": "a text of the grammar can be spelled by every split into tokens, and may end",
    "sound": "a text that is not of the grammar cannot be spelled and ended",
    "mask": "a token is in the mask if and only if advance takes it",
    "refusal": "a token that is refused changes nothing",
    "end": "an end token is in the mask if and only if the text may end here",
    "dead end": "where the text may not end, some token may follow",
    "rollback": "n tokens taken and n taken back change nothing",
    "fork": "a fork stands where its origin stands, and neither changes the other",
    "alone": "a text does not change another one of the same grammar",
    "special": "ids that spell no bytes are in no mask, but for ends",
}
"""The laws that `check_grammar` checks, by the names that `expected_failures` takes."""


class MaskedText(Protocol):
    """A text that is followed through a grammar, of anyone's; `TokenMatcher` is one.

    A fork, `fork()`, is checked where there is one.
    """

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""

    def mask(self) -> NDArray[np.bool_] | NDArray[np.integer]:
        """The tokens that may follow: `(vocab,)` bool, or packed, bit i % 32 of word i // 32.

        It is read before the text changes, so one buffer may serve every call.
        """

    def advance(self, token_id: int) -> bool:
        """Take one more token; False, and nothing changed, if it may not follow."""

    def rollback(self, count: int) -> None:
        """Take back the last tokens."""


def check_grammar(
    start: Callable[[], MaskedText],
    token_bytes: Sequence[bytes],
    *,
    accepted: Sequence[str | bytes],
    refused: Sequence[str | bytes] = (),
    is_member: Callable[[bytes], bool] | None = None,
    end_ids: Sequence[int] = (),
    rolls_back: bool = True,
    walks: int = 100,
    seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Check the masks of a grammar over texts that it should and should not hold.

    start: makes a text that has not begun (`MaskedText`).
    token_bytes: the bytes of every token id; empty for special tokens.
    accepted, refused: texts of the grammar, and texts that are not. Each is spelled by the longest
        tokens, the shortest, and at random.
    is_member: decides about any text; with it, texts that are written by taking random tokens of
        the mask must be of the grammar.
    end_ids: the tokens that end a text. rolls_back: whether `rollback` is to be checked.
    walks: how many random walks through masks, of at most 40 tokens; every fourth one goes on to
        80 and, where tokens can be taken back, avoids those after which nothing can follow.
    seed, expected_failures: as for `check_processor`; the laws are `GRAMMAR_LAWS`.

    Returns a `Report`. Raises `CheckFailedError`, an `AssertionError`; `ParameterError` for a text
    that no tokens spell.
    """
    seed = checked_seed(seed)
    expected = check_expected(expected_failures, GRAMMAR_LAWS)
    check = _GrammarCheck(start, token_bytes, end_ids, rolls_back=rolls_back, seed=seed)
    found: dict[str, Finding] = {}
    for law, why, text in check.laws(accepted, refused, is_member, walks):
        if law in found:
            continue
        finding = Finding(
            candidate=str(getattr(start, "__name__", type(start).__name__)),
            claim="",
            law=law,
            rule=GRAMMAR_LAWS[law],
            why=why,
            case=(f"after     {text!r}",),
            found=f"seed {seed}",
        )
        if law not in expected:
            raise CheckFailedError(finding)
        found[law] = finding
    return Report(walks, tuple(found.values()), expected)


Broken = tuple[str, str, bytes]
"""A law, why it does not hold, and the text before."""

_WALK, _LONG_WALK = 40, 80
_TRIES = 8
"""The tokens that a long walk tries for one after which something follows."""
_SELDOM = 0.3


class _GrammarCheck:
    """The laws of one grammar."""

    def __init__(
        self,
        start: Callable[[], MaskedText],
        token_bytes: Sequence[bytes],
        end_ids: Sequence[int],
        *,
        rolls_back: bool,
        seed: int,
    ) -> None:
        self._start, self._bytes, self._ends = start, list(token_bytes), frozenset(end_ids)
        self._rolls_back = rolls_back
        self._generator = np.random.default_rng(seed)
        self._other: tuple[MaskedText, NDArray[np.bool_], NDArray[np.bool_], bytes] | None = None
        self._by_first: dict[int, list[int]] = {}
        for token, spelled in enumerate(self._bytes):
            if spelled and token not in self._ends:
                self._by_first.setdefault(spelled[0], []).append(token)

    def laws(
        self,
        accepted: Sequence[str | bytes],
        refused: Sequence[str | bytes],
        is_member: Callable[[bytes], bool] | None,
        walks: int,
    ) -> Iterator[Broken]:
        """Every law that does not hold."""
        work: list[Callable[[], Iterator[Broken]]] = []
        for text in accepted:
            work += [partial(self._spelled, split) for split in self._splits(text)]
        for text in refused:
            work += [partial(self._not_spelled, split) for split in self._splits(text)]
        lengths = (_WALK, _WALK, _WALK, _LONG_WALK)
        work += [partial(self._walk, is_member, lengths[index % 4]) for index in range(walks)]
        for item in work:
            try:
                yield from item()
            except Exception as error:
                yield "answers", f"it raised {type(error).__name__}: {error}", b""

    def _splits(self, text: str | bytes) -> Iterator[list[int]]:
        """Ways to spell a text: longest tokens first, shortest first, and at random."""
        wanted = text.encode() if isinstance(text, str) else text
        for choose in (max, min, None, None, None):
            tokens: list[int] = []
            at = 0
            while at < len(wanted):
                fitting = [
                    token
                    for token in self._by_first.get(wanted[at], ())
                    if wanted.startswith(self._bytes[token], at)
                ]
                if not fitting:
                    raise ParameterError("text", text, "a text that the tokens spell")
                if choose is None:
                    token = fitting[int(self._generator.integers(len(fitting)))]
                else:
                    token = choose(fitting, key=lambda item: len(self._bytes[item]))
                tokens.append(token)
                at += len(self._bytes[token])
            yield tokens

    def _spelled(self, tokens: list[int]) -> Iterator[Broken]:
        text = self._start()
        before = b""
        for token in tokens:
            spelled = self._bytes[token]
            if not self._mask(text)[token]:
                yield "complete", f"the mask does not allow {spelled!r} (token {token})", before
                return
            if not text.advance(token):
                yield "mask", f"{spelled!r} is in the mask, and advance refuses it", before
                return
            before += spelled
        if not _accepts(text):
            yield "complete", "the text may not end, though it is of the grammar", before
        yield from self._state(text, before)

    def _not_spelled(self, tokens: list[int]) -> Iterator[Broken]:
        text = self._start()
        for token in tokens:
            if not text.advance(token):
                return
        if _accepts(text):
            before = b"".join(self._bytes[token] for token in tokens)
            yield "sound", "the text may end, though it is not of the grammar", before

    def _walk(self, is_member: Callable[[bytes], bool] | None, length: int) -> Iterator[Broken]:
        text, before = self._start(), b""
        taken: list[tuple[NDArray[np.bool_], bytes]] = []
        for _ in range(length):
            yield from self._state(text, before)
            mask = self._mask(text)
            if _accepts(text) and is_member is not None and not is_member(before):
                yield "sound", "the text may end, though it is not of the grammar", before
            yield from self._refused(text, mask, before)
            if self._generator.random() < _SELDOM:
                yield from self._forked(text, mask, before)
            token = yield from self._next(text, mask, before, goes_on=length == _LONG_WALK)
            if token is None:
                break
            taken.append((mask, before))
            before += self._bytes[token]
            seldom = _SELDOM if length == _WALK else _SELDOM / 10.0
            if self._rolls_back and self._generator.random() < seldom:
                if self._generator.random() < 0.5:  # a mask that is kept must be forgotten
                    self._mask(text)
                count = int(self._generator.integers(1, len(taken) + 1))
                text.rollback(count)
                mask, earlier = taken[-count]
                if not np.array_equal(self._mask(text), mask):
                    yield "rollback", f"{count} tokens taken back give another mask", before
                    return
                before = earlier
                del taken[-count:]
        yield from self._beside(text, taken, before)
        if self._rolls_back and taken and self._other is None:
            count = len(taken) - int(self._generator.integers(0, 1 + len(taken) // 2))
            text.rollback(count)
            if not np.array_equal(self._mask(text), taken[-count][0]):
                yield "rollback", f"{count} tokens taken back give another mask", before

    def _next(
        self, text: MaskedText, mask: NDArray[np.bool_], before: bytes, *, goes_on: bool
    ) -> Generator[Broken, None, int | None]:
        """Take a random token of the mask, where possible one after which others can follow."""
        going = [token for token in np.flatnonzero(mask).tolist() if token not in self._ends]
        tries = _TRIES if goes_on and self._rolls_back else 1
        for index in range(tries):
            if not going:
                return None
            token = going.pop(int(self._generator.integers(len(going))))
            if not text.advance(token):
                yield "mask", f"{self._bytes[token]!r} is in the mask, and is refused", before
                return None
            yield from self._state(text, before + self._bytes[token])
            after = self._mask(text)
            after[list(self._ends)] = False
            if after.any() or not going or index == tries - 1:
                return token
            text.rollback(1)
        return None

    def _forked(self, text: MaskedText, mask: NDArray[np.bool_], before: bytes) -> Iterator[Broken]:
        """A fork stands at the same place; what it takes, its origin does not."""
        fork = getattr(text, "fork", None)
        if fork is None:
            return
        for moves, stays, whose in ((fork(), text, "fork"), (text, fork(), "origin")):
            if not np.array_equal(self._mask(moves), mask):
                yield "fork", "the mask of a fork is not that of its origin", before
                return
            going = [token for token in np.flatnonzero(mask).tolist() if token not in self._ends]
            if not going or (whose == "origin" and not self._rolls_back):
                return
            moves.advance(going[int(self._generator.integers(len(going)))])
            if not np.array_equal(self._mask(stays), mask):
                yield "fork", f"a token that the {whose} took changed the mask of the other", before
                return
            if whose == "origin":
                moves.rollback(1)

    def _beside(
        self, text: MaskedText, taken: list[tuple[NDArray[np.bool_], bytes]], before: bytes
    ) -> Iterator[Broken]:
        """The text of the walk before is as it was; every other text is kept for the next walk."""
        if self._other is None:
            if taken:
                self._other = (text, self._mask(text), taken[-1][0], before)
            return
        other, mask, earlier, where = self._other
        self._other = None
        if not np.array_equal(self._mask(other), mask):
            yield "alone", f"its mask changed while another text became {before!r}", where
        elif self._rolls_back:
            other.rollback(1)
            if not np.array_equal(self._mask(other), earlier):
                why = f"a token taken back gives another mask after another text became {before!r}"
                yield "alone", why, where

    def _state(self, text: MaskedText, before: bytes) -> Iterator[Broken]:
        mask, accepting = self._mask(text), _accepts(text)
        for end in self._ends:
            if bool(mask[end]) != accepting:
                where = "in" if mask[end] else "not in"
                can = "may" if accepting else "may not"
                yield "end", f"end token {end} is {where} the mask, and the text {can} end", before
        if not accepting and not mask.any():
            yield "dead end", "the mask is empty and the text may not end", before
        special = [
            token
            for token in np.flatnonzero(mask).tolist()
            if token not in self._ends and (token >= len(self._bytes) or not self._bytes[token])
        ]
        if special:
            yield "special", f"token {special[0]} spells nothing and is in the mask", before

    def _refused(
        self, text: MaskedText, mask: NDArray[np.bool_], before: bytes
    ) -> Iterator[Broken]:
        """Tokens outside the mask are not taken, and change nothing."""
        outside = np.flatnonzero(~mask[: len(self._bytes)]).tolist()
        ends = [token for token in outside if token in self._ends]
        if ends and self._generator.random() < _SELDOM:
            outside = ends
        if not outside:
            return
        token = outside[int(self._generator.integers(len(outside)))]
        if text.advance(token):
            yield "mask", f"{self._bytes[token]!r} is not in the mask, and is taken", before
            if self._rolls_back:
                text.rollback(1)
        elif not np.array_equal(self._mask(text), mask):
            yield "refusal", f"the mask changed when {self._bytes[token]!r} was refused", before

    def _mask(self, text: MaskedText) -> NDArray[np.bool_]:
        mask = np.asarray(text.mask())
        if mask.dtype == np.bool_:
            return mask.copy()
        words = np.ascontiguousarray(mask).view(np.uint32)
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)
        # Widths that are no multiple of 32 leave zeros behind.
        return bits if len(bits) >= len(self._bytes) else np.pad(bits, (0, len(self._bytes)))


def _accepts(text: MaskedText) -> bool:
    accepting: Anything = text.is_accepting
    return bool(accepting() if callable(accepting) else accepting)
