"""Open objects and arrays: what may come in them, and what is left after it came."""

from __future__ import annotations

from typing import Any

from decoding.kernels.grammar import layout as at
from decoding.kernels.grammar.jit import inner, woven

NO_CLASS = 1 << 30
"""Above every class of keys."""


@woven
def set_of(arena: Any, low: Any) -> int:
    """A set written as two fields."""
    return arena[low] | (arena[low + 1] << at.WORD)


@inner
def bits(word: Any) -> int:
    """How many bits of a word are set."""
    count = 0
    while word != 0:
        word &= word - 1
        count += 1
    return count


@woven
def words_of(arena: Any, frames: Any, node: Any) -> int:
    """How many words a frame has."""
    return arena[frames[node + at.TYPE] + at.TYPE_WORDS]


@inner
def opened(arena: Any, frames: Any, top: Any, parent: Any, kind: Any) -> int:
    """Push the frame of a new object or array at `top`; returns the new top."""
    frames[top + at.PARENT] = parent
    frames[top + at.TYPE] = kind
    frames[top + at.ALIVE] = (1 << arena[kind + at.ALTERNATIVES]) - 1
    frames[top + at.COUNT] = 0
    # Of arrays, what waits is their state before the first item.
    frames[top + at.ENTRY] = arena[kind + at.KEYS]
    frames[top + at.HASHES] = 0
    frames[top + at.DEPTH] = frames[parent + at.DEPTH] + 1
    frames[top + at.LAST] = -1
    words = arena[kind + at.TYPE_WORDS]
    initial = arena[kind + at.INITIAL_AT]
    for w in range(words):
        frames[top + at.FRAME_WORDS + w] = arena[initial + w]
    return top + at.FRAME_WORDS + words


@inner
def copied(arena: Any, frames: Any, top: Any, node: Any) -> int:
    """Copy a frame to `top`, to be changed; returns the new top."""
    size = at.FRAME_WORDS + words_of(arena, frames, node)
    for field in range(size):
        frames[top + field] = frames[node + field]
    return top + size


@woven
def alternative(arena: Any, kind: Any, index: Any) -> int:
    """Where an alternative is described: their offsets are listed."""
    return arena[arena[kind + at.ALTERNATIVES_AT] + index]


@woven
def class_of_key(arena: Any, kind: Any, state: Any) -> int:
    """The class of a key that ends in a state, or -1."""
    name = arena[state + at.LABEL_LOW]
    if name > 0:
        return name - 1
    languages = arena[state + at.LABEL_HIGH]
    if languages == 0:
        return -1
    if arena[kind + at.COMBINATIONS] == 0:
        return arena[kind + at.EXTRA]
    listed = arena[kind + at.COMBINATIONS_AT]
    for k in range(arena[kind + at.COMBINATIONS]):
        if arena[listed + 2 * k] == languages:
            return arena[listed + 2 * k + 1]
    return -1


