"""Follows texts through a compiled grammar, token by token, and masks the next tokens."""
