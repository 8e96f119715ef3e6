"""Where things lie in the arena of a grammar's automata, as offsets from a record's start.

One growing int32 array holds everything that a grammar knows of bytes: the states of its lazily
made automata, the kinds of values, objects and arrays. A reference is an offset into that array; 0
is nobody. Another array of int64 holds frames: the objects and arrays that are open at some point
of a text, each a link to the one around it.

Sets of up to 62 votes or alternatives are two fields of 31 bits. Sets of keys are words of 31 bits.
"""

from __future__ import annotations

WORD = 31
"""Bits of a word: an int32 is never negative then."""
MAX_SET = 2 * WORD

# The head of the arena.
FREE = 0  # the first offset that is free
HASH_USED = 1  # how many entries of the hash table are taken
HEAD = 16

# A state of an automaton. Its first 256 fields are the next states by byte.
DEAD = 0
UNKNOWN = -1  # the row is not filled yet
LABEL_LOW = 256  # what ends here: a set of votes, for keys (name + 1, set of languages)
LABEL_HIGH = 257
LOOSE = 258  # the state of the automaton of all strings that this one equals, or -1
SET_AT = 259  # the automaton states that this state stands for
SET_LENGTH = 260
AUTOMATON = 261
BEGUN = 262  # how many characters are begun before a state of a counted automaton, else -1
STATE_WORDS = 263  # then: the keys that can still be reached, as words

# An automaton without empty moves, from which states are made.
ROWS_AT = 0  # where the edges of state i begin, relative to EDGES_AT / 3
EDGES_AT = 1  # triples: lowest byte, highest byte, target
ELEMENT_AT = 2  # for every state, what it accepts: an element + 1, or 0
LOOSE_AT = 3
WORDS = 4  # how many words of keys a state carries
REACH_AT = 5  # for every state, its words
NAMES = 6  # elements below this are names of their own, the rest are bits of a label
PARTS_AT = 7  # for every state of a counted automaton, its part or 0; 0 if nothing is counted
BETWEEN_AT = 8  # for every state, whether it lies between two characters
MOST = 9  # characters are not told apart beyond this
CERTAIN_FROM = 10  # from so many characters on up to the other bound no part ends or begins
CERTAIN_UNTIL = 11
ENOUGH = 12  # from so many characters on no minimum keeps a part from ending
ENDLESS = 13  # whether every state can be left: no text is such that it must end
AUTOMATON_SIZE = 14

# A part of a counted automaton: states that share bounds on the number of characters.
PART_FIRST = 0  # its first state
PART_MINIMUM = 1
PART_MAXIMUM = 2  # -1 is no bound
PART_WIDTH = 3  # fields per state
PART_TABLE = 4  # with a maximum: the fewest characters to come, by the least that is asked for
PART_SIZE = 5  # without: the most characters to come, -1 for no bound

# A kind of value: a tuple of nodes, every one with a vote.
NULL = 0  # votes, two fields each
TRUE = 2
FALSE = 4
STRING = 6  # the state before the first character, or 0
FREE_LOW = 7  # who accepts a string that ends in a FREE state
FREE_HIGH = 8
SHORTEST = 9  # bounds on its length in characters, for FREE strings; -1 is no bound
LONGEST = 10
NUMBER = 11
OBJECT = 12  # the type of object; 0 none, -1 not made yet, or SEVERAL
ARRAY = 13
VALUE_ID = 14
APART = 15  # whether its scalars are spelled in one way each, because they are remembered
SHALLOW_OBJECT = 16  # as OBJECT and ARRAY, at the depth from which on nesting is counted
SHALLOW_ARRAY = 17
VALUE_SIZE = 18

