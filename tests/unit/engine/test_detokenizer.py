"""`TextStream`: which text is returned after which bytes."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from decoding.engine.detokenizer import TextStream

# One byte of every class that UTF-8 tells apart, and the ends of each class.
BYTE_CLASSES = bytes.fromhex(
    "00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff"
)

FAMILY = "👩‍👩‍👧"


def pushed(pieces: list[bytes]) -> list[str]:
    stream = TextStream()
    return [*map(stream.push, pieces), stream.flush()]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ([], [""]),
        ([b""], ["", ""]),
        ([b"one", b" two"], ["one", " two", ""]),
        ([b"caf\xc3", b"\xa9"], ["caf", "é", ""]),
        ([b"\xe6", b"\x97", b"\xa5\xe6\x9c", b"\xac"], ["", "", "日", "本", ""]),
        ([b"\xf0\x9f\x98", b"\x80"], ["", "😀", ""]),
        # A later byte that does not fit settles the ones before it.
        ([b"\xe6\x97", b"A"], ["", "\ufffdA", ""]),
        ([b"\xf0\x9f", b"\xf0\x9f\x98\x80"], ["", "\ufffd😀", ""]),
        # No continuation could save these, so nothing is held back.
        ([b"\xff"], ["\ufffd", ""]),
        ([b"\xf4\x90"], ["\ufffd\ufffd", ""]),
        ([b"\xc0\x80"], ["\ufffd\ufffd", ""]),
        # The end of the sequence settles what is left: one U+FFFD for each maximal subpart.
        ([b"ab\xf0\x9f\x98"], ["ab", "\ufffd"]),
        # Marks and joined emoji are several characters and come out one by one.
        ([b"e", b"\xcc\x81"], ["e", "\u0301", ""]),
    ],
)
def test_pieces(pieces: list[bytes], texts: list[str]) -> None:
    assert pushed(pieces) == texts


def test_joined_emoji_byte_by_byte() -> None:
    texts = pushed([bytes([byte]) for byte in FAMILY.encode()])
    assert [text for text in texts if text] == list(FAMILY)


def test_every_split_of_every_byte_class() -> None:
    for length in (1, 2, 3):
        for letters in product(BYTE_CLASSES, repeat=length):
            whole = bytes(letters)
            expected = whole.decode("utf-8", "replace")
            for cuts in range(2 ** (length - 1)):
                ends = [end for end in range(1, length) if cuts >> (end - 1) & 1]
                bounds = [0, *ends, length]
                pieces = [whole[a:b] for a, b in pairwise(bounds)]
                assert "".join(pushed(pieces)) == expected, pieces


def test_held_is_always_the_beginning_of_a_character() -> None:
    beginnings = {b""}
    for code_point in range(0x80, 0x110000, 64):  # the last byte, of six bits, begins nothing
        # CPython's decoder waits for all of a surrogate before it refuses it.
        encoded = chr(code_point).encode("utf-8", "surrogatepass")
        beginnings.update(encoded[:end] for end in range(1, len(encoded)))
    for letters in product(BYTE_CLASSES, repeat=3):
        stream = TextStream()
        for byte in letters:
            stream.push(bytes([byte]))
            assert stream.held in beginnings, bytes(letters)


def test_flush_leaves_the_stream_as_new() -> None:
    stream = TextStream()
    assert stream.push(b"\xe6\x97") == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""
    assert stream.push(b"\xa5") == "\ufffd"


def test_fork_is_independent() -> None:
    stream = TextStream()
    stream.push(b"\xf0\x9f")
    twin = stream.fork()
    assert stream.push(b"\x98\x80") == "😀"
    assert twin.held == b"\xf0\x9f"
    assert twin.push(b"\x90\x8d") == "🐍"
    assert (stream.held, twin.held) == (b"", b"")
