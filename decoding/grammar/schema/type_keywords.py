"""Protocol `TypeKeywords`: what `ConstraintLogic` asks of array, or of object, keywords."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from decoding.grammar.schema.constraints import Constraints, Disjunction
from decoding.grammar.schema.locations import Location
from decoding.grammar.schema.solver import Steps
from decoding.typing import Anything


class TypeKeywords(Protocol[Constraints]):
    """Protocol: translates the keywords of arrays, or of objects, to constraints.

    name: "arrays" or "objects". json_type: `ARRAY` or `OBJECT` of `scalar_sets`.
    python_type: of such values in parsed JSON. known: the keywords that constrain them, but for
    those that combine schemas.
    everything, nothing: the disjunctions of all arrays or objects, and of none.
    """

    name: str
    json_type: int
    python_type: type[Any]
    known: frozenset[str]
    everything: Disjunction[Constraints]
    nothing: Disjunction[Constraints]

    def conditions(self, location: Location, *, evaluated: bool) -> Constraints | None:
        """The constraints of all known keywords but constants; `None` where they are empty.

        evaluated: also record which properties or items the keywords evaluate.
        """

    def violating(self, location: Location) -> Disjunction[Constraints]:
        """The values that violate a known keyword, except constants."""

    def constant(self, value: Anything, location: Location) -> Constraints:
        """The constraints that only the values equal to one in `enum` or `const` satisfy."""

    def other_than(self, value: Anything, location: Location) -> Iterator[Constraints]:
        """The values that differ from one in `enum` or `const`."""

    def merge(self, one: Constraints, other: Constraints) -> Constraints | None:
        """The conjunction of two constraints; `None` where it is plainly unsatisfiable."""

    def impossible(self, option: Constraints, depth: int) -> Steps[bool]:
        """Whether it is proved, looking `depth` levels down, that no value satisfies `option`."""

    def close_unevaluated(self, location: Location, option: Constraints) -> Constraints | None:
        """Add the schema's `unevaluatedItems` or `unevaluatedProperties` to the constraints."""
