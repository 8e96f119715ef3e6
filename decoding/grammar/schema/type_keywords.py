"""The protocol of keywords of one JSON type, arrays or objects, as `ConstraintLogic` uses it."""

from __future__ import annotations

from typing import Protocol

from decoding.grammar.schema.constraints import Constraints, Disjunction
from decoding.grammar.schema.locations import Location
from decoding.grammar.schema.solver import Steps


class TypeKeywords(Protocol[Constraints]):
    """Translates the keywords of arrays, or of objects, to constraints.

    name: "arrays" or "objects". json_type: `ARRAY` or `OBJECT` of `scalar_sets`.
    everything, nothing: the disjunctions of all arrays or objects, and of none.
    """

    name: str
    json_type: int
    everything: Disjunction[Constraints]
    nothing: Disjunction[Constraints]

    def plain(self, location: Location, *, evaluated: bool) -> Disjunction[Constraints]:
        """The values that satisfy all keywords of a schema, except those that combine schemas.

        evaluated: also record which properties or items the keywords evaluate.
        """

    def violating(self, location: Location) -> Disjunction[Constraints]:
        """The values that violate a keyword, except constants and keywords that combine schemas."""

    def other_than_constants(self, location: Location) -> list[tuple[Constraints, ...]] | None:
        """For each value of `enum` or `const`, the values that differ; `None` without either."""

    def merge(self, one: Constraints, other: Constraints) -> Constraints | None:
        """The conjunction of two constraints; `None` where it is plainly unsatisfiable."""

    def impossible(self, option: Constraints, depth: int) -> Steps[bool]:
        """Whether it is proved, looking `depth` levels down, that no value satisfies `option`."""

    def close_unevaluated(self, location: Location, option: Constraints) -> Constraints | None:
        """Add the schema's `unevaluatedItems` or `unevaluatedProperties` to the constraints."""
