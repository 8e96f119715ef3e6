"""JSON Schema: from a document to the graph of its nodes."""

from decoding.grammar.schema.documents import Resources, Schema
from decoding.grammar.schema.graph import SchemaGraph, compile_graph
from decoding.grammar.schema.members import is_member
from decoding.grammar.schema.report import Remark, SchemaLimits

__all__ = [
    "Remark",
    "Resources",
    "Schema",
    "SchemaGraph",
    "SchemaLimits",
    "compile_graph",
    "is_member",
]
