"""One byte of a JSON text, or of a text in a regular language."""

from __future__ import annotations

from typing import Any

from decoding.kernels.grammar import frames as frame
from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar import white as white_space
from decoding.kernels.grammar.jit import inner, woven
from decoding.kernels.grammar.subsets import next_state

# A place in a text: eight fields of a flat int64 array, from `here` on.
MODE, AT, COUNT, NODE, VALUE, TOP, HASH = range(7)
PLACE_SIZE = 8

QUOTE, COMMA, COLON, SPACE, NEWLINE, RETURN, TAB = 34, 44, 58, 32, 10, 13, 9
BRACE, BRACE_END, BRACKET, BRACKET_END, MINUS, ZERO, NINE = 123, 125, 91, 93, 45, 48, 57

FREE_BETWEEN = 16
"""LOOSE of the FREE state between two characters; the others follow."""
FREE_LABEL = -1
"""LABEL_LOW of a FREE state in which a string may end."""

_HASH_BITS = (1 << 40) - 1


@woven
def is_white(byte: Any) -> bool:
    """Whether JSON calls a byte white space."""
    return byte in (SPACE, NEWLINE, RETURN, TAB)


# White space, quotes, punctuation, and the bytes of numbers and of the beginnings of literals.
_LOW_STRUCTURAL = sum(1 << byte for byte in b'\t\n\r "+,-.0123456789:')
_HIGH_STRUCTURAL = sum(1 << byte - 64 for byte in b"E[]efnt{}")


@woven
def is_structural(byte: Any) -> bool:
    """Whether a byte may occur in JSON outside strings and past the first letter of literals."""
    if byte >= 128:
        return False
    if byte < 64:
        return (_LOW_STRUCTURAL >> byte) & 1 == 1
    return (_HIGH_STRUCTURAL >> (byte - 64)) & 1 == 1


@woven
def literal_byte(literal: Any, position: Any) -> int:
    """The bytes of null, true and false after the first; 0 behind the last."""
    if literal == 0:
        return (117, 108, 108, 0)[position - 1]
    if literal == 1:
        return (114, 117, 101, 0)[position - 1]
    return (97, 108, 115, 101, 0)[position - 1]


@inner
def value_end(
    arena: Any, frames: Any, places: Any, here: Any, votes: Any, again: Any, request: Any
) -> int:
    """A value has ended, accepted by some votes.

    again: 1 if it is an item that an array has already, else 0.
    """
    if votes == 0:
        return at.STOPS
    node = places[here + NODE]
    kind = frames[node + at.TYPE]
    places[here + COUNT] = 0
    if arena[kind + at.KIND] == at.KIND_ROOT:
        places[here + MODE], places[here + AT] = at.DONE, 0
        return at.GOES_ON
    if arena[kind + at.KIND] == at.KIND_OBJECT:
        after = frame.with_value(arena, frames, places[here + TOP], node, votes)
        places[here + MODE] = at.OBJECT_AFTER
    else:
        after = frame.with_item(arena, frames, places[here + TOP], node, votes, again, request)
        places[here + MODE] = at.ARRAY_AFTER
    if after <= 0:
        return after
    if after != node:
        places[here + NODE] = after
        places[here + TOP] = after + at.FRAME_WORDS + arena[kind + at.TYPE_WORDS]
    places[here + AT] = 0
    return at.GOES_ON


@inner
def close(arena: Any, frames: Any, places: Any, here: Any, request: Any) -> int:
    """An object or array ends."""
    node = places[here + NODE]
    votes = frame.votes_at_end(arena, frames, node)
    places[here + NODE] = frames[node + at.PARENT]
    return value_end(arena, frames, places, here, votes, 0, request)


@woven
def string_votes(arena: Any, places: Any, here: Any) -> int:
    """Who accepts the string if it ends here."""
    state = places[here + AT]
    if arena[state + at.LABEL_LOW] != FREE_LABEL:
        return frame.set_of(arena, state + at.LABEL_LOW)
    value = places[here + VALUE]
    if places[here + COUNT] >= 0 and places[here + COUNT] < arena[value + at.SHORTEST]:
        return 0
    return frame.set_of(arena, value + at.FREE_LOW)


