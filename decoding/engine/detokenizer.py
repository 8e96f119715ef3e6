"""Incremental decoding of tokens to text: whole characters, cut at stop strings."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Collection, Sequence

from decoding.checks import checked_token_id
from decoding.engine.stopping import StopStrings
from decoding.errors import require
from decoding.vocabulary import Vocabulary

_UNKNOWN = (b"", "", False)
"""The spelling of a token without a vocabulary: no bytes, no text, not special."""

_REPLACED = "\ufffd"
"""What stands in a text for bytes that are no whole character."""

_new_decoder = getincrementaldecoder("utf-8")


class TextStream:
    r"""Decodes the bytes of one sequence's tokens as UTF-8, token by token.

    For every way to cut bytes into pieces:

        "".join(push(piece) for each piece) + flush() == all_bytes.decode("utf-8", "replace")

    Text is given out as soon as it is certain, so what is held back is always the beginning of one
    character: at most three bytes. (The encoding of a surrogate, which is no UTF-8, counts as a
    character here.) Bytes that are no UTF-8 become U+FFFD, one for each maximal subpart (Unicode
    Standard, section 3.9), as `bytes.decode` does. A character is a code point: marks and joined
    emoji come out one code point at a time.

    >>> stream = TextStream()
    >>> stream.push(b"caf\xc3"), stream.push(b"\xa9"), stream.push(b"\xf0\x9f"), stream.flush()
    ('caf', 'é', '', '\ufffd')
    """

    __slots__ = ("_decoder", "holds")

    def __init__(self) -> None:
        self._decoder = _new_decoder("replace")
        self.holds = False
        """Whether an incomplete character is held back."""

    def push(self, token_bytes: bytes) -> str:
        """Decode more bytes; return the complete characters, and hold an incomplete one back."""
        text = self._decoder.decode(token_bytes)
        self.holds = self._decoder.getstate()[0] != b""
        return text

    def flush(self) -> str:
        """End the text: return an incomplete character as U+FFFD, and reset the stream."""
        if not self.holds:
            return ""
        self.holds = False
        return self._decoder.decode(b"", final=True)

    @property
    def held(self) -> bytes:
        """The bytes of an incomplete character."""
        return self._decoder.getstate()[0]

    def fork(self) -> TextStream:
        """Copy the stream with the bytes held back."""
        twin = TextStream()
        twin._decoder.setstate(self._decoder.getstate())
        twin.holds = self.holds
        return twin


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

    __slots__ = ("_hidden", "_is_searched", "_matcher", "_stream", "_vocabulary")

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
        if begun:
            self._stream.push(begun)
        self._matcher = stops.start(keep=keep_stop)
        self._is_searched = bool(stops.strings)

    @property
    def stop(self) -> str | None:
        """The stop string that was found; None before that."""
        return self._matcher.stop

    def push(self, token_id: int, *, stopping: bool = True) -> str:
        """Take one token; return the text that has become final.

        token_id: at least 0; an id beyond the vocabulary adds no text.
        stopping: without, a stop that ends in this token is text like any other.

        Raises:
            ParameterError: `token_id` is no integer, or negative.
        """
        if type(token_id) is not int:
            token_id = checked_token_id("token_id", token_id)
        require("token_id", token_id, token_id >= 0, ">= 0")
        return self.push_spelling(self.spelling(token_id), stopping=stopping)

    def push_spelling(self, spelling: tuple[bytes, str, bool], *, stopping: bool = True) -> str:
        """Take one token by its spelling, as `spelling` gives it; see `push`."""
        spelled, text, special = spelling
        stream = self._stream
        if special:
            shown = self._matcher.push(stream.flush(), stopping=stopping)
            return shown + self._matcher.push(text, visible=False, stopping=stopping)
        # Most tokens are whole characters, and their text is known.
        if stream.holds or _REPLACED in text:
            text = stream.push(spelled)
        return self._matcher.push(text, stopping=stopping) if self._is_searched else text

    def flush(self, *, stopping: bool = True) -> str:
        """End the text; return what was held back, an incomplete character as U+FFFD."""
        rest = self._stream.flush()
        return self._matcher.push(rest, stopping=stopping) + self._matcher.flush()

    def spelling(self, token_id: int) -> tuple[bytes, str, bool]:
        """The bytes and the text of a token; special where it adds no text."""
        vocabulary = self._vocabulary
        known = _UNKNOWN if vocabulary is None else vocabulary.spelling(token_id)
        return (known[0], known[1], True) if token_id in self._hidden else known

    def fork(self) -> TokenText:
        """Copy the text with what it has read."""
        twin = TokenText(self._vocabulary, hidden_token_ids=self._hidden)
        twin._stream, twin._matcher = self._stream.fork(), self._matcher.fork()
        twin._is_searched = self._is_searched
        return twin
