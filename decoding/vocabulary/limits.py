"""The limit `MOST_TOKENS` on the token ids of a vocabulary."""

MOST_TOKENS = 1 << 21
"""Most ids of a vocabulary, gaps counted. The largest known have a million."""
