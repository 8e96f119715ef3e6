"""Proves, to a small depth, that no value meets several schemas, to prune alternatives."""

from __future__ import annotations

from decoding.errors import GrammarUnsupportedError
from decoding.grammar.schema.array_keywords import ArrayKeywords
from decoding.grammar.schema.locations import Conjunction, is_contradiction
from decoding.grammar.schema.object_keywords import ObjectKeywords
from decoding.grammar.schema.scalar_sets import (
    ALL_SCALARS,
    ARRAY,
    EVERY_TYPE,
    OBJECT,
    are_empty,
    meet,
    types_of,
)
from decoding.grammar.schema.solver import CircularError, Steps
from decoding.typing import Anything

_COMBINED = 64  # conjunctions of constraints that are examined for one JSON type


class Emptiness:
    """Proves conjunctions of schemas empty. What it cannot prove may still be empty."""

    def __init__(self, objects: ObjectKeywords, arrays: ArrayKeywords) -> None:
        self._keywords = (arrays, objects)
        self._locations = objects.locations

    def proof(self, conjunction: Conjunction, depth: int) -> bool | Steps[bool]:
        """Whether it is proved, `depth` levels down, that no value satisfies all schemas."""
        if is_contradiction(conjunction):
            return True
        types = EVERY_TYPE
        for literal in conjunction:
            if not literal & 1:
                types &= types_of(self._locations.of(literal))
        if not depth and types & (ARRAY | OBJECT):
            return False
        return self._searched(conjunction, types, depth)

    def _searched(self, conjunction: Conjunction, types: int, depth: int) -> Steps[bool]:
        try:
            scalars = ALL_SCALARS
            for literal in conjunction:
                scalars = meet(scalars, (yield ("scalars", literal)))
            if not are_empty(scalars):
                return False
            for keywords in self._keywords:
                if types & keywords.json_type and not (
                    yield from self._none(keywords, conjunction, depth)
                ):
                    return False
        except (CircularError, GrammarUnsupportedError):
            return False
        return True

    def _none(
        self,
        keywords: Anything,  # `TypeKeywords` of arrays or of objects
        conjunction: Conjunction,
        depth: int,
    ) -> Steps[bool]:
        options = list(keywords.everything.options)
        for literal in sorted(conjunction):
            found = yield (keywords.name, literal)
            if found.restrictions or len(options) * len(found.options) > _COMBINED:
                return False
            merged = (keywords.merge(one, other) for one in options for other in found.options)
            options = [option for option in merged if option is not None]
        for option in options:
            if not (yield from keywords.impossible(option, depth - 1)):
                return False
        return True
