"""Kernels of grammars: transitions of automata, JSON texts and context-free texts by one byte."""
