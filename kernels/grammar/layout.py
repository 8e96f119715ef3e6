"""Records of a compiled grammar: for each record, the offsets of its fields in a flat array.

Kernels read two growing arrays. One int32 array (`LazyDfa.fields`) holds the states of automata,
which are made when they are first needed, and the JSON types that values, objects and arrays may
have. One int64 array (`frames`) is the stack of open objects and arrays: each frame links to the
frame around it. A reference is an offset into its array; offset 0 is no record.

Field `NAME` of a record at offset `r` is `fields[r + RECORD.NAME]`. Each record is declared once,
as a named tuple of its fields in order; its value holds their offsets, which compiled code takes as
constants. Behind a record of fixed size there may follow words, as its docstring says.

A set of up to `MAX_SET` alternatives or votes takes two fields, LOW and HIGH, of `WORD` bits each.
A set of keys takes as many words of `WORD` bits as it needs.
"""

from __future__ import annotations

from typing import NamedTuple

WORD = 31
"""Bits in a word of a set: an int32 is never negative then."""
MAX_SET = 2 * WORD
BYTES = 256

DEAD = 0
"""The next state by a byte that no string has here."""
UNKNOWN = -1
"""The next state of a state whose row has not been computed."""

ANY_STRING_BETWEEN = 16
"""`STATE.UNIVERSAL` of the state of `add_any_string` between two characters; the others follow."""
ANY_STRING_LABEL = -1
"""`STATE.LABEL_LOW` of a state of `add_any_string` in which a string may end."""


class HeadFields(NamedTuple):
    """The header of `fields`, behind the row of `DEAD`: 256 fields that stay `DEAD`."""

    FREE: int  # the first offset that no record takes
    HASH_USED: int  # the number of states in the hash table


HEAD = HeadFields(*range(BYTES, BYTES + 2))
HEAD_END = BYTES + 16


class StateFields(NamedTuple):
    """A state of a deterministic automaton.

    Its first 256 fields are the next states by byte: an offset, `DEAD` or `UNKNOWN`. Behind the
    record follow `AUTOMATON.WORDS` words: the keys that a string which is read on may become.
    """

    LABEL_LOW: int
    """What accepts a string that ends here: a set of votes. Of a key: LOW is a name + 1, HIGH a set
    of pattern languages."""
    LABEL_HIGH: int
    UNIVERSAL: int  # the state of the automaton of all strings that this state reads on as, or −1
    MEMBERS: int  # the offset of the set of NFA states that this state stands for
    MEMBER_COUNT: int
    AUTOMATON: int  # the NFA that the members belong to
    CHARACTERS: int
    """How many characters have begun, in a state of an automaton that counts them; else −1."""


STATE = StateFields(*range(BYTES, BYTES + 7))
STATE_SIZE = STATE[-1] + 1


class AutomatonFields(NamedTuple):
    """A nondeterministic automaton without empty moves, of which states are made.

    ROWS, EDGES and the other tables are offsets; a table has one entry for each NFA state.
    """

    ROWS: int  # the index of each state's first edge
    EDGES: int  # triples (lowest byte, highest byte, target)
    ELEMENTS: int  # the element that a state accepts, + 1; 0 for none
    UNIVERSAL: int  # see `STATE.UNIVERSAL`
    WORDS: int  # the number of words of keys behind each deterministic state
    REACH: int  # the keys that each state leads to, in words
    NAMES: int  # elements below this are names of keys; the others are bits of a label
    PARTS: int  # the offset of the part that a state belongs to, or 0; 0 where nothing is counted
    BETWEEN: int  # whether a state lies between two characters
    MOST: int  # counts of characters are not told apart beyond this one
    CERTAIN_FROM: int
    """Between `CERTAIN_FROM` and `CERTAIN_UNTIL` characters, no bound of a part matters."""
    CERTAIN_UNTIL: int
    ENOUGH: int  # from this count on, no minimum keeps a part from ending
    ENDLESS: int  # whether every state has a next state: no string is such that it must end


AUTOMATON = AutomatonFields(*range(14))
AUTOMATON_SIZE = len(AUTOMATON)


