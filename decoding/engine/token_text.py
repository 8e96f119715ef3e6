"""`TokenText`: the text of a stream of token ids, cut at stop strings."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from decoding.engine.detokenizer import TextStream
from decoding.engine.stopping import StopStrings
from decoding.errors import require
from decoding.vocabulary import Spelling, Vocabulary

_UNKNOWN = Spelling(b"", "", special=False)
"""What is known of a token without a vocabulary."""


class TokenText:
    r"""The text of one sequence, token by token: whole characters, cut at the first stop string.

    The texts that `push` and `flush` return, joined, are the text of all tokens, cut at the first
    stop: never half a character, and no character that a stop may still remove. Bytes that are no
    UTF-8 become U+FFFD. Tokens after a stop add nothing.

    vocabulary: the bytes of the tokens; special tokens are no text, but stop strings see theirs.
        Without one all text is empty.
    stop: strings that end the text, or `StopStrings` that several sequences share; () never ends
        it.
    keep_stop: whether the stop stays in the text (TGI) or is removed (OpenAI, the default).
    hidden_token_ids: further tokens that are treated as special, as those that end a sequence.
    begun: bytes with which the prompt ends inside a character; the text begins with all of it.

    An object pickles, and `fork` copies it. Raises ParameterError for stops that are no strings.

    >>> text = TokenText(Vocabulary([b"the ", b"E", b"ND", b"caf\xc3", b"\xa9"]), ["END"])
    >>> [text.push(token_id) for token_id in (3, 4, 0, 1, 2, 0)], text.stop
    (['caf', 'é', 'the ', '', '', ''], 'END')
    """

    __slots__ = ("_hidden", "_matcher", "_stream", "_vocabulary")

    def __init__(
        self,
        vocabulary: Vocabulary | None,
        stop: StopStrings | Sequence[str] = (),
        *,
        keep_stop: bool = False,
        hidden_token_ids: Collection[int] = (),
        begun: bytes = b"",
    ) -> None:
        legal = vocabulary is None or isinstance(vocabulary, Vocabulary)
        require("vocabulary", vocabulary, legal, "a Vocabulary, or None")
        stops = stop if isinstance(stop, StopStrings) else StopStrings(stop)  # type: ignore[arg-type]  # it checks
        self._vocabulary = vocabulary
        self._hidden = hidden_token_ids
        self._stream = TextStream()
        self._stream.push(begun)
        self._matcher = stops.start(keep=keep_stop)

    @property
    def stop(self) -> str | None:
        """The stop string that was found; None before that."""
        return self._matcher.stop

    def push(self, token_id: int, *, stopping: bool = True) -> str:
        """Take one token; return the text that has become final.

        stopping: without, a stop that ends in this token is text like any other.
        """
        return self.push_spelling(self.spelling(token_id), stopping=stopping)

    def push_spelling(self, spelling: Spelling, *, stopping: bool = True) -> str:
        """Take one token by its spelling, as `spelling` gives it; see `push`."""
        spelled, text, special = spelling
        if special:
            shown = self._matcher.push(self._stream.flush(), stopping=stopping)
            return shown + self._matcher.push(text, visible=False, stopping=stopping)
        return self._matcher.push(self._stream.push(spelled), stopping=stopping)

    def flush(self, *, stopping: bool = True) -> str:
        """End the text; return what was held back, an incomplete character as U+FFFD."""
        rest = self._stream.flush()
        return self._matcher.push(rest, stopping=stopping) + self._matcher.flush()

    def spelling(self, token_id: int) -> Spelling:
        """The bytes and the text of a token; special where it adds no text."""
        known = _UNKNOWN if self._vocabulary is None else self._vocabulary.spelling(token_id)
        return known._replace(special=True) if token_id in self._hidden else known

    def fork(self) -> TokenText:
        """Copy the text with what it has read."""
        twin = TokenText(self._vocabulary, hidden_token_ids=self._hidden)
        twin._stream, twin._matcher = self._stream.fork(), self._matcher.fork()
        return twin
