"""What a whole schema says of each kind of value: the methods that the solver is given."""

from __future__ import annotations

from dataclasses import replace

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.schema.arrays import ALL_ARRAYS, NO_ARRAYS, Arrays
from decoding.grammar.schema.drafts import (
    NO_ITEMS,
    NO_KEYS,
    ArrayDraft,
    Found,
    Group,
    ObjectDraft,
    SeenItems,
    SeenKeys,
    closed_at,
    item_at,
    merge_arrays,
    merge_objects,
    value_at,
)
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Location,
    is_contradiction,
)
from decoding.grammar.schema.objects import ALL_OBJECTS, NO_OBJECTS, Objects
from decoding.grammar.schema.scalars import (
    ALL_SCALARS,
    ARRAY,
    EVERY_KIND,
    OBJECT,
    are_empty,
    kinds_of,
    meet,
)
from decoding.grammar.schema.solver import CircularError, Steps
from decoding.typing import Anything

_LOOKED_AT = 8  # items whose emptiness is looked at
_COMBINED = 64  # drafts whose emptiness is looked at


def _bounds(draft: ObjectDraft | ArrayDraft) -> tuple[tuple[str, int], ...]:
    """The bounds on a number that a draft asks for."""
    lowest = (("minimum", draft.minimum),) if draft.minimum else ()
    return lowest if draft.maximum is None else (*lowest, ("maximum", draft.maximum))


class ObjectKind(Objects):
    """Objects, as the logic of schemas sees them."""

    everything: Found[ObjectDraft] = ALL_OBJECTS
    nothing: Found[ObjectDraft] = NO_OBJECTS

    def merge(self, one: ObjectDraft, other: ObjectDraft) -> ObjectDraft | None:
        """The objects of both drafts."""
        return merge_objects(one, other)

    def impossible(self, draft: ObjectDraft, depth: int) -> Steps[bool]:
        """Whether a required key surely has no value."""
        for name in sorted(draft.required):  # so that the same questions are asked in every run
            node = value_at(draft, name)
            if len(node) > 1 or node == NOTHING:
                empty: bool = yield ("empty", node, depth)
                if empty:
                    return True
        return False

    def rest(self, location: Location, draft: ObjectDraft) -> ObjectDraft | None:
        """The draft's objects whose unevaluated properties fulfil the location."""
        node = self.locations.child(location, "unevaluatedProperties")
        if draft.seen.all or not node:
            return replace(draft, seen=SeenKeys(all=True))
        group = Group(
            dict.fromkeys(sorted(draft.seen.names), EVERYTHING),
            tuple((language, EVERYTHING) for language in draft.seen.patterns),
            node,
        )
        return replace(draft, groups=(*draft.groups, group), seen=SeenKeys(all=True))

    def has_seen(self, draft: ObjectDraft) -> bool:
        """Whether the draft speaks of any property."""
        return draft.seen != SeenKeys()

    def unseen(self, draft: ObjectDraft) -> ObjectDraft:
        """The draft, as if it spoke of no property."""
        return replace(draft, seen=NO_KEYS)

    def conditions(self, draft: ObjectDraft) -> frozenset[object]:
        """All that the draft asks for."""
        return frozenset(
            (
                *draft.groups,
                *draft.required,
                *draft.names,
                *draft.dependent,
                *_bounds(draft),
                *draft.witnesses,
            )
        )


class ArrayKind(Arrays):
    """Arrays, as the logic of schemas sees them."""

    everything: Found[ArrayDraft] = ALL_ARRAYS
    nothing: Found[ArrayDraft] = NO_ARRAYS

    def merge(self, one: ArrayDraft, other: ArrayDraft) -> ArrayDraft | None:
        """The arrays of both drafts."""
        return merge_arrays(one, other)

    def impossible(self, draft: ArrayDraft, depth: int) -> Steps[bool]:
        """Whether an item that must exist surely cannot."""
        for index in range(min(draft.minimum, len(draft.prefix) + 1, _LOOKED_AT)):
            node = item_at(draft, index)
            if len(node) > 1 or node == NOTHING:
                empty: bool = yield ("empty", node, depth)
                if empty:
                    return True
        for counted in draft.contains:
            if counted.minimum and not draft.prefix:
                empty = yield ("empty", counted.node | draft.rest, depth)
                if empty:
                    return True
        return False

    def rest(self, location: Location, draft: ArrayDraft) -> ArrayDraft | None:
        """The draft's arrays whose unevaluated items fulfil the location."""
        node = self.locations.child(location, "unevaluatedItems")
        if draft.seen.all or not node:
            return replace(draft, seen=SeenItems(all=True))
        if draft.seen.nodes:
            node = self.locations.any_of((*draft.seen.nodes, node), location)
        unseen = ArrayDraft((EVERYTHING,) * draft.seen.count, node)
        return merge_arrays(replace(draft, seen=SeenItems(all=True)), closed_at(unseen))

    def has_seen(self, draft: ArrayDraft) -> bool:
        """Whether the draft speaks of any item."""
        return draft.seen != SeenItems()

    def unseen(self, draft: ArrayDraft) -> ArrayDraft:
        """The draft, as if it spoke of no item."""
        return replace(draft, seen=NO_ITEMS)

    def conditions(self, draft: ArrayDraft) -> frozenset[object]:
        """All that the draft asks for."""
        items = ((index, literal) for index, node in enumerate(draft.prefix) for literal in node)
        return frozenset(
            (
                *items,
                ("prefix", len(draft.prefix)),
                ("rest", draft.rest),
                *_bounds(draft),
                *draft.contains,
                *draft.unique,
            )
        )


class Emptiness:
    """Whether a conjunction surely has no member: proofs to a small depth, for pruning."""

    def __init__(self, objects: ObjectKind, arrays: ArrayKind) -> None:
        self._kinds = (arrays, objects)
        self._locations = objects.locations

    def proof(self, conjunction: Conjunction, depth: int) -> bool | Steps[bool]:
        """Whether it is plain, looking so deep, that there is no member."""
        if is_contradiction(conjunction):
            return True
        kinds = EVERY_KIND
        for literal in conjunction:
            if not literal & 1:
                kinds &= kinds_of(self._locations.of(literal))
        if not depth and kinds & (ARRAY | OBJECT):
            return False
        return self._searched(conjunction, kinds, depth)

    def _searched(self, conjunction: Conjunction, kinds: int, depth: int) -> Steps[bool]:
        try:
            scalars = ALL_SCALARS
            for literal in conjunction:
                scalars = meet(scalars, (yield ("scalars", literal)))
            if not are_empty(scalars):
                return False
            for kind in self._kinds:
                if kinds & kind.kind and not (yield from self._none(kind, conjunction, depth)):
                    return False
        except (CircularError, GrammarUnsupportedError):
            return False
        return True

    def _none(
        self,
        kind: Anything,  # either kind, with its own drafts
        conjunction: Conjunction,
        depth: int,
    ) -> Steps[bool]:
        drafts = list(kind.everything.drafts)
        for literal in sorted(conjunction):
            found = yield (kind.name, literal)
            if found.restrictions or len(drafts) * len(found.drafts) > _COMBINED:
                return False
            merged = (kind.merge(one, other) for one in drafts for other in found.drafts)
            drafts = [draft for draft in merged if draft is not None]
        for draft in drafts:
            if not (yield from kind.impossible(draft, depth - 1)):
                return False
        return True
