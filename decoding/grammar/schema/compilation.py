"""Compiles a JSON Schema document to a `SchemaGraph`; raises where no value is valid."""

from __future__ import annotations

from collections.abc import Mapping

from decoding.bounded_repr import shown
from decoding.errors import (
    GrammarSyntaxError,
    GrammarUnsatisfiableError,
    GrammarUnsupportedError,
)
from decoding.grammar.json_style import MAX_DIGITS
from decoding.grammar.regular.work import counting
from decoding.grammar.schema.conflicts import why_empty
from decoding.grammar.schema.dialects import dialect_of, escape
from decoding.grammar.schema.documents import Documents, Resources, Schema
from decoding.grammar.schema.graph import SchemaGraph
from decoding.grammar.schema.keyword_types import KeywordChecker
from decoding.grammar.schema.report import Formats, OnUnsupported, Report, SchemaLimits

_FORMATS_MEET = (
    "readers differ on which strings have these formats, so no string is known to have one of them"
    " and not the other; ask for one format, use `pattern`, or compile with formats='annotation'"
)


def compile_graph(
    schema: Schema,
    *,
    on_unsupported: OnUnsupported = "raise",
    format: Formats = "known",  # noqa: A002 -- the keyword's name
    resources: Resources | None = None,
    limits: SchemaLimits | None = None,
    digits: int | None = MAX_DIGITS,
) -> SchemaGraph:
    """Compile a JSON Schema to its graph of nodes; every member of the root node is valid.

    on_unsupported: "ignore" drops what cannot be expressed, and lists it in `dropped`.
    format: whether formats that are known are enforced, must be known, or are annotations.
    resources: the documents that references may lead to, by URI; nothing is fetched.
    digits: the most characters of a number's text behind its sign; `None` is no bound.
    Raises GrammarSyntaxError, GrammarUnsupportedError, GrammarUnsatisfiableError and
    GrammarLimitError.
    """
    if not isinstance(schema, bool | Mapping):
        raise GrammarSyntaxError(
            "", f"a schema must be an object or a boolean, not {shown(schema)}"
        )
    limits = SchemaLimits() if limits is None else limits
    report = Report(on_unsupported, format, limits, digits)
    types = KeywordChecker(report)
    if isinstance(schema, Mapping):
        # References are looked up by `$id` and anchors, so the document is checked first.
        types.check(schema, dialect_of(schema), "")
    documents = Documents(schema, limits.nesting, resources)
    with counting(report.work):
        return _graph(SchemaGraph(documents, types, report), report, schema)


def _graph(graph: SchemaGraph, report: Report, schema: Schema) -> SchemaGraph:
    """The graph with the nodes of a schema, of which the root has members."""
    graph.root = graph.add(graph.root_conjunction(schema))
    if graph.is_empty(graph.root):
        remarks = [one for one in report.restrictions if one.keyword != "format"]
        for remark in remarks:
            where = f"{remark.where}/{escape(remark.keyword)}"
            raise GrammarUnsupportedError(where, remark.keyword, remark.sentence)
        for remark in report.unwritten:
            where = f"{remark.where}/{escape(remark.keyword)}"
            raise GrammarUnsatisfiableError(where, f"no value is valid: {remark.sentence}")
        where, sentence, is_certain = why_empty(graph)
        if is_certain:
            raise GrammarUnsatisfiableError(where, sentence)
        raise GrammarUnsupportedError(where, "format", _FORMATS_MEET)
    return graph
