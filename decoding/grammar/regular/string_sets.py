"""The algebra of sets of strings: ∪, ∩, complement, emptiness and membership, exactly.

Common conditions keep a form that is cheap to use: bounds on the length are one `Repeat`, and
finitely many strings are `Words`, already filtered by every other condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_, or_

from decoding.grammar.regular import codepoints, operations, questions
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
    ANY_STRING,
    NOTHING,
    Both,
    Characters,
    Choice,
    Expression,
    Not,
    Repeat,
    Words,
    is_spelled,
    length_bounds,
)
from decoding.grammar.regular.operations import children
from decoding.grammar.regular.work import count as count_work
from decoding.grammar.regular.work import remembered

_ENDLESS = 1 << 62
"""Stands for no bound in a set of lengths, which is ranges as a set of characters is."""
_CACHED = 4096
_WORDS = 16  # words that are examined per step of work
_LONGEST = 512  # the longest length that is computed exactly


def holds(language: Expression, text: str) -> bool:
    """Whether the string is in the language."""
    if isinstance(language, Words):
        return text in language.words
    bounds = length_bounds(language)
    if bounds is not None:
        low, high = bounds
        return low <= len(text) and (high is None or len(text) <= high)
    if isinstance(language, Not):
        return not holds(language.body, text)
    if isinstance(language, Both):
        return all(holds(part, text) for part in language.parts)
    return _accepts(language, text)


def words(texts: Iterable[str]) -> Expression:
    """The set of these strings, without those with a lone surrogate."""
    distinct = tuple(sorted(filter(is_spelled, set(texts))))
    return Words(distinct) if distinct else NOTHING


def lengths(minimum: int, maximum: int | None) -> Expression:
    """The strings of `minimum` to `maximum` code points."""
    if maximum is not None and maximum < minimum:
        return NOTHING
    if minimum == 0 and maximum is None:
        return ANY_STRING
    return Repeat(ANY_CHARACTER, minimum, maximum)


def both(left: Expression, right: Expression) -> Expression:
    """The strings that are in both languages."""
    return all_of((left, right))


def all_of(parts: Iterable[Expression]) -> Expression:
    """The strings that are in every one of these languages."""
    lists: list[Words] = []
    sizes: Ranges = ((0, _ENDLESS),)
    rest: dict[Expression, None] = {}
    for part in (one for language in parts for one in _parts(language)):
        count_work(1 + _size(part))
        allowed = _lengths_of(part)
        if isinstance(part, Words):
            lists.append(part)
        elif allowed is not None:
            sizes = codepoints.intersection(sizes, allowed)
        else:
            rest[part] = None
    if not sizes or any(Not(part) in rest for part in rest):
        return NOTHING
    length = _of_lengths(sizes)
    found = (*rest, *(() if length == ANY_STRING else (length,)))
    if lists:
        common = reduce(and_, (frozenset(one.words) for one in lists))
        return words(word for word in common if all(holds(one, word) for one in found))
    if not found:
        return ANY_STRING
    return found[0] if len(found) == 1 else Both(found)


def either(left: Expression, right: Expression) -> Expression:
    """The strings that are in any of the two languages."""
    _count_parts(left, right)
    if left in (NOTHING, right) or right == ANY_STRING:
        return right
    if right == NOTHING or left == ANY_STRING:
        return left
    if isinstance(left, Words) and isinstance(right, Words):
        return words((*left.words, *right.words))
    return any_of((left, right))


def complement(language: Expression) -> Expression:
    """The strings that are not in the language."""
    if isinstance(language, Not):
        return language.body
    if language == NOTHING:
        return ANY_STRING
    sizes = _lengths_of(language)
    if sizes is None:
        return Not(language)
    return _of_lengths(codepoints.gaps(sizes, 0, _ENDLESS))


def is_empty(language: Expression) -> bool:
    """Whether no string at all is in the language."""
    _count_parts(language)
    known = _plainly_empty(language)
    return _decided_empty(language) if known is None else known


def count(language: Expression, enough: int) -> int:
    """How many strings a language has; `enough` where it may have that many or more."""
    if isinstance(language, Words):
        return min(len(language.words), enough)
    if isinstance(language, Choice) and all(isinstance(one, Words) for one in language.options):
        return min(sum(count(one, enough) for one in language.options), enough)
    return 0 if is_empty(language) else enough


def _lengths_of(language: Expression) -> Ranges | None:
    """The lengths of the members of a language that has all strings of a length, or none."""
    found = []
    for option in _options(language):
        bounds = length_bounds(option)
        if bounds is None:
            return None
        found.append(_range_of(*bounds))
    return codepoints.union(found)


def _range_of(minimum: int, maximum: int | None) -> tuple[int, int]:
    return minimum, _ENDLESS if maximum is None else maximum


def _of_lengths(sizes: Ranges) -> Expression:
    """The strings whose length is in a set."""
    options = tuple(lengths(low, None if high == _ENDLESS else high) for low, high in sizes)
    return options[0] if len(options) == 1 else Choice(options)


def _count_parts(*languages: Expression) -> None:
    """Count the work of looking at every part of some languages once."""
    count_work(1 + sum(map(_size, languages)))


def _size(language: Expression) -> int:
    """The steps that looking at every part of a language takes, or at those of its complement."""
    inner = language.body if isinstance(language, Not) else language
    if isinstance(inner, Words):
        return len(inner.words) // _WORDS
    return len(children(inner))


def _parts(language: Expression) -> tuple[Expression, ...]:
    return language.parts if isinstance(language, Both) else (language,)


def _options(language: Expression) -> tuple[Expression, ...]:
    return language.options if isinstance(language, Choice) else (language,)


def _plainly_empty(language: Expression) -> bool | None:
    """Emptiness where it takes no product of automata; else `None`."""
    if isinstance(language, Words):
        return not language.words
    if length_bounds(language) is not None:
        return False
    if isinstance(language, Choice):
        options = [_plainly_empty(option) for option in language.options]
        if False in options:
            return False
        return True if None not in options else None
    if isinstance(language, Not | Both):
        return _plainly_empty_both(_parts(language))
    return None


def _plainly_empty_both(parts: tuple[Expression, ...]) -> bool | None:
    """Emptiness of the intersection of one language without logic, bounds, and excluded words."""
    low, high, longest = 0, _LONGEST, -1
    language: Expression | None = None
    for part in parts:
        bounds = length_bounds(part)
        if bounds is not None:
            low = max(low, bounds[0])
            high = high if bounds[1] is None else min(high, bounds[1])
        elif isinstance(part, Not) and isinstance(part.body, Words):
            longest = max(longest, *map(len, part.body.words))
        elif language is None:
            language = part
        else:
            return None
    if language is None:
        return False if max(low, longest + 1) <= high else None
    known = _lengths(language, min(high, _LONGEST))
    if known is None or low > _LONGEST:
        return None
    # A member that is longer than every excluded word is a member of the whole.
    if known >> max(low, longest + 1) << max(low, longest + 1) & ((1 << high + 1) - 1):
        return False
    return True if longest < low and high < _LONGEST else None


@remembered(_CACHED)
def _lengths(language: Expression, most: int) -> int | None:
    """The lengths of members up to `most`, as bits of an integer; `None` where there is logic."""
    if operations.has_logic(language):
        return None
    mask = (1 << most + 1) - 1

    def lengths_of(node: Expression, parts: list[int]) -> int:
        if isinstance(node, Characters):
            return 2 & mask if node.ranges else 0
        if isinstance(node, Words):
            return mask & sum(1 << size for size in {len(word) for word in node.words})
        if isinstance(node, Choice):
            return reduce(or_, parts, 0)
        if isinstance(node, Repeat):
            return _repeated(parts[0], node.minimum, node.maximum, mask)
        return reduce(lambda one, other: _sums(one, other, mask), parts, 1)

    return operations.fold(language, lengths_of)


def _sums(one: int, other: int, mask: int) -> int:
    result, shift = 0, 0
    if one.bit_count() > other.bit_count():
        one, other = other, one
    while one:
        low = (one & -one).bit_length() - 1
        shift += low
        result |= other << shift
        one >>= low + 1
        shift += 1
    return result & mask


def _repeated(body: int, minimum: int, maximum: int | None, mask: int) -> int:
    result, power, times = 1, body, minimum
    while times and result:
        if times & 1:
            result = _sums(result, power, mask)
        power = _sums(power, power, mask)
        times >>= 1
    more = mask.bit_length() if maximum is None else maximum - minimum
    optional = body | 1
    while more and result:
        if more & 1:
            result = _sums(result, optional, mask)
        optional = _sums(optional, optional, mask)
        more >>= 1
    return result


@remembered(_CACHED)
def _decided_empty(language: Expression) -> bool:
    parts = _parts(language)
    bounded = any(length_bounds(part) is not None for part in parts)
    if len(parts) == 2 and isinstance(language, Both) and not bounded:
        one, other = parts
        if isinstance(one, Not):
            one, other = other, one
        body = other.body if isinstance(other, Not) else other
        if not operations.has_logic(one) and not operations.has_logic(body):
            if isinstance(other, Not):
                return questions.is_subset(one, body)
            return questions.is_disjoint(one, body)
    return questions.is_empty(language)


@remembered(_CACHED * 4)
def _accepts(language: Expression, text: str) -> bool:
    return questions.accepts(language, text)


def any_of(parts: Iterable[Expression]) -> Expression:
    """The strings that are in any of these languages."""
    known: list[str] = []
    sizes: list[tuple[int, int]] = []
    options: dict[Expression, None] = {}
    for part in parts:
        for option in _options(part):
            bounds = length_bounds(option)
            if isinstance(option, Words):
                known += option.words
            elif bounds is not None:
                sizes.append(_range_of(*bounds))
            else:
                options[option] = None
    count_work(1 + len(options) + len(sizes) + len(known) // _WORDS)
    of_size = _of_lengths(codepoints.union(sizes))
    if of_size == ANY_STRING or any(Not(option) in options for option in options):
        return ANY_STRING
    found = [one for one in (words(known), *options, *_options(of_size)) if one != NOTHING]
    return found[0] if len(found) == 1 else Choice(tuple(found))
