"""Limits of a vocabulary that is read from a file: how many ids, and how long a token is."""

MOST_TOKENS = 1 << 21
"""Most ids of a vocabulary, gaps counted. The largest known have a million."""
MOST_CHARACTERS = 1 << 12
"""Most characters of one token. The longest known, of spaces or dashes, have a few hundred."""
