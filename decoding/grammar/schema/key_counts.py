"""Rewrites or refuses object shapes with `minProperties`, so that masks can count keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from decoding.grammar.json.cardinality import few_strings, is_endless
from decoding.grammar.json.shapes import ObjectShape, Property
from decoding.grammar.regular import string_sets as languages
from decoding.grammar.regular.build import build
from decoding.grammar.regular.nfa import Spelling
from decoding.grammar.schema.report import Remark, Report

EMPTY = 1
"""The number of the node without members."""


class KeyCounts:
    """Rewrites object shapes so that masks can enforce the least number of keys.

    conjunction: the number of the node of the values in all of some nodes.
    """

    def __init__(self, conjunction: Callable[[Sequence[int]], int], report: Report) -> None:
        self._conjunction, self._report = conjunction, report

    def shape(self, shape: ObjectShape, where: str) -> ObjectShape:
        """The same objects, in a form in which masks can enforce `minProperties`.

        where: the pointer of the schema. Where masks cannot enforce it, `minProperties` is refused
        or dropped, as `Report.unsupported` decides.
        """
        closed = shape.additional == EMPTY and not shape.patterns
        if closed and shape.maximum is not None and shape.dependent:
            needing = {name for name, _ in shape.dependent}
            free = sum(one.required or one.name not in needing for one in shape.properties)
            if free < shape.minimum:
                reason = (
                    "keys that need others (`dependentRequired`) may leave no room for this many"
                    " keys; require some of the keys by name, or lower `minProperties`"
                )
                self._report.unsupported(where, "minProperties", reason)
                return replace(shape, minimum=0)
        if shape.minimum < 2 or closed:
            return shape
        sentence = (
            "undeclared keys are written without optional escapes, so that they can be counted"
        )
        remark = Remark(where, "minProperties", sentence)
        if not shape.patterns and shape.names is None:
            self._report.spelled_once[remark] = None
            return shape
        language = languages.complement(languages.words(one.name for one in shape.properties))
        if shape.names is not None:
            language = languages.both(shape.names, language)
        if shape.additional == EMPTY:
            patterns = languages.any_of(language for language, _ in shape.patterns)
            language = languages.both(language, patterns)
        names = few_strings(language)
        if names is not None:
            found = [Property(name, self._undeclared(shape, name)) for name in names]
            properties = (*shape.properties, *found)
            return replace(shape, properties=properties, patterns=(), additional=EMPTY, names=None)
        if not is_endless(build(language, Spelling.TEXT)):
            reason = (
                "at least two undeclared keys are required, and some beginning of a key has only"
                " finitely many allowed continuations; declare the keys in `properties`, or lower"
                " `minProperties`"
            )
            self._report.unsupported(where, "minProperties", reason)
            return replace(shape, minimum=1)
        self._report.spelled_once[remark] = None
        return shape

    def _undeclared(self, shape: ObjectShape, name: str) -> int | None:
        """The node of the value at a key that a shape does not declare."""
        matched = [node for language, node in shape.patterns if languages.holds(language, name)]
        return self._conjunction(matched) if matched else shape.additional
