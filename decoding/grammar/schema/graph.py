"""The graph of a schema's nodes: made on demand, with a worklist, and asked for emptiness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from decoding.errors import (
    GrammarError,
    GrammarLimitError,
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar.json.array_plan import ways_of
from decoding.grammar.json.distinct import few_strings, is_endless
from decoding.grammar.json.settling import settle_array, settle_object
from decoding.grammar.json.shapes import ArrayShape, Node, ObjectShape, Property
from decoding.grammar.numbers import number_sets
from decoding.grammar.regular import string_sets
from decoding.grammar.regular.build import build
from decoding.grammar.regular.expressions import NOTHING as NO_STRINGS
from decoding.grammar.regular.expressions import Expression
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.schema.conflicts import conflict, endless, missing
from decoding.grammar.schema.dialects import dialect_of, escape
from decoding.grammar.schema.distinct_items import DistinctItems
from decoding.grammar.schema.documents import Documents, Resources, Schema
from decoding.grammar.schema.drafts import Found, ObjectDraft
from decoding.grammar.schema.keyword_types import KeywordTypes
from decoding.grammar.schema.kinds import ArrayKind, Emptiness, ObjectKind
from decoding.grammar.schema.locations import (
    EVERYTHING,
    NOTHING,
    Conjunction,
    Literal,
    Locations,
    is_contradiction,
)
from decoding.grammar.schema.logic import MOST, Logic
from decoding.grammar.schema.lowering import Lowering
from decoding.grammar.schema.report import (
    Formats,
    OnUnsupported,
    Remark,
    Report,
    SchemaLimits,
    shown,
)
from decoding.grammar.schema.scalar_logic import ScalarLogic
from decoding.grammar.schema.scalars import (
    ALL_SCALARS,
    ARRAY,
    EVERY_KIND,
    OBJECT,
    Scalars,
    kinds_of,
    meet,
)
from decoding.grammar.schema.solver import CircularError, Solver, Steps

_NO_VALUE = "no value at all is valid"
_FORMATS_MEET = (
    "no string surely has one of these formats only, for readers differ on the strings that have"
    " them; ask for one format, use `pattern`, or compile with formats='annotation'"
)


class _Raw:
    """A node before it is known which others are empty."""

    __slots__ = ("arrays", "objects", "scalars", "unique")

    def __init__(
        self,
        scalars: Scalars,
        arrays: list[ArrayShape],
        objects: list[ObjectShape],
        unique: str | None,
    ) -> None:
        self.scalars, self.arrays, self.objects, self.unique = scalars, arrays, objects, unique


class SchemaGraph:
    """The nodes of one schema; see `decoding.grammar.json.shapes.Graph`.

    restrictions: values that the schema allows and no node has. dropped: keywords that no node
    enforces. notes: what is merely worth knowing.
    """

    def __init__(self, documents: Documents, types: KeywordTypes, report: Report) -> None:
        self._report = report
        locations = Locations(documents, types)
        self._locations = locations
        objects, arrays = ObjectKind(locations, report), ArrayKind(locations, report)
        self._of_objects = Logic(objects, locations, report)
        self._of_arrays = Logic(arrays, locations, report)
        self._solver = Solver(
            {
                "scalars": ScalarLogic(locations, report).found,
                "objects": self._of_objects.found,
                "seen objects": self._of_objects.found_seen,
                "arrays": self._of_arrays.found,
                "seen arrays": self._of_arrays.found_seen,
                "empty": Emptiness(objects, arrays).proof,
                "all objects": self._all_objects,
                "all arrays": self._all_arrays,
            },
            report,
        )
        self._distinct = DistinctItems(self, report)
        self._lowering = Lowering(self._number, self._strings_of, report)
        self._numbers: dict[Conjunction, int] = {}
        self._conjunctions: list[Conjunction] = []
        self._raw: list[_Raw] = []
        self._full: list[bool] = []  # whether the node has a member
        self._nodes: dict[int, Node] = {}
        self._number(EVERYTHING)
        self._number(NOTHING)
        self._expand()
        self.root = 0

    @property
    def restrictions(self) -> tuple[Remark, ...]:
        """What the schema allows and the graph does not."""
        return (*self._report.restrictions, *self._report.unwritten)

    @property
    def dropped(self) -> tuple[Remark, ...]:
        """What the schema asks for and the graph does not."""
        return tuple(self._report.dropped)

    @property
    def spelled_once(self) -> tuple[Remark, ...]:
        """What masks spell in one way only, as they must remember it."""
        return tuple(self._report.spelled_once)

    @property
    def notes(self) -> tuple[Remark, ...]:
        """What holds by definition of a keyword, and may yet surprise."""
        return tuple(self._report.notes)

    def __len__(self) -> int:
        return len(self._raw)

    def node(self, number: int) -> Node:
        """The node of this number; always the same one."""
        known = self._nodes.get(number)
        if known is None:
            known = self._nodes[number] = self._settled(number)
        return known

    def conjunction(self, numbers: tuple[int, ...]) -> int:
        """The node of the values that are members of every one of these nodes.

        Where that raises an error, the graph is left as it was.
        """
        known = len(self._raw)
        try:
            number = self._number(frozenset().union(*(self._conjunctions[one] for one in numbers)))
            if number >= known:
                self._report.begin()  # texts are followed long after a schema was compiled
                self._expand()
        except GrammarError:
            for conjunction in self._conjunctions[known:]:
                self._numbers.pop(conjunction, None)
            for new in range(known, len(self._conjunctions)):
                self._nodes.pop(new, None)
            del self._conjunctions[known:], self._raw[known:], self._full[known:]
            raise
        return number

    def is_empty(self, number: int) -> bool:
        """Whether the node has no member at all."""
        return not self._full[number]

    def where(self, number: int) -> str:
        """The JSON pointer of a schema that a node comes from, of the deepest one."""
        pointers = (self._locations.of(one).pointer for one in self._conjunctions[number])
        return max(pointers, key=len, default="")

    def locate(self, schema: object) -> Conjunction:
        """The conjunction of the root's schema."""
        return self._locations.conjunction(schema, self._locations.documents.scope, "")

    def conflict(self) -> tuple[str, str, bool]:
        """The pointer of what makes the root empty, a sentence that says why, and if it is certain.

        It is not certain where strings are left out for readers differ on who has a format.
        """
        number, seen = self.root, {1}
        where = ""
        while number not in seen:
            seen.add(number)
            around = [self._locations.of(one) for one in self._conjunctions[number]]
            where = max((one.pointer for one in around), key=len, default=where)
            key, needed = self._needed(number)
            if needed is None:
                found = conflict(self._conjunctions[number], self._locations, self._is_none)
                possible = self._raw[number].scalars.possible
                is_certain = possible is None or string_sets.is_empty(possible)
                return (*(found or (where, _NO_VALUE)), is_certain)
            if needed in seen and key is not None:
                found = missing(around, key) if needed == 1 else endless(around, key)
                return (*(found or (where, _NO_VALUE)), True)
            number = needed
        return where, _NO_VALUE, True

    def _needed(self, number: int) -> tuple[str | None, int | None]:
        """An empty node that an object or an array of a node must have, and the object's key."""
        raw = self._raw[number]
        for shape in raw.objects:
            for one in shape.properties:
                if one.required and one.node is not None and self.is_empty(one.node):
                    return one.name, one.node
        for array in raw.arrays:
            for node in (*array.prefix, array.rest)[: array.minimum]:
                if node is not None and self.is_empty(node):
                    return None, node
        return None, None

    def _is_none(self, conjunction: Conjunction) -> bool:
        return self.is_empty(self.enter(conjunction))

    def enter(self, conjunction: Conjunction) -> int:
        """The node of a conjunction, with all that it leads to."""
        number = self._number(conjunction)
        self._expand()
        return number

    def _number(self, conjunction: Conjunction) -> int:
        known = self._numbers.get(conjunction)
        if known is None:
            if is_contradiction(conjunction):
                known = self._numbers.get(NOTHING, 1)
            if known is None or conjunction == NOTHING:
                known = len(self._conjunctions)
                self._conjunctions.append(conjunction)
                if known >= self._report.limits.nodes:
                    raise GrammarLimitError("", "nodes", self._report.limits.nodes)
            self._numbers[conjunction] = known
        return known

    def _expand(self) -> None:
        """Look at every node that has been numbered, and at what it leads to."""
        first = len(self._raw)
        while len(self._raw) < len(self._conjunctions):
            self._raw.append(self._looked_at(self._conjunctions[len(self._raw)]))
        if len(self._raw) > first:
            self._decide(first)
            for number in range(first, len(self._raw)):
                if self._raw[number].unique is not None:
                    self._check_unique(number)

    def _looked_at(self, conjunction: Conjunction) -> _Raw:
        kinds, scalars = EVERY_KIND, ALL_SCALARS
        solve = self._solver.solve
        where = ""
        if conjunction == NOTHING:
            kinds = 0
        try:
            for literal in conjunction:
                location = self._locations.of(literal)
                where = location.pointer
                if not literal & 1:
                    kinds &= kinds_of(location)
                scalars = meet(scalars, solve(("scalars", literal)))
            arrays: list[ArrayShape] = []
            unique = None
            if kinds & ARRAY:
                for draft in self._drafts("arrays", conjunction).drafts:
                    shape = self._lowering.array(draft)
                    if shape is not None:
                        arrays.append(shape)
                        unique = draft.unique[0] if shape.unique else unique
            objects: list[ObjectShape] = []
            if kinds & OBJECT:
                objects = [
                    self._lowering.object(draft)
                    for draft in self._resolved(self._drafts("objects", conjunction).drafts, where)
                ]
                objects = [self._with_names(shape, where) for shape in objects]
        except CircularError as problem:
            where = self._locations.of(problem.question[1]).pointer if problem.question else where
            raise GrammarSyntaxError(where, "it describes itself") from problem
        return _Raw(scalars, arrays, objects, unique)

    def _resolved(self, drafts: tuple[ObjectDraft, ...], where: str) -> tuple[ObjectDraft, ...]:
        """Drafts without witnesses that have the same objects."""
        if not any(draft.witnesses for draft in drafts):
            return drafts
        resolved = dict.fromkeys(one for draft in drafts for one in self._lowering.witnessed(draft))
        kept = self._of_objects.without_special(tuple(resolved))
        self._of_objects.check(len(kept), where)
        return kept

    def _drafts(self, kind: str, conjunction: Conjunction) -> Found[Any]:
        found: Found[Any]
        if len(conjunction) == 1:
            (literal,) = conjunction
            found = self._solver.solve((kind, literal))
        else:
            found = self._solver.solve((f"all {kind}", conjunction))
        for remark in found.restrictions:
            self._report.restrictions[remark] = None
        return found

    def _all_objects(self, conjunction: Conjunction) -> Steps[Found[Any]]:
        return self._product(self._of_objects, conjunction)

    def _all_arrays(self, conjunction: Conjunction) -> Steps[Found[Any]]:
        return self._product(self._of_arrays, conjunction)

    def _product(self, logic: Logic[Any], conjunction: Conjunction) -> Steps[Found[Any]]:
        result = logic.kind.everything
        for literal in sorted(conjunction, key=_kept_first):
            found = yield (logic.kind.name, literal)
            where = self._locations.of(literal).pointer
            most = MOST if literal & 1 else None
            result = yield from logic.product(result, found, where, most)
        return result

    def _strings_of(self, conjunction: Conjunction) -> Expression:
        scalars = ALL_SCALARS
        for literal in conjunction:
            scalars = meet(scalars, self._solver.solve(("scalars", literal)))
        return NO_STRINGS if conjunction >= NOTHING else scalars.strings

    def _decide(self, first: int) -> None:
        """Find the nodes with members: a least fixpoint, as members are finite."""
        full = self._full
        full.extend([False] * (len(self._raw) - first))
        open_nodes = []
        for number in range(len(self._raw) - 1, first - 1, -1):
            if number != 1 and self._plainly_full(self._raw[number]):
                full[number] = True
            elif number != 1:
                open_nodes.append(number)
        changed = True
        while changed and open_nodes:
            self._report.count(len(open_nodes))
            left = [number for number in open_nodes if not self._has_shape(number)]
            changed = len(left) < len(open_nodes)
            open_nodes = left

    def _plainly_full(self, raw: _Raw) -> bool:
        scalars = raw.scalars
        if scalars.null or scalars.true or scalars.false or scalars.numbers:
            return True
        for shape in raw.objects:
            if not shape.minimum and not any(one.required for one in shape.properties):
                return True
        if any(not shape.minimum for shape in raw.arrays):
            return True
        return not string_sets.is_empty(scalars.strings)

    def _has_shape(self, number: int) -> bool:
        raw = self._raw[number]
        if any(settle_object(shape, self.is_empty) for shape in raw.objects) or any(
            self.settled(shape) for shape in raw.arrays
        ):
            self._full[number] = True
            return True
        return False

    def settled(self, shape: ArrayShape) -> ArrayShape | None:
        """A shape without what cannot occur; `None` where it has no array."""
        return settle_array(shape, self.is_empty, self._meet, self._size)

    def _meet(self, numbers: tuple[int, ...]) -> int:
        return self._numbers[frozenset().union(*(self._conjunctions[one] for one in numbers))]

    def _size(self, number: int, enough: int) -> int:
        raw = self._raw[number]
        if raw.arrays or raw.objects:
            return enough
        scalars = raw.scalars
        return (
            scalars.null
            + scalars.true
            + scalars.false
            + number_sets.count(scalars.numbers, enough)
            + string_sets.count(scalars.strings, enough)
        )

    def _settled(self, number: int) -> Node:
        raw = self._raw[number]
        if not self._full[number]:
            return Node()
        scalars = raw.scalars
        arrays = [self.settled(shape) for shape in raw.arrays]
        objects = [settle_object(shape, self.is_empty) for shape in raw.objects]
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

    def among(self, number: int, values: Sequence[Any]) -> int:
        """The node of those of some scalars that are members of a node."""
        self._report.begin()  # texts are followed long after a schema was compiled
        chosen = self._locations.plain({"enum": list(values)}, "")
        return self.enter(self._conjunctions[number] | chosen)

    def _check_unique(self, number: int) -> None:
        """Say how items are kept distinct; where they cannot be, drop `uniqueItems` or raise."""
        raw = self._raw[number]
        where = raw.unique or ""
        found: list[ArrayShape] = []
        for shape in raw.arrays:
            settled = self.settled(shape) if shape.unique else None
            if settled is None or not settled.unique:
                found.append(shape)
            else:
                found += self._distinct.shapes(shape, settled, where)
        raw.arrays = found
        self._nodes.pop(number, None)

    def _with_names(self, shape: ObjectShape, where: str) -> ObjectShape:
        """The shape; where keys are counted and few may occur without a name, with these names."""
        closed = shape.additional == 1 and not shape.patterns
        if closed and shape.maximum is not None and shape.dependent:
            needing = {name for name, _ in shape.dependent}
            free = sum(one.required or one.name not in needing for one in shape.properties)
            if free < shape.minimum:
                reason = (
                    "keys that need others (`dependentRequired`) may leave no room for this many;"
                    " require some of the keys by name, or lower `minProperties`"
                )
                self._report.unsupported(where, "minProperties", reason)
                return replace(shape, minimum=0)
        if shape.minimum < 2 or closed:
            return shape
        sentence = "undeclared keys are written without escapes that are not needed, to count them"
        remark = Remark(where, "minProperties", sentence)
        if not shape.patterns and shape.names is None:
            self._report.spelled_once[remark] = None
            return shape
        language = string_sets.complement(string_sets.words(one.name for one in shape.properties))
        if shape.names is not None:
            language = string_sets.both(shape.names, language)
        if shape.additional == 1:
            patterns = string_sets.any_of(language for language, _ in shape.patterns)
            language = string_sets.both(language, patterns)
        names = few_strings(language)
        if names is not None:
            found = [Property(name, self._undeclared(shape, name)) for name in names]
            properties = (*shape.properties, *found)
            return replace(shape, properties=properties, patterns=(), additional=1, names=None)
        if not is_endless(build(language, Spelling.TEXT)):
            reason = (
                "at least two undeclared keys are asked for, and only finitely many keys that are"
                " allowed begin in some way; declare the keys in `properties`, or lower"
                " `minProperties`"
            )
            self._report.unsupported(where, "minProperties", reason)
            return replace(shape, minimum=1)
        self._report.spelled_once[remark] = None
        return shape

    def _undeclared(self, shape: ObjectShape, name: str) -> int | None:
        """The node of a key that a shape does not declare."""
        matched = [node for language, node in shape.patterns if string_sets.holds(language, name)]
        if not matched:
            return shape.additional
        return self._number(frozenset().union(*(self._conjunctions[node] for node in matched)))

    def narrowed(self, shape: ArrayShape, schema: Mapping[str, Any]) -> ArrayShape:
        """The arrays of a shape whose items fulfil a schema too."""
        also = self._locations.plain(schema, "")

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

    def classes(self, shape: ArrayShape, schemas: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """The nodes of some schemas; the items of a shape that are of them have nodes too."""
        found = [self._locations.plain(schema, "") for schema in schemas]
        for item in (*shape.prefix, *(() if shape.rest is None else (shape.rest,))):
            for one in found:
                self._number(self._conjunctions[item] | one)
        nodes = tuple(map(self._number, found))
        self._expand()
        return nodes

    def constants(self, values: Iterable[Any]) -> tuple[int, ...]:
        """The nodes of some values, one each."""
        location = self._locations.of(0)
        constants = [self._locations.constant(value, location) for value in values]
        nodes = dict.fromkeys(map(self._number, constants))
        self._expand()
        return tuple(nodes)


def _kept_first(literal: Literal) -> tuple[int, int]:
    return literal & 1, literal


def compile_graph(
    schema: Schema,
    *,
    on_unsupported: OnUnsupported = "raise",
    format: Formats = "known",  # noqa: A002 -- the keyword's name
    resources: Resources | None = None,
    limits: SchemaLimits | None = None,
) -> SchemaGraph:
    """The graph of a JSON Schema: every member of its root is valid.

    on_unsupported: "ignore" drops what cannot be expressed, and lists it in `dropped`.
    format: whether formats that are known are enforced, must be known, or are annotations.
    resources: the documents that references may lead to, by URI; nothing is fetched.
    Raises GrammarSyntaxError, GrammarUnsupportedError, GrammarUnsatisfiableError and
    GrammarLimitError.
    """
    if not isinstance(schema, bool | Mapping):
        raise GrammarSyntaxError("", f"a schema is an object or a truth value, not {shown(schema)}")
    limits = SchemaLimits() if limits is None else limits
    report = Report(on_unsupported, format, limits)
    types = KeywordTypes(report)
    if isinstance(schema, Mapping):
        # What names schemas has to be right before references are looked up.
        types.check(schema, dialect_of(schema), "")
    documents = Documents(schema, limits.nesting, resources)
    graph = SchemaGraph(documents, types, report)
    graph.root = graph.enter(graph.locate(schema))
    if graph.is_empty(graph.root):
        remarks = [one for one in report.restrictions if one.keyword != "format"]
        for remark in remarks:
            where = f"{remark.where}/{escape(remark.keyword)}"
            raise GrammarUnsupportedError(where, remark.keyword, remark.sentence)
        for remark in report.unwritten:
            where = f"{remark.where}/{escape(remark.keyword)}"
            raise GrammarUnsatisfiableError(where, f"no value is valid: {remark.sentence}")
        where, sentence, is_certain = graph.conflict()
        if is_certain:
            raise GrammarUnsatisfiableError(where, sentence)
        raise GrammarUnsupportedError(where, "format", _FORMATS_MEET)
    return graph
