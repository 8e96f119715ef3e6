"""Numba: reads one byte of a text of a JSON Schema or of a regular language.

A text is a configuration (`layout.CONFIG`), at offset `here` of the array `stack`. A transition
changes it, and answers GOES_ON, STOPS, or what has to be made before it can be told.
"""

from __future__ import annotations

from decoding.kernels.grammar import frames as frame
from decoding.kernels.grammar import layout, whitespace
from decoding.kernels.grammar.arrays import Int32s, Int64s
from decoding.kernels.grammar.jit import inner, woven
from decoding.kernels.grammar.layout import (
    ARRAY_STATE,
    AUTOMATON,
    CONFIG,
    ENTRY,
    FRAME,
    FRAMES,
    MODE,
    STATE,
    TYPE,
    VALUE,
)
from decoding.kernels.grammar.subsets import next_state

QUOTE, COMMA, COLON, SPACE, NEWLINE, RETURN, TAB = 34, 44, 58, 32, 10, 13, 9
BRACE, BRACE_END, BRACKET, BRACKET_END, MINUS, ZERO, NINE = 123, 125, 91, 93, 45, 48, 57

_HASH_BITS = (1 << 40) - 1


@woven
def is_whitespace(byte: int) -> bool:
    """Whether JSON calls a byte whitespace."""
    return byte in (SPACE, NEWLINE, RETURN, TAB)


# Whitespace, quotes, punctuation, and the bytes of numbers and of the beginnings of literals.
_LOW_STRUCTURAL = sum(1 << byte for byte in b'\t\n\r "+,-.0123456789:')
_HIGH_STRUCTURAL = sum(1 << byte - 64 for byte in b"E[]efnt{}")


@woven
def is_structural(byte: int) -> bool:
    """Whether a byte may occur in JSON outside strings and past the first letter of literals."""
    if byte >= 128:
        return False
    if byte < 64:
        return (_LOW_STRUCTURAL >> byte) & 1 == 1
    return (_HIGH_STRUCTURAL >> (byte - 64)) & 1 == 1


@woven
def literal_byte(literal: int, position: int) -> int:
    """The byte of literal 0 (null), 1 (true) or 2 (false) at a position ≥ 1; 0 behind the last."""
    if literal == 0:
        return (117, 108, 108, 0)[position - 1]
    if literal == 1:
        return (114, 117, 101, 0)[position - 1]
    return (97, 108, 115, 101, 0)[position - 1]


@inner
def value_end(
    fields: Int32s,
    frames: Int64s,
    stack: Int64s,
    here: int,
    votes: int,
    repeated: int,
    request: Int64s,
) -> int:
    """End the value that is being read, which some votes accept, for the object or array around it.

    repeated: 1 if it is an item that an array has already, else 0.
    """
    if votes == 0:
        return layout.STOPS
    node = stack[here + CONFIG.FRAME]
    kind = frames[node + FRAME.TYPE]
    stack[here + CONFIG.COUNT] = 0
    if fields[kind + TYPE.KIND] == layout.KIND_ROOT:
        stack[here + CONFIG.MODE], stack[here + CONFIG.STATE] = MODE.DONE, 0
        return layout.GOES_ON
    if fields[kind + TYPE.KIND] == layout.KIND_OBJECT:
        after = frame.with_value(fields, frames, stack[here + CONFIG.TOP], node, votes)
        stack[here + CONFIG.MODE] = MODE.OBJECT_AFTER
    else:
        after = frame.with_item(
            fields, frames, stack[here + CONFIG.TOP], node, votes, repeated, request
        )
        stack[here + CONFIG.MODE] = MODE.ARRAY_AFTER
    if after <= 0:
        return after
    if after != node:
        stack[here + CONFIG.FRAME] = after
        stack[here + CONFIG.TOP] = after + layout.FRAME_SIZE + fields[kind + TYPE.WORDS]
    stack[here + CONFIG.STATE] = 0
    return layout.GOES_ON


@inner
def close(fields: Int32s, frames: Int64s, stack: Int64s, here: int, request: Int64s) -> int:
    """End the innermost object or array."""
    node = stack[here + CONFIG.FRAME]
    votes = frame.votes_at_end(fields, frames, node)
    stack[here + CONFIG.FRAME] = frames[node + FRAME.PARENT]
    return value_end(fields, frames, stack, here, votes, 0, request)


