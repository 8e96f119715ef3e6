"""Bytes of tokens in, text out, never half a character."""

from __future__ import annotations

from codecs import getincrementaldecoder

_new_decoder = getincrementaldecoder("utf-8")


class TextStream:
    r"""Decodes the bytes of one sequence's tokens as they come.

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

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = _new_decoder("replace")

    def push(self, token_bytes: bytes) -> str:
        """The text that these bytes make certain; empty while a character is incomplete."""
        return self._decoder.decode(token_bytes)

    def flush(self) -> str:
        """What is held back, as U+FFFD or nothing; the stream is then as new."""
        return self._decoder.decode(b"", final=True)

    @property
    def held(self) -> bytes:
        """The bytes held back: the beginning of one character, or nothing."""
        return self._decoder.getstate()[0]

    def fork(self) -> TextStream:
        """An independent stream that has seen the same bytes."""
        twin = TextStream()
        twin._decoder.setstate(self._decoder.getstate())
        return twin
