"""Numba: updates frames of open JSON objects and arrays; tells which keys may come."""

from __future__ import annotations

from decoding.kernels.grammar import layout
from decoding.kernels.grammar.arrays import Int32s, Int64s
from decoding.kernels.grammar.jit import inner, woven
from decoding.kernels.grammar.layout import (
    ALTERNATIVE,
    ARRAY_STATE,
    ENTRY,
    FRAME,
    KEY_CLASS,
    MOVE,
    STATE,
    TYPE,
)

NO_CLASS = 1 << 30
"""Above every class of keys."""


@woven
def set_of(fields: Int32s, low: int) -> int:
    """Read the 64-bit set in two fields, LOW and HIGH, at an offset."""
    return fields[low] | (fields[low + 1] << layout.WORD)


@inner
def bits(word: int) -> int:
    """The number of set bits of a word."""
    count = 0
    while word != 0:
        word &= word - 1
        count += 1
    return count


@woven
def words_of(fields: Int32s, frames: Int64s, node: int) -> int:
    """The number of 64-bit words in which a frame stores the keys that may still come."""
    return fields[frames[node + FRAME.TYPE] + TYPE.WORDS]


@inner
def opened(fields: Int32s, frames: Int64s, top: int, parent: int, kind: int) -> int:
    """Push the frame of a new object or array at `top`; returns the new top."""
    frames[top + FRAME.PARENT] = parent
    frames[top + FRAME.TYPE] = kind
    frames[top + FRAME.ALIVE] = (1 << fields[kind + TYPE.ALTERNATIVE_COUNT]) - 1
    frames[top + FRAME.COUNT] = 0
    # Of arrays, what waits is their state before the first item.
    frames[top + FRAME.ENTRY] = fields[kind + TYPE.KEYS]
    frames[top + FRAME.HASHES] = 0
    frames[top + FRAME.DEPTH] = frames[parent + FRAME.DEPTH] + 1
    frames[top + FRAME.LAST] = -1
    words = fields[kind + TYPE.WORDS]
    initial = fields[kind + TYPE.INITIAL]
    for w in range(words):
        frames[top + layout.FRAME_SIZE + w] = fields[initial + w]
    return top + layout.FRAME_SIZE + words


@inner
def copied(fields: Int32s, frames: Int64s, top: int, node: int) -> int:
    """Copy a frame to `top`, to be changed; returns the new top."""
    size = layout.FRAME_SIZE + words_of(fields, frames, node)
    for field in range(size):
        frames[top + field] = frames[node + field]
    return top + size


@woven
def alternative(fields: Int32s, kind: int, index: int) -> int:
    """The offset of an alternative of a type, by its index."""
    return fields[fields[kind + TYPE.ALTERNATIVES] + index]


@woven
def class_of_key(fields: Int32s, kind: int, state: int) -> int:
    """The class of a key that ends in a state, or -1."""
    name = fields[state + STATE.LABEL_LOW]
    if name > 0:
        return name - 1
    languages = fields[state + STATE.LABEL_HIGH]
    if languages == 0:
        return -1
    if fields[kind + TYPE.COMBINATION_COUNT] == 0:
        return fields[kind + TYPE.EXTRA]
    listed = fields[kind + TYPE.COMBINATIONS]
    for k in range(fields[kind + TYPE.COMBINATION_COUNT]):
        if fields[listed + 2 * k] == languages:
            return fields[listed + 2 * k + 1]
    return -1


