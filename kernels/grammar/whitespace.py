"""Numba: how much whitespace a JSON style allows or demands between two JSON tokens.

Between two tokens `CONFIG.STATE` counts the whitespace read so far: 0 for none, `CLOSED` if no more
may come, else 1 + the blanks behind a newline, or the number of characters.
"""

from __future__ import annotations

from decoding.kernels.grammar import layout
from decoding.kernels.grammar.arrays import Int32s, Int64s
from decoding.kernels.grammar.jit import woven
from decoding.kernels.grammar.layout import FRAME, MODE, TYPE

SPACE, NEWLINE = 32, 10
COMMA, BRACKET_END, BRACE_END = 44, 93, 125

# A spacing is one number: its kind + KINDS · a width.
FREE = 0  # any whitespace, at most `width` characters
READABLE = 1  # nothing, one blank, or one newline and at most `width` blanks
SPACED = 2  # one blank behind a colon and behind a comma, nothing elsewhere
INDENTED = 3  # as SPACED, but a new line, `width` blanks a level deeper, for every key and item
KINDS = 4

CLOSED = 1 << 20


@woven
def due(fields: Int32s, frames: Int64s, node: int, mode: int, spacing: int) -> int:
    """The value of `CONFIG.STATE` when a fixed style's whitespace in a mode is complete."""
    if mode == MODE.COLON_NEXT:
        return 0
    if (
        mode == MODE.VALUE_NEXT
        and fields[frames[node + FRAME.TYPE] + TYPE.KIND] != layout.KIND_ARRAY
    ):
        return CLOSED
    if spacing % KINDS == SPACED:
        return CLOSED if mode in (MODE.VALUE_NEXT, MODE.KEY_NEXT) else 0
    depth = frames[node + FRAME.DEPTH]
    if mode in (MODE.OBJECT_AFTER, MODE.ARRAY_AFTER):
        depth -= 1
    return 1 + (spacing // KINDS) * depth


@woven
def is_fixed(spacing: int) -> bool:
    """Whether a spacing determines every byte of whitespace."""
    return spacing % KINDS >= SPACED


@woven
def is_whole(
    fields: Int32s, frames: Int64s, node: int, mode: int, seen: int, byte: int, spacing: int
) -> bool:
    """Whether a text has all the whitespace that a fixed spacing writes before this first byte."""
    closes = byte in (BRACE_END, BRACKET_END)
    if mode in (MODE.OBJECT_FIRST, MODE.ARRAY_FIRST):
        if closes:
            return seen == 0
    elif mode in (MODE.OBJECT_AFTER, MODE.ARRAY_AFTER) and not closes:
        return seen == 0
    return seen == due(fields, frames, node, mode, spacing)


@woven
def lengthened(seen: int, byte: int, most: int) -> int:
    """The count after one more byte of one blank, or of a newline and blanks; −1 for neither.

    most: the count of the longest run that begins with a newline.
    """
    if seen == 0:
        if byte == NEWLINE:
            return 1
        return CLOSED if byte == SPACE else -1
    return seen + 1 if byte == SPACE and seen < most else -1


@woven
def longer_loose(seen: int, byte: int, spacing: int) -> int:
    """As `longer`, of a spacing that is not fixed: the mode and the frame do not matter."""
    width = spacing // KINDS
    if seen == CLOSED:
        return -1
    if spacing % KINDS == FREE:
        return seen + 1 if seen < width else -1
    return lengthened(seen, byte, 1 + width)


@woven
def longer(
    fields: Int32s, frames: Int64s, node: int, mode: int, seen: int, byte: int, spacing: int
) -> int:
    """The count after one more byte of whitespace; −1 where the spacing does not allow it."""
    if not is_fixed(spacing):
        return longer_loose(seen, byte, spacing)
    most = due(fields, frames, node, mode, spacing)
    other = NEWLINE if most == CLOSED else SPACE
    if seen == CLOSED or most == 0 or (seen == 0 and byte == other):
        return -1
    return lengthened(seen, byte, most)
