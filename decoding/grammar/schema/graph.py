"""`SchemaGraph`: makes a node for each conjunction of schemas that a JSON value may meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from decoding.errors import GrammarError, GrammarLimitError, GrammarSyntaxError
from decoding.grammar.json.array_plan import ways_of
from decoding.grammar.json.cardinality import count_strings
from decoding.grammar.json.shapes import ArrayShape, Node, ObjectShape
from decoding.grammar.json.simplify import simplify_array, simplify_object
from decoding.grammar.numbers import number_sets
from decoding.grammar.numbers.forms import with_texts
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.expressions import NOTHING as NO_STRINGS
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.work import Work
from decoding.grammar.schema.array_keywords import ArrayKeywords
from decoding.grammar.schema.constraints import Disjunction, ObjectConstraints
from decoding.grammar.schema.distinct_items import UniqueItems
from decoding.grammar.schema.documents import Documents, Schema
from decoding.grammar.schema.emptiness import Emptiness
from decoding.grammar.schema.key_counts import KeyCounts
from decoding.grammar.schema.keyword_types import KeywordChecker
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Locations,
    is_contradiction,
)
from decoding.grammar.schema.logic import MOST, ConstraintLogic
from decoding.grammar.schema.object_keywords import ObjectKeywords
from decoding.grammar.schema.report import Remark, Report
from decoding.grammar.schema.scalar_logic import ScalarLogic
from decoding.grammar.schema.scalar_sets import (
    ALL_SCALARS,
    ARRAY,
    EVERY_TYPE,
    NUMERIC,
    OBJECT,
    Scalars,
    meet,
    types_of,
)
from decoding.grammar.schema.shape_builder import ShapeBuilder
from decoding.grammar.schema.solver import CircularError, Solver, Steps

_NO_TEXT = (
    "numbers are left out that need more digits: bounded numbers have at most 15 digits and"
    " exponents down to -307, and `JsonStyle.digits` bounds all texts"
)
_ANY, _EMPTY = 0, 1  # the nodes of the schemas `true` and `false`


@dataclass(slots=True, eq=False)
class RawNode:
    """A node's scalars, arrays and objects, before it is decided which nodes are empty.

    unique: the pointer of the schema whose `uniqueItems` holds for the arrays.
    """

    scalars: Scalars
    arrays: list[ArrayShape]
    objects: list[ObjectShape]
    unique: str | None


class SchemaGraph:
    """The nodes of one schema, numbered; implements `decoding.grammar.json.shapes.Graph`.

    A node is made when its conjunction of schemas is first asked for, with all nodes of the items
    and properties below it.
    """

    def __init__(self, documents: Documents, types: KeywordChecker, report: Report) -> None:
        self._report = report
        locations = Locations(documents, types)
        self.locations = locations
        objects, arrays = ObjectKeywords(locations, report), ArrayKeywords(locations, report)
        self._object_logic = ConstraintLogic(objects, locations, report)
        self._array_logic = ConstraintLogic(arrays, locations, report)
        self._solver = Solver(
            {
                "scalars": ScalarLogic(locations, report).found,
                "objects": self._object_logic.found,
                "evaluated objects": self._object_logic.found_evaluated,
                "arrays": self._array_logic.found,
                "evaluated arrays": self._array_logic.found_evaluated,
                "empty": Emptiness(objects, arrays).proof,
                "all objects": partial(self._product, self._object_logic),
                "all arrays": partial(self._product, self._array_logic),
            },
            report,
        )
        self._unique_items = UniqueItems(self, report)
        self._key_counts = KeyCounts(self._number_of_all, report)
        self._shapes = ShapeBuilder(self._number, self._strings_of, report)
        self._numbers: dict[Conjunction, int] = {}
        self._conjunctions: list[Conjunction] = []
        self._raw: list[RawNode] = []
        self._has_member: list[bool] = []
        self._nodes: dict[int, Node] = {}
        self._number(EVERYTHING)
        self._number(NOTHING)
        self._expand()
        self.root = _ANY

    @property
    def work(self) -> Work:
        """The work that compiling the schema has taken, under its limit."""
        return self._report.work

    @property
    def restrictions(self) -> tuple[Remark, ...]:
        """Values that the schema allows and no node has."""
        return (*self._report.restrictions, *self._report.unwritten)

    @property
    def dropped(self) -> tuple[Remark, ...]:
        """Keywords of the schema that no node enforces."""
        return tuple(self._report.dropped)

    @property
    def spelled_once(self) -> tuple[Remark, ...]:
        """Values that masks spell in one way only, because later values must differ from them."""
        return tuple(self._report.spelled_once)

    @property
    def notes(self) -> tuple[Remark, ...]:
        """Facts that follow from the definition of a keyword and may surprise."""
        return tuple(self._report.notes)

    def __len__(self) -> int:
        return len(self._raw)

    def node(self, number: int) -> Node:
        """The node of this number; always the same one."""
        known = self._nodes.get(number)
        if known is None:
            known = self._nodes[number] = self._simplified_node(number)
        return known

    def conjunction(self, numbers: tuple[int, ...]) -> int:
        """The node of the values that are members of every one of these nodes.

        Where that raises an error, the graph is left as it was.
        """
        known = len(self._raw)
        try:
            number = self._number_of_all(numbers)
            if number >= known:
                self._report.begin()  # the work of masks is not the work of compiling
                self._expand()
        except GrammarError:
            for conjunction in self._conjunctions[known:]:
                self._numbers.pop(conjunction, None)
            for new in range(known, len(self._conjunctions)):
                self._nodes.pop(new, None)
            del self._conjunctions[known:], self._raw[known:], self._has_member[known:]
            raise
        return number

    def is_empty(self, number: int) -> bool:
        """Whether the node has no member at all."""
        return not self._has_member[number]

    def where(self, number: int) -> str:
        """The longest JSON pointer among the schemas that a node is the conjunction of."""
        pointers = (self.locations.of(one).pointer for one in self._conjunctions[number])
        return max(pointers, key=len, default="")

    def root_conjunction(self, schema: Schema) -> Conjunction:
        """The conjunction of the whole schema."""
        return self.locations.conjunction(schema, self.locations.documents.scope, "")

    def conjunction_of(self, number: int) -> Conjunction:
        """The conjunction of schemas that a node stands for."""
        return self._conjunctions[number]

    def unsimplified(self, number: int) -> RawNode:
        """A node with the parts that cannot occur, which `node` leaves out."""
        return self._raw[number]

    def add(self, conjunction: Conjunction) -> int:
        """The number of the node of a conjunction; makes the node and all nodes below it."""
        number = self._number(conjunction)
        self._expand()
        return number

    def _number(self, conjunction: Conjunction) -> int:
        known = self._numbers.get(conjunction)
        if known is None:
            if is_contradiction(conjunction):
                known = self._numbers.get(NOTHING, _EMPTY)
            if known is None or conjunction == NOTHING:
                known = len(self._conjunctions)
                self._conjunctions.append(conjunction)
                if known >= self._report.limits.nodes:
                    raise GrammarLimitError("", "nodes of one schema", self._report.limits.nodes)
            self._numbers[conjunction] = known
        return known

    def _expand(self) -> None:
        """Make every node that has a number and no content yet, and the nodes below it."""
        first = len(self._raw)
        while len(self._raw) < len(self._conjunctions):
            number = len(self._raw)
            with self._located(number):
                self._raw.append(self._analyse(self._conjunctions[number]))
        if len(self._raw) > first:
            self._decide_emptiness(first)
            unique = [at for at in range(first, len(self._raw)) if self._raw[at].unique is not None]
            for number in unique:
                self._check_unique(number)
            if any(self._has_member[number] and self._lost_all(number) for number in unique):
                del self._has_member[first:]
                self._nodes = {at: node for at, node in self._nodes.items() if at < first}
                self._decide_emptiness(first)

    def _analyse(self, conjunction: Conjunction) -> RawNode:
        types, scalars = EVERY_TYPE, ALL_SCALARS
        solve = self._solver.solve
        where = ""
        if conjunction == NOTHING:
            types = 0
        try:
            for literal in conjunction:
                location = self.locations.of(literal)
                where = location.pointer
                if not literal & 1:
                    types &= types_of(location)
                scalars = meet(scalars, solve(("scalars", literal)))
            arrays: list[ArrayShape] = []
            unique = None
            if types & ARRAY:
                for option in self._disjunction("arrays", conjunction).options:
                    shape = self._shapes.array(option)
                    if shape is not None:
                        arrays.append(shape)
                        unique = option.unique[0] if shape.unique else unique
            objects: list[ObjectShape] = []
            if types & OBJECT:
                objects = [
                    self._shapes.object(option)
                    for option in self._without_witnesses(
                        self._disjunction("objects", conjunction).options, where
                    )
                ]
                objects = [self._key_counts.shape(shape, where) for shape in objects]
        except CircularError as problem:
            where = self.locations.of(problem.question[1]).pointer if problem.question else where
            raise GrammarSyntaxError(
                where, "the schema is defined by itself alone: it has no values"
            ) from problem
        numbers = with_texts(scalars.numbers, self._report.digits)
        if len(numbers) < len(scalars.numbers):
            scalars = replace(scalars, numbers=numbers)
            self._report_no_text(conjunction)
        return RawNode(scalars, arrays, objects, unique)

    def _report_no_text(self, conjunction: Conjunction) -> None:
        """Record that numbers are left out, at the keyword that leaves few of them."""
        found = [
            (location.pointer, keyword)
            for location in map(self.locations.of, conjunction)
            for keyword in (*NUMERIC, "const", "enum", "type")
            if keyword in location.keys
        ]
        pointer, keyword = found[0] if found else ("", "type")
        self._report.restrictions[Remark(pointer, keyword, _NO_TEXT)] = None

    def _without_witnesses(
        self, options: tuple[ObjectConstraints, ...], where: str
    ) -> tuple[ObjectConstraints, ...]:
        """The same objects, by constraints without witnesses."""
        if not any(option.witnesses for option in options):
            return options
        resolved = dict.fromkeys(
            one for option in options for one in self._shapes.witnessed(option)
        )
        kept = self._object_logic.without_subsumed(tuple(resolved))
        self._object_logic.check(len(kept), where)
        return kept

    def _disjunction(self, type_name: str, conjunction: Conjunction) -> Disjunction[Any]:
        found: Disjunction[Any]
        if len(conjunction) == 1:
            (literal,) = conjunction
            found = self._solver.solve((type_name, literal))
        else:
            found = self._solver.solve((f"all {type_name}", conjunction))
        for remark in found.restrictions:
            self._report.restrictions[remark] = None
        return found

    def _product(
        self, logic: ConstraintLogic[Any], conjunction: Conjunction
    ) -> Steps[Disjunction[Any]]:
        result = logic.keywords.everything
        for literal in sorted(conjunction, key=lambda one: (one & 1, one)):
            found = yield (logic.keywords.name, literal)
            where = self.locations.of(literal).pointer
            most = MOST if literal & 1 else None
            result = yield from logic.product(result, found, where, most)
        return result

    def _strings_of(self, conjunction: Conjunction) -> Expression:
        scalars = ALL_SCALARS
        for literal in conjunction:
            scalars = meet(scalars, self._solver.solve(("scalars", literal)))
        return NO_STRINGS if conjunction >= NOTHING else scalars.strings

    def _decide_emptiness(self, first: int) -> None:
        """Decide which nodes have members: a least fixpoint, because values are finite."""
        full = self._has_member
        full.extend([False] * (len(self._raw) - first))
        open_nodes = []
        for number in range(len(self._raw) - 1, first - 1, -1):
            if number != _EMPTY and self._is_plainly_not_empty(self._raw[number]):
                full[number] = True
            elif number != _EMPTY:
                open_nodes.append(number)
        changed = True
        while changed and open_nodes:
            self._report.count(len(open_nodes))
            left = [number for number in open_nodes if not self._has_array_or_object(number)]
            changed = len(left) < len(open_nodes)
            open_nodes = left

    def _is_plainly_not_empty(self, raw: RawNode) -> bool:
        scalars = raw.scalars
        if scalars.null or scalars.true or scalars.false or scalars.numbers:
            return True
        for shape in raw.objects:
            if not shape.minimum and not any(one.required for one in shape.properties):
                return True
        if any(not shape.minimum for shape in raw.arrays):
            return True
        return not string_sets.is_empty(scalars.strings)

    def _lost_all(self, number: int) -> bool:
        """Whether a node has no member left, now that its shapes have distinct items."""
        plain = self._is_plainly_not_empty(self._raw[number])
        return not plain and not self._has_array_or_object(number)

    def _has_array_or_object(self, number: int) -> bool:
        raw = self._raw[number]
        with self._located(number):
            found = any(simplify_object(shape, self.is_empty) for shape in raw.objects) or any(
                map(self.simplified, raw.arrays)
            )
        self._has_member[number] = found
        return found

    @contextmanager
    def _located(self, number: int) -> Iterator[None]:
        """Add the pointer of a node's schema to a `GrammarLimitError` that has none."""
        try:
            yield
        except GrammarLimitError as error:
            if error.where:
                raise
            raise GrammarLimitError(self.where(number), error.what, error.limit) from error

    def simplified(self, shape: ArrayShape) -> ArrayShape | None:
        """A shape without parts that cannot occur; `None` where no array has it."""
        return simplify_array(shape, self.is_empty, self._number_of_all, self._count_members)

    def _number_of_all(self, numbers: Sequence[int]) -> int:
        """The number of the node of the values in all of some nodes."""
        return self._number(frozenset().union(*(self._conjunctions[one] for one in numbers)))

    def _count_members(self, number: int, enough: int) -> int:
        raw = self._raw[number]
        if raw.arrays or raw.objects:
            return enough
        scalars = raw.scalars
        return (
            scalars.null
            + scalars.true
            + scalars.false
            + number_sets.count(scalars.numbers, enough)
            + count_strings(scalars.strings, enough)
        )

    def _simplified_node(self, number: int) -> Node:
        raw = self._raw[number]
        if not self._has_member[number]:
            return Node()
        scalars = raw.scalars
        with self._located(number):
            arrays = [self.simplified(shape) for shape in raw.arrays]
            objects = [simplify_object(shape, self.is_empty) for shape in raw.objects]
        strings = None if string_sets.is_empty(scalars.strings) else scalars.strings
        return Node(
            scalars.null,
            scalars.true,
            scalars.false,
            strings,
            scalars.numbers,
            tuple(dict.fromkeys(shape for shape in arrays if shape is not None)),
            tuple(dict.fromkeys(shape for shape in objects if shape is not None)),
        )

    def restrict_to(self, number: int, values: Sequence[Any]) -> int:
        """The node of the members of a node that are among some scalars."""
        self._report.begin()  # the work of masks is not the work of compiling
        chosen = self.locations.plain({"enum": list(values)}, "")
        return self.add(self._conjunctions[number] | chosen)

    def _check_unique(self, number: int) -> None:
        """Replace the shapes of unique items by shapes that masks can enforce."""
        raw = self._raw[number]
        where = raw.unique or ""
        found: list[ArrayShape] = []
        for shape in raw.arrays:
            simplified = self.simplified(shape) if shape.unique else None
            if simplified is None or not simplified.unique:
                found.append(shape)
            else:
                found += self._unique_items.shapes(shape, simplified, where)
        raw.arrays = found
        self._nodes.pop(number, None)

    def with_item_schema(self, shape: ArrayShape, schema: Mapping[str, Any]) -> ArrayShape:
        """The arrays of a shape whose items are valid under one more schema."""
        also = self.locations.plain(schema, "")

        def narrow(node: int) -> int:
            return self._number(self._conjunctions[node] | also)

        prefix = tuple(narrow(node) for node in shape.prefix)
        rest = None if shape.rest is None else narrow(shape.rest)
        for _, counted in ways_of(shape.contains):
            conditions = frozenset().union(*(self._conjunctions[node] for node in counted))
            for item in (*prefix, *(() if rest is None else (rest,))):
                self._number(self._conjunctions[item] | conditions)
        self._expand()
        return replace(shape, prefix=prefix, rest=rest)

    def item_classes(
        self, shape: ArrayShape, schemas: Sequence[Mapping[str, Any]]
    ) -> tuple[int, ...]:
        """The nodes of some schemas. Also makes the nodes of a shape's items under each schema."""
        found = [self.locations.plain(schema, "") for schema in schemas]
        for item in (*shape.prefix, *(() if shape.rest is None else (shape.rest,))):
            for one in found:
                self._number(self._conjunctions[item] | one)
        nodes = tuple(map(self._number, found))
        self._expand()
        return nodes

    def constants(self, values: Iterable[Any]) -> tuple[int, ...]:
        """The nodes of the single values in `values`, each once."""
        location = self.locations.of(_ANY)
        constants = [self.locations.constant(value, location) for value in values]
        nodes = dict.fromkeys(map(self._number, constants))
        self._expand()
        return tuple(nodes)
