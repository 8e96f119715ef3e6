"""Nodes of a schema written as records for the kernels, when a text first needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from decoding.errors import GrammarLimitError
from decoding.grammar.arena import RoomError
from decoding.grammar.array_plan import ArrayPlan
from decoding.grammar.array_states import Alternative, ArrayStates
from decoding.grammar.automaton import Spelling
from decoding.grammar.expressions import length_bounds
from decoding.grammar.keys import KeyClasses, key_classes
from decoding.grammar.shapes import ArrayShape, Graph, Node, ObjectShape
from decoding.grammar.store import Store
from decoding.kernels.grammar import layout as at

_LOW = (1 << at.WORD) - 1
MOST_WAYS = 256
"""So many combinations of records that stand for one are followed in what is open in a text."""


class JsonTables:
    """The records of one schema."""

    def __init__(self, store: Store, graph: Graph) -> None:
        self.store, self.graph = store, graph
        self._values: dict[tuple[tuple[int, ...], bool], int] = {}
        self._nodes_of: dict[int, tuple[int, ...]] = {}
        # Of objects: for every class the node of each alternative, `None` where it has no such key.
        self._nodes: dict[int, tuple[tuple[int | None, ...], ...]] = {}
        self._arrays: dict[int, ArrayStates] = {}
        # Of values, and of states of arrays, that several records stand for: these records.
        self._several: dict[int, tuple[int, ...]] = {}
        # Of types and states that are one of several: how many these are.
        self._ways: dict[int, int] = {}

    def chosen(self, record: int, open_records: Iterable[int]) -> tuple[int, ...]:
        """The records that stand for one, or as many of them as may be followed.

        open_records: the types and states of the objects and arrays around it.
        """
        ways = 1
        for one in open_records:
            ways *= self._ways.get(one, 1)
        return self._several[record][: max(1, MOST_WAYS // ways)]

    def root(self) -> int:
        """The type of the frame around the whole text, with its one entry."""
        kind = self._record(at.TYPE_SIZE)
        self._put(kind, at.KIND, at.KIND_ROOT)
        self._put(kind, at.ALTERNATIVES, 1)
        self._put(kind, at.CLASSES_AT, self._classes([1]))
        self._nodes[kind] = ((self.graph.root,),)
        self.entry(kind, 0, 1)
        return kind

    def entry_of_root(self, kind: int) -> int:
        """The entry of a root type."""
        fields = self.store.arena.fields
        return int(fields[fields[kind + at.CLASSES_AT] + at.CLASS_ENTRIES])

    def value(self, nodes: tuple[int, ...], *, apart: bool = False) -> int:
        """The record of a value that is looked at as each of these nodes.

        apart: its scalars are spelled in one way each.
        """
        known = self._values.get((nodes, apart))
        if known is None:
            known = self._values[nodes, apart] = self._value(nodes, apart=apart)
            self._nodes_of[known] = nodes
        return known

    def entry(self, kind: int, class_index: int, alive: int) -> None:
        """Write what follows a key of a class for some alternatives of an object."""
        masks: dict[int, int] = {}
        for index, node in enumerate(self._nodes[kind][class_index]):
            if alive >> index & 1 and node is not None:
                masks[node] = masks.get(node, 0) | 1 << index
        value = self.value(tuple(masks))
        record = [0, *_split(alive), value, len(masks)]
        for alternatives in masks.values():
            record += _split(alternatives)
        fields_at = self.store.arena.write(record)
        fields = self.store.arena.fields
        place = int(fields[kind + at.CLASSES_AT]) + class_index * at.CLASS_SIZE
        fields[fields_at + at.ENTRY_NEXT] = fields[place + at.CLASS_ENTRIES]
        fields[place + at.CLASS_ENTRIES] = fields_at

    def item(self, kind: int, state: int) -> None:
        """Write which items may come next in a state of an array."""
        several = self._arrays[kind].item(state)
        if several:
            self._several[state] = several
            self._ways.update(dict.fromkeys(several, len(several)))

    def move(self, kind: int, state: int, votes: int, again: int) -> None:
        """Write the state of an array after an item; see `ArrayStates.move`."""
        self._arrays[kind].move(state, votes, again)

    def object_type(self, value: int) -> None:
        """Write the type of the objects of a value, or several that share its alternatives."""
        shapes = [
            (vote, shape)
            for vote, node in enumerate(self._nodes_of[value])
            for shape in self.graph.node(node).objects
        ]
        kinds = self._object_kinds(shapes)
        if len(kinds) == 1:
            self._put(value, at.OBJECT, kinds[0])
            return
        several = []
        for kind in kinds:
            fields = self.store.arena.fields
            one = self.store.arena.write(fields[value : value + at.VALUE_SIZE].copy())
            self._put(one, at.OBJECT, kind)
            self._nodes_of[one] = self._nodes_of[value]
            several.append(one)
        self._several[value] = tuple(several)
        self._ways.update(dict.fromkeys(kinds, len(kinds)))
        self._put(value, at.OBJECT, at.SEVERAL)

    def _object_kinds(self, shapes: list[tuple[int, ObjectShape]]) -> list[int]:
        """The fewest types that these alternatives fit into, when they are halved again and again.

        Each alternative by itself fits: a grammar with one that does not is not compiled.
        """
        kinds = []
        pending = [shapes]
        while pending:
            part = pending.pop()
            try:
                kinds.append(self._object_kind(part))
            except RoomError:
                raise
            except GrammarLimitError:
                if len(part) == 1:
                    raise
                pending += [part[len(part) // 2 :], part[: len(part) // 2]]
        return kinds

    def _object_kind(self, shapes: list[tuple[int, ObjectShape]]) -> int:
        """Write a type of objects with these alternatives."""
        _check_count(shapes)
        # Keys are remembered where they are counted and need not have names.
        distinct = max(shape.minimum for _, shape in shapes) > 1
        spelling = Spelling.ONCE if distinct else Spelling.JSON
        keys = key_classes(self.store, self.graph, [shape for _, shape in shapes], spelling)
        allowing = [_allowing(nodes) for nodes in keys.nodes]
        kind = self._record(at.TYPE_SIZE)
        self._nodes[kind] = keys.nodes
        words = keys.words
        alternatives = [
            self._object_alternative(vote, shape, index, keys, allowing)
            for index, (vote, shape) in enumerate(shapes)
        ]
        maxima = [shape.maximum for _, shape in shapes if shape.maximum is not None]
        minima = [shape.minimum for _, shape in shapes]
        self._write_objects(kind, alternatives, allowing)
        self._put(kind, at.CAP, max(minima + maxima))
        self._put(kind, at.TYPE_WORDS, words)
        self._put(kind, at.KEYS, keys.start)
        initial = _words((c for c, mask in enumerate(allowing) if mask), words)
        self._put(kind, at.INITIAL_AT, self.store.arena.write(initial))
        self._put(kind, at.BOUNDED, bool(maxima))
        self._put(kind, at.EXTRA, keys.extra)
        if keys.combinations:
            pairs = [field for pair in keys.combinations for field in pair]
            self._put(kind, at.COMBINATIONS_AT, self.store.arena.write(pairs))
            self._put(kind, at.COMBINATIONS, len(keys.combinations))
        self._put(kind, at.DISTINCT, distinct and len(keys.nodes) > keys.names)
        return kind

    def array_type(self, value: int) -> None:
        """Write the type of the arrays of a value."""
        shapes = [
            (vote, shape)
            for vote, node in enumerate(self._nodes_of[value])
            for shape in self.graph.node(node).arrays
        ]
        alternatives = [array_alternative(self.graph, vote, shape) for vote, shape in shapes]
        states = ArrayStates(self.store.arena, alternatives, self._item_value)
        kind = self._record(at.TYPE_SIZE)
        self._arrays[kind] = states
        self._put(kind, at.KIND, at.KIND_ARRAY)
        self._put(kind, at.KEYS, states.first())
        self._put(value, at.ARRAY, kind)

    def _item_value(self, nodes: tuple[int, ...], apart: bool) -> int:  # noqa: FBT001 -- see value
        return self.value(nodes, apart=apart)

    def _value(self, nodes: tuple[int, ...], *, apart: bool) -> int:
        _check_count(nodes)
        kinds = [self.graph.node(node) for node in nodes]
        record = [0] * at.VALUE_SIZE
        record[at.LONGEST] = -1
        for field, votes in (
            (at.NULL, _votes(node.null for node in kinds)),
            (at.TRUE, _votes(node.true for node in kinds)),
            (at.FALSE, _votes(node.false for node in kinds)),
        ):
            record[field : field + 2] = _split(votes)
        spelling = Spelling.ONCE if apart else Spelling.JSON
        self._strings(kinds, record, spelling)
        if any(node.numbers for node in kinds):
            ranges = tuple(node.numbers for node in kinds)
            record[at.NUMBER] = self.store.numbers(ranges, spelling)
        record[at.APART] = apart
        record[at.OBJECT] = -any(node.objects for node in kinds)
        record[at.ARRAY] = -any(node.arrays for node in kinds)
        return self.store.arena.write(record)

    def _strings(self, kinds: Sequence[Node], record: list[int], spelling: Spelling) -> None:
        expressions = tuple(node.strings for node in kinds)
        distinct = {expression for expression in expressions if expression is not None}
        if not distinct:
            return
        bounds = length_bounds(distinct.pop()) if len(distinct) == 1 else None
        if bounds is None or spelling is Spelling.ONCE:
            record[at.STRING] = self.store.strings(expressions, spelling)
            return
        record[at.STRING] = self.store.free
        votes = _votes(expression is not None for expression in expressions)
        record[at.FREE_LOW : at.FREE_LOW + 2] = _split(votes)
        shortest, longest = bounds
        record[at.SHORTEST], record[at.LONGEST] = shortest, -1 if longest is None else longest

    def _object_alternative(
        self, vote: int, shape: ObjectShape, index: int, keys: KeyClasses, allowing: Sequence[int]
    ) -> list[int]:
        number = {name: class_index for class_index, name in enumerate(keys.listed)}
        required = _words((number[p.name] for p in shape.properties if p.required), keys.words)
        allowed = _words((c for c, mask in enumerate(allowing) if mask >> index & 1), keys.words)
        dependent: list[int] = []
        count = 0
        for name, others in shape.dependent:
            if allowing[number[name]] >> index & 1:
                count += 1
                dependent += [number[name], *_words((number[o] for o in others), keys.words)]
        maximum = -1 if shape.maximum is None else shape.maximum
        return [vote, shape.minimum, maximum, count, *required, *allowed, *dependent]

    def _write_objects(self, kind: int, alternatives: list[list[int]], allowing: list[int]) -> None:
        self._put(kind, at.KIND, at.KIND_OBJECT)
        self._put(kind, at.ALTERNATIVES, len(alternatives))
        places = [self.store.arena.write(alternative) for alternative in alternatives]
        self._put(kind, at.ALTERNATIVES_AT, self.store.arena.write(places))
        self._put(kind, at.CLASSES_AT, self._classes(allowing))
        self._put(kind, at.CLASSES, len(allowing))

    def _classes(self, allowing: list[int]) -> int:
        return self.store.arena.write(
            [field for mask in allowing for field in (*_split(mask), 0)] or [0]
        )

    def _record(self, size: int) -> int:
        return self.store.arena.take(size)

    def _put(self, record: int, field: int, value: int) -> None:
        self.store.arena.fields[record + field] = value


def array_alternative(graph: Graph, vote: int, shape: ArrayShape) -> Alternative:
    """How far arrays of a shape can come; raises `GrammarLimitError` if that takes too much."""
    plan = ArrayPlan(shape, graph.conjunction, graph.is_empty)
    if not (shape.unique and shape.members):
        return Alternative(vote, plan)
    positions = []
    for item in (*shape.prefix, *(() if shape.rest is None else (shape.rest,))):
        nodes = [graph.conjunction((item, member)) for member in shape.members]
        kept = [(1 << i, n) for i, n in enumerate(nodes) if not graph.is_empty(n)]
        positions.append(tuple(kept))
    if shape.rest is None:
        positions.append(())
    return Alternative(vote, plan, tuple(positions))


def _votes(accepted: Iterable[bool]) -> int:
    return sum(1 << vote for vote, accepts in enumerate(accepted) if accepts)


def _allowing(nodes: Sequence[int | None]) -> int:
    return _votes(node is not None for node in nodes)


def _split(members: int) -> tuple[int, int]:
    return members & _LOW, members >> at.WORD


def _words(members: Iterable[int], words: int) -> list[int]:
    found = [0] * words
    for member in members:
        found[member // at.WORD] |= 1 << member % at.WORD
    return found


def _check_count(alternatives: Sequence[object]) -> None:
    if len(alternatives) > at.MAX_SET:
        raise GrammarLimitError("", "alternatives of one value", at.MAX_SET)
