"""Partitions keys of JSON objects into classes; builds the automaton that classifies keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError, GrammarUnsupportedError
from decoding.grammar.json.automaton_store import Store
from decoding.grammar.json.shapes import Graph, ObjectShape
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.lazy_dfa import LazyDfa
from decoding.grammar.regular.nfa import Nfa, Spelling, UniversalState
from decoding.grammar.regular.questions import accepts
from decoding.grammar.regular.spelling import EXIT, spelled, universal_nfa
from decoding.kernels.grammar import layout, subsets
from decoding.kernels.grammar.layout import STATE

_MANY_BYTES = re.compile(r'[\0-\x1f"/\\]')
"""ASCII characters whose spelling in JSON is not one byte alone."""
MAX_NAMES = 512
MAX_KEY_STATES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class KeyClasses:
    """Classes of keys whose values have the same nodes in every shape.

    start: the state before the first character of a key; 0: there are no keys.
    listed: names that are classes of their own; they are the first classes.
    nodes: for each class, the node of the value in each shape; `None`: the shape has no such key.
    extra: the class of all other keys where there are no patterns, else −1.
    combinations: pairs of a set of languages that a key is in, and its class; for patterns.
    words: the number of words of a bit set of classes.
    """

    start: int
    listed: tuple[str, ...]
    nodes: tuple[tuple[int | None, ...], ...]
    extra: int
    combinations: tuple[tuple[int, int], ...]
    words: int

    @property
    def names(self) -> int:
        """The number of classes that are a single name."""
        return len(self.listed)


def key_classes(
    store: Store, graph: Graph, shapes: Sequence[ObjectShape], spelling: Spelling
) -> KeyClasses:
    """Classify the keys of alternative object shapes; write the automaton that reads keys."""
    declared = [{p.name: p.node for p in shape.properties} for shape in shapes]
    # A forbidden name needs a class too, so that it does not count as another key.
    listed = tuple(dict.fromkeys(name for names in declared for name in names))
    if len(listed) > MAX_NAMES:
        raise GrammarLimitError("", "properties of one object", MAX_NAMES)
    nodes: list[tuple[int | None, ...]] = []
    for name in listed:
        row = []
        for shape, names in zip(shapes, declared, strict=True):
            node = names[name] if name in names else _undeclared(graph, shape, name)
            row.append(None if node is None or graph.is_empty(node) else node)
        nodes.append(tuple(row))
    plain = not any(shape.patterns or shape.names is not None for shape in shapes)
    if plain:
        extra = tuple(
            None
            if shape.additional is None or graph.is_empty(shape.additional)
            else shape.additional
            for shape in shapes
        )
        has_extra = any(node is not None for node in extra)
        start = _plain_keys(store, listed, spelling, has_extra=has_extra)
        if has_extra:
            nodes.append(extra)
        classes = len(nodes)
        return KeyClasses(
            start, listed, tuple(nodes), len(listed) if has_extra else -1, (), _count_words(classes)
        )
    named = dict(zip(listed, nodes, strict=True))
    return _with_languages(store.dfa, graph, shapes, named, spelling, [])


def check_keys(graph: Graph, shape: ObjectShape, refused: list[str]) -> Iterator[int]:
    """Check a shape's key limits; under key patterns, yield the nodes of undeclared values.

    refused: takes pointers of schemas that cannot be combined; keys that need such a combination
    are never produced.
    Raises `GrammarLimitError` if the objects have too many keys or classes of keys.
    """
    if len(shape.properties) > MAX_NAMES:
        raise GrammarLimitError("", "properties of one object", MAX_NAMES)
    if not (shape.patterns or shape.names is not None):
        return
    for spelling in (Spelling.JSON, Spelling.CANONICAL) if shape.minimum > 1 else (Spelling.JSON,):
        named: dict[str, tuple[int | None, ...]] = {p.name: (None,) for p in shape.properties}
        found = _with_languages(LazyDfa(), graph, [shape], named, spelling, refused)
        for nodes in found.nodes[len(named) :]:
            yield from (node for node in nodes if node is not None)


def _undeclared(graph: Graph, shape: ObjectShape, name: str) -> int | None:
    """The node of the value at a name that a shape does not declare."""
    if shape.names is not None and not accepts(shape.names, name):
        return None
    matched = tuple(node for language, node in shape.patterns if accepts(language, name))
    return _in_all(graph, matched, []) if matched else shape.additional


def _in_all(graph: Graph, nodes: tuple[int, ...], refused: list[str]) -> int | None:
    """The node of the members of all of some nodes; `None` where it cannot be expressed."""
    try:
        return graph.conjunction(nodes)
    except GrammarUnsupportedError as error:
        refused.append(error.where)
        return None


def _count_words(classes: int) -> int:
    return -(-max(classes, 1) // layout.WORD)


def _plain_keys(
    store: Store, listed: tuple[str, ...], spelling: Spelling, *, has_extra: bool
) -> int:
    known = store.keys.get((listed, has_extra, spelling))
    if known is None:
        words = _count_words(len(listed) + has_extra)
        others = [universal_nfa(spelling)] if has_extra else []
        known = store.keys[listed, has_extra, spelling] = _write(
            store.dfa, listed, others, words, spelling
        )
    return known


def _write(
    dfa: LazyDfa,
    listed: tuple[str, ...],
    languages: Sequence[Nfa],
    words: int,
    spelling: Spelling,
) -> int:
    """Write the automaton of some names and of languages of other keys, as bits of its labels.

    Each state records the classes that it leads to: names, or the one class of all other keys.
    """
    names, first = _paths(listed, spelling)
    behind = len(listed)
    parts: list[tuple[Nfa, int | NDArray[np.int64]]] = [(names, np.arange(behind))]
    parts += [(nfa, behind + number) for number, nfa in enumerate(languages)]
    reach = np.zeros((sum(nfa.states for nfa, _ in parts), words), np.int64)
    index = np.arange(behind)
    word, bit = index // layout.WORD, 1 << index % layout.WORD
    lengths = np.diff(first)
    reach[np.arange(1, names.states), np.repeat(word, lengths)] = np.repeat(bit, lengths)
    if listed:
        full, over = divmod(behind, layout.WORD)
        reach[0, :full] = (1 << layout.WORD) - 1
        reach[0, full : full + 1] = (1 << over) - 1
    if len(languages) == 1:
        reach[names.states :, behind // layout.WORD] = 1 << behind % layout.WORD
    return dfa.add_automaton(parts, behind, reach)


def _paths(listed: tuple[str, ...], spelling: Spelling) -> tuple[Nfa, list[int]]:
    """The automaton of some names, with one path from state 0 each, and the paths' first states.

    The accepting states are the last states of the paths, in the order of the names.
    """
    text = "".join(listed)
    if text.isascii() and not _MANY_BYTES.search(text):
        table, first, ends = _bytes_in_a_row(listed, text)
    else:
        table, first, ends = _spelled(listed, spelling)
    count = first[-1] if listed else 0
    starts = np.zeros(min(count, 1), np.int32)
    universal = np.full(count, UniversalState.NONE, np.int8)
    return Nfa(count, starts, table, np.array(ends, np.int32), universal), first


def _bytes_in_a_row(
    listed: tuple[str, ...], text: str
) -> tuple[NDArray[np.int32], list[int], list[int]]:
    """The edges, first states and last states of the paths of names of one byte per character.

    text: the names joined.
    """
    last = list(accumulate((len(name) for name in listed), initial=0))
    ends = [stop if stop > start else 0 for start, stop in pairwise(last)]
    table = np.empty((len(text), 4), np.int32)
    table[:, 0] = np.arange(len(text))
    table[:, 3] = table[:, 0] + 1
    table[:, 1] = table[:, 2] = np.frombuffer(text.encode(), np.uint8)
    table[[start for start, stop in pairwise(last) if stop > start], 0] = 0
    return table[np.argsort(table[:, 0], kind="stable")], [place + 1 for place in last], ends


def _spelled(
    listed: tuple[str, ...], spelling: Spelling
) -> tuple[NDArray[np.int32], list[int], list[int]]:
    """The edges, first states and last states of the paths of any names."""
    edges: list[tuple[int, int, int, int]] = []
    ends: list[int] = []
    first = [1]
    states = 1
    for name in listed:
        here = 0
        for character in name:
            nodes = spelled(((ord(character),) * 2,), spelling)
            after = states + len(nodes) - 1
            places = (here, *range(states, after))
            edges += [
                (places[node], low, high, after if target == EXIT else places[target])
                for node, moves in enumerate(nodes)
                for low, high, target in moves
            ]
            here, states = after, after + 1
        ends.append(here)
        first.append(states)
    return np.array(sorted(edges), np.int32).reshape(-1, 4), first, ends


def _with_languages(
    dfa: LazyDfa,
    graph: Graph,
    shapes: Sequence[ObjectShape],
    named: Mapping[str, tuple[int | None, ...]],
    spelling: Spelling,
    refused: list[str],
) -> KeyClasses:
    """Classes by the set of languages that a key is in; visits every state of the automaton."""
    listed, nodes = tuple(named), list(named.values())
    languages: list[Expression | None] = [None]
    for shape in shapes:
        languages += [language for language, _ in shape.patterns]
        languages += [shape.names] if shape.names is not None else []
    languages = list(dict.fromkeys(languages))
    if len(languages) > layout.WORD:
        raise GrammarLimitError("", "different patterns of the keys of one object", layout.WORD)
    bit = {language: 1 << number for number, language in enumerate(languages)}
    automata = [
        universal_nfa(spelling) if language is None else build(language, spelling)
        for language in languages
    ]
    words = _count_words(len(listed) + layout.MAX_SET)
    start = _write(dfa, listed, automata, words, spelling)
    states = np.zeros(MAX_KEY_STATES, np.int64)
    count = dfa.retried(lambda: subsets.expand(dfa.fields, dfa.table, start, states))
    if count == layout.TOO_MANY:
        raise GrammarLimitError("", "states of the keys' automaton", MAX_KEY_STATES)
    states = states[:count]
    fields = dfa.fields
    combinations: dict[int, int] = {}
    for state in states:
        name, members = int(fields[state + STATE.LABEL_LOW]), int(fields[state + STATE.LABEL_HIGH])
        class_index = name - 1
        if name == 0 and members:
            if members not in combinations:
                if len(combinations) == layout.MAX_SET:
                    raise GrammarLimitError("", "classes of keys of one object", layout.MAX_SET)
                combinations[members] = len(nodes)
                nodes.append(
                    tuple(_node_of(graph, shape, members, bit, refused) for shape in shapes)
                )
            class_index = combinations[members]
        fields[state + layout.STATE_SIZE : state + layout.STATE_SIZE + words] = 0
        if class_index >= 0 and any(node is not None for node in nodes[class_index]):
            place = state + layout.STATE_SIZE + class_index // layout.WORD
            fields[place] = 1 << class_index % layout.WORD
    subsets.spread(dfa.fields, states, words)
    # Only where no key is forbidden does the base mask of all strings hold.
    if not all(any(node is not None for node in nodes[c]) for c in combinations.values()):
        fields[states + STATE.UNIVERSAL] = -1
    return KeyClasses(start, listed, tuple(nodes), -1, tuple(combinations.items()), words)


def _node_of(
    graph: Graph,
    shape: ObjectShape,
    members: int,
    bit: Mapping[Expression | None, int],
    refused: list[str],
) -> int | None:
    """The node of the value at keys that are in some languages, under a shape."""
    if shape.names is not None and not members & bit[shape.names]:
        return None
    matched = tuple(node for language, node in shape.patterns if members & bit[language])
    node = _in_all(graph, matched, refused) if matched else shape.additional
    return None if node is None or graph.is_empty(node) else node