# A type of object or array. The alternatives of an object lie side by side.
KIND = 0
KIND_ROOT, KIND_OBJECT, KIND_ARRAY = 0, 1, 2
ALTERNATIVES = 1
ALTERNATIVES_AT = 2
CLASSES_AT = 3  # keys by atom
CLASSES = 4
CAP = 5  # counts are not told apart beyond this
TYPE_WORDS = 6  # words of a frame: keys that may still come
KEYS = 7  # the state before the first character of a key; of arrays: that before the first item
INITIAL_AT = 8  # the words at the beginning
BOUNDED = 9  # whether some alternative has a bound on the number of keys
EXTRA = 10  # the class of keys with no name, in a type without patterns; -1 otherwise
COMBINATIONS_AT = 11  # pairs (set of languages, class) for keys with no name
COMBINATIONS = 12
TYPE_ID = 13
DISTINCT = 14  # whether keys with no name, or items, must differ, so that they are remembered
ORDERED = 15  # the number of names if keys come in the order of their classes, else 0
TYPE_SIZE = 16

# An alternative of an object: then its words REQUIRED, ALLOWED, then dependencies.
VOTE = 0
MINIMUM = 1
MAXIMUM = 2  # -1 is no bound
DEPENDENCIES = 3  # how many: each the class of a name, then words
ALTERNATIVE_SIZE = 4

# A class of keys.
CLASS_LOW = 0  # the alternatives that allow it
CLASS_HIGH = 1
CLASS_ENTRIES = 2  # the first entry, or 0
CLASS_SIZE = 3

# An entry: what follows for some set of alternatives.
ENTRY_NEXT = 0
ENTRY_LOW = 1
ENTRY_HIGH = 2
ENTRY_VALUE = 3
ENTRY_VOTES = 4  # then, for every vote: alternatives (two fields)
ENTRY_SIZE = 5
VOTE_SIZE = 2

# A state of an array: what matters of the items so far.
ITEM_VALUE = 0  # the kind of the next item; 0: there is none, -1: it is not made yet, or SEVERAL
ENDS_LOW = 1  # who accepts the array if it ends here
ENDS_HIGH = 2
MOVES = 3  # the first move, or 0
ARRAY_STATE_SIZE = 4

# A move: an item has come, accepted by some votes.
MOVE_NEXT = 0
MOVE_LOW = 1
MOVE_HIGH = 2
MOVE_AGAIN = 3  # whether an equal item came before
MOVE_TO = 4  # the state after it; 0: that cannot be
MOVE_SIZE = 5

# A frame.
PARENT = 0
TYPE = 1
ALIVE = 2
COUNT = 3
ENTRY = 4  # of arrays: the state
HASHES = 5  # of keys or items that must not come again: a link to (link, hash), or 0
DEPTH = 6  # how many objects and arrays are open, with this one
LAST = 7  # of ordered keys: the class of the last one, -1 before the first
FRAME_WORDS = 8

# The head of the frames.
FRAMES_FREE = 0
FRAMES_KNOWN = 1  # how many entries of the hash table of frames are taken
SHALLOW_AT = 2  # the DEPTH at which containers have the types SHALLOW_OBJECT and SHALLOW_ARRAY

# Where a text stands.
VALUE_NEXT = 0  # a value follows; `at` = white space so far, see `kernels.grammar.white`
IN_STRING = 1
IN_NUMBER = 2
IN_LITERAL = 3
OBJECT_FIRST = 4  # after the opening brace
IN_KEY = 5
COLON_NEXT = 6
OBJECT_AFTER = 7  # a comma or the end
KEY_NEXT = 8
ARRAY_FIRST = 9
ARRAY_AFTER = 10
DONE = 11
TEXT = 12  # no JSON: a plain automaton
IN_ITEM = 13  # a string or number that must differ from the items before it

# What a step says.
GOES_ON = 1
STOPS = 0
NEEDS_ENTRY = -1
NEEDS_OBJECT = -2
NEEDS_ARRAY = -3
NEEDS_ROOM = -4
TOO_MANY = -5
NEEDS_FRAMES = -6
NEEDS_ITEM = -7
NEEDS_MOVE = -8
NEEDS_CHOICE = -9

# Several records stand for one that would have more than MAX_SET members.
SEVERAL = -2
OF_VALUE, OF_STATE = 0, 1  # what there are several of: kinds of values, or states of an array
