"""Builds the automaton of an expression, without empty moves, over an alphabet of small integers.

The expression is read from its end: every part is given the point that follows it, and returns the
point before it. A point holds the edges that leave a state, so that a union of points needs no
empty move. Only the point at the head of a loop is referred to before its edges are known.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decoding.errors import GrammarLimitError
from decoding.grammar.regular.codepoints import Ranges
from decoding.grammar.regular.copies import Tile, from_each, tiled
from decoding.grammar.regular.expressions import (
    ANY_CHARACTER,
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
from decoding.grammar.regular.nfa import EMPTY, Nfa, UniversalState, trimmed
from decoding.grammar.regular.spelling import EXIT, Spelled
from decoding.grammar.regular.word_tree import WordTree
from decoding.grammar.regular.work import count
from decoding.grammar.regular.worklist import reachable

Edge = tuple[int, int, int]
Rows = NDArray[np.int32]

MAX_EDGES = 4_000_000
MAX_STATES = 1_000_000
_BUILT = 16
"""Cost of building an NFA, in steps of work, besides one step for each part of its expression."""
_MANY_PARTS = 10_000
"""Steps of work that are gathered before they are added to the compilation's count."""
_CHARACTER = 4
"""Cost of a set of characters, in steps of work."""
_ARRAYS = 16
"""States and edges that are written as arrays per step of work."""
FEWEST_TILES = 24
"""Repetitions of a body of at least so many copies are made as arrays."""


_LONG_WORD = 100


class Encoder(Protocol):
    """The alphabet of an automaton: how characters and words are spelled in its symbols."""

    @property
    def universal(self) -> tuple[int, ...]:
        """The `UniversalState` of each node of `characters(EVERY)`; empty if none is marked."""

    def characters(self, ranges: Ranges) -> Spelled:
        """Return how one character is spelled."""

    def word_tree(self, words: tuple[str, ...]) -> WordTree:
        """Return how some words are spelled."""

    def logic(self, expression: Both | Not | Recognized) -> Nfa:
        """Return the automaton of an expression that only a product or a table can express."""


class Point:
    """The future of a state: its edges, whether a string may end, and the loop heads it equals."""

    __slots__ = ("accepting", "edges", "open", "refs", "state", "universal")

    def __init__(
        self,
        edges: tuple[Edge, ...] = (),
        refs: tuple[Point, ...] = (),
        *,
        accepting: bool = False,
        universal: bool = False,
    ) -> None:
        self.edges, self.refs = edges, refs
        self.accepting, self.universal = accepting, universal
        self.state = -1
        self.open = False

    @property
    def dead(self) -> bool:
        """Whether no string can be read from here, not even the empty one."""
        return not (self.edges or self.refs or self.accepting)


DEAD = Point()


def united(points: list[Point]) -> Point:
    """Return the union of some points."""
    distinct = [point for point in dict.fromkeys(points) if not point.dead]
    if len(distinct) <= 1:
        return distinct[0] if distinct else DEAD
    return Point(
        tuple(dict.fromkeys(edge for point in distinct for edge in point.edges)),
        tuple(dict.fromkeys(ref for point in distinct for ref in point.refs)),
        accepting=any(point.accepting for point in distinct),
        universal=any(point.universal for point in distinct),
    )


def _rows(edges: tuple[Edge, ...]) -> Rows:
    flat = [number for edge in edges for number in edge]
    return np.array(flat, np.int32).reshape(-1, 3)


