"""From drafts to shapes: several schemas' words on keys and items become one list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product

from decoding.grammar.json.shapes import ArrayShape, Contains, ObjectShape, Property, least
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.expressions import ANY_STRING, Expression, is_spelled
from decoding.grammar.schema.drafts import (
    ArrayDraft,
    Counted,
    Group,
    ObjectDraft,
    Witness,
    closed_at,
    item_at,
    value_at,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    is_contradiction,
)
from decoding.grammar.schema.objects import negated, only
from decoding.grammar.schema.report import Remark, Report

_CONDITIONS = 3  # kinds of items that one array is asked to contain
_SUBSETS = 4  # declared keys whose presence is told apart one by one


class Lowering:
    """Makes shapes out of drafts.

    number: the node of a conjunction. strings: the strings of a conjunction.
    """

    def __init__(
        self,
        number: Callable[[Conjunction], int],
        strings: Callable[[Conjunction], Expression],
        report: Report,
    ) -> None:
        self._number, self._strings, self._report = number, strings, report

    def array(self, draft: ArrayDraft) -> ArrayShape | None:
        """The shape of a draft; `None` where it has no member."""
        draft = closed_at(draft)
        number, maximum = self._number, draft.maximum
        if maximum is not None and maximum < draft.minimum:
            return None
        prefix = draft.prefix if maximum is None else draft.prefix[:maximum]
        counted = self._countable(draft)
        if any(one.maximum is not None and one.maximum < one.minimum for one in counted):
            return None
        # Whether there can be items of each kind is decided with all other nodes.
        for chosen in product((False, True), repeat=len(counted)) if counted else ():
            kind = EVERYTHING
            for one, taken in zip(counted, chosen, strict=True):
                if taken or one.maximum is not None:
                    kind |= one.node if taken else negated(one.node)
            for index in range(len(prefix) + 1):
                number(item_at(draft, index) | kind)
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
            None if ended else number(draft.rest),
            draft.minimum,
            maximum,
            tuple(contains),
            bool(draft.unique) and (maximum is None or maximum > 1),
        )

    def _countable(self, draft: ArrayDraft) -> list[Counted]:
        """What is counted, each kind of item once, as far as masks can count."""
        merged: dict[Conjunction, Counted] = {}
        for one in draft.contains:
            other = merged.get(one.node, one)
            maximum = least(one.maximum, other.maximum)
            where = one.where if maximum == one.maximum else other.where
            merged[one.node] = Counted(one.node, max(one.minimum, other.minimum), maximum, where)
        counted = list(merged.values())
        if len(counted) > _CONDITIONS:
            reason = (
                f"an array can be held to {_CONDITIONS} `contains` at once, and here are"
                f" {len(counted)}: leave some out and check the result"
            )
            self._report.unsupported(counted[_CONDITIONS].where, "contains", reason)
            counted = counted[:_CONDITIONS]
        if len(counted) > 1:
            for index, one in enumerate(counted):
                if one.maximum is not None:
                    reason = (
                        "a maximum can be held for the only `contains` of an array, and this array"
                        " has several; leave `maxContains` or the other `contains` out"
                    )
                    self._report.unsupported(one.where, "maxContains", reason)
                    counted[index] = replace(one, maximum=None)
        return counted

    def witnessed(self, draft: ObjectDraft) -> Iterator[ObjectDraft]:
        """The drafts in which every witness of a draft is a key by name, or is counted."""
        todo = [draft]
        while todo:
            draft = todo.pop()
            if draft.witnesses:
                todo.extend(self._first_witnessed(draft))
            else:
                yield draft

    def object(self, draft: ObjectDraft) -> ObjectShape:
        """The shape of a draft without witnesses."""
        number, required = self._number, draft.required
        groups = draft.groups
        dependent = _by_name(draft)
        if len(groups) == 1 and not groups[0].patterns:
            group = groups[0]
            declared = dict(group.properties)
        else:
            declared = {name: value_at(draft, name) for each in groups for name in each.properties}
        for name in (*sorted(required), *(name for pair in dependent for name in _both(pair))):
            if name not in declared:
                declared[name] = value_at(draft, name)
        names: Expression | None = None
        if draft.names:
            names = self._strings(draft.names)
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
            draft.minimum,
            draft.maximum,
        )

    def _first_witnessed(self, draft: ObjectDraft) -> list[ObjectDraft]:
        witness, rest = draft.witnesses[0], draft.witnesses[1:]
        for name in sorted(draft.required):
            if self._fits(witness, name) and witness.value <= value_at(draft, name):
                return [replace(draft, witnesses=rest)]  # a key that is there in any case
        known = sorted(
            {name for group in draft.groups for name in group.properties}
            | draft.required
            | witness.outside
            | frozenset(self._finite(witness))
        )
        draft = replace(draft, witnesses=rest)
        resolved = []
        for name in known:
            if self._fits(witness, name):
                value = value_at(draft, name) | witness.value
                if not is_contradiction(value):
                    groups = draft.groups
                    if witness.value:
                        groups = tuple(dict.fromkeys((*groups, only(name, witness.value))))
                    required = draft.required | {name}
                    resolved.append(replace(draft, groups=groups, required=required))
        resolved += self._anonymous(draft, witness, known)
        return resolved

    def _anonymous(
        self, draft: ObjectDraft, witness: Witness, known: list[str]
    ) -> Iterator[ObjectDraft]:
        """The drafts in which the witness is a key that nobody declares."""
        if any(not group.patterns and group.additional == NOTHING for group in draft.groups):
            return
        if self._finite(witness):
            return
        if draft.maximum == len(draft.required) + 1:
            # There is room for just one more key, so it is this one.
            language = self._language(witness)
            names = dict.fromkeys(sorted(draft.required), EVERYTHING)
            group = Group(names, ((language, witness.value),), NOTHING)
            yield replace(draft, groups=(*draft.groups, group), minimum=draft.maximum)
            return
        counted = not witness.value and witness.within is None and not witness.avoided
        if not counted or witness.not_names:
            sentence = (
                "where it must not hold, only declared keys break it: that some undeclared key does"
                " cannot be asked for"
            )
            remark = Remark(witness.where, "patternProperties", sentence)
            self._report.restrictions[remark] = None
            return
        allowed = [name for name in known if not value_at(draft, name) >= NOTHING]
        if len(allowed) > _SUBSETS:
            sentence = (
                "where an undeclared key must be there, only objects are offered that have so many"
                f" keys ({len(known) + 1}) that one of them is"
            )
            remark = Remark(witness.where, "additionalProperties", sentence)
            self._report.restrictions[remark] = None
            yield replace(draft, minimum=max(draft.minimum, len(allowed) + 1))
            return
        for size in range(len(allowed) + 1):
            for present in combinations(allowed, size):
                absent = [name for name in allowed if name not in present]
                yield replace(
                    draft,
                    groups=(*draft.groups, *(only(name, NOTHING) for name in absent)),
                    required=draft.required | set(present),
                    minimum=max(draft.minimum, size + 1),
                )

    def _finite(self, witness: Witness) -> tuple[str, ...]:
        from decoding.grammar.regular.expressions import Words

        languages_of = [witness.within] if witness.within is not None else []
        if witness.not_names:
            languages_of.append(self._strings(witness.not_names))
        for language in languages_of:
            if isinstance(language, Words):
                return language.words
        return ()

    def _language(self, witness: Witness) -> Expression:
        """The keys that a witness may be."""
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


def _by_name(draft: ObjectDraft) -> tuple[tuple[str, frozenset[str]], ...]:
    if not draft.dependent:
        return ()
    merged: dict[str, frozenset[str]] = {}
    for name, others in draft.dependent:
        merged[name] = merged.get(name, frozenset()) | (others - {name})
    return tuple((name, others) for name, others in merged.items() if others)


def _both(pair: tuple[str, frozenset[str]]) -> list[str]:
    return [pair[0], *sorted(pair[1])]


def _undeclared(
    groups: tuple[Group, ...],
) -> tuple[list[tuple[Expression, Conjunction]], Conjunction, list[Expression]]:
    """What is said of undeclared keys: by pattern, otherwise, and which of them may occur."""
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
    groups: tuple[Group, ...], patterns: list[Expression]
) -> tuple[list[Expression], list[tuple[Expression, Conjunction]]]:
    """What the groups' `additional` says of keys that only other groups' patterns know."""
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
