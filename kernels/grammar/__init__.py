"""Kernels of grammars: byte transitions of automata, JSON and Earley states; token masks."""
