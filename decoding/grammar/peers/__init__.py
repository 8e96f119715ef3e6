"""Adapters of llguidance and xgrammar to the protocol `TokenMatcher`, a module for each.

Each module has the names of `decoding.grammar`: a `Machine` for a vocabulary, and functions that
compile grammars for it. So changing the import changes the engine. Requires the extra `peers`.
"""
