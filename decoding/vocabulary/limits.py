"""Limits of vocabularies."""

MOST_TOKENS = 1 << 21
"""Most ids of a vocabulary, gaps counted. The largest known have a million."""
