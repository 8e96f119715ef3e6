"""`warmup`: loads or compiles the grammar kernels (Numba) and waits for them."""

from __future__ import annotations

import time

from decoding import compilation
from decoding.kernels.grammar.loading import AUTOMATA, NESTED


def warmup() -> float:
    """Load or compile the kernels of grammars and wait for them; returns the seconds it took.

    Calling this is optional: until they are ready NumPy and Python compute the same masks, slower.
    The first time on a machine takes about a minute, later ones about a second. Without Numba
    nothing is waited for.
    """
    started = time.perf_counter()
    loader = compilation.loader()
    try:
        for group in (AUTOMATA, NESTED):
            loader.begin(group, is_urgent=True)
        for group in (AUTOMATA, NESTED):
            loader.wait(group)
    except ImportError:
        pass
    return time.perf_counter() - started