@inner
def begin_item(arena: Any, frames: Any, places: Any, here: Any, request: Any) -> int:
    """One more item begins: its value is due."""
    node = places[here + NODE]
    state = frames[node + at.ENTRY]
    value = arena[state + at.ITEM_VALUE]
    if value == at.SEVERAL:
        request[0], request[1], request[2] = at.OF_STATE, state, at.ITEM_VALUE
        return at.NEEDS_CHOICE
    if value < 0:
        request[0], request[1] = frames[node + at.TYPE], state
        return at.NEEDS_ITEM
    if value == 0:
        return at.STOPS
    places[here + MODE], places[here + AT] = at.VALUE_NEXT, 0
    places[here + VALUE] = value
    return at.GOES_ON


@woven
def hashed_with(hashed: Any, byte: Any) -> int:
    """The hash of a text that is one byte longer."""
    return ((hashed * 1000003) ^ (byte + 1)) & _HASH_BITS


@inner
def keep(arena: Any, frames: Any, places: Any, here: Any) -> None:
    """Keep the hash of a key or item that has ended in a new frame."""
    node, link = places[here + NODE], places[here + TOP]
    frames[link], frames[link + 1] = frames[node + at.HASHES], places[here + HASH]
    places[here + TOP] = frame.copied(arena, frames, link + 2, node)
    frames[link + 2 + at.HASHES] = link
    places[here + NODE], places[here + HASH] = link + 2, 0


@inner
def is_last(arena: Any, table: Any, state: Any) -> int:
    """Whether a text must end in a state: GOES_ON if so, STOPS, or NEEDS_ROOM."""
    for byte in range(256):
        following = next_state(arena, table, state, byte)
        if following != at.DEAD:
            return at.NEEDS_ROOM if following == at.UNKNOWN else at.STOPS
    return at.GOES_ON


@inner
def takes(arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any) -> int:
    """Add a byte to the hash of a key or item; STOPS if it has come before and cannot go on."""
    places[here + HASH] = hashed_with(places[here + HASH], byte)
    if not frame.is_kept(frames, places[here + NODE], places[here + HASH]):
        return at.GOES_ON
    said = is_last(arena, table, places[here + AT])
    if said == at.NEEDS_ROOM:
        return said
    return at.STOPS if said == at.GOES_ON else at.GOES_ON


@inner
def item_end(arena: Any, frames: Any, places: Any, here: Any, votes: Any, request: Any) -> int:
    """An item that must differ from others has ended, accepted by some votes."""
    again = 1 if frame.is_kept(frames, places[here + NODE], places[here + HASH]) else 0
    said = value_end(arena, frames, places, here, votes, again, request)
    if said == at.GOES_ON:
        keep(arena, frames, places, here)
    return said


@inner
def in_item(
    arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any, request: Any
) -> int:
    """A byte inside a string or number that must differ from others, or the quote that ends it.

    COUNT is 1 in a string. STOPS leaves the place of a number as it was where it may have ended.
    """
    following = next_state(arena, table, places[here + AT], byte)
    if following == at.UNKNOWN:
        return at.NEEDS_ROOM
    if following != at.DEAD:
        places[here + AT] = following
        return takes(arena, frames, table, places, here, byte)
    if byte != QUOTE or places[here + COUNT] == 0:
        return at.STOPS
    votes = frame.set_of(arena, places[here + AT] + at.LABEL_LOW)
    return item_end(arena, frames, places, here, votes, request)