@woven
def string_votes(fields: Int32s, stack: Int64s, here: int) -> int:
    """The votes that accept the string if it ends here."""
    state = stack[here + CONFIG.STATE]
    if fields[state + STATE.LABEL_LOW] != layout.ANY_STRING_LABEL:
        return frame.set_of(fields, state + STATE.LABEL_LOW)
    value = stack[here + CONFIG.VALUE]
    if (
        stack[here + CONFIG.COUNT] >= 0
        and stack[here + CONFIG.COUNT] < fields[value + VALUE.SHORTEST]
    ):
        return 0
    return frame.set_of(fields, value + VALUE.ANY_STRING_LOW)


@inner
def begin_item(fields: Int32s, frames: Int64s, stack: Int64s, here: int, request: Int64s) -> int:
    """Begin one more item of the innermost array: its value comes next."""
    node = stack[here + CONFIG.FRAME]
    state = frames[node + FRAME.ENTRY]
    value = fields[state + ARRAY_STATE.ITEM]
    if value == layout.SEVERAL:
        request[0], request[1], request[2] = layout.OF_STATE, state, ARRAY_STATE.ITEM
        return layout.NEEDS_CHOICE
    if value < 0:
        request[0], request[1] = frames[node + FRAME.TYPE], state
        return layout.NEEDS_ITEM
    if value == 0:
        return layout.STOPS
    stack[here + CONFIG.MODE], stack[here + CONFIG.STATE] = MODE.VALUE_NEXT, 0
    stack[here + CONFIG.VALUE] = value
    return layout.GOES_ON


@woven
def hashed_with(hashed: int, byte: int) -> int:
    """The hash of a text with one more byte."""
    return ((hashed * 1000003) ^ (byte + 1)) & _HASH_BITS


@inner
def add_hash(fields: Int32s, frames: Int64s, stack: Int64s, here: int) -> None:
    """Add the hash of the key or item that has ended to a copy of the innermost frame."""
    node, link = stack[here + CONFIG.FRAME], stack[here + CONFIG.TOP]
    frames[link], frames[link + 1] = frames[node + FRAME.HASHES], stack[here + CONFIG.HASH]
    stack[here + CONFIG.TOP] = frame.copied(fields, frames, link + 2, node)
    frames[link + 2 + FRAME.HASHES] = link
    stack[here + CONFIG.FRAME], stack[here + CONFIG.HASH] = link + 2, 0


@inner
def is_last(fields: Int32s, table: Int32s, state: int) -> int:
    """Whether a DFA state is final: STOPS without a next state, GOES_ON with one; or NEEDS_ROOM."""
    for byte in range(layout.BYTES):
        following = next_state(fields, table, state, byte)
        if following != layout.DEAD:
            return layout.NEEDS_ROOM if following == layout.UNKNOWN else layout.STOPS
    return layout.GOES_ON


@inner
def extend_hash(
    fields: Int32s, frames: Int64s, table: Int32s, stack: Int64s, here: int, byte: int
) -> int:
    """Add a byte to the hash of a key or item; STOPS if it must end here and came before."""
    stack[here + CONFIG.HASH] = hashed_with(stack[here + CONFIG.HASH], byte)
    if not frame.has_hash(frames, stack[here + CONFIG.FRAME], stack[here + CONFIG.HASH]):
        return layout.GOES_ON
    answer = is_last(fields, table, stack[here + CONFIG.STATE])
    if answer == layout.NEEDS_ROOM:
        return answer
    return layout.STOPS if answer == layout.GOES_ON else layout.GOES_ON


@inner
def item_end(
    fields: Int32s, frames: Int64s, stack: Int64s, here: int, votes: int, request: Int64s
) -> int:
    """End an item that must differ from others, and which some votes accept."""
    repeated = (
        1 if frame.has_hash(frames, stack[here + CONFIG.FRAME], stack[here + CONFIG.HASH]) else 0
    )
    answer = value_end(fields, frames, stack, here, votes, repeated, request)
    if answer == layout.GOES_ON:
        add_hash(fields, frames, stack, here)
    return answer


