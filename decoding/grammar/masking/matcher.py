"""`Matcher`: follows one text through a compiled grammar and masks its next tokens."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer, checked_token_id
from decoding.grammar.masking.acceptor import REJECTED, Acceptor
from decoding.grammar.protocol import TokenGrammar
from decoding.grammar.tokens.table import TokenTable
from decoding.grammar.tokens.trie import MAX_DEPTH


class Matcher:
    """The tokens of one text so far, and the mask of the tokens that may come next.

    States of a text are numbers, so that a fork copies a list and a rollback drops its end. No
    method raises `GrammarLimitError`. A pickle holds the grammar and the tokens, and takes these
    again where it is loaded; a copy is a fork.
    """

    __slots__ = ("_acceptor", "_grammar", "_states", "_taken")

    def __init__(self, acceptor: Acceptor, grammar: TokenGrammar | None = None) -> None:
        """Begin a text.

        acceptor: of the grammar. grammar: for pickles of the matcher.
        """
        self._acceptor, self._grammar = acceptor, grammar
        self._states = [acceptor.start]
        self._taken: list[int | bytes] = []

    def __reduce__(self) -> tuple[object, ...]:
        if self._grammar is None:
            raise TypeError("a matcher of no grammar cannot be pickled")
        return _replayed, (self._grammar, tuple(self._taken))

    def __copy__(self) -> Matcher:
        return self.fork()

    def __deepcopy__(self, _: object) -> Matcher:
        return self.fork()

    @property
    def acceptor(self) -> Acceptor:
        """The acceptor that follows the text."""
        return self._acceptor

    @property
    def state(self) -> int:
        """The number of the text's state; equal numbers have equal continuations."""
        return self._states[-1]

    @property
    def tokens(self) -> TokenTable:
        """The vocabulary."""
        return self._acceptor.tokens

    @property
    def is_accepting(self) -> bool:
        """Whether the text may end here."""
        return self._acceptor.accepts(self.state)

    def mask(self) -> NDArray[np.uint32]:
        """The tokens that may come next: bit i % 32 of word i // 32 is token i.

        End tokens are allowed exactly where the text may end. The array is shared: copy it before
        a change.
        """
        return self._acceptor.mask(self.state)

    def advance(self, token_id: int) -> bool:
        """Take one more token; False, and nothing changed, if the grammar does not allow it.

        End tokens have no bytes and are never taken. Raises `ParameterError` unless `token_id` is
        an integer.
        """
        if type(token_id) is not int:
            token_id = checked_token_id("token_id", token_id)
        following = self._acceptor.advance(self.state, token_id)
        if following == REJECTED:
            return False
        self._states.append(following)
        self._taken.append(token_id)
        return True

    def follow(self, text: bytes) -> bool:
        """Take some bytes, any number of them, as if they were one token; see `advance`."""
        following = self.state
        for begin in range(0, len(text), MAX_DEPTH):
            following = self._acceptor.follow(following, text[begin : begin + MAX_DEPTH])
            if following == REJECTED:
                return False
        self._states.append(following)
        self._taken.append(text)
        return True

    def rollback(self, count: int) -> None:
        """Take back the last tokens. Raises `ParameterError` if there are not so many."""
        taken = len(self._states) - 1
        count = checked_integer("count", count, 0, taken, f"0 to {taken}, the number of tokens")
        if count:
            del self._states[-count:]
            del self._taken[-count:]

    def fork(self) -> Matcher:
        """Another text with the same beginning."""
        other = Matcher(self._acceptor, self._grammar)
        other._states, other._taken = self._states.copy(), self._taken.copy()
        return other

    def count_allowed(self, token_ids: Iterable[int]) -> int:
        """How many of these tokens, in their order, would be taken; nothing changes."""
        state, count = self.state, 0
        for given in token_ids:
            token_id = given if type(given) is int else checked_token_id("token_id", given)
            state = self._acceptor.advance(state, token_id)
            if state == REJECTED:
                break
            count += 1
        return count

    def forced_bytes(self) -> bytes:
        """The bytes that must come next: up to where there is a choice or the text may end."""
        state, forced = self.state, bytearray()
        while not self._acceptor.accepts(state):
            following = self._acceptor.next_bytes(state)
            if len(following) != 1:
                break
            forced += following
            state = self._acceptor.follow(state, following)
        return bytes(forced)


def _replayed(grammar: TokenGrammar, taken: Iterable[int | bytes]) -> Matcher:
    """The matcher that a pickle describes."""
    matcher = grammar.matcher()
    if not isinstance(matcher, Matcher):
        raise TypeError(matcher)
    for move in taken:
        if not (matcher.follow(move) if isinstance(move, bytes) else matcher.advance(move)):
            raise ValueError(f"the grammar does not take {move!r}")
    return matcher
