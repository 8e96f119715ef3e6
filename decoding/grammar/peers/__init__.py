"""Adapters of other grammar engines to the protocol `TokenMatcher`, one module for each engine.

Each module has the names of `decoding.grammar`: a `Machine` for a vocabulary, and functions that
compile grammars for it. So changing the import changes the engine. Requires the extra `peers`.
"""
