"""Numba: builds or searches the product of automata under a Boolean formula over them.

A formula is in postfix order: rows (LEAF, 0), (NOT, 1), (AND, n) or (OR, n). Its leaves are the
automata of a `LazyDfa`, in their order; a state of the product is one state of each. The value of a
leaf or of a formula is NEVER (no continuation is accepted), NOT_YET (the text so far is not),
NOW (the text so far is) or ALWAYS (every continuation is accepted).
"""

from __future__ import annotations

from decoding.kernels.grammar import layout
from decoding.kernels.grammar.arrays import Bools, Int32Rows, Int32s, Int64Rows, Int64s
from decoding.kernels.grammar.hashing import mixed
from decoding.kernels.grammar.jit import entry, inner
from decoding.kernels.grammar.layout import STATE
from decoding.kernels.grammar.subsets import fill_row

LEAF, NOT, AND, OR = 0, 1, 2, 3
NEVER, NOT_YET, NOW, ALWAYS = 0, 1, 2, 3
FULL = -1
"""The state of a leaf that accepts every continuation."""
# The progress of an exploration.
COUNT = 0  # how many states there are
DONE = 1  # how many of them have been expanded
PROGRESS_SIZE = 2


@inner
def _combined(operation: int, values: Int64s, first: int, top: int) -> int:
    """The value of AND or OR of some values."""
    # What is true of AND is true of OR with its values turned round.
    turned = operation == OR
    decided = True
    now = True
    for offset in range(first, top):
        value = values[offset]
        if turned:
            value = ALWAYS - value
        if value == NEVER:
            return ALWAYS if turned else NEVER
        decided = decided and value == ALWAYS
        now = now and value >= NOW
    result = NOT_YET
    if decided:
        result = ALWAYS
    elif now:
        result = NOW
    return ALWAYS - result if turned else result


@inner
def evaluate(
    fields: Int32s, formula: Int64Rows, states: Int32s, offset: int, values: Int64s, firsts: Int64s
) -> int:
    """The formula's value in a product state; leaves that can no longer change it become DEAD.

    values, firsts: scratch, as long as the formula.
    """
    top = 0
    leaf = 0
    for row in range(len(formula)):
        operation = formula[row, 0]
        if operation == LEAF:
            state = states[offset + leaf]
            value = NOT_YET
            if state == layout.DEAD:
                value = NEVER
            elif state == FULL:
                value = ALWAYS
            elif fields[state + STATE.UNIVERSAL] >= 0:
                value = ALWAYS
                states[offset + leaf] = FULL
            elif fields[state + STATE.LABEL_LOW] != 0:
                value = NOW
            values[top] = value
            firsts[top] = leaf
            leaf += 1
            top += 1
        elif operation == NOT:
            values[top - 1] = ALWAYS - values[top - 1]
        else:
            first = top - formula[row, 1]
            value = _combined(operation, values, first, top)
            values[first] = value
            top = first + 1
            if value in (NEVER, ALWAYS):
                # However these leaves go on, this does not change.
                for other in range(firsts[first], leaf):
                    if states[offset + other] != FULL:
                        states[offset + other] = layout.DEAD
    return values[0]


@inner
def find(states: Int32s, table: Int32s, leaves: int, count: int) -> int:
    """The number of the product state that is stored in slot `count`; `count` if it is new."""
    offset = count * leaves
    value = 0
    for leaf in range(leaves):
        value = mixed(value, states[offset + leaf] + 1)
    slot = value & (len(table) - 1)
    while table[slot] != 0:
        known = table[slot] - 1
        same = True
        for leaf in range(leaves):
            if states[known * leaves + leaf] != states[offset + leaf]:
                same = False
                break
        if same:
            return known
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = count + 1
    return count


@inner
def follow(
    fields: Int32s, dfa_table: Int32s, states: Int32s, leaves: int, state: int, symbol: int,
    count: int,
) -> int:  # fmt: skip
    """Write the next product state by a symbol behind the last one, or return NEEDS_ROOM."""
    for leaf in range(leaves):
        here = states[state * leaves + leaf]
        if here > 0:
            following = fields[here + symbol]
            if following == layout.UNKNOWN:
                if fill_row(fields, dfa_table, here) != layout.GOES_ON:
                    return layout.NEEDS_ROOM
                following = fields[here + symbol]
            here = following
        states[count * leaves + leaf] = here
    return layout.GOES_ON


@entry
def begin(
    fields: Int32s, formula: Int64Rows, states: Int32s, table: Int32s, leaves: int,
    values: Int64s, firsts: Int64s,
) -> int:  # fmt: skip
    """Enter the first product state into the hash table and return its value."""
    value = evaluate(fields, formula, states, 0, values, firsts)
    find(states, table, leaves, 0)
    return value


@entry
def explore(
    fields: Int32s, dfa_table: Int32s, formula: Int64Rows, states: Int32s, table: Int32s,
    rows: Int32Rows, accepting: Bools, progress: Int64s, values: Int64s, firsts: Int64s,
) -> int:  # fmt: skip
    """Compute all product states and their rows; the first state is there already.

    states: as many as fit, and one more, with as many fields as there are leaves. table: a power of
    two, at least twice that long. rows: `(states, symbols)`, −1 for what can no longer be accepted.
    Returns GOES_ON, TOO_MANY, or NEEDS_ROOM when `fields` is full: then it is to be called again.
    """
    leaves = len(states) // (len(rows) + 1)
    while progress[DONE] < progress[COUNT]:
        state = progress[DONE]
        for symbol in range(rows.shape[1]):
            count = progress[COUNT]
            if follow(fields, dfa_table, states, leaves, state, symbol, count) != layout.GOES_ON:
                return layout.NEEDS_ROOM
            value = evaluate(fields, formula, states, count * leaves, values, firsts)
            if value == NEVER:
                rows[state, symbol] = -1
                continue
            if count == len(rows):
                return layout.TOO_MANY
            number = find(states, table, leaves, count)
            rows[state, symbol] = number
            if number == count:
                accepting[number] = value >= NOW
                progress[COUNT] = count + 1
        progress[DONE] = state + 1
    return layout.GOES_ON


@entry
def search(
    fields: Int32s, dfa_table: Int32s, formula: Int64Rows, states: Int32s, table: Int32s,
    stack: Int64s, symbols: int, progress: Int64s, values: Int64s, firsts: Int64s,
) -> int:  # fmt: skip
    """Whether any text is accepted (1 or 0), where the empty one is not; else as `explore`.

    The arrays are those of `explore`; stack: the states to look at, of which the first
    `progress[DONE]` are there. What is found last is looked at first.
    """
    leaves = len(states) // (len(stack) + 1)
    while progress[DONE] > 0:
        depth = progress[DONE]
        state = stack[depth - 1]
        depth -= 1
        for symbol in range(symbols):
            count = progress[COUNT]
            if follow(fields, dfa_table, states, leaves, state, symbol, count) != layout.GOES_ON:
                # What was found on the way is known, and must be looked at all the same.
                stack[depth] = state
                progress[DONE] = depth + 1
                return layout.NEEDS_ROOM
            value = evaluate(fields, formula, states, count * leaves, values, firsts)
            if value >= NOW:
                return 1
            if value == NEVER:
                continue
            if count == len(stack):
                return layout.TOO_MANY
            if find(states, table, leaves, count) == count:
                progress[COUNT] = count + 1
                stack[depth] = count
                depth += 1
        progress[DONE] = depth
    return 0
