"""Decision procedures of regular languages: membership, emptiness, inclusion, lengths, members."""

from __future__ import annotations

from collections.abc import Iterator

from decoding.errors import GrammarLimitError
from decoding.grammar.regular import codepoints, operations
from decoding.grammar.regular.counted import Counted, counted, has_length, length_range
from decoding.grammar.regular.expressions import (
    Both,
    Characters,
    Choice,
    Expression,
    Not,
    Repeat,
    Sequence,
    Words,
)
from decoding.grammar.regular.nfa import Moves, Nfa, moves_of
from decoding.grammar.regular.nfa_builder import build_over
from decoding.grammar.regular.subsets import (
    Subsets,
    combined,
    is_inhabited,
    logic,
    symbolic,
)
from decoding.grammar.regular.symbols import Alphabet, Symbols, alphabet_of, check_logic
from decoding.grammar.regular.work import attempt, count, remembered
from decoding.grammar.regular.worklist import reachable

_FEW_WORDS = 64
_MOVES = 16
"""Pairs of moves that are compared per step of work."""


@remembered(512)
def _moves(expression: Expression) -> tuple[Moves, frozenset[int], frozenset[int], Alphabet]:
    nfa, alphabet = symbolic(expression)
    starts, accepts = frozenset(nfa.starts.tolist()), frozenset(nfa.accepts.tolist())
    return moves_of(nfa), starts, accepts, alphabet


def accepts(expression: Expression, text: str) -> bool:
    """Whether a string is in the language."""
    if isinstance(expression, Words):
        return text in expression.words
    moves, current, final, alphabet = _moves(expression)
    count(1 + len(text))
    for character in text:
        symbol = alphabet.symbol(ord(character))
        current = frozenset(
            target
            for state in current
            for low, high, target in moves[state]
            if low <= symbol <= high
        )
        if not current:
            return False
    return not final.isdisjoint(current)


def _empty(node: Expression, parts: list[bool]) -> bool:
    if isinstance(node, Characters):
        return not node.ranges
    if isinstance(node, Words):
        return not node.words
    if isinstance(node, Choice):
        return all(parts)
    if isinstance(node, Repeat):
        return node.minimum > 0 and parts[0]
    return any(parts)


def is_empty(expression: Expression) -> bool:
    """Whether the language has no member."""
    if not operations.has_logic(expression):
        return operations.fold(expression, _empty)
    return not any(_inhabited(part) for part in counted(expression))


def _inhabited(part: Counted) -> bool:
    if not part.bounded:
        check_logic(part.language)
        return is_inhabited(part.language, alphabet_of([part.language]))
    return has_length(symbolic(part.language)[0], part.minimum, part.maximum)


@remembered(4096)
def is_disjoint(left: Expression, right: Expression) -> bool:
    """Whether no string is in both languages."""
    for some, other in ((left, right), (right, left)):
        if isinstance(some, Words) and (len(some.words) <= _FEW_WORDS or isinstance(other, Words)):
            known = frozenset(other.words) if isinstance(other, Words) else None
            if known is not None:
                return known.isdisjoint(some.words)
            return not any(accepts(other, word) for word in some.words)
    has_logic = operations.has_logic(left) or operations.has_logic(right)
    try:
        with attempt(has_other_way=not has_logic):
            return is_empty(Both((left, right)))
    except GrammarLimitError:
        if has_logic:
            raise
    # Pairs of states need not be deterministic.
    encoder = Symbols(alphabet_of((left, right)), logic)
    return _no_common(build_over(encoder, left), build_over(encoder, right))


