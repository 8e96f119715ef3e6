"""Watermarks: the schemes, their keys, and how to detect them.

Owns: what a key and a context make of a token, and the tests that find it in a text.
Knows nothing of: logits, processors, pipelines, models or text; the processors that embed these
marks are in `decoding.processors`.
"""
