"""Operations on regular expressions: constructors that simplify, and structural recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from decoding.grammar.regular import codepoints
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.expressions import (
    ANY_STRING,
    EMPTY_STRING,
    NOTHING,
    Both,
    Characters,
    Choice,
    Expression,
    Not,
    Recognized,
    Repeat,
    Sequence,
    Words,
)

T = TypeVar("T")


def literal(text: str) -> Expression:
    """Return the language of one string."""
    return Words((text,)) if text else EMPTY_STRING


def one_of(ranges: Ranges) -> Expression:
    """Return the language of one character out of a set."""
    return Characters(ranges) if ranges else NOTHING


def _single(part: Expression) -> str | None:
    """Return the only string of a literal part, else None."""
    if isinstance(part, Words):
        return part.words[0] if len(part.words) == 1 else None
    if isinstance(part, Characters) and len(part.ranges) == 1:
        low, high = part.ranges[0]
        return chr(low) if low == high else None
    return None


def sequence(parts: Iterable[Expression]) -> Expression:
    """Return the concatenation of some parts: flattened, with adjacent literals joined."""
    flat: list[Expression] = []
    text = ""
    for part in parts:
        for item in part.parts if isinstance(part, Sequence) else (part,):
            if item == NOTHING:
                return NOTHING
            single = _single(item)
            if single is not None:
                text += single
                continue
            if text:
                flat.append(literal(text))
                text = ""
            if not (item == ANY_STRING and flat and flat[-1] == ANY_STRING):
                flat.append(item)
    if text:
        flat.append(literal(text))
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(options: Iterable[Expression]) -> Expression:
    """Return the union of some options: flattened, with character sets and words united."""
    ranges: list[tuple[int, int]] = []
    words: set[str] = set()
    others: dict[Expression, None] = {}
    for item in _flattened(options):
        if isinstance(item, Characters):
            ranges.extend(item.ranges)
        elif isinstance(item, Words):
            words.update(item.words)
        else:
            others[item] = None
    if ranges and all(len(word) == 1 for word in words):
        ranges.extend((ord(word), ord(word)) for word in words)
        words = set()
    found = list(others)
    if words:
        found.insert(0, Words(tuple(sorted(words))))
    if ranges:
        found.insert(0, Characters(codepoints.union(ranges)))
    return found[0] if len(found) == 1 else Choice(tuple(found))


def _flattened(options: Iterable[Expression]) -> Iterator[Expression]:
    for option in options:
        yield from option.options if isinstance(option, Choice) else (option,)


def repeat(body: Expression, minimum: int, maximum: int | None) -> Expression:
    """Return the repetition of a body, `minimum` to `maximum` times."""
    if maximum == 0 or body == EMPTY_STRING:
        return EMPTY_STRING
    if body == NOTHING:
        return NOTHING if minimum else EMPTY_STRING
    if minimum == maximum == 1:
        return body
    return Repeat(body, minimum, maximum)


def both(parts: Iterable[Expression]) -> Expression:
    """Return the intersection of some languages."""
    flat: dict[Expression, None] = {}
    for part in parts:
        for item in part.parts if isinstance(part, Both) else (part,):
            if item == NOTHING:
                return NOTHING
            if item != ANY_STRING:
                flat[item] = None
    found = tuple(flat)
    if not found:
        return ANY_STRING
    return found[0] if len(found) == 1 else Both(found)


def negation(body: Expression) -> Expression:
    """Return the complement of a language."""
    if isinstance(body, Not):
        return body.body
    if body == NOTHING:
        return ANY_STRING
    return NOTHING if body == ANY_STRING else Not(body)


def children(expression: Expression) -> tuple[Expression, ...]:
    """Return the operands of an expression."""
    if isinstance(expression, Sequence | Both):
        return expression.parts
    if isinstance(expression, Choice):
        return expression.options
    if isinstance(expression, Repeat | Not):
        return (expression.body,)
    return ()


def fold(expression: Expression, combine: Callable[[Expression, list[T]], T]) -> T:
    """Return `combine(node, results of its children)` of the root; works bottom-up on a stack."""
    results: list[T] = []
    known: dict[Expression, T] = {}  # an expression may have a part many times
    stack: list[tuple[Expression, bool]] = [(expression, False)]
    while stack:
        node, ready = stack.pop()
        below = children(node)
        if ready or not below:
            count = len(below)
            parts = results[len(results) - count :]
            del results[len(results) - count :]
            found = combine(node, parts)
            results.append(found)
            if below:
                known[node] = found
        elif node in known:
            results.append(known[node])
        else:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(below))
    return results[0]


def _nullable(node: Expression, parts: list[bool]) -> bool:
    if isinstance(node, Characters):
        return False
    if isinstance(node, Words):
        return "" in node.words
    if isinstance(node, Recognized):
        return node.accepting[0]
    if isinstance(node, Sequence | Both):
        return all(parts)
    if isinstance(node, Choice):
        return any(parts)
    if isinstance(node, Repeat):
        return node.minimum == 0 or parts[0]
    return not parts[0]


def nullable(expression: Expression) -> bool:
    """Whether the empty string is in the language."""
    return fold(expression, _nullable)


def before_anything(part: Expression) -> Expression:
    """Return a part without the optional repetitions at its end, then any string."""
    parts: list[Expression] = list(part.parts) if isinstance(part, Sequence) else [part]
    while parts and nullable(parts[-1]):
        parts.pop()
    if parts and isinstance(parts[-1], Repeat):
        parts[-1] = repeat(parts[-1].body, parts[-1].minimum, parts[-1].minimum)
    return sequence((*parts, ANY_STRING))


def after_anything(part: Expression) -> Expression:
    """Return any string, then a part without the optional repetitions at its start."""
    parts: list[Expression] = list(part.parts) if isinstance(part, Sequence) else [part]
    while parts and nullable(parts[0]):
        parts.pop(0)
    if parts and isinstance(parts[0], Repeat):
        parts[0] = repeat(parts[0].body, parts[0].minimum, parts[0].minimum)
    return sequence((ANY_STRING, *parts))


def nodes(expressions: Iterable[Expression]) -> Iterator[Expression]:
    """Yield every part of some expressions; one that has parts itself comes once."""
    stack = list(expressions)
    seen: set[Expression] = set()
    while stack:
        node = stack.pop()
        below = children(node)
        if not below:
            yield node
        elif node not in seen:
            seen.add(node)
            yield node
            stack.extend(below)


@lru_cache(maxsize=4096)
def has_logic(expression: Expression) -> bool:
    """Whether `Both`, `Not` or `Recognized` occurs in an expression."""
    return any(isinstance(node, Both | Not | Recognized) for node in nodes([expression]))


def _at_edge(
    node: Expression, parts: list[Expression], ranges: Ranges, *, last: bool
) -> Expression:
    """Return the strings of a node whose last, or first, character is in a set; parts: likewise."""
    if isinstance(node, Sequence):
        options: list[Expression] = []
        for index in range(len(parts) - 1, -1, -1) if last else range(len(parts)):
            before = (*node.parts[:index], parts[index])
            options.append(sequence(before if last else (parts[index], *node.parts[index + 1 :])))
            if not nullable(node.parts[index]):
                break
        return choice(options)
    if isinstance(node, Repeat):
        fewer = _one_fewer(node)
        return sequence((fewer, parts[0]) if last else (parts[0], fewer))
    if isinstance(node, Both | Not | Recognized):
        edge = Characters(ranges)
        return both((node, Sequence((ANY_STRING, edge) if last else (edge, ANY_STRING))))
    if isinstance(node, Characters):
        return one_of(codepoints.intersection(node.ranges, ranges))
    if isinstance(node, Words):
        position = -1 if last else 0
        words = [w for w in node.words if w and codepoints.contains(ranges, ord(w[position]))]
        return Words(tuple(words)) if words else NOTHING
    return choice(parts)


def _one_fewer(node: Repeat) -> Expression:
    if node.maximum == 0:
        return NOTHING
    fewer = None if node.maximum is None else node.maximum - 1
    return repeat(node.body, max(node.minimum - 1, 0), fewer)


def ending_in(expression: Expression, ranges: Ranges) -> Expression:
    """Return the strings of the language whose last character is in the set (not empty)."""
    return fold(expression, lambda node, parts: _at_edge(node, parts, ranges, last=True))


def beginning_in(expression: Expression, ranges: Ranges) -> Expression:
    """Return the strings of the language whose first character is in the set (not empty)."""
    return fold(expression, lambda node, parts: _at_edge(node, parts, ranges, last=False))
