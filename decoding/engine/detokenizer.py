"""Incremental decoding of tokens' bytes to text, in whole characters."""

from __future__ import annotations

from codecs import getincrementaldecoder

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

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = _new_decoder("replace")

    def push(self, token_bytes: bytes) -> str:
        """Decode more bytes; return the complete characters, and hold an incomplete one back."""
        return self._decoder.decode(token_bytes)

    def flush(self) -> str:
        """End the text: return an incomplete character as U+FFFD, and reset the stream."""
        return self._decoder.decode(b"", final=True)

    @property
    def held(self) -> bytes:
        """The bytes of an incomplete character."""
        return self._decoder.getstate()[0]

    def fork(self) -> TextStream:
        """Copy the stream with the bytes held back."""
        twin = TextStream()
        twin._decoder.setstate(self._decoder.getstate())
        return twin
