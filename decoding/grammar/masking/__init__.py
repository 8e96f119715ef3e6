"""One text followed through a compiled grammar, and the mask of its next tokens."""