@inner
def in_item(
    fields: Int32s,
    frames: Int64s,
    table: Int32s,
    stack: Int64s,
    here: int,
    byte: int,
    request: Int64s,
) -> int:
    """Read a byte of a string or number that must differ from others, or a string's last quote.

    After STOPS in a number that may have ended, the configuration is as it was.
    """
    following = next_state(fields, table, stack[here + CONFIG.STATE], byte)
    if following == layout.UNKNOWN:
        return layout.NEEDS_ROOM
    if following != layout.DEAD:
        stack[here + CONFIG.STATE] = following
        return extend_hash(fields, frames, table, stack, here, byte)
    if byte != QUOTE or stack[here + CONFIG.COUNT] == 0:
        return layout.STOPS
    votes = frame.set_of(fields, stack[here + CONFIG.STATE] + STATE.LABEL_LOW)
    return item_end(fields, frames, stack, here, votes, request)


@woven
def begin_value(
    fields: Int32s,
    frames: Int64s,
    table: Int32s,
    stack: Int64s,
    here: int,
    byte: int,
    request: Int64s,
) -> int:
    """Read the first byte of the value `CONFIG.VALUE`."""
    value = stack[here + CONFIG.VALUE]
    if byte == QUOTE:
        if fields[value + VALUE.STRING] == 0:
            return layout.STOPS
        stack[here + CONFIG.MODE], stack[here + CONFIG.STATE] = (
            MODE.IN_STRING,
            fields[value + VALUE.STRING],
        )
        if fields[value + VALUE.CANONICAL] != 0:
            stack[here + CONFIG.MODE], stack[here + CONFIG.COUNT], stack[here + CONFIG.HASH] = (
                MODE.IN_ITEM,
                1,
                QUOTE,
            )
            return layout.GOES_ON
        counts = fields[value + VALUE.SHORTEST] > 0 or fields[value + VALUE.LONGEST] >= 0
        stack[here + CONFIG.COUNT] = 0 if counts else -1
        return layout.GOES_ON
    if byte in (BRACE, BRACKET):
        field = VALUE.OBJECT if byte == BRACE else VALUE.ARRAY
        shallow = frames[stack[here + CONFIG.FRAME] + FRAME.DEPTH] == frames[FRAMES.SHALLOW_DEPTH]
        if shallow:
            field = VALUE.SHALLOW_OBJECT if byte == BRACE else VALUE.SHALLOW_ARRAY
        kind = fields[value + field]
        if kind == 0:
            return layout.STOPS
        if kind == layout.SEVERAL:
            request[0], request[1], request[2] = layout.OF_VALUE, value, field
            return layout.NEEDS_CHOICE
        if kind < 0:
            request[0], request[1] = value, shallow
            return layout.NEEDS_OBJECT if byte == BRACE else layout.NEEDS_ARRAY
        node = stack[here + CONFIG.TOP]
        stack[here + CONFIG.TOP] = frame.opened(
            fields, frames, node, stack[here + CONFIG.FRAME], kind
        )
        stack[here + CONFIG.FRAME] = node
        stack[here + CONFIG.MODE] = MODE.OBJECT_FIRST if byte == BRACE else MODE.ARRAY_FIRST
        stack[here + CONFIG.STATE], stack[here + CONFIG.COUNT] = 0, 0
        return layout.GOES_ON
    if byte == MINUS or ZERO <= byte <= NINE:
        state = fields[value + VALUE.NUMBER]
        if state == 0:
            return layout.STOPS
        stack[here + CONFIG.MODE], stack[here + CONFIG.STATE], stack[here + CONFIG.COUNT] = (
            MODE.IN_NUMBER,
            state,
            0,
        )
        if fields[value + VALUE.CANONICAL] != 0:
            stack[here + CONFIG.MODE], stack[here + CONFIG.HASH] = MODE.IN_ITEM, 0
            return in_item(fields, frames, table, stack, here, byte, request)
        return in_automaton(fields, table, stack, here, byte)
    literal = -1
    if byte == 110:
        literal = 0
    elif byte == 116:
        literal = 1
    elif byte == 102:
        literal = 2
    if literal < 0 or frame.set_of(fields, value + VALUE.NULL + 2 * literal) == 0:
        return layout.STOPS
    stack[here + CONFIG.MODE], stack[here + CONFIG.STATE], stack[here + CONFIG.COUNT] = (
        MODE.IN_LITERAL,
        8 * literal + 1,
        0,
    )
    if fields[value + VALUE.CANONICAL] != 0:
        stack[here + CONFIG.HASH] = byte
        if frame.has_hash(frames, stack[here + CONFIG.FRAME], byte):
            return layout.STOPS
    return layout.GOES_ON