class PartFields(NamedTuple):
    """A part of an automaton that counts: states that share bounds on the number of characters."""

    FIRST: int  # the part's first NFA state
    MINIMUM: int
    MAXIMUM: int  # −1 for no bound
    WIDTH: int  # columns of the table
    TABLE: int
    """With a maximum: the fewest characters to an accepting state, by the least that are asked for.
    Without one: the most characters to an accepting state, −1 for no bound."""


PART = PartFields(*range(5))


class ValueFields(NamedTuple):
    """Fields of a record of the grammar kernels: the JSON types that a value's schemas allow."""

    NULL: int  # the votes that accept `null`; likewise `TRUE` and `FALSE`
    NULL_HIGH: int
    TRUE: int
    TRUE_HIGH: int
    FALSE: int
    FALSE_HIGH: int
    STRING: int  # the state before the first character of a string, or 0
    ANY_STRING_LOW: int  # the votes that accept a string which ends in a state of `add_any_string`
    ANY_STRING_HIGH: int
    SHORTEST: int  # bounds on the characters of such a string; −1 for none
    LONGEST: int
    NUMBER: int  # the state before the first character of a number, or 0
    OBJECT: int  # the type of an object: 0 for none, −1 if it has not been made, or `SEVERAL`
    ARRAY: int  # the type of an array, likewise
    ID: int
    CANONICAL: int
    """Whether each scalar has one spelling, because values are compared by their text."""
    SHALLOW_OBJECT: int  # as `OBJECT` and `ARRAY`, at the depth from which on nesting is counted
    SHALLOW_ARRAY: int


VALUE = ValueFields(*range(18))
VALUE_SIZE = len(VALUE)

KIND_ROOT, KIND_OBJECT, KIND_ARRAY = 0, 1, 2
"""Of a type: the pseudo-object around the whole value, an object, an array."""


class TypeFields(NamedTuple):
    """A type of object or array. Its alternatives are tried side by side."""

    KIND: int
    ALTERNATIVE_COUNT: int
    ALTERNATIVES: int  # the offset of the list of alternatives' offsets
    CLASSES: int  # the offset of the classes of keys
    CLASS_COUNT: int
    CAP: int  # counts of keys are not told apart beyond this one
    WORDS: int  # words of a frame: the keys that may still come
    KEYS: int
    """The state before the first character of a key; of arrays, the array state before the first
    item."""
    INITIAL: int  # the offset of the words that a new frame has
    BOUNDED: int  # whether some alternative bounds the number of keys
    EXTRA: int  # the class of keys with no name, in a type without patterns; else −1
    COMBINATIONS: int  # the offset of pairs (set of pattern languages, class) for keys with no name
    COMBINATION_COUNT: int
    ID: int
    DISTINCT: int  # whether keys with no name, or items, must differ, so that their hashes are kept
    ORDERED: int  # the number of names if keys come in the order of their classes, else 0


TYPE = TypeFields(*range(16))
TYPE_SIZE = len(TYPE)


class AlternativeFields(NamedTuple):
    """An alternative of an object type.

    Then follow its words of required keys, of allowed keys, and its dependencies.
    """

    VOTE: int
    MINIMUM: int
    MAXIMUM: int  # −1 for no bound
    DEPENDENCY_COUNT: int
    """Each dependency is the class of a name, then the words of the keys that it requires."""


ALTERNATIVE = AlternativeFields(*range(4))
ALTERNATIVE_SIZE = len(ALTERNATIVE)


class KeyClassFields(NamedTuple):
    """A class of keys that no alternative of a type tells apart."""

    LOW: int  # the set of alternatives that allow it
    HIGH: int
    ENTRIES: int  # the first entry, or 0


KEY_CLASS = KeyClassFields(*range(3))
KEY_CLASS_SIZE = len(KEY_CLASS)


class EntryFields(NamedTuple):
    """The value behind a key of some class, for one set of alternatives that are left.

    Then follows, for every vote of the value, the set of alternatives that it keeps.
    """

    NEXT: int
    LOW: int
    HIGH: int
    VALUE: int
    VOTES: int  # the number of votes


ENTRY = EntryFields(*range(5))
ENTRY_SIZE = len(ENTRY)
VOTE_SIZE = 2


