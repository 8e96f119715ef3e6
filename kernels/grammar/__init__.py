"""Automata over bytes and the walk of a vocabulary through them."""
