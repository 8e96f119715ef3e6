"""Other engines behind `TokenMatcher`, one a module, with the names of `decoding.grammar`.

To change the engine is to change the import: each has its `Machine` of a vocabulary, and functions
that compile over one. They need the extra `peers`.
"""