class ArrayStateFields(NamedTuple):
    """A state of a partly written array: which items may follow."""

    ITEM: int  # the value of the next item; 0 for none, −1 if it has not been made, or `SEVERAL`
    ENDS_LOW: int  # the votes that accept the array if it ends here
    ENDS_HIGH: int
    MOVES: int  # the first move, or 0


ARRAY_STATE = ArrayStateFields(*range(4))


class MoveFields(NamedTuple):
    """A transition of an array: one more item, which some votes accept."""

    NEXT: int
    LOW: int
    HIGH: int
    REPEATED: int  # whether an equal item came before
    TARGET: int  # the state behind the item; 0 where the item may not come


MOVE = MoveFields(*range(5))


class FrameFields(NamedTuple):
    """An open object or array. Then follow `TYPE.WORDS` words: the keys that may still come."""

    PARENT: int  # the frame around this one
    TYPE: int
    ALIVE: int  # the set of alternatives that are left
    COUNT: int  # the number of keys so far
    ENTRY: int  # of an object, the entry of the last key; of an array, its state
    HASHES: int  # a linked list of pairs (next, hash): the keys or items that must not come again
    DEPTH: int  # the number of open objects and arrays, this one included
    LAST: int  # where keys are ordered: the class of the last key, −1 before the first


FRAME = FrameFields(*range(8))
FRAME_SIZE = len(FRAME)


class FramesFields(NamedTuple):
    """The header at the beginning of `frames`."""

    FREE: int  # the first offset that no permanent frame takes
    HASH_USED: int  # the number of frames in their hash table
    SHALLOW_DEPTH: int
    """The depth at which objects and arrays have the types SHALLOW_OBJECT and SHALLOW_ARRAY."""


FRAMES = FramesFields(*range(3))


class ConfigFields(NamedTuple):
    """A configuration of a text: mode, states and frame. It takes `CONFIG_SIZE` int64s."""

    MODE: int
    STATE: int
    """In a string, number or key: the automaton's state. Between two tokens: the whitespace so far
    (`decoding.kernels.grammar.whitespace`). In a literal: 8 · its index + the letters read."""
    COUNT: int
    """In a string whose length is bounded: the characters so far, else −1. In `IN_ITEM`: 1 in a
    string, 0 in a number."""
    FRAME: int  # the innermost open object or array
    VALUE: int  # the value that is being read or that comes next
    TOP: int  # the first offset of `frames` that this configuration does not use
    HASH: int  # the hash of the key or item so far, where it must differ from others


CONFIG = ConfigFields(*range(7))
CONFIG_SIZE = 8


class ModeNumbers(NamedTuple):
    """The modes of a text: between which JSON tokens it is, or inside which one."""

    VALUE_NEXT: int  # a value comes next
    IN_STRING: int
    IN_NUMBER: int
    IN_LITERAL: int
    OBJECT_FIRST: int  # behind an opening brace
    IN_KEY: int
    COLON_NEXT: int
    OBJECT_AFTER: int  # behind a value of an object: a comma or the end comes next
    KEY_NEXT: int  # behind a comma of an object
    ARRAY_FIRST: int
    ARRAY_AFTER: int
    DONE: int
    TEXT: int  # in a text of a regular language, which is no JSON
    IN_ITEM: int  # in a string or number that must differ from the items before it


MODE = ModeNumbers(*range(14))

# What a kernel answers.
GOES_ON = 1
"""The byte fits."""
STOPS = 0
"""The byte does not fit."""
NEEDS_ENTRY = -1
NEEDS_OBJECT = -2
NEEDS_ARRAY = -3
NEEDS_ROOM = -4
"""`fields` or its hash table has no room."""
TOO_MANY = -5
NEEDS_FRAMES = -6
"""`frames` or its hash table has no room."""
NEEDS_ITEM = -7
NEEDS_MOVE = -8
NEEDS_CHOICE = -9

SEVERAL = -2
"""Instead of a record that would have more than `MAX_SET` members: several records stand for it."""
OF_VALUE, OF_STATE = 0, 1
"""What there are several of: values, or states of an array."""