@woven
def begin_value(
    arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any, request: Any
) -> int:
    """The first byte of a value of the kind `places[here + VALUE]`."""
    value = places[here + VALUE]
    if byte == QUOTE:
        if arena[value + at.STRING] == 0:
            return at.STOPS
        places[here + MODE], places[here + AT] = at.IN_STRING, arena[value + at.STRING]
        if arena[value + at.APART] != 0:
            places[here + MODE], places[here + COUNT], places[here + HASH] = at.IN_ITEM, 1, QUOTE
            return at.GOES_ON
        counts = arena[value + at.SHORTEST] > 0 or arena[value + at.LONGEST] >= 0
        places[here + COUNT] = 0 if counts else -1
        return at.GOES_ON
    if byte in (BRACE, BRACKET):
        field = at.OBJECT if byte == BRACE else at.ARRAY
        shallow = frames[places[here + NODE] + at.DEPTH] == frames[at.SHALLOW_AT]
        if shallow:
            field = at.SHALLOW_OBJECT if byte == BRACE else at.SHALLOW_ARRAY
        kind = arena[value + field]
        if kind == 0:
            return at.STOPS
        if kind == at.SEVERAL:
            request[0], request[1], request[2] = at.OF_VALUE, value, field
            return at.NEEDS_CHOICE
        if kind < 0:
            request[0], request[1] = value, shallow
            return at.NEEDS_OBJECT if byte == BRACE else at.NEEDS_ARRAY
        node = places[here + TOP]
        places[here + TOP] = frame.opened(arena, frames, node, places[here + NODE], kind)
        places[here + NODE] = node
        places[here + MODE] = at.OBJECT_FIRST if byte == BRACE else at.ARRAY_FIRST
        places[here + AT], places[here + COUNT] = 0, 0
        return at.GOES_ON
    if byte == MINUS or ZERO <= byte <= NINE:
        state = arena[value + at.NUMBER]
        if state == 0:
            return at.STOPS
        places[here + MODE], places[here + AT], places[here + COUNT] = at.IN_NUMBER, state, 0
        if arena[value + at.APART] != 0:
            places[here + MODE], places[here + HASH] = at.IN_ITEM, 0
            return in_item(arena, frames, table, places, here, byte, request)
        return in_automaton(arena, table, places, here, byte)
    literal = -1
    if byte == 110:
        literal = 0
    elif byte == 116:
        literal = 1
    elif byte == 102:
        literal = 2
    if literal < 0 or frame.set_of(arena, value + at.NULL + 2 * literal) == 0:
        return at.STOPS
    places[here + MODE], places[here + AT], places[here + COUNT] = at.IN_LITERAL, 8 * literal + 1, 0
    if arena[value + at.APART] != 0:
        places[here + HASH] = byte
        if frame.is_kept(frames, places[here + NODE], byte):
            return at.STOPS
    return at.GOES_ON


@inner
def end_key(arena: Any, frames: Any, places: Any, here: Any, request: Any) -> int:
    """The closing quote of a key."""
    node = places[here + NODE]
    kind = frames[node + at.TYPE]
    class_index = frame.class_of_key(arena, kind, places[here + AT])
    if class_index < 0:
        return at.STOPS
    alive = frame.with_key(arena, frames, node, class_index, request)
    if alive == 0:
        return at.STOPS
    names = arena[arena[arena[kind + at.KEYS] + at.AUTOMATON] + at.NAMES]
    distinct = class_index >= names and arena[kind + at.DISTINCT] != 0
    if distinct and frame.is_kept(frames, node, places[here + HASH]):
        return at.STOPS
    follows = frame.entry_of(arena, kind, class_index, alive)
    if follows == 0:
        return at.NEEDS_ENTRY
    if distinct:
        keep(arena, frames, places, here)
        node = places[here + NODE]
    new = places[here + TOP]
    places[here + TOP] = frame.copied(arena, frames, new, node)
    frames[new + at.COUNT] = min(frames[node + at.COUNT] + 1, arena[kind + at.CAP])
    frames[new + at.ENTRY] = follows
    if class_index < names:
        word, bit = class_index // at.WORD, class_index % at.WORD
        frames[new + at.FRAME_WORDS + word] &= ~(1 << bit)
    if arena[kind + at.ORDERED] != 0:
        frames[new + at.LAST] = min(class_index, arena[kind + at.ORDERED] - 1)
    if alive != frames[node + at.ALIVE]:
        frames[new + at.ALIVE] = alive
        frame.narrow(arena, frames, new)
    places[here + NODE] = new
    places[here + MODE], places[here + AT], places[here + HASH] = at.COLON_NEXT, 0, 0
    places[here + VALUE] = arena[follows + at.ENTRY_VALUE]
    return at.GOES_ON