class Builder:
    """The states and edges of an automaton that is being built."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.count = 0
        self.flat = array("i")  # four fields an edge, as a list would take ten times the memory
        self.accepting: list[int] = []
        self.marks: list[tuple[int, int]] = []
        self.blocks: list[Rows] = []
        self.late: list[tuple[Rows, Point]] = []
        self.edges = 0
        self.pruned = False
        # Of the expression that is being built: a stack of points, and the tasks that are left.
        self.points: list[Point] = []
        self.tasks: list[Callable[[], None]] = []
        self.parts = 0

    # --- states ---

    def allocate(self, number: int) -> int:
        """Return the first of some new states."""
        first = self.count
        self.count += number
        if self.count > MAX_STATES:
            raise GrammarLimitError("", "states in the automaton of a string", MAX_STATES)
        return first

    def write(self, state: int, edges: tuple[Edge, ...]) -> None:
        """Add the edges of a state."""
        self.charge(len(edges))
        flat = self.flat
        for low, high, target in edges:
            flat.extend((state, low, high, target))

    def charge(self, edges: int) -> None:
        """Count some more edges; raises `GrammarLimitError` where there are too many."""
        self.edges += edges
        if self.edges > MAX_EDGES:
            raise GrammarLimitError("", "transitions in the automaton of a string", MAX_EDGES)

    def state(self, point: Point) -> int:
        """Return the state of a point, which is made when it is first needed."""
        if point.state < 0:
            point.state = self.allocate(1)
            if not point.open:
                self.fill(point)
        return point.state

    def fill(self, point: Point) -> None:
        """Write the edges of a point whose state exists."""
        state = point.state
        self.write(state, point.edges)
        if point.accepting:
            self.accepting.append(state)
        if point.universal:
            self.marks.append((state, UniversalState.BETWEEN))
        if point.refs:
            self.late.append((np.array([state], np.int32), Point((), point.refs)))

    def attach(self, sources: Rows, point: Point) -> None:
        """Add, at the end, the edges of a point to each of these states."""
        self.late.append((sources, point))

    # --- parts ---

    def characters(self, ranges: Ranges, following: Point) -> Point:
        """Return the point before one character of a set."""
        self.parts += _CHARACTER
        nodes = self.encoder.characters(ranges) if ranges else ()
        if following.dead or not nodes:
            return self.dead()
        return Point(self.place(nodes, self.state(following))[0])

    def place(self, nodes: Spelled, after: int) -> tuple[tuple[Edge, ...], int]:
        """Return the moves into a spelled character that ends in a state, and its first state."""
        if len(nodes) == 1:
            return tuple((low, high, after) for low, high, _ in nodes[0]), self.count
        first = self.allocate(len(nodes) - 1)
        placed = [
            tuple((low, high, after if t == EXIT else first + t - 1) for low, high, t in moves)
            for moves in nodes
        ]
        for node in range(1, len(nodes)):
            self.write(first + node - 1, placed[node])
        return placed[0], first

    def dead(self) -> Point:
        """Return the point that nothing leaves, and note that dead states have to be trimmed."""
        self.pruned = True
        return DEAD

    def any_characters(self, head: Point) -> tuple[Edge, ...]:
        """Return the moves of a loop over all characters, back to its head."""
        if head.state < 0:
            head.state = self.allocate(1)
        nodes = self.encoder.characters(ANY_CHARACTER.ranges)
        moves, first = self.place(nodes, head.state)
        self.marks += [
            (first + node - 1, self.encoder.universal[node]) for node in range(1, len(nodes))
        ]
        return moves

    def words(self, words: tuple[str, ...], following: Point) -> Point:
        """Return the point before one of some words."""
        if len(words) == 1 and words[0].isascii() and len(words[0]) < _LONG_WORD:
            for character in reversed(words[0]):
                following = self.characters(((ord(character),) * 2,), following)
            return following
        if sum(map(len, words)) > MAX_EDGES:
            raise GrammarLimitError("", "characters of words", MAX_EDGES)
        tree = self.encoder.word_tree(words)
        if following.dead or not (len(tree.edges) or tree.empty):
            return self.dead()
        options = [following] if tree.empty else []
        if len(tree.edges):
            after = self.state(following) if tree.leaf else -1
            base = self.allocate(tree.nodes) - 1  # node 0 is the point, and -1 the state after it
            rows = tree.edges.copy()
            rows[:, 0] += base
            rows[:, 3] = np.where(rows[:, 3] < 0, after, rows[:, 3] + base)
            first = rows[: tree.first, 1:]
            self.charge(len(rows))
            self.blocks.append(rows[tree.first :])
            if len(tree.ends):
                self.attach(tree.ends + np.int32(base), following)
            options.append(Point(tuple(tuple(row) for row in first.tolist())))
        return united(options)

    def embed(self, inner: Nfa, least: int, most: int, following: Point) -> Point:
        """Return the point before `least` to `most` copies of an automaton, one after another."""
        if following.dead or (not inner.states and least):
            return self.dead()
        if not inner.states or not most:
            return following
        tile = Tile(inner)
        if tile.nullable:
            least = 0
        base = self.allocate(tile.states * most)
        shifts = (np.arange(most, dtype=np.int64) * tile.states + base).astype(np.int32)
        self.charge(most * (len(tile.inner) + len(tile.onward)))
        if self.count > MAX_STATES:
            raise GrammarLimitError("", "states in the automaton of a string", MAX_STATES)
        self.blocks.append(tiled(tile.inner, shifts))
        if most > 1:
            self.blocks.append(tiled(tile.onward, shifts[:-1]))
        exits = (tile.ends[None, :] + shifts[max(least - 1, 0) :, None]).ravel()
        self.attach(exits, following)
        self.mark_universal(tile, shifts)
        first = Point(tuple(tuple(edge) for edge in (tile.entry + np.array((0, 0, base))).tolist()))
        if tile.entry_universal:
            first.universal = True
        return first if least else united([first, following])

    def mark_universal(self, tile: Tile, shifts: Rows) -> None:
        """Mark the universal states of every copy of a body."""
        for state in np.flatnonzero(tile.universal != UniversalState.NONE).tolist():
            self.marks += [(int(shift) + state, int(tile.universal[state])) for shift in shifts]

    # --- the whole ---

    def run(self, expression: Expression, following: Point) -> Point:
        """Return the point before an expression, given the point behind it."""
        self.points = [following]
        self.then(expression)
        while self.tasks:
            self.tasks.pop()()
            self.parts += 1
            if self.parts > _MANY_PARTS:
                count(self.parts)
                self.parts = 0
        return self.points.pop()

    def then(self, node: Expression) -> None:
        """Push the task of replacing the point on top by the point before a node."""
        self.tasks.append(lambda: self.step(node))

    def step(self, node: Expression) -> None:
        """Replace the point on top by the point before the node, now or by further tasks."""
        points = self.points
        if isinstance(node, Sequence):
            for part in node.parts:
                self.then(part)
        elif isinstance(node, Choice):
            self.choice(node)
        elif isinstance(node, Repeat):
            self.repeat(node)
        elif isinstance(node, Characters):
            points[-1] = self.characters(node.ranges, points[-1])
        elif isinstance(node, Words):
            points[-1] = self.words(node.words, points[-1])
        else:
            points[-1] = self.embed(self.encoder.logic(node), 1, 1, points[-1])

    def choice(self, node: Choice) -> None:
        """Replace the point on top by the point before any of the options."""
        points, count = self.points, len(node.options)
        following = points.pop()

        def unite() -> None:
            found = points[len(points) - count :]
            del points[len(points) - count :]
            point = united(found)
            points.append(self.dead() if point.dead else point)

        self.tasks.append(unite)
        for option in node.options:
            self.then(option)
            self.tasks.append(lambda: points.append(following))

    def repeat(self, node: Repeat) -> None:
        """Replace the point on top by the point before a repetition."""
        if self.points[-1].dead:
            return
        if node.maximum is None:
            self.tasks.append(lambda: self.copies(node.body, node.minimum, 0))
            self.loop(node.body)
        else:
            self.copies(node.body, node.minimum, node.maximum - node.minimum)

    def loop(self, body: Expression) -> None:
        """Replace the point on top by the point before a body any number of times."""
        points = self.points
        following = points.pop()
        head = Point()
        head.refs = (head,)  # so that it is not dead while its edges are unknown
        if body == ANY_CHARACTER and self.encoder.universal:
            head.refs = following.refs
            head.edges = tuple(dict.fromkeys((*self.any_characters(head), *following.edges)))
            head.accepting, head.universal = following.accepting, True
            self.fill(head)
            points.append(head)
            return

        def close() -> None:
            before = points.pop()
            whole = united([before, following])
            head.refs = tuple(ref for ref in whole.refs if ref is not head)
            head.edges, head.accepting, head.universal = (
                whole.edges,
                whole.accepting,
                whole.universal,
            )
            head.open = False
            if head.state >= 0:
                self.fill(head)
            points.append(head)

        head.open = True
        points.append(head)
        self.tasks.append(close)
        self.then(body)

    def copies(self, body: Expression, least: int, further: int) -> None:
        """Replace the point on top by the point before a body some times."""
        points = self.points
        if least + further >= FEWEST_TILES:
            inner = build_over(self.encoder, body)
            points[-1] = self.embed(inner, least, least + further, points[-1])
            return
        following = points[-1]

        def skip() -> None:
            points[-1] = united([points[-1], following])

        for _ in range(least):
            self.then(body)
        for _ in range(further):
            self.tasks.append(skip)
            self.then(body)

    def resolved(self, refs: tuple[Point, ...]) -> Point:
        """Return the union of some loop heads, with the heads that they continue as."""
        merged = united(list(reachable(refs, lambda point: point.refs)))
        return Point(merged.edges, accepting=merged.accepting, universal=merged.universal)

    def finish(self, start: Point) -> Nfa:
        """Return the automaton that begins in a point."""
        if start.dead:
            return EMPTY
        first = self.state(start)
        accepting: list[Rows] = [np.array(self.accepting, np.int32)]
        for sources, point in self.late:
            full = united([point, self.resolved(point.refs)]) if point.refs else point
            if full.edges:
                self.charge(len(sources) * len(full.edges))
                self.blocks.append(from_each(sources, _rows(full.edges)))
            if full.accepting:
                accepting.append(sources)
            if full.universal:
                self.marks += [(source, UniversalState.BETWEEN) for source in sources.tolist()]
        own = np.frombuffer(self.flat, np.intc).astype(np.int32, copy=False).reshape(-1, 4)
        edges = np.concatenate((own, *self.blocks)) if self.blocks else own
        order = np.argsort(edges[:, 0], kind="stable")
        universal = np.full(self.count, UniversalState.NONE, np.int8)
        for state, universal_state in self.marks:
            universal[state] = universal_state
        nfa = Nfa(
            self.count,
            np.array([first], np.int32),
            edges[order],
            np.unique(np.concatenate(accepting)),
            universal,
        )
        return trimmed(nfa) if self.pruned else nfa


def build_over(encoder: Encoder, expression: Expression) -> Nfa:
    """Return the automaton of an expression over the alphabet of an encoder."""
    builder = Builder(encoder)
    nfa = builder.finish(builder.run(expression, Point(accepting=True)))
    count(_BUILT + builder.parts + (builder.edges + builder.count) // _ARRAYS)
    return nfa
