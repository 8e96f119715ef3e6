"""The largest number of token ids in a vocabulary."""

MOST_TOKENS = 1 << 21
"""Most ids of a vocabulary, gaps counted. The largest known have a million."""