@woven
def in_automaton(arena: Any, table: Any, places: Any, here: Any, byte: Any) -> int:
    """Follow one edge; STOPS leaves the place as it was."""
    following = next_state(arena, table, places[here + AT], byte)
    if following == at.UNKNOWN:
        return at.NEEDS_ROOM
    if following == at.DEAD:
        return at.STOPS
    places[here + AT] = following
    return at.GOES_ON


@woven
def in_key(
    arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any, request: Any
) -> int:
    """A byte inside a key, or the quote that ends it."""
    node = places[here + NODE]
    said = in_automaton(arena, table, places, here, byte)
    if said == at.STOPS and byte == QUOTE:
        return end_key(arena, frames, places, here, request)
    if said == at.GOES_ON:
        if not frame.may_come(arena, frames, node, places[here + AT]):
            return at.STOPS
        if arena[frames[node + at.TYPE] + at.DISTINCT] != 0:
            return takes(arena, frames, table, places, here, byte)
    return said


@woven
def in_string(
    arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any, request: Any
) -> int:
    """A byte inside a string, or the quote that ends it."""
    if (
        places[here + COUNT] >= 0
        and arena[places[here + AT] + at.LOOSE] == FREE_BETWEEN
        and byte != QUOTE
    ):
        longest = arena[places[here + VALUE] + at.LONGEST]
        if places[here + COUNT] == longest:
            return at.STOPS
        if longest >= 0 or places[here + COUNT] < arena[places[here + VALUE] + at.SHORTEST]:
            places[here + COUNT] += 1
    said = in_automaton(arena, table, places, here, byte)
    if said == at.STOPS and byte == QUOTE:
        votes = string_votes(arena, places, here)
        return value_end(arena, frames, places, here, votes, 0, request)
    return said


@inner
def closes(arena: Any, frames: Any, places: Any, here: Any, request: Any) -> int:
    """Whether the innermost object or array may end; the place stays as it is.

    GOES_ON, STOPS, or what is missing to know it.
    """
    mode, seen, count = places[here + MODE], places[here + AT], places[here + COUNT]
    node, value = places[here + NODE], places[here + VALUE]
    top, hashed = places[here + TOP], places[here + HASH]
    said = close(arena, frames, places, here, request)
    places[here + MODE], places[here + AT], places[here + COUNT] = mode, seen, count
    places[here + NODE], places[here + VALUE] = node, value
    places[here + TOP], places[here + HASH] = top, hashed
    return said


@inner
def new_line(arena: Any, frames: Any, places: Any, here: Any, request: Any) -> int:
    """Whether the token can come that an indented layout writes on a new line."""
    mode, node = places[here + MODE], places[here + NODE]
    if mode in (at.OBJECT_AFTER, at.ARRAY_AFTER):
        return closes(arena, frames, places, here, request)
    if mode == at.OBJECT_FIRST:
        keys = arena[frames[node + at.TYPE] + at.KEYS]
        if keys == 0 or not frame.may_come(arena, frames, node, keys):
            return at.STOPS
    if mode == at.ARRAY_FIRST:
        state = frames[node + at.ENTRY]
        if arena[state + at.ITEM_VALUE] < 0:
            request[0], request[1] = frames[node + at.TYPE], state
            return at.NEEDS_ITEM
        if arena[state + at.ITEM_VALUE] == 0:
            return at.STOPS
    return at.GOES_ON


@inner
def with_white(
    arena: Any, frames: Any, places: Any, here: Any, byte: Any, white: Any, request: Any
) -> int:
    """Read one byte of white space between two tokens."""
    mode, seen = places[here + MODE], places[here + AT]
    after = white_space.longer(arena, frames, places[here + NODE], mode, seen, byte, white)
    if after < 0:
        return at.STOPS
    if seen == 0 and byte == NEWLINE and white_space.is_fixed(white):
        said = new_line(arena, frames, places, here, request)
        if said != at.GOES_ON:
            return said
    places[here + AT] = after
    return at.GOES_ON