@inner
def end_key(fields: Int32s, frames: Int64s, stack: Int64s, here: int, request: Int64s) -> int:
    """Read the closing quote of a key."""
    node = stack[here + CONFIG.FRAME]
    kind = frames[node + FRAME.TYPE]
    class_index = frame.class_of_key(fields, kind, stack[here + CONFIG.STATE])
    if class_index < 0:
        return layout.STOPS
    alive = frame.with_key(fields, frames, node, class_index, request)
    if alive == 0:
        return layout.STOPS
    names = fields[fields[fields[kind + TYPE.KEYS] + STATE.AUTOMATON] + AUTOMATON.NAMES]
    distinct = class_index >= names and fields[kind + TYPE.DISTINCT] != 0
    if distinct and frame.has_hash(frames, node, stack[here + CONFIG.HASH]):
        return layout.STOPS
    follows = frame.entry_of(fields, kind, class_index, alive)
    if follows == 0:
        return layout.NEEDS_ENTRY
    if distinct:
        add_hash(fields, frames, stack, here)
        node = stack[here + CONFIG.FRAME]
    new = stack[here + CONFIG.TOP]
    stack[here + CONFIG.TOP] = frame.copied(fields, frames, new, node)
    frames[new + FRAME.COUNT] = min(frames[node + FRAME.COUNT] + 1, fields[kind + TYPE.CAP])
    frames[new + FRAME.ENTRY] = follows
    if class_index < names:
        word, bit = class_index // layout.WORD, class_index % layout.WORD
        frames[new + layout.FRAME_SIZE + word] &= ~(1 << bit)
    if fields[kind + TYPE.ORDERED] != 0:
        frames[new + FRAME.LAST] = min(class_index, fields[kind + TYPE.ORDERED] - 1)
    if alive != frames[node + FRAME.ALIVE]:
        frames[new + FRAME.ALIVE] = alive
        frame.narrow(fields, frames, new)
    stack[here + CONFIG.FRAME] = new
    stack[here + CONFIG.MODE], stack[here + CONFIG.STATE], stack[here + CONFIG.HASH] = (
        MODE.COLON_NEXT,
        0,
        0,
    )
    stack[here + CONFIG.VALUE] = fields[follows + ENTRY.VALUE]
    return layout.GOES_ON


@woven
def in_automaton(fields: Int32s, table: Int32s, stack: Int64s, here: int, byte: int) -> int:
    """Follow one edge of an automaton; STOPS leaves the configuration as it was."""
    following = next_state(fields, table, stack[here + CONFIG.STATE], byte)
    if following == layout.UNKNOWN:
        return layout.NEEDS_ROOM
    if following == layout.DEAD:
        return layout.STOPS
    stack[here + CONFIG.STATE] = following
    return layout.GOES_ON


@woven
def in_key(
    fields: Int32s,
    frames: Int64s,
    table: Int32s,
    stack: Int64s,
    here: int,
    byte: int,
    request: Int64s,
) -> int:
    """Read a byte of a key, or the quote that ends it."""
    node = stack[here + CONFIG.FRAME]
    answer = in_automaton(fields, table, stack, here, byte)
    if answer == layout.STOPS and byte == QUOTE:
        return end_key(fields, frames, stack, here, request)
    if answer == layout.GOES_ON:
        if not frame.may_come(fields, frames, node, stack[here + CONFIG.STATE]):
            return layout.STOPS
        if fields[frames[node + FRAME.TYPE] + TYPE.DISTINCT] != 0:
            return extend_hash(fields, frames, table, stack, here, byte)
    return answer


@woven
def in_string(
    fields: Int32s,
    frames: Int64s,
    table: Int32s,
    stack: Int64s,
    here: int,
    byte: int,
    request: Int64s,
) -> int:
    """Read a byte of a string, or the quote that ends it."""
    if (
        stack[here + CONFIG.COUNT] >= 0
        and fields[stack[here + CONFIG.STATE] + STATE.UNIVERSAL] == layout.ANY_STRING_BETWEEN
        and byte != QUOTE
    ):
        longest = fields[stack[here + CONFIG.VALUE] + VALUE.LONGEST]
        if stack[here + CONFIG.COUNT] == longest:
            return layout.STOPS
        if (
            longest >= 0
            or stack[here + CONFIG.COUNT] < fields[stack[here + CONFIG.VALUE] + VALUE.SHORTEST]
        ):
            stack[here + CONFIG.COUNT] += 1
    answer = in_automaton(fields, table, stack, here, byte)
    if answer == layout.STOPS and byte == QUOTE:
        votes = string_votes(fields, stack, here)
        return value_end(fields, frames, stack, here, votes, 0, request)
    return answer


