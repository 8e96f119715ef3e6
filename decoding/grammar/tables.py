"""Nodes of a schema written as records for the kernels, when a text first needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from decoding.errors import GrammarLimitError
from decoding.grammar.expressions import length_bounds
from decoding.grammar.keys import KeyClasses, key_classes
from decoding.grammar.shapes import ArrayShape, Graph, Node, ObjectShape
from decoding.grammar.store import Store
from decoding.kernels.grammar import layout as at

_LOW = (1 << at.WORD) - 1


@dataclass(frozen=True, slots=True, eq=False)
class _Type:
    """What entries of a type are made from.

    nodes: for every class, every alternative's node; `None` where it does not allow the class.
    counted: for arrays, by alternative: pairs (word of the count, node that is counted).
    """

    nodes: tuple[tuple[int | None, ...], ...]
    counted: tuple[tuple[tuple[int, int], ...], ...] = ()


class JsonTables:
    """The records of one schema."""

    def __init__(self, store: Store, graph: Graph) -> None:
        self.store, self.graph = store, graph
        self._values: dict[tuple[int, ...], int] = {}
        self._nodes_of: dict[int, tuple[int, ...]] = {}
        self._types: dict[int, _Type] = {}

    def root(self) -> int:
        """The type of the frame around the whole text, with its one entry."""
        kind = self._record(at.TYPE_SIZE)
        self._put(kind, at.KIND, at.KIND_ROOT)
        self._put(kind, at.ALTERNATIVES, 1)
        self._put(kind, at.CLASSES_AT, self._classes([1]))
        self._types[kind] = _Type(((self.graph.root,),))
        self.entry(kind, 0, 1)
        return kind

    def entry_of_root(self, kind: int) -> int:
        """The entry of a root type."""
        fields = self.store.arena.fields
        return int(fields[fields[kind + at.CLASSES_AT] + at.CLASS_ENTRIES])

    def value(self, nodes: tuple[int, ...]) -> int:
        """The record of a value that is looked at as each of these nodes."""
        known = self._values.get(nodes)
        if known is None:
            known = self._values[nodes] = self._value(nodes)
            self._nodes_of[known] = nodes
        return known

    def entry(self, kind: int, class_index: int, alive: int) -> None:
        """Write what follows for some alternatives of a type."""
        made = self._types[kind]
        classes = len(made.nodes)
        tight, class_index = divmod(class_index, classes)
        masks: dict[int, int] = {}
        counts: dict[int, int] = {}
        for index in range(len(made.nodes[0])):
            if not (alive >> index) & 1:
                continue
            node = made.nodes[class_index][index]
            counted = made.counted[index] if made.counted else ()
            if node is None:
                continue
            if not tight:
                masks[node] = masks.get(node, 0) | 1 << index
            for word, contained in counted:
                both = self.graph.conjunction((node, contained))
                if not self.graph.is_empty(both):
                    masks[both] = masks.get(both, 0) | 1 << index
                    counts[both] = counts.get(both, 0) | 1 << word
        value = self.value(tuple(masks))
        record = [0, *_split(alive), value, len(masks)]
        for node, alternatives in masks.items():
            record += [*_split(alternatives), counts.get(node, 0)]
        fields_at = self.store.arena.write(record)
        fields = self.store.arena.fields
        place = int(fields[kind + at.CLASSES_AT]) + (tight * classes + class_index) * at.CLASS_SIZE
        fields[fields_at + at.ENTRY_NEXT] = fields[place + at.CLASS_ENTRIES]
        fields[place + at.CLASS_ENTRIES] = fields_at

    def object_type(self, value: int) -> None:
        """Write the type of the objects of a value."""
        shapes = [
            (vote, shape)
            for vote, node in enumerate(self._nodes_of[value])
            for shape in self.graph.node(node).objects
        ]
        _check_count(shapes)
        keys = key_classes(self.store, self.graph, [shape for _, shape in shapes])
        allowing = [_allowing(nodes) for nodes in keys.nodes]
        kind = self._record(at.TYPE_SIZE)
        self._types[kind] = _Type(keys.nodes)
        words = keys.words
        alternatives = [
            self._object_alternative(vote, shape, index, keys, allowing)
            for index, (vote, shape) in enumerate(shapes)
        ]
        maxima = [shape.maximum for _, shape in shapes if shape.maximum is not None]
        minima = [shape.minimum for _, shape in shapes]
        self._write_type(kind, at.KIND_OBJECT, alternatives, allowing)
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
        has_extra = len(keys.nodes) > keys.names
        self._put(kind, at.DISTINCT, has_extra and max(minima) > 1)
        self._put(value, at.OBJECT, kind)

    def array_type(self, value: int) -> None:
        """Write the type of the arrays of a value."""
        shapes = [
            (vote, shape)
            for vote, node in enumerate(self._nodes_of[value])
            for shape in self.graph.node(node).arrays
        ]
        _check_count(shapes)
        positions = 1 + max(len(shape.prefix) for _, shape in shapes)
        nodes = tuple(
            tuple(self._item(shape, position) for _, shape in shapes)
            for position in range(positions)
        )
        counted: list[tuple[tuple[int, int], ...]] = []
        minima: list[int] = []
        for _, shape in shapes:
            words = range(len(minima), len(minima) + len(shape.contains))
            counted.append(tuple((w, c.node) for w, c in zip(words, shape.contains, strict=True)))
            minima += [contains.minimum for contains in shape.contains]
        if len(minima) > at.WORD:
            raise GrammarLimitError("", "conditions on what an array contains", at.WORD)
        kind = self._record(at.TYPE_SIZE)
        self._types[kind] = _Type(nodes, tuple(counted))
        alternatives = []
        for (vote, shape), words_of in zip(shapes, counted, strict=True):
            maximum = -1 if shape.maximum is None else shape.maximum
            conditions = [field for word, _ in words_of for field in (word, minima[word])]
            alternatives.append([vote, shape.minimum, maximum, len(words_of), *conditions])
        # A second bank of classes: items that must be counted, because room is running out.
        allowing = [_allowing(at_position) for at_position in nodes] * 2
        self._write_type(kind, at.KIND_ARRAY, alternatives, allowing)
        self._put(kind, at.CLASSES, positions)
        bounds = [shape.minimum for _, shape in shapes]
        bounds += [shape.maximum for _, shape in shapes if shape.maximum is not None]
        self._put(kind, at.CAP, max([*bounds, positions - 1]))
        self._put(kind, at.TYPE_WORDS, len(minima))
        self._put(kind, at.INITIAL_AT, self.store.arena.write([0] * len(minima) + minima))
        self._put(value, at.ARRAY, kind)

    def _value(self, nodes: tuple[int, ...]) -> int:
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
        self._strings(kinds, record)
        if any(node.numbers for node in kinds):
            record[at.NUMBER] = self.store.numbers(tuple(node.numbers for node in kinds))
        record[at.OBJECT] = -any(node.objects for node in kinds)
        record[at.ARRAY] = -any(node.arrays for node in kinds)
        return self.store.arena.write(record)

    def _strings(self, kinds: Sequence[Node], record: list[int]) -> None:
        expressions = tuple(node.strings for node in kinds)
        distinct = {expression for expression in expressions if expression is not None}
        if not distinct:
            return
        bounds = length_bounds(distinct.pop()) if len(distinct) == 1 else None
        if bounds is None:
            record[at.STRING] = self.store.strings(expressions)
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

    def _item(self, shape: ArrayShape, position: int) -> int | None:
        node = shape.prefix[position] if position < len(shape.prefix) else shape.rest
        if node is None or self.graph.is_empty(node):
            return None
        return node

    def _write_type(
        self, kind: int, name: int, alternatives: list[list[int]], allowing: list[int]
    ) -> None:
        self._put(kind, at.KIND, name)
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