@woven
def step(
    arena: Any, frames: Any, table: Any, places: Any, here: Any, byte: Any, white: Any, request: Any
) -> int:
    """Move a place on by one byte.

    place: int64 row, changed; undefined unless GOES_ON comes back. white: the layout, see
    `kernels.grammar.white`. request: what is missing, for the answers that begin with NEEDS.
    """
    mode = places[here + MODE]
    if places[here + TOP] + 256 >= len(frames):
        return at.NEEDS_FRAMES
    if mode == at.IN_STRING:
        return in_string(arena, frames, table, places, here, byte, request)
    if mode == at.IN_KEY:
        return in_key(arena, frames, table, places, here, byte, request)
    if mode == at.TEXT:
        return in_automaton(arena, table, places, here, byte)
    if mode == at.IN_NUMBER:
        said = in_automaton(arena, table, places, here, byte)
        if said != at.STOPS:
            return said
        votes = frame.set_of(arena, places[here + AT] + at.LABEL_LOW)
        said = value_end(arena, frames, places, here, votes, 0, request)
        if said != at.GOES_ON:
            return said
        mode = places[here + MODE]
    if mode == at.IN_ITEM:
        before = places[here + AT]
        said = in_item(arena, frames, table, places, here, byte, request)
        if said != at.STOPS or places[here + AT] != before or places[here + COUNT] == 1:
            return said
        votes = frame.set_of(arena, before + at.LABEL_LOW)
        said = item_end(arena, frames, places, here, votes, request)
        if said != at.GOES_ON:
            return said
        mode = places[here + MODE]
    if mode == at.IN_LITERAL:
        literal, position = places[here + AT] // 8, places[here + AT] % 8
        if literal_byte(literal, position) != byte:
            return at.STOPS
        if literal_byte(literal, position + 1) != 0:
            places[here + AT] += 1
            return at.GOES_ON
        votes = frame.set_of(arena, places[here + VALUE] + at.NULL + 2 * literal)
        if arena[places[here + VALUE] + at.APART] != 0:
            return item_end(arena, frames, places, here, votes, request)
        return value_end(arena, frames, places, here, votes, 0, request)
    if mode == at.DONE:
        return at.STOPS
    if is_white(byte):
        return with_white(arena, frames, places, here, byte, white, request)
    if white_space.is_fixed(white) and not white_space.is_whole(
        arena, frames, places[here + NODE], mode, places[here + AT], byte, white
    ):
        return at.STOPS
    if mode == at.VALUE_NEXT:
        return begin_value(arena, frames, table, places, here, byte, request)
    if mode == at.COLON_NEXT:
        if byte != COLON:
            return at.STOPS
        places[here + MODE], places[here + AT] = at.VALUE_NEXT, 0
        return at.GOES_ON
    if mode == at.ARRAY_FIRST:
        if byte == BRACKET_END:
            return close(arena, frames, places, here, request)
        said = begin_item(arena, frames, places, here, request)
        if said != at.GOES_ON:
            return said
        if white_space.is_fixed(white):  # what was read in front of the item counts for its value
            node = places[here + NODE]
            places[here + AT] = white_space.due(arena, frames, node, at.VALUE_NEXT, white)
        return begin_value(arena, frames, table, places, here, byte, request)
    if mode == at.ARRAY_AFTER:
        if byte == BRACKET_END:
            return close(arena, frames, places, here, request)
        if byte != COMMA:
            return at.STOPS
        return begin_item(arena, frames, places, here, request)
    keys = arena[frames[places[here + NODE] + at.TYPE] + at.KEYS]
    if mode == at.OBJECT_AFTER:
        if byte == BRACE_END:
            return close(arena, frames, places, here, request)
        if (
            byte != COMMA
            or keys == 0
            or not frame.may_come(arena, frames, places[here + NODE], keys)
        ):
            return at.STOPS
        places[here + MODE], places[here + AT] = at.KEY_NEXT, 0
        return at.GOES_ON
    if mode == at.OBJECT_FIRST and byte == BRACE_END:
        return close(arena, frames, places, here, request)
    if byte != QUOTE or keys == 0 or not frame.may_come(arena, frames, places[here + NODE], keys):
        return at.STOPS
    places[here + MODE], places[here + AT], places[here + HASH] = at.IN_KEY, keys, 0
    return at.GOES_ON