def _no_common(left: Nfa, right: Nfa) -> bool:
    """Whether no string is accepted by both automata: their product reaches no final pair."""
    a_moves, b_moves = moves_of(left), moves_of(right)
    a_final, b_final = set(left.accepts.tolist()), set(right.accepts.tolist())

    def following(pair: tuple[int, int]) -> Iterator[tuple[int, int]]:
        pairs = len(a_moves[pair[0]]) * len(b_moves[pair[1]])
        count(1 + pairs // _MOVES)
        for low, high, target in a_moves[pair[0]]:
            for other_low, other_high, other in b_moves[pair[1]]:
                if low <= other_high and other_low <= high:
                    yield target, other

    starts = [(a, b) for a in left.starts.tolist() for b in right.starts.tolist()]
    pairs = reachable(starts, following)
    return not any(a in a_final and b in b_final for a, b in pairs)


@remembered(4096)
def is_subset(left: Expression, right: Expression) -> bool:
    """Whether every member of `left` is one of `right`."""
    if isinstance(left, Words) and (len(left.words) <= _FEW_WORDS or isinstance(right, Words)):
        known = frozenset(right.words) if isinstance(right, Words) else None
        if known is not None:
            return known.issuperset(left.words)
        return all(accepts(right, word) for word in left.words)
    has_logic = operations.has_logic(left)
    try:
        with attempt(has_other_way=not has_logic):
            return is_empty(Both((left, Not(right))))
    except GrammarLimitError:
        if has_logic:
            raise
    encoder = Symbols(alphabet_of((left, right)), logic)
    outer = Subsets(build_over(encoder, right), len(encoder.alphabet.classes))
    return _leads_within(build_over(encoder, left), outer)


def _leads_within(inner: Nfa, outer: Subsets) -> bool:
    """Whether whatever an automaton accepts is accepted by a deterministic one."""
    moves, final = moves_of(inner), set(inner.accepts.tolist())

    def following(pair: tuple[int, int]) -> Iterator[tuple[int, int]]:
        state, subset = pair
        row = outer.row(subset)
        symbols = sum(1 + high - low for low, high, _ in moves[state])
        count(1 + (len(row) + symbols) // _MOVES)
        for low, high, target in moves[state]:
            for reached in set(row[low : high + 1]):
                yield target, reached

    # Every state of `inner` leads to some member, so the empty set of `outer` lacks one.
    return all(
        outer.sets[subset] and (state not in final or outer.accepting[subset])
        for state, subset in reachable([(s, 0) for s in inner.starts.tolist()], following)
    )


def _lengths(node: Expression, parts: list[tuple[int, int | None]]) -> tuple[int, int | None]:
    """Return the shortest and longest length; -1 is the shortest of the empty language."""
    if isinstance(node, Characters):
        return (1, 1) if node.ranges else (-1, -1)
    if isinstance(node, Words):
        sizes = [len(word) for word in node.words]
        return min(sizes, default=-1), max(sizes, default=-1)
    live = [part for part in parts if part[0] >= 0]
    if isinstance(node, Choice):
        longest = [most for _, most in live if most is not None]
        bounded = len(longest) == len(live)
        return min((p[0] for p in live), default=-1), max(longest, default=-1) if bounded else None
    if isinstance(node, Sequence):
        if len(live) < len(parts):
            return -1, -1
        most = [part[1] for part in parts if part[1] is not None]
        return sum(part[0] for part in parts), sum(most) if len(most) == len(parts) else None
    if not isinstance(node, Repeat):
        raise TypeError(node)
    least, longest_body = parts[0]
    if node.maximum == 0 or least < 0 or longest_body == 0:
        return (-1, -1) if least < 0 and node.minimum else (0, 0)
    if node.maximum is None or longest_body is None:
        return least * node.minimum, None
    return least * node.minimum, longest_body * node.maximum


def lengths(expression: Expression) -> tuple[int, int | None]:
    """Return the least and the greatest number of characters of a member; `None` is no bound.

    (0, 0) stands for the empty language too.
    """
    if operations.has_logic(expression):
        return length_range(symbolic(expression)[0])
    least, most = operations.fold(expression, _lengths)
    return (0, 0) if least < 0 else (least, most)


def _order(moves: Moves) -> list[int] | None:
    """Return the states in topological order, or None if there is a loop."""
    entering = [0] * len(moves)
    for row in moves:
        for _, _, target in row:
            entering[target] += 1
    ready = [state for state in range(len(moves)) if not entering[state]]
    for state in ready:  # grows on the way
        for _, _, target in moves[state]:
            entering[target] -= 1
            if not entering[target]:
                ready.append(target)
    return ready if len(ready) == len(moves) else None


@remembered(1024)
def members(expression: Expression, limit: int) -> tuple[str, ...] | None:
    """Return every member, sorted, or None if there are more than `limit`."""
    if isinstance(expression, Words):
        return expression.words if len(expression.words) <= limit else None
    nfa, alphabet = symbolic(expression)
    if not nfa.states:
        return ()
    if _order(moves_of(nfa)) is None:
        return None
    width = len(alphabet.classes)
    unique = combined([(Subsets(nfa, width), False)])
    moves = moves_of(unique)
    order = _order(moves)
    if order is None:
        raise AssertionError(expression)
    final = set(unique.accepts.tolist())
    sizes = [codepoints.size(ranges) for ranges in alphabet.classes]
    counts = [0] * unique.states
    for state in reversed(order):
        counts[state] = (state in final) + sum(
            counts[target] * sum(sizes[low : high + 1]) for low, high, target in moves[state]
        )
    if counts[int(unique.starts[0])] > limit:
        return None
    endings: list[list[str]] = [[] for _ in range(unique.states)]
    for state in reversed(order):
        found = [""] if state in final else []
        for low, high, target in moves[state]:
            for symbol in range(low, high + 1):
                letters = codepoints.words_of(alphabet.classes[symbol])
                found += [letter + ending for letter in letters for ending in endings[target]]
        endings[state] = found
    return tuple(sorted(endings[int(unique.starts[0])]))