@inner
def is_needed(
    fields: Int32s, frames: Int64s, node: int, choice: int, word: int, coming: int
) -> int:
    """The keys of one word that an alternative requires and that have not come yet, as bits.

    coming: the class of a key that counts as if it had come, or -1.
    """
    words = fields[frames[node + FRAME.TYPE] + TYPE.WORDS]
    required = choice + layout.ALTERNATIVE_SIZE
    needed = fields[required + word]
    if fields[choice + ALTERNATIVE.DEPENDENCY_COUNT] > 0:
        listed = required + 2 * words
        for k in range(fields[choice + ALTERNATIVE.DEPENDENCY_COUNT]):
            trigger = fields[listed + k * (1 + words)]
            there = frames[node + layout.FRAME_SIZE + trigger // layout.WORD]
            if trigger == coming or (there >> (trigger % layout.WORD)) & 1 == 0:
                needed |= fields[listed + k * (1 + words) + 1 + word]
    needed &= frames[node + layout.FRAME_SIZE + word]
    if coming >= 0 and coming // layout.WORD == word:
        needed &= ~(1 << coming % layout.WORD)
    return needed


@inner
def missing(fields: Int32s, frames: Int64s, node: int, choice: int, coming: int) -> int:
    """How many keys an alternative still requires, once a key of class `coming` has come, or −1."""
    count = 0
    for w in range(words_of(fields, frames, node)):
        count += bits(is_needed(fields, frames, node, choice, w, coming))
    return count


@inner
def has_room(fields: Int32s, frames: Int64s, node: int, choice: int, state: int) -> bool:
    """Whether some key that a state leads to fits under the maximum with all keys it requires."""
    words = words_of(fields, frames, node)
    allowed = choice + layout.ALTERNATIVE_SIZE + words
    room = fields[choice + ALTERNATIVE.MAXIMUM] - frames[node + FRAME.COUNT] - 1
    for w in range(words):
        left = fields[allowed + w] & frames[node + layout.FRAME_SIZE + w]
        left &= fields[state + layout.STATE_SIZE + w]
        for bit in range(layout.WORD):
            if (left >> bit) & 1 == 1 and (
                missing(fields, frames, node, choice, w * layout.WORD + bit) <= room
            ):
                return True
    return False


@inner
def first_needed(fields: Int32s, frames: Int64s, node: int, choice: int) -> int:
    """The lowest class of a key that an alternative still requires, or `NO_CLASS`."""
    for w in range(words_of(fields, frames, node)):
        needed = is_needed(fields, frames, node, choice, w, -1)
        if needed != 0:
            return w * layout.WORD + bits((needed & -needed) - 1)
    return NO_CLASS


@inner
def between(low: int, high: int, word: int) -> int:
    """The classes of one word that lie above `low` and not above `high`, as bits."""
    first = max(low + 1 - word * layout.WORD, 0)
    last = min(high - word * layout.WORD, layout.WORD - 1)
    if first > last:
        return 0
    return ((1 << (last + 1)) - 1) & ~((1 << first) - 1)


@inner
def fits_behind(fields: Int32s, frames: Int64s, node: int, choice: int, class_index: int) -> bool:
    """Whether all keys that an alternative requires once a key has come may follow that key."""
    maximum = fields[choice + ALTERNATIVE.MAXIMUM]
    if maximum >= 0 and (
        missing(fields, frames, node, choice, class_index)
        > maximum - frames[node + FRAME.COUNT] - 1
    ):
        return False
    if fields[choice + ALTERNATIVE.DEPENDENCY_COUNT] > 0:
        for w in range(words_of(fields, frames, node)):
            needed = is_needed(fields, frames, node, choice, w, class_index)
            if needed & between(-1, class_index, w) != 0:
                return False
    return True


@inner
def comes_in_order(fields: Int32s, frames: Int64s, node: int, choice: int, state: int) -> bool:
    """Whether a key state leads to a key that may come next in an alternative with ordered keys.

    The declared keys have the lowest classes, in their order; the others come behind them.
    """
    words = words_of(fields, frames, node)
    allowed = choice + layout.ALTERNATIVE_SIZE + words
    last, first = frames[node + FRAME.LAST], first_needed(fields, frames, node, choice)
    plain = (
        fields[choice + ALTERNATIVE.MAXIMUM] < 0
        and fields[choice + ALTERNATIVE.DEPENDENCY_COUNT] == 0
    )
    for w in range(words):
        left = fields[allowed + w] & frames[node + layout.FRAME_SIZE + w]
        left &= fields[state + layout.STATE_SIZE + w] & between(last, first, w)
        if left != 0 and plain:
            return True
        for bit in range(layout.WORD):
            if (left >> bit) & 1 == 1 and (
                fits_behind(fields, frames, node, choice, w * layout.WORD + bit)
            ):
                return True
    return False


@inner
def may_come_in_order(fields: Int32s, frames: Int64s, node: int, state: int) -> bool:
    """As `may_come`, for an object whose keys are ordered."""
    kind, alive = frames[node + FRAME.TYPE], frames[node + FRAME.ALIVE]
    for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
        if (alive >> index) & 1 == 1 and (
            comes_in_order(fields, frames, node, alternative(fields, kind, index), state)
        ):
            return True
    return False


@woven
def may_come(fields: Int32s, frames: Int64s, node: int, state: int) -> bool:
    """Whether some key that a key automaton's state leads to may come in the object."""
    kind = frames[node + FRAME.TYPE]
    words = fields[kind + TYPE.WORDS]
    if fields[kind + TYPE.ORDERED] != 0:
        return may_come_in_order(fields, frames, node, state)
    if fields[kind + TYPE.BOUNDED] == 0:
        for w in range(words):
            if frames[node + layout.FRAME_SIZE + w] & fields[state + layout.STATE_SIZE + w] != 0:
                return True
        return False
    alive = frames[node + FRAME.ALIVE]
    for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
        if (alive >> index) & 1 == 0:
            continue
        choice = alternative(fields, kind, index)
        maximum = fields[choice + ALTERNATIVE.MAXIMUM]
        allowed = choice + layout.ALTERNATIVE_SIZE + words
        room = 1
        if maximum >= 0:
            if fields[choice + ALTERNATIVE.DEPENDENCY_COUNT] > 0:
                if has_room(fields, frames, node, choice, state):
                    return True
                continue
            room = maximum - frames[node + FRAME.COUNT] - missing(fields, frames, node, choice, -1)
        for w in range(words):
            open_keys = fields[allowed + w] & frames[node + layout.FRAME_SIZE + w]
            if room <= 0:
                open_keys = is_needed(fields, frames, node, choice, w, -1)
            if open_keys & fields[state + layout.STATE_SIZE + w] != 0:
                return True
    return False


@inner
def entry_of(fields: Int32s, kind: int, class_index: int, alive: int) -> int:
    """The entry of a class of keys for the alternatives that are left; 0 if there is none yet."""
    class_at = fields[kind + TYPE.CLASSES] + class_index * layout.KEY_CLASS_SIZE
    follows = fields[class_at + KEY_CLASS.ENTRIES]
    while follows != 0 and set_of(fields, follows + ENTRY.LOW) != alive:
        follows = fields[follows + ENTRY.NEXT]
    return follows


@inner
def allowing(fields: Int32s, kind: int, class_index: int) -> int:
    """The alternatives that allow a class of keys."""
    return set_of(fields, fields[kind + TYPE.CLASSES] + class_index * layout.KEY_CLASS_SIZE)


@inner
def with_key(fields: Int32s, frames: Int64s, node: int, class_index: int, request: Int64s) -> int:
    """The alternatives that are left once a key of a class has come; 0 for none."""
    kind = frames[node + FRAME.TYPE]
    there = frames[node + layout.FRAME_SIZE + class_index // layout.WORD]
    if (there >> (class_index % layout.WORD)) & 1 == 0:
        return 0
    alive = frames[node + FRAME.ALIVE] & allowing(fields, kind, class_index)
    if alive != 0 and fields[kind + TYPE.BOUNDED] != 0:
        for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
            choice = alternative(fields, kind, index)
            maximum = fields[choice + ALTERNATIVE.MAXIMUM]
            if (alive >> index) & 1 == 0 or maximum < 0:
                continue
            left = missing(fields, frames, node, choice, class_index)
            if frames[node + FRAME.COUNT] + 1 + left > maximum:
                alive &= ~(1 << index)
    if alive != 0 and fields[kind + TYPE.ORDERED] != 0:
        for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
            choice = alternative(fields, kind, index)
            if (alive >> index) & 1 == 1 and not (
                frames[node + FRAME.LAST] < class_index
                and class_index <= first_needed(fields, frames, node, choice)
                and fits_behind(fields, frames, node, choice, class_index)
            ):
                alive &= ~(1 << index)
    request[0], request[1], request[2] = kind, class_index, alive
    return alive


@inner
def has_hash(frames: Int64s, node: int, hashed: int) -> bool:
    """Whether a frame has a hash in its list."""
    known = frames[node + FRAME.HASHES]
    while known != 0 and frames[known + 1] != hashed:
        known = frames[known]
    return known != 0


@inner
def narrow(fields: Int32s, frames: Int64s, node: int) -> None:
    """Drop the keys that no alternative that is left allows."""
    kind = frames[node + FRAME.TYPE]
    alive = frames[node + FRAME.ALIVE]
    words = fields[kind + TYPE.WORDS]
    for w in range(words):
        allowed = 0
        for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
            if (alive >> index) & 1 == 1:
                choice = alternative(fields, kind, index)
                allowed |= fields[choice + layout.ALTERNATIVE_SIZE + words + w]
        frames[node + layout.FRAME_SIZE + w] &= allowed


@inner
def votes_at_end(fields: Int32s, frames: Int64s, node: int) -> int:
    """The votes that accept the object or array as it is; 0 if it may not end here."""
    kind = frames[node + FRAME.TYPE]
    if fields[kind + TYPE.KIND] == layout.KIND_ARRAY:
        return set_of(fields, frames[node + FRAME.ENTRY] + ARRAY_STATE.ENDS_LOW)
    alive = frames[node + FRAME.ALIVE]
    count = frames[node + FRAME.COUNT]
    votes = 0
    for index in range(fields[kind + TYPE.ALTERNATIVE_COUNT]):
        if (alive >> index) & 1 == 0:
            continue
        choice = alternative(fields, kind, index)
        if count < fields[choice + ALTERNATIVE.MINIMUM]:
            continue
        whole = True
        for w in range(fields[kind + TYPE.WORDS]):
            if is_needed(fields, frames, node, choice, w, -1) != 0:
                whole = False
        if whole:
            votes |= 1 << fields[choice + ALTERNATIVE.VOTE]
    return votes


@inner
def with_value(fields: Int32s, frames: Int64s, top: int, node: int, votes: int) -> int:
    """The frame of an object behind a value that some votes accept; 0 where no alternative is left.

    It is `node` itself when nothing changes, else a new one at `top`.
    """
    entry = frames[node + FRAME.ENTRY]
    left = 0
    for vote in range(fields[entry + ENTRY.VOTES]):
        if (votes >> vote) & 1 == 1:
            left |= set_of(fields, entry + layout.ENTRY_SIZE + vote * layout.VOTE_SIZE)
    left &= frames[node + FRAME.ALIVE]
    if left == 0:
        return 0
    if left == frames[node + FRAME.ALIVE]:
        return node
    copied(fields, frames, top, node)
    frames[top + FRAME.ALIVE] = left
    narrow(fields, frames, top)
    return top


@inner
def move_of(fields: Int32s, state: int, votes: int, repeated: int) -> int:
    """The transition of an array state by an item that some votes accept; 0 if it is not made yet.

    repeated: 1 if an equal item came before, else 0.
    """
    move = fields[state + ARRAY_STATE.MOVES]
    while move != 0 and (
        fields[move + MOVE.REPEATED] != repeated or set_of(fields, move + MOVE.LOW) != votes
    ):
        move = fields[move + MOVE.NEXT]
    return move


@inner
def with_item(
    fields: Int32s, frames: Int64s, top: int, node: int, votes: int, repeated: int, request: Int64s
) -> int:
    """The frame of an array behind one more item; 0 where the item may not come, or NEEDS_MOVE.

    It is `node` itself when nothing changes, else a new one at `top`.
    """
    state = frames[node + FRAME.ENTRY]
    move = move_of(fields, state, votes, repeated)
    if move == 0:
        request[0], request[1] = frames[node + FRAME.TYPE], state
        request[2], request[3] = votes, repeated
        return layout.NEEDS_MOVE
    following = fields[move + MOVE.TARGET]
    if following == 0 or following == state:
        return 0 if following == 0 else node
    copied(fields, frames, top, node)
    frames[top + FRAME.ENTRY] = following
    return top