@inner
def closes(fields: Int32s, frames: Int64s, stack: Int64s, here: int, request: Int64s) -> int:
    """Whether the innermost object or array may end; the configuration stays as it is.

    Returns GOES_ON, STOPS, or what has to be made to tell.
    """
    mode, seen, count = (
        stack[here + CONFIG.MODE],
        stack[here + CONFIG.STATE],
        stack[here + CONFIG.COUNT],
    )
    node, value = stack[here + CONFIG.FRAME], stack[here + CONFIG.VALUE]
    top, hashed = stack[here + CONFIG.TOP], stack[here + CONFIG.HASH]
    answer = close(fields, frames, stack, here, request)
    stack[here + CONFIG.MODE], stack[here + CONFIG.STATE], stack[here + CONFIG.COUNT] = (
        mode,
        seen,
        count,
    )
    stack[here + CONFIG.FRAME], stack[here + CONFIG.VALUE] = node, value
    stack[here + CONFIG.TOP], stack[here + CONFIG.HASH] = top, hashed
    return answer


@inner
def new_line(fields: Int32s, frames: Int64s, stack: Int64s, here: int, request: Int64s) -> int:
    """Whether an indented style writes the coming JSON token on a new line."""
    mode, node = stack[here + CONFIG.MODE], stack[here + CONFIG.FRAME]
    if mode in (MODE.OBJECT_AFTER, MODE.ARRAY_AFTER):
        return closes(fields, frames, stack, here, request)
    if mode == MODE.OBJECT_FIRST:
        keys = fields[frames[node + FRAME.TYPE] + TYPE.KEYS]
        if keys == 0 or not frame.may_come(fields, frames, node, keys):
            return layout.STOPS
    if mode == MODE.ARRAY_FIRST:
        state = frames[node + FRAME.ENTRY]
        if fields[state + ARRAY_STATE.ITEM] < 0:
            request[0], request[1] = frames[node + FRAME.TYPE], state
            return layout.NEEDS_ITEM
        if fields[state + ARRAY_STATE.ITEM] == 0:
            return layout.STOPS
    return layout.GOES_ON


@inner
def read_whitespace(
    fields: Int32s,
    frames: Int64s,
    stack: Int64s,
    here: int,
    byte: int,
    spacing: int,
    request: Int64s,
) -> int:
    """Read one byte of whitespace between two tokens."""
    mode, seen = stack[here + CONFIG.MODE], stack[here + CONFIG.STATE]
    after = whitespace.longer(fields, frames, stack[here + CONFIG.FRAME], mode, seen, byte, spacing)
    if after < 0:
        return layout.STOPS
    if seen == 0 and byte == NEWLINE and whitespace.is_fixed(spacing):
        answer = new_line(fields, frames, stack, here, request)
        if answer != layout.GOES_ON:
            return answer
    stack[here + CONFIG.STATE] = after
    return layout.GOES_ON


