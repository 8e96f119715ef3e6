"""Matchers: texts that are followed through a compiled grammar, and the masks of next tokens."""
