"""Lists the grammar kernels as units of machine code, in two groups that load together.

A group is needed by grammars of its kind from the first mask on. Of its units those come first that
save most for each second of compilation.
"""

from __future__ import annotations

from decoding.kernels.units import Group, Unit

_PACKAGE = "decoding.kernels.grammar"


def _units(**kernels: dict[str, float]) -> tuple[Unit, ...]:
    """Units by module and kernel, with seconds of compilation."""
    return tuple(
        Unit(f"{module}.{kernel}", f"{_PACKAGE}.entries", f"{_PACKAGE}.{module}", seconds)
        for module, named in kernels.items()
        for kernel, seconds in named.items()
    )


_ALL = _units(trie_nodes={"copy_twins": 1}, subsets={"expand": 3, "begin": 3})
AUTOMATA = Group(
    "kernels of schemas and regular expressions",
    _ALL
    + _units(
        walk={"sweep": 3, "survey": 3, "within": 1, "intern_frames": 1, "walk": 20, "rehash": 1},
        subsets={"uncounted": 3, "rehash": 1, "spread": 1},
        paths={
            "find_reached": 1,
            "find_phases": 1,
            "find_nearest": 1,
            "find_farthest": 1,
            "find_beyond": 1,
        },
        products={"begin": 1, "search": 4, "explore": 4},
    ),
)
"""What grammars without nested rules need."""
NESTED = Group(
    "kernels of context-free grammars",
    _ALL
    + _units(
        earley_walk={"survey": 2, "walk": 8, "spread": 8},
        earley_step={"begin": 6, "fill": 6, "part": 1, "joined": 1},
        earley_sets={"rehash": 1},
    ),
)
"""What grammars with nested rules need."""