@inner
def is_needed(arena: Any, frames: Any, node: Any, choice: Any, word: Any, coming: Any) -> int:
    """The keys of one word that an alternative still needs.

    coming: the class of a key that counts as if it had come, or -1.
    """
    words = arena[frames[node + at.TYPE] + at.TYPE_WORDS]
    required = choice + at.ALTERNATIVE_SIZE
    needed = arena[required + word]
    if arena[choice + at.DEPENDENCIES] > 0:
        listed = required + 2 * words
        for k in range(arena[choice + at.DEPENDENCIES]):
            trigger = arena[listed + k * (1 + words)]
            there = frames[node + at.FRAME_WORDS + trigger // at.WORD]
            if trigger == coming or (there >> (trigger % at.WORD)) & 1 == 0:
                needed |= arena[listed + k * (1 + words) + 1 + word]
    needed &= frames[node + at.FRAME_WORDS + word]
    if coming >= 0 and coming // at.WORD == word:
        needed &= ~(1 << coming % at.WORD)
    return needed


@inner
def missing(arena: Any, frames: Any, node: Any, choice: Any, coming: Any) -> int:
    """How many keys an alternative still needs, once a key has come; -1: without one."""
    count = 0
    for w in range(words_of(arena, frames, node)):
        count += bits(is_needed(arena, frames, node, choice, w, coming))
    return count


@inner
def has_room(arena: Any, frames: Any, node: Any, choice: Any, state: Any) -> bool:
    """Whether some key that a state leads to has room with all that it needs."""
    words = words_of(arena, frames, node)
    allowed = choice + at.ALTERNATIVE_SIZE + words
    room = arena[choice + at.MAXIMUM] - frames[node + at.COUNT] - 1
    for w in range(words):
        left = arena[allowed + w] & frames[node + at.FRAME_WORDS + w]
        left &= arena[state + at.STATE_WORDS + w]
        for bit in range(at.WORD):
            if (left >> bit) & 1 == 1 and (
                missing(arena, frames, node, choice, w * at.WORD + bit) <= room
            ):
                return True
    return False


@inner
def first_needed(arena: Any, frames: Any, node: Any, choice: Any) -> int:
    """The lowest class of a key that an alternative still needs; `NO_CLASS` if it needs none."""
    for w in range(words_of(arena, frames, node)):
        needed = is_needed(arena, frames, node, choice, w, -1)
        if needed != 0:
            return w * at.WORD + bits((needed & -needed) - 1)
    return NO_CLASS


@inner
def between(low: Any, high: Any, word: Any) -> int:
    """The classes of one word that lie above `low` and not above `high`, as bits."""
    first = max(low + 1 - word * at.WORD, 0)
    last = min(high - word * at.WORD, at.WORD - 1)
    if first > last:
        return 0
    return ((1 << (last + 1)) - 1) & ~((1 << first) - 1)


@inner
def fits_behind(arena: Any, frames: Any, node: Any, choice: Any, class_index: Any) -> bool:
    """Whether all that an alternative needs once a key has come can come behind that key."""
    maximum = arena[choice + at.MAXIMUM]
    if maximum >= 0 and (
        missing(arena, frames, node, choice, class_index) > maximum - frames[node + at.COUNT] - 1
    ):
        return False
    if arena[choice + at.DEPENDENCIES] > 0:
        for w in range(words_of(arena, frames, node)):
            needed = is_needed(arena, frames, node, choice, w, class_index)
            if needed & between(-1, class_index, w) != 0:
                return False
    return True


@inner
def comes_in_order(arena: Any, frames: Any, node: Any, choice: Any, state: Any) -> bool:
    """Whether a state leads to a key that an ordered alternative takes next.

    The declared keys have the lowest classes, in their order; the others come behind them.
    """
    words = words_of(arena, frames, node)
    allowed = choice + at.ALTERNATIVE_SIZE + words
    last, first = frames[node + at.LAST], first_needed(arena, frames, node, choice)
    plain = arena[choice + at.MAXIMUM] < 0 and arena[choice + at.DEPENDENCIES] == 0
    for w in range(words):
        left = arena[allowed + w] & frames[node + at.FRAME_WORDS + w]
        left &= arena[state + at.STATE_WORDS + w] & between(last, first, w)
        if left != 0 and plain:
            return True
        for bit in range(at.WORD):
            if (left >> bit) & 1 == 1 and (
                fits_behind(arena, frames, node, choice, w * at.WORD + bit)
            ):
                return True
    return False


@inner
def may_come_in_order(arena: Any, frames: Any, node: Any, state: Any) -> bool:
    """What `may_come` says, of an object whose keys are ordered."""
    kind, alive = frames[node + at.TYPE], frames[node + at.ALIVE]
    for index in range(arena[kind + at.ALTERNATIVES]):
        if (alive >> index) & 1 == 1 and (
            comes_in_order(arena, frames, node, alternative(arena, kind, index), state)
        ):
            return True
    return False


@woven
def may_come(arena: Any, frames: Any, node: Any, state: Any) -> bool:
    """Whether a key that is in `state` can be ended so that the object can be ended too."""
    kind = frames[node + at.TYPE]
    words = arena[kind + at.TYPE_WORDS]
    if arena[kind + at.ORDERED] != 0:
        return may_come_in_order(arena, frames, node, state)
    if arena[kind + at.BOUNDED] == 0:
        for w in range(words):
            if frames[node + at.FRAME_WORDS + w] & arena[state + at.STATE_WORDS + w] != 0:
                return True
        return False
    alive = frames[node + at.ALIVE]
    for index in range(arena[kind + at.ALTERNATIVES]):
        if (alive >> index) & 1 == 0:
            continue
        choice = alternative(arena, kind, index)
        maximum = arena[choice + at.MAXIMUM]
        allowed = choice + at.ALTERNATIVE_SIZE + words
        room = 1
        if maximum >= 0:
            if arena[choice + at.DEPENDENCIES] > 0:
                if has_room(arena, frames, node, choice, state):
                    return True
                continue
            room = maximum - frames[node + at.COUNT] - missing(arena, frames, node, choice, -1)
        for w in range(words):
            open_keys = arena[allowed + w] & frames[node + at.FRAME_WORDS + w]
            if room <= 0:
                open_keys = is_needed(arena, frames, node, choice, w, -1)
            if open_keys & arena[state + at.STATE_WORDS + w] != 0:
                return True
    return False


@inner
def entry_of(arena: Any, kind: Any, class_index: Any, alive: Any) -> int:
    """What follows a key when these alternatives are left; 0: not made yet."""
    place = arena[kind + at.CLASSES_AT] + class_index * at.CLASS_SIZE
    follows = arena[place + at.CLASS_ENTRIES]
    while follows != 0 and set_of(arena, follows + at.ENTRY_LOW) != alive:
        follows = arena[follows + at.ENTRY_NEXT]
    return follows


@inner
def allowing(arena: Any, kind: Any, class_index: Any) -> int:
    """The alternatives that allow a class of keys."""
    return set_of(arena, arena[kind + at.CLASSES_AT] + class_index * at.CLASS_SIZE)


@inner
def with_key(arena: Any, frames: Any, node: Any, class_index: Any, request: Any) -> int:
    """The alternatives left once a key of this class has come, 0 for none."""
    kind = frames[node + at.TYPE]
    there = frames[node + at.FRAME_WORDS + class_index // at.WORD]
    if (there >> (class_index % at.WORD)) & 1 == 0:
        return 0
    alive = frames[node + at.ALIVE] & allowing(arena, kind, class_index)
    if alive != 0 and arena[kind + at.BOUNDED] != 0:
        for index in range(arena[kind + at.ALTERNATIVES]):
            choice = alternative(arena, kind, index)
            maximum = arena[choice + at.MAXIMUM]
            if (alive >> index) & 1 == 0 or maximum < 0:
                continue
            left = missing(arena, frames, node, choice, class_index)
            if frames[node + at.COUNT] + 1 + left > maximum:
                alive &= ~(1 << index)
    if alive != 0 and arena[kind + at.ORDERED] != 0:
        for index in range(arena[kind + at.ALTERNATIVES]):
            choice = alternative(arena, kind, index)
            if (alive >> index) & 1 == 1 and not (
                frames[node + at.LAST] < class_index
                and class_index <= first_needed(arena, frames, node, choice)
                and fits_behind(arena, frames, node, choice, class_index)
            ):
                alive &= ~(1 << index)
    request[0], request[1], request[2] = kind, class_index, alive
    return alive


@inner
def is_kept(frames: Any, node: Any, hashed: Any) -> bool:
    """Whether a frame keeps a hash."""
    known = frames[node + at.HASHES]
    while known != 0 and frames[known + 1] != hashed:
        known = frames[known]
    return known != 0


@inner
def narrow(arena: Any, frames: Any, node: Any) -> None:
    """Forget the keys that no alternative left allows."""
    kind = frames[node + at.TYPE]
    alive = frames[node + at.ALIVE]
    words = arena[kind + at.TYPE_WORDS]
    for w in range(words):
        allowed = 0
        for index in range(arena[kind + at.ALTERNATIVES]):
            if (alive >> index) & 1 == 1:
                choice = alternative(arena, kind, index)
                allowed |= arena[choice + at.ALTERNATIVE_SIZE + words + w]
        frames[node + at.FRAME_WORDS + w] &= allowed


@inner
def votes_at_end(arena: Any, frames: Any, node: Any) -> int:
    """Who accepts the object or array as it stands, 0: it may not end here."""
    kind = frames[node + at.TYPE]
    if arena[kind + at.KIND] == at.KIND_ARRAY:
        return set_of(arena, frames[node + at.ENTRY] + at.ENDS_LOW)
    alive = frames[node + at.ALIVE]
    count = frames[node + at.COUNT]
    votes = 0
    for index in range(arena[kind + at.ALTERNATIVES]):
        if (alive >> index) & 1 == 0:
            continue
        choice = alternative(arena, kind, index)
        if count < arena[choice + at.MINIMUM]:
            continue
        whole = True
        for w in range(arena[kind + at.TYPE_WORDS]):
            if is_needed(arena, frames, node, choice, w, -1) != 0:
                whole = False
        if whole:
            votes |= 1 << arena[choice + at.VOTE]
    return votes


@inner
def with_value(arena: Any, frames: Any, top: Any, node: Any, votes: Any) -> int:
    """The frame of an object once the value that was due has come; 0: that cannot be.

    votes: who accepts the value. The frame is `node` itself when nothing changes, else a new one at
    `top`.
    """
    entry = frames[node + at.ENTRY]
    left = 0
    for vote in range(arena[entry + at.ENTRY_VOTES]):
        if (votes >> vote) & 1 == 1:
            left |= set_of(arena, entry + at.ENTRY_SIZE + vote * at.VOTE_SIZE)
    left &= frames[node + at.ALIVE]
    if left == 0:
        return 0
    if left == frames[node + at.ALIVE]:
        return node
    copied(arena, frames, top, node)
    frames[top + at.ALIVE] = left
    narrow(arena, frames, top)
    return top


@inner
def move_of(arena: Any, state: Any, votes: Any, again: Any) -> int:
    """The move of an array's state when an item came that some votes accept; 0: not made yet.

    again: 1 if an equal item came before, else 0.
    """
    move = arena[state + at.MOVES]
    while move != 0 and (
        arena[move + at.MOVE_AGAIN] != again or set_of(arena, move + at.MOVE_LOW) != votes
    ):
        move = arena[move + at.MOVE_NEXT]
    return move


@inner
def with_item(
    arena: Any, frames: Any, top: Any, node: Any, votes: Any, again: Any, request: Any
) -> int:
    """The frame of an array after one more item; 0: it cannot be, NEEDS_MOVE: it is not known.

    It is `node` itself when nothing changes, else a new one at `top`.
    """
    state = frames[node + at.ENTRY]
    move = move_of(arena, state, votes, again)
    if move == 0:
        request[0], request[1] = frames[node + at.TYPE], state
        request[2], request[3] = votes, again
        return at.NEEDS_MOVE
    following = arena[move + at.MOVE_TO]
    if following == 0 or following == state:
        return 0 if following == 0 else node
    copied(arena, frames, top, node)
    frames[top + at.ENTRY] = following
    return top
