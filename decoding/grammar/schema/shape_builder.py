"""Builds the shapes of arrays and objects from the constraints of several schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product

from decoding.grammar.json.shapes import ArrayShape, Contains, ObjectShape, Property
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.expressions import ANY_STRING, Expression, Words, is_spelled, least
from decoding.grammar.schema.constraints import (
    ArrayConstraints,
    ContainsConstraint,
    ObjectConstraints,
    PropertyGroup,
    Witness,
    item_at,
    value_at,
    with_implied_maximum,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    is_contradiction,
)
from decoding.grammar.schema.object_keywords import negated, only
from decoding.grammar.schema.report import Remark, Report

_CONDITIONS = 3  # `contains` conditions that one array shape can have
_SUBSETS = 4  # declared keys of which every subset becomes an object shape of its own


class ShapeBuilder:
    """Translates constraints, which name schemas, to shapes, which name nodes.

    number: gives the number of the node of a conjunction. strings: gives the strings of one.
    """

    def __init__(
        self,
        number: Callable[[Conjunction], int],
        strings: Callable[[Conjunction], Expression],
        report: Report,
    ) -> None:
        self._number, self._strings, self._report = number, strings, report

    def array(self, option: ArrayConstraints) -> ArrayShape | None:
        """The shape of the arrays that satisfy constraints; `None` where there are none."""
        option = with_implied_maximum(option)
        number, maximum = self._number, option.maximum
        if maximum is not None and maximum < option.minimum:
            return None
        prefix = option.prefix if maximum is None else option.prefix[:maximum]
        counted = self._countable(option)
        if any(one.maximum is not None and one.maximum < one.minimum for one in counted):
            return None
        # `ArrayPlan` needs the node of every combination of `contains` conditions and items.
        for chosen in product((False, True), repeat=len(counted)) if counted else ():
            extra = EVERYTHING
            for one, taken in zip(counted, chosen, strict=True):
                if taken or one.maximum is not None:
                    extra |= one.node if taken else negated(one.node)
            for index in range(len(prefix) + 1):
                number(item_at(option, index) | extra)
        contains = [
            Contains(
                number(one.node),
                one.minimum,
                one.maximum,
                None if one.maximum is None else number(negated(one.node)),
            )
            for one in counted
        ]
        ended = maximum is not None and maximum <= len(prefix)
        return ArrayShape(
            tuple(number(node) for node in prefix),
            None if ended else number(option.rest),
            option.minimum,
            maximum,
            tuple(contains),
            bool(option.unique) and (maximum is None or maximum > 1),
        )

    def _countable(self, option: ArrayConstraints) -> list[ContainsConstraint]:
        """The `contains` conditions, each schema once, as far as masks can count them."""
        merged: dict[Conjunction, ContainsConstraint] = {}
        for one in option.contains:
            other = merged.get(one.node, one)
            maximum = least(one.maximum, other.maximum)
            where = one.where if maximum == one.maximum else other.where
            merged[one.node] = ContainsConstraint(
                one.node, max(one.minimum, other.minimum), maximum, where
            )
        counted = list(merged.values())
        if len(counted) > _CONDITIONS:
            reason = (
                f"masks can enforce {_CONDITIONS} `contains` conditions of one array, and this"
                f" one has {len(counted)}: leave some out and check the result"
            )
            self._report.unsupported(counted[_CONDITIONS].where, "contains", reason)
            counted = counted[:_CONDITIONS]
        if len(counted) > 1:
            for index, one in enumerate(counted):
                if one.maximum is not None:
                    reason = (
                        "masks can enforce `maxContains` only where an array has one `contains`"
                        " condition, and this array has several; leave `maxContains` or the other"
                        " `contains` out"
                    )
                    self._report.unsupported(one.where, "maxContains", reason)
                    counted[index] = replace(one, maximum=None)
        return counted

    def witnessed(self, option: ObjectConstraints) -> Iterator[ObjectConstraints]:
        """The constraints without witnesses: each becomes a named key or a number of keys."""
        todo = [option]
        while todo:
            option = todo.pop()
            if option.witnesses:
                todo.extend(self._first_witnessed(option))
            else:
                yield option

    def object(self, option: ObjectConstraints) -> ObjectShape:
        """The shape of the objects that satisfy constraints without witnesses."""
        number, required = self._number, option.required
        groups = option.groups
        dependent = _by_name(option)
        if len(groups) == 1 and not groups[0].patterns:
            group = groups[0]
            declared = dict(group.properties)
        else:
            declared = {name: value_at(option, name) for each in groups for name in each.properties}
        depending = (name for one, others in dependent for name in (one, *sorted(others)))
        for name in (*sorted(required), *depending):
            if name not in declared:
                declared[name] = value_at(option, name)
        names: Expression | None = None
        if option.names:
            names = self._strings(option.names)
            for name in declared:
                if not string_sets.holds(names, name):
                    declared[name] = NOTHING
        for name in declared:
            if not is_spelled(name):
                declared[name] = NOTHING
        patterns, additional, among = _undeclared(groups)
        for language in among:
            names = language if names is None else string_sets.both(names, language)
        return ObjectShape(
            tuple(
                [Property(name, number(node), name in required) for name, node in declared.items()]
            ),
            tuple((language, number(node)) for language, node in patterns),
            number(additional),
            None if names == ANY_STRING else names,
            dependent,
            option.minimum,
            option.maximum,
        )

    def _first_witnessed(self, option: ObjectConstraints) -> list[ObjectConstraints]:
        witness, rest = option.witnesses[0], option.witnesses[1:]
        for name in sorted(option.required):
            if self._fits(witness, name) and witness.value <= value_at(option, name):
                return [replace(option, witnesses=rest)]  # a required key is the witness already
        known = sorted(
            {name for group in option.groups for name in group.properties}
            | option.required
            | witness.outside
            | frozenset(self._finite(witness))
        )
        option = replace(option, witnesses=rest)
        resolved = []
        for name in known:
            if self._fits(witness, name):
                value = value_at(option, name) | witness.value
                if not is_contradiction(value):
                    groups = option.groups
                    if witness.value:
                        groups = tuple(dict.fromkeys((*groups, only(name, witness.value))))
                    required = option.required | {name}
                    resolved.append(replace(option, groups=groups, required=required))
        resolved += self._anonymous(option, witness, known)
        return resolved

    def _anonymous(
        self, option: ObjectConstraints, witness: Witness, known: list[str]
    ) -> Iterator[ObjectConstraints]:
        """The constraints in which the witness is a key that no schema declares."""
        if any(not group.patterns and group.additional == NOTHING for group in option.groups):
            return
        if self._finite(witness):
            return
        if option.maximum == len(option.required) + 1:
            # Only one key may be added to the required ones, so it is the witness.
            language = self._language(witness)
            names = dict.fromkeys(sorted(option.required), EVERYTHING)
            group = PropertyGroup(names, ((language, witness.value),), NOTHING)
            yield replace(option, groups=(*option.groups, group), minimum=option.maximum)
            return
        counted = not witness.value and witness.within is None and not witness.avoided
        if not counted or witness.not_names:
            sentence = (
                "where it is negated, only declared keys violate it: that some undeclared key does"
                " cannot be expressed"
            )
            remark = Remark(witness.where, "patternProperties", sentence)
            self._report.restrictions[remark] = None
            return
        allowed = [name for name in known if not value_at(option, name) >= NOTHING]
        if len(allowed) > _SUBSETS:
            sentence = (
                "where an undeclared key must occur, only objects are produced that have so many"
                f" keys ({len(known) + 1}) that one of them is undeclared"
            )
            remark = Remark(witness.where, "additionalProperties", sentence)
            self._report.restrictions[remark] = None
            yield replace(option, minimum=max(option.minimum, len(allowed) + 1))
            return
        for size in range(len(allowed) + 1):
            for present in combinations(allowed, size):
                absent = [name for name in allowed if name not in present]
                yield replace(
                    option,
                    groups=(*option.groups, *(only(name, NOTHING) for name in absent)),
                    required=option.required | set(present),
                    minimum=max(option.minimum, size + 1),
                )

    def _finite(self, witness: Witness) -> tuple[str, ...]:
        """The keys that a witness may be, where a finite list bounds them; else none."""
        languages_of = [witness.within] if witness.within is not None else []
        if witness.not_names:
            languages_of.append(self._strings(witness.not_names))
        for language in languages_of:
            if isinstance(language, Words):
                return language.words
        return ()

    def _language(self, witness: Witness) -> Expression:
        """The keys that satisfy the conditions of a witness."""
        language = ANY_STRING if witness.within is None else witness.within
        for avoided in (*witness.avoided, string_sets.words(witness.outside)):
            language = string_sets.both(language, string_sets.complement(avoided))
        if witness.not_names:
            language = string_sets.both(language, self._strings(witness.not_names))
        return language

    def _fits(self, witness: Witness, name: str) -> bool:
        if name in witness.outside or any(string_sets.holds(one, name) for one in witness.avoided):
            return False
        if witness.within is not None and not string_sets.holds(witness.within, name):
            return False
        return not witness.not_names or string_sets.holds(self._strings(witness.not_names), name)


def _by_name(option: ObjectConstraints) -> tuple[tuple[str, frozenset[str]], ...]:
    if not option.dependent:
        return ()
    merged: dict[str, frozenset[str]] = {}
    for name, others in option.dependent:
        merged[name] = merged.get(name, frozenset()) | (others - {name})
    return tuple((name, others) for name, others in merged.items() if others)


def _undeclared(
    groups: tuple[PropertyGroup, ...],
) -> tuple[list[tuple[Expression, Conjunction]], Conjunction, list[Expression]]:
    """The conditions on undeclared keys.

    Returns the conjunctions of values by pattern, that of all other keys, and languages that every
    undeclared key is in.
    """
    additional = EVERYTHING
    patterned = []
    for group in groups:
        additional |= group.additional
        if group.patterns:
            patterned.append(group)
        elif group.additional >= NOTHING:
            return [], NOTHING, []
    if not patterned:
        return [], additional, []
    patterns: dict[Expression, Conjunction] = {}
    for group in patterned:
        for language, node in group.patterns:
            patterns[language] = patterns.get(language, EVERYTHING) | node
    among, extra = _beyond(groups, list(patterns))
    if not additional:
        patterns = {language: node for language, node in patterns.items() if node}
    for language, node in list(patterns.items()):
        if node >= NOTHING:
            among.append(string_sets.complement(language))
            del patterns[language]
    return [*patterns.items(), *extra], additional, among


def _beyond(
    groups: tuple[PropertyGroup, ...], patterns: list[Expression]
) -> tuple[list[Expression], list[tuple[Expression, Conjunction]]]:
    """Apply each group's `additional` to keys that match a pattern of other groups only.

    Returns languages that every undeclared key is in, and further patterns.
    """
    among: list[Expression] = []
    extra: list[tuple[Expression, Conjunction]] = []
    for group in groups:
        if not group.additional:
            continue
        own = [language for language, _ in group.patterns]
        if group.additional >= NOTHING:
            among.append(string_sets.any_of(own))
            continue
        others = [language for language in patterns if language not in own]
        if others:
            rest = string_sets.complement(string_sets.any_of(own))
            extra.append((string_sets.both(string_sets.any_of(others), rest), group.additional))
    return among, extra
