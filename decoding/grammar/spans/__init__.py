"""Texts of several spans: free text up to a tag, a text of a grammar, tokens that are fixed.

A chat's answer is such a text: free text, behind an opening tag a tool call that a grammar
describes, then free text again; or reasoning up to its end tag, then JSON of a schema.
"""

from decoding.grammar.spans.grammar import SpanGrammar
from decoding.grammar.spans.kinds import END, FreeSpan, GrammarSpan, Span, TokenSpan

__all__ = ["END", "FreeSpan", "GrammarSpan", "Span", "SpanGrammar", "TokenSpan"]
