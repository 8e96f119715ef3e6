"""White space between the tokens of a JSON text: which of it a layout has.

A place between two tokens counts in `AT` what has been read there: 0 nothing, `CLOSED` all that may
come, else 1 + the blanks behind a newline, or how many characters.
"""

from __future__ import annotations

from typing import Any

from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar.jit import woven

SPACE, NEWLINE = 32, 10
COMMA, BRACKET_END, BRACE_END = 44, 93, 125

# A layout is one number: its kind + KINDS × a width.
FREE = 0  # any white space, at most `width` characters
READABLE = 1  # nothing, one blank, or one newline and at most `width` blanks
SPACED = 2  # one blank behind a colon and behind a comma, nothing elsewhere
INDENTED = 3  # as SPACED, but a new line, `width` blanks a level deeper, for every key and item
KINDS = 4

CLOSED = 1 << 20


@woven
def due(arena: Any, frames: Any, node: Any, mode: Any, layout: Any) -> int:
    """AT behind the whole white space that a fixed layout has in a mode, where it has some."""
    if mode == at.COLON_NEXT:
        return 0
    if mode == at.VALUE_NEXT and arena[frames[node + at.TYPE] + at.KIND] != at.KIND_ARRAY:
        return CLOSED
    if layout % KINDS == SPACED:
        return CLOSED if mode in (at.VALUE_NEXT, at.KEY_NEXT) else 0
    depth = frames[node + at.DEPTH]
    if mode in (at.OBJECT_AFTER, at.ARRAY_AFTER):
        depth -= 1
    return 1 + (layout // KINDS) * depth


@woven
def is_fixed(layout: Any) -> bool:
    """Whether a layout leaves no choice."""
    return layout % KINDS >= SPACED


@woven
def is_whole(
    arena: Any, frames: Any, node: Any, mode: Any, seen: Any, byte: Any, layout: Any
) -> bool:
    """Whether behind the white space that was read a fixed layout has a token that begins so."""
    closes = byte in (BRACE_END, BRACKET_END)
    if mode in (at.OBJECT_FIRST, at.ARRAY_FIRST):
        if closes:
            return seen == 0
    elif mode in (at.OBJECT_AFTER, at.ARRAY_AFTER) and not closes:
        return seen == 0
    return seen == due(arena, frames, node, mode, layout)


@woven
def longer(arena: Any, frames: Any, node: Any, mode: Any, seen: Any, byte: Any, layout: Any) -> int:
    """AT after one more byte of white space; −1 where the layout does not have it."""
    width = layout // KINDS
    if seen == CLOSED:
        return -1
    if layout % KINDS == FREE:
        return seen + 1 if seen < width else -1
    most = 1 + width
    blank = True
    if is_fixed(layout):
        most = due(arena, frames, node, mode, layout)
        blank = most == CLOSED
        if most == 0 or (blank and byte == NEWLINE):
            return -1
    if seen == 0:
        if byte == NEWLINE:
            return 1
        return CLOSED if byte == SPACE and blank else -1
    return seen + 1 if byte == SPACE and seen < most else -1
