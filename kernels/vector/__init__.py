"""The NumPy backend: always available, vectorised over one row at a time.

Filters take float64 logits `(n,)` in ascending order of token id and return which stay; edits
return new logits. Each exists once and serves both executions of a pipeline: the whole row, and the
compact candidates left after the first truncation.
"""
