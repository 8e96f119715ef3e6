"""Writes the nodes of a schema as records for the kernels, when a text first needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from decoding.errors import GrammarLimitError, GrammarUnsatisfiableError
from decoding.grammar.json.array_plan import ArrayPlan
from decoding.grammar.json.array_states import Alternative, ArrayStates
from decoding.grammar.json.automaton_store import Store
from decoding.grammar.json.depth_limit import DepthLimitedGraphs
from decoding.grammar.json.keys import KeyClasses, key_classes
from decoding.grammar.json.shapes import ArrayShape, Graph, Node, ObjectShape
from decoding.grammar.json.tracked_values import TrackedValues
from decoding.grammar.json_style import JsonStyle
from decoding.grammar.regular.expressions import length_bounds
from decoding.grammar.regular.lazy_dfa import RoomError
from decoding.grammar.regular.nfa import Spelling
from decoding.kernels.grammar import layout
from decoding.kernels.grammar.layout import ARRAY_STATE, ENTRY, KEY_CLASS, TYPE, VALUE

_LOW = (1 << layout.WORD) - 1
MOST_WAYS = 256
"""The most combinations of records of split values that one text follows."""


MOST_LEVELS = 100
"""The most levels above the depth limit at which values get records of their own."""


class JsonRecords:
    """Writes the kernel records of one schema: its values, object types and array types.

    Where `style.nesting` limits the depth of texts, values below `shallow_at` open arrays and
    objects have records of their own, because fewer levels are left for them. A value of `level` k
    contains at most k nested arrays and objects; `None` is no bound.
    """

    def __init__(self, store: Store, graph: Graph, style: JsonStyle) -> None:
        self.store, self.graph, self._style = store, graph, style
        self._levels = DepthLimitedGraphs(graph)
        nesting = style.nesting
        # A smallest member of a node contains no other member of the same node.
        self._most = 0 if nesting is None else min(len(graph) + 1, MOST_LEVELS, nesting)
        self.shallow_at = -1 if nesting is None else nesting - self._most
        self._values: dict[tuple[tuple[int, ...], bool, int | None], int] = {}
        self._nodes_of: dict[int, tuple[tuple[int, ...], int | None]] = {}
        self._level_of: dict[
            int, int | None
        ] = {}  # by type: the level of items and property values
        # By type of objects and class of keys: the node of each alternative; `None`: no such key.
        self._nodes: dict[int, tuple[tuple[int | None, ...], ...]] = {}
        self._arrays: dict[int, ArrayStates] = {}
        # By record and field with the value `SEVERAL`: the records of the split value.
        self._several: dict[tuple[int, int], tuple[int, ...]] = {}
        # By type or state of a split value: the number of records of the value.
        self._ways: dict[int, int] = {}

    def chosen(self, record: int, field: int, open_records: Iterable[int]) -> tuple[int, ...]:
        """The records of a split value, as many as may be followed.

        open_records: the types and states of the arrays and objects that are open.
        """
        ways = 1
        for one in open_records:
            ways *= self._ways.get(one, 1)
        return self._several[record, field][: max(1, MOST_WAYS // ways)]

    def root(self) -> int:
        """Write the type of the frame around the whole text, with its one entry.

        Raises GrammarUnsatisfiableError if every value nests more than the style allows.
        """
        root = self.graph.root
        if self.shallow_at == 0 and not self._levels.has_all((root,), self._most):
            reason = f"every value has more than {self._most} objects and arrays inside one another"
            raise GrammarUnsatisfiableError("", reason)
        kind = self._record(layout.TYPE_SIZE)
        self._put(kind, TYPE.KIND, layout.KIND_ROOT)
        self._put(kind, TYPE.ALTERNATIVE_COUNT, 1)
        self._put(kind, TYPE.CLASSES, self._classes([1]))
        self._nodes[kind] = ((root,),)
        self._level_of[kind] = None
        self.entry(kind, 0, 1)
        return kind

    def entry_of_root(self, kind: int) -> int:
        """The entry of a root type."""
        fields = self.store.dfa.fields
        return int(fields[fields[kind + TYPE.CLASSES] + KEY_CLASS.ENTRIES])

    def value(
        self, nodes: tuple[int, ...], level: int | None = None, *, canonical: bool = False
    ) -> int:
        """The record of a value that may be a member of any of some nodes.

        canonical: each scalar has one spelling only.
        """
        key = nodes, canonical, level
        known = self._values.get(key)
        if known is None:
            known = self._values[key] = self._value(nodes, level, canonical=canonical)
            self._nodes_of[known] = nodes, level
        return known

    def entry(self, kind: int, class_index: int, alive: int) -> None:
        """Write the value that follows a key of a class, for the alternatives in `alive`."""
        masks: dict[int, int] = {}
        for index, node in enumerate(self._nodes[kind][class_index]):
            if alive >> index & 1 and node is not None:
                masks[node] = masks.get(node, 0) | 1 << index
        value = self.value(tuple(masks), self._level_of[kind])
        record = [0, *_split(alive), value, len(masks)]
        for alternatives in masks.values():
            record += _split(alternatives)
        fields_at = self.store.dfa.write(record)
        fields = self.store.dfa.fields
        place = int(fields[kind + TYPE.CLASSES]) + class_index * layout.KEY_CLASS_SIZE
        fields[fields_at + ENTRY.NEXT] = fields[place + KEY_CLASS.ENTRIES]
        fields[place + KEY_CLASS.ENTRIES] = fields_at

    def item(self, kind: int, state: int) -> None:
        """Write the record of the next item in a state of an array."""
        several = self._arrays[kind].item(state)
        if several:
            self._several[state, ARRAY_STATE.ITEM] = several
            self._ways.update(dict.fromkeys(several, len(several)))

    def move(self, kind: int, state: int, votes: int, again: int) -> None:
        """Write the state of an array after an item; see `ArrayStates.move`."""
        self._arrays[kind].move(state, votes, again)

    def object_type(self, value: int, *, shallow: bool = False) -> None:
        """Write the type of the objects of a value, or several types if the value is split.

        shallow: for objects at the depth `shallow_at`.
        """
        nodes, level = self._nodes_of[value]
        field = VALUE.SHALLOW_OBJECT if shallow else VALUE.OBJECT
        if shallow:
            level = self._level(nodes)
        graph = self._graphs(level)[0]
        shapes = [
            (vote, shape) for vote, node in enumerate(nodes) for shape in graph.node(node).objects
        ]
        if not shapes:
            self._put(value, field, 0)
            return
        kinds = self._object_kinds(shapes, level)
        if len(kinds) == 1:
            self._put(value, field, kinds[0])
            return
        several = []
        for kind in kinds:
            fields = self.store.dfa.fields
            one = self.store.dfa.write(fields[value : value + layout.VALUE_SIZE].copy())
            self._put(one, field, kind)
            self._nodes_of[one] = self._nodes_of[value]
            several.append(one)
        self._several[value, field] = tuple(several)
        self._ways.update(dict.fromkeys(kinds, len(kinds)))
        self._put(value, field, layout.SEVERAL)

    def _object_kinds(self, shapes: list[tuple[int, ObjectShape]], level: int | None) -> list[int]:
        """Write types that hold these alternatives; halve the alternatives until each part fits.

        A single alternative always fits: `check_reachable` has refused all others.
        """
        kinds = []
        pending = [shapes]
        while pending:
            part = pending.pop()
            try:
                kinds.append(self._object_kind(part, level))
            except RoomError:
                raise
            except GrammarLimitError:
                if len(part) == 1:
                    raise
                pending += [part[len(part) // 2 :], part[: len(part) // 2]]
        return kinds

    def _object_kind(self, shapes: list[tuple[int, ObjectShape]], level: int | None) -> int:
        """Write one type of objects with these alternatives, for values of a level."""
        _check_count(shapes)
        inner = self._graphs(level)[1]
        # Keys are remembered where undeclared keys are counted.
        distinct = max(shape.minimum for _, shape in shapes) > 1
        spelling = Spelling.CANONICAL if distinct else Spelling.JSON
        keys = key_classes(self.store, inner, [shape for _, shape in shapes], spelling)
        allowing = [_votes(node is not None for node in nodes) for nodes in keys.nodes]
        kind = self._record(layout.TYPE_SIZE)
        self._nodes[kind] = keys.nodes
        self._level_of[kind] = None if level is None else level - 1
        words = keys.words
        alternatives = [
            self._object_alternative(vote, shape, index, keys, allowing)
            for index, (vote, shape) in enumerate(shapes)
        ]
        maxima = [shape.maximum for _, shape in shapes if shape.maximum is not None]
        minima = [shape.minimum for _, shape in shapes]
        self._write_objects(kind, alternatives, allowing)
        self._put(kind, TYPE.CAP, max(minima + maxima))
        self._put(kind, TYPE.WORDS, words)
        self._put(kind, TYPE.KEYS, keys.start)
        initial = _words((c for c, mask in enumerate(allowing) if mask), words)
        self._put(kind, TYPE.INITIAL, self.store.dfa.write(initial))
        self._put(kind, TYPE.BOUNDED, bool(maxima))
        self._put(kind, TYPE.EXTRA, keys.extra)
        if keys.combinations:
            pairs = [field for pair in keys.combinations for field in pair]
            self._put(kind, TYPE.COMBINATIONS, self.store.dfa.write(pairs))
            self._put(kind, TYPE.COMBINATION_COUNT, len(keys.combinations))
        self._put(kind, TYPE.DISTINCT, distinct and len(keys.nodes) > keys.names)
        ordered = self._style.key_order == "declared" and _can_be_ordered(s for _, s in shapes)
        self._put(kind, TYPE.ORDERED, keys.names if ordered else 0)
        return kind

    def array_type(self, value: int, *, shallow: bool = False) -> None:
        """Write the type of the arrays of a value; see `object_type`."""
        nodes, level = self._nodes_of[value]
        field = VALUE.SHALLOW_ARRAY if shallow else VALUE.ARRAY
        if shallow:
            level = self._level(nodes)
        graph, inner = self._graphs(level)
        shapes = [
            (vote, shape) for vote, node in enumerate(nodes) for shape in graph.node(node).arrays
        ]
        if not shapes:
            self._put(value, field, 0)
            return
        alternatives = [array_alternative(inner, vote, shape) for vote, shape in shapes]
        below = None if level is None else level - 1

        def item_value(items: tuple[int, ...], canonical: bool) -> int:
            return self.value(items, below, canonical=canonical)

        states = ArrayStates(self.store.dfa, alternatives, item_value)
        kind = self._record(layout.TYPE_SIZE)
        self._arrays[kind] = states
        self._put(kind, TYPE.KIND, layout.KIND_ARRAY)
        self._put(kind, TYPE.KEYS, states.first())
        self._put(value, field, kind)

    def _level(self, nodes: tuple[int, ...]) -> int | None:
        """The level of a value at the depth `shallow_at`."""
        return self._most if self._levels.has_all(nodes, self._most) else None

    def _graphs(self, level: int | None) -> tuple[Graph, Graph]:
        """The graph of values of a level, and the graph of their items and property values."""
        if level is None:
            return self.graph, self.graph
        return self._levels.at(level), self._levels.at(level - 1)

    def _value(self, nodes: tuple[int, ...], level: int | None, *, canonical: bool) -> int:
        _check_count(nodes)
        graph = self.graph if level is None else self._levels.at(level)
        kinds = [graph.node(node) for node in nodes]
        record = [0] * layout.VALUE_SIZE
        record[VALUE.LONGEST] = -1
        for field, votes in (
            (VALUE.NULL, _votes(node.null for node in kinds)),
            (VALUE.TRUE, _votes(node.true for node in kinds)),
            (VALUE.FALSE, _votes(node.false for node in kinds)),
        ):
            record[field : field + 2] = _split(votes)
        spelling = Spelling.CANONICAL if canonical else Spelling.JSON
        self._strings(kinds, record, spelling)
        if any(node.numbers for node in kinds):
            ranges = tuple(node.numbers for node in kinds)
            record[VALUE.NUMBER] = self.store.numbers(ranges, spelling, self._style.digits)
        record[VALUE.CANONICAL] = canonical
        record[VALUE.OBJECT] = record[VALUE.SHALLOW_OBJECT] = -any(node.objects for node in kinds)
        record[VALUE.ARRAY] = record[VALUE.SHALLOW_ARRAY] = -any(node.arrays for node in kinds)
        return self.store.dfa.write(record)

    def _strings(self, kinds: Sequence[Node], record: list[int], spelling: Spelling) -> None:
        expressions = tuple(node.strings for node in kinds)
        distinct = {expression for expression in expressions if expression is not None}
        if not distinct:
            return
        bounds = length_bounds(distinct.pop()) if len(distinct) == 1 else None
        if bounds is None or spelling is Spelling.CANONICAL:
            record[VALUE.STRING] = self.store.strings(expressions, spelling)
            return
        record[VALUE.STRING] = self.store.any_string
        votes = _votes(expression is not None for expression in expressions)
        record[VALUE.ANY_STRING_LOW : VALUE.ANY_STRING_LOW + 2] = _split(votes)
        shortest, longest = bounds
        record[VALUE.SHORTEST], record[VALUE.LONGEST] = shortest, -1 if longest is None else longest

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
        self._put(kind, TYPE.KIND, layout.KIND_OBJECT)
        self._put(kind, TYPE.ALTERNATIVE_COUNT, len(alternatives))
        places = [self.store.dfa.write(alternative) for alternative in alternatives]
        self._put(kind, TYPE.ALTERNATIVES, self.store.dfa.write(places))
        self._put(kind, TYPE.CLASSES, self._classes(allowing))
        self._put(kind, TYPE.CLASS_COUNT, len(allowing))

    def _classes(self, allowing: list[int]) -> int:
        return self.store.dfa.write(
            [field for mask in allowing for field in (*_split(mask), 0)] or [0]
        )

    def _record(self, size: int) -> int:
        return self.store.dfa.take(size)

    def _put(self, record: int, field: int, value: int) -> None:
        self.store.dfa.fields[record + field] = value


def array_alternative(graph: Graph, vote: int, shape: ArrayShape) -> Alternative:
    """The alternative of an array shape. Raises `GrammarLimitError` if its plan is too large.

    graph: the graph of the items.
    """
    plan = ArrayPlan(shape, graph.conjunction, graph.is_empty)
    items = (*shape.prefix, *(() if shape.rest is None else (shape.rest,)))
    if shape.unique and shape.values:
        return Alternative(vote, plan, tracked=TrackedValues(graph, shape.values, items))
    if not (shape.unique and shape.members):
        return Alternative(vote, plan)
    positions = []
    for item in items:
        nodes = [graph.conjunction((item, member)) for member in shape.members]
        kept = [(1 << i, n) for i, n in enumerate(nodes) if not graph.is_empty(n)]
        positions.append(tuple(kept))
    if shape.rest is None:
        positions.append(())
    return Alternative(vote, plan, tuple(positions))


def _can_be_ordered(shapes: Iterable[ObjectShape]) -> bool:
    """Whether `minimum` can still be reached when optional keys were passed over in order."""
    return all(
        shape.minimum <= max(1, sum(one.required for one in shape.properties))
        or (shape.additional is not None and not shape.patterns and shape.names is None)
        for shape in shapes
    )


def _votes(accepted: Iterable[bool]) -> int:
    return sum(1 << vote for vote, accepts in enumerate(accepted) if accepts)


def _split(members: int) -> tuple[int, int]:
    return members & _LOW, members >> layout.WORD


def _words(members: Iterable[int], words: int) -> list[int]:
    found = [0] * words
    for member in members:
        found[member // layout.WORD] |= 1 << member % layout.WORD
    return found


def _check_count(alternatives: Sequence[object]) -> None:
    if len(alternatives) > layout.MAX_SET:
        raise GrammarLimitError("", "alternatives (`anyOf`, `oneOf`) of one value", layout.MAX_SET)
