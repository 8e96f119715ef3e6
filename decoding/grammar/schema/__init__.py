"""JSON Schema: compiles a document to a graph whose nodes are sets of JSON values."""

from decoding.grammar.schema.compilation import compile_graph
from decoding.grammar.schema.documents import Resources, Schema
from decoding.grammar.schema.graph import SchemaGraph
from decoding.grammar.schema.report import Remark, SchemaLimits

__all__ = [
    "Remark",
    "Resources",
    "Schema",
    "SchemaGraph",
    "SchemaLimits",
    "compile_graph",
]