@woven
def step(
    fields: Int32s, frames: Int64s, table: Int32s, stack: Int64s, here: int, byte: int,
    spacing: int, request: Int64s,
) -> int:  # fmt: skip
    """Read one byte from the configuration at `here`; GOES_ON, STOPS, or what must be made.

    stack: int64; the configuration is undefined unless GOES_ON comes back.
    spacing: the whitespace between tokens, see `decoding.kernels.grammar.whitespace`.
    request: receives what is missing, for the answers that begin with NEEDS.
    """
    mode = stack[here + CONFIG.MODE]
    if stack[here + CONFIG.TOP] + 256 >= len(frames):
        return layout.NEEDS_FRAMES
    if mode == MODE.IN_STRING:
        return in_string(fields, frames, table, stack, here, byte, request)
    if mode == MODE.IN_KEY:
        return in_key(fields, frames, table, stack, here, byte, request)
    if mode == MODE.TEXT:
        return in_automaton(fields, table, stack, here, byte)
    if mode == MODE.IN_NUMBER:
        answer = in_automaton(fields, table, stack, here, byte)
        if answer != layout.STOPS:
            return answer
        votes = frame.set_of(fields, stack[here + CONFIG.STATE] + STATE.LABEL_LOW)
        answer = value_end(fields, frames, stack, here, votes, 0, request)
        if answer != layout.GOES_ON:
            return answer
        mode = stack[here + CONFIG.MODE]
    if mode == MODE.IN_ITEM:
        before = stack[here + CONFIG.STATE]
        answer = in_item(fields, frames, table, stack, here, byte, request)
        if (
            answer != layout.STOPS
            or stack[here + CONFIG.STATE] != before
            or stack[here + CONFIG.COUNT] == 1
        ):
            return answer
        votes = frame.set_of(fields, before + STATE.LABEL_LOW)
        answer = item_end(fields, frames, stack, here, votes, request)
        if answer != layout.GOES_ON:
            return answer
        mode = stack[here + CONFIG.MODE]
    if mode == MODE.IN_LITERAL:
        literal, position = stack[here + CONFIG.STATE] // 8, stack[here + CONFIG.STATE] % 8
        if literal_byte(literal, position) != byte:
            return layout.STOPS
        if literal_byte(literal, position + 1) != 0:
            stack[here + CONFIG.STATE] += 1
            return layout.GOES_ON
        votes = frame.set_of(fields, stack[here + CONFIG.VALUE] + VALUE.NULL + 2 * literal)
        if fields[stack[here + CONFIG.VALUE] + VALUE.CANONICAL] != 0:
            return item_end(fields, frames, stack, here, votes, request)
        return value_end(fields, frames, stack, here, votes, 0, request)
    if mode == MODE.DONE:
        return layout.STOPS
    if is_whitespace(byte):
        return read_whitespace(fields, frames, stack, here, byte, spacing, request)
    if whitespace.is_fixed(spacing) and not whitespace.is_whole(
        fields, frames, stack[here + CONFIG.FRAME], mode, stack[here + CONFIG.STATE], byte, spacing
    ):
        return layout.STOPS
    if mode == MODE.VALUE_NEXT:
        return begin_value(fields, frames, table, stack, here, byte, request)
    if mode == MODE.COLON_NEXT:
        if byte != COLON:
            return layout.STOPS
        stack[here + CONFIG.MODE], stack[here + CONFIG.STATE] = MODE.VALUE_NEXT, 0
        return layout.GOES_ON
    if mode == MODE.ARRAY_FIRST:
        if byte == BRACKET_END:
            return close(fields, frames, stack, here, request)
        answer = begin_item(fields, frames, stack, here, request)
        if answer != layout.GOES_ON:
            return answer
        if whitespace.is_fixed(spacing):  # what was read in front of the item counts for its value
            node = stack[here + CONFIG.FRAME]
            stack[here + CONFIG.STATE] = whitespace.due(
                fields, frames, node, MODE.VALUE_NEXT, spacing
            )
        return begin_value(fields, frames, table, stack, here, byte, request)
    if mode == MODE.ARRAY_AFTER:
        if byte == BRACKET_END:
            return close(fields, frames, stack, here, request)
        if byte != COMMA:
            return layout.STOPS
        return begin_item(fields, frames, stack, here, request)
    keys = fields[frames[stack[here + CONFIG.FRAME] + FRAME.TYPE] + TYPE.KEYS]
    if mode == MODE.OBJECT_AFTER:
        if byte == BRACE_END:
            return close(fields, frames, stack, here, request)
        if (
            byte != COMMA
            or keys == 0
            or not frame.may_come(fields, frames, stack[here + CONFIG.FRAME], keys)
        ):
            return layout.STOPS
        stack[here + CONFIG.MODE], stack[here + CONFIG.STATE] = MODE.KEY_NEXT, 0
        return layout.GOES_ON
    if mode == MODE.OBJECT_FIRST and byte == BRACE_END:
        return close(fields, frames, stack, here, request)
    if (
        byte != QUOTE
        or keys == 0
        or not frame.may_come(fields, frames, stack[here + CONFIG.FRAME], keys)
    ):
        return layout.STOPS
    stack[here + CONFIG.MODE], stack[here + CONFIG.STATE], stack[here + CONFIG.HASH] = (
        MODE.IN_KEY,
        keys,
        0,
    )
    return layout.GOES_ON
